"""Starting and stopping an instance that is there; it knows no other verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from vmharness.errors import ProviderError
from vmharness.provider import MachineState
from vmharness_incus._cli import Client
from vmharness_incus._errors import Doing, translate
from vmharness_incus._machine import NAME

__all__ = ["power"]

_QUERY_S: Final = 30.0
_REACHED: Final = {"start": MachineState.RUNNING, "stop": MachineState.STOPPED}


def power(
    client: Client, verb: Literal["start", "stop"], name: str, timeout: float, *, clock: Callable[[], float]
) -> None:
    """Start or stop a machine; one that is so already is left alone.

    Args:
        client: Asks the engine.
        verb: What to do.
        name: Name of the machine.
        timeout: Seconds until the deadline.
        clock: Returns seconds that never go back.

    Raises:
        ProviderError: The machine is absent, or the engine refused.
        TimeoutError: The deadline passed; the engine may go on.
    """
    what, ends = f"{verb} machine {name!r}", clock() + timeout
    there = client.machine(name, timeout=min(_QUERY_S, timeout)) if NAME.fullmatch(name) else None
    if there is None:
        raise ProviderError(f"cannot {what}: there is no such machine", backend=client.backend, machine=name)
    if there.state is _REACHED[verb]:
        return
    try:
        text = client.power(verb, name, timeout=max(0.0, ends - clock()))
    except TimeoutError as exc:
        raise TimeoutError(f"cannot {what} within {timeout:.3g} s; the engine may go on") from exc
    if text:
        raise translate(text, Doing.RUN, what, backend=client.backend, machine=name)
