"""Giving an instance another name, for which it must be stopped; it knows no other verb."""

from __future__ import annotations

from collections.abc import Callable

from vmharness.errors import NameTaken, ProviderError
from vmharness.provider import MachineState
from vmharness_incus._cli import Client
from vmharness_incus._errors import Doing, translate
from vmharness_incus._machine import NAME
from vmharness_incus._power import power

__all__ = ["rename"]


def rename(client: Client, name: str, new: str, timeout: float, *, clock: Callable[[], float]) -> None:
    """Give a machine another name; one that runs is stopped for it, and started again whatever came of it.

    Args:
        client: Asks the engine.
        name: Its name.
        new: The name that it gets.
        timeout: Seconds until the deadline.
        clock: Returns seconds that never go back.

    Raises:
        NameTaken: There is a machine of the new name; nothing was changed.
        ProviderError: The machine is absent, or the engine refused.
        TimeoutError: The deadline passed; the engine may go on.
    """
    what, ends = f"rename machine {name!r} to {new!r}", clock() + timeout
    there = client.machine(name, timeout=timeout) if NAME.fullmatch(name) else None
    if there is None:
        raise ProviderError(f"cannot {what}: there is no such machine", backend=client.backend, machine=name)
    if not NAME.fullmatch(new):
        raise ProviderError(
            f"cannot {what}: no machine can have that name", backend=client.backend, machine=name
        )
    if client.machine(new, timeout=ends - clock()) is not None:
        raise NameTaken(f"cannot {what}: there is a machine {new!r}", backend=client.backend, machine=new)
    running = there.state is MachineState.RUNNING
    if running:
        power(client, "stop", name, ends - clock(), clock=clock)
    now = name
    try:
        text = client.rename(name, new, timeout=ends - clock())
        if text:
            raise translate(text, Doing.RUN, what, backend=client.backend, machine=name)
        now = new
    except TimeoutError as exc:
        raise TimeoutError(f"cannot {what} within {timeout:.3g} s; the engine may go on") from exc
    finally:
        if running:
            power(client, "start", now, max(1.0, ends - clock()), clock=clock)
