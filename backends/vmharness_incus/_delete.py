"""Deleting an instance, and waiting while the engine is busy with it; it knows no other verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmharness.errors import Busy, DeleteFailed, ProviderError
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

    Of several deletes at once one does it, and the others fail in ways that aren't all known: that
    the machine is gone by then is what counts. One that may have been done is not asked for again:
    by then the name may be somebody else's.

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
        except DeleteFailed:
            left_s = ends - clock()
            if left_s > 0 and _is_gone(client, name, timeout=left_s):
                return None
            raise
        sleep(_PAUSE_S)


def _is_gone(client: Client, name: str, *, timeout: float) -> bool:
    try:
        return client.machine(name, timeout=timeout) is None
    except ProviderError:
        return False
