"""Deleting an instance, and waiting while the engine is busy with it; it knows no other verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmharness.errors import Busy
from vmharness_incus._cli import Client

__all__ = ["delete"]

_PAUSE_S: Final = 0.2


def delete(
    client: Client,
    name: str,
    timeout: float,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Delete a machine, as `Provider.delete` says; raise Busy only at the deadline.

    Args:
        client: Asks the engine.
        name: Name of the machine.
        timeout: Seconds until the deadline.
        clock: Returns seconds that never go back.
        sleep: Waits for some seconds.
    """
    ends = clock() + timeout
    while True:
        try:
            return client.delete(name, timeout=max(0.0, ends - clock()))
        except Busy:
            if ends - clock() <= _PAUSE_S:
                raise
        sleep(_PAUSE_S)
