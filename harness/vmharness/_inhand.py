"""What a thread is at, so that no other one does it as well; it doesn't know what that is."""

from __future__ import annotations

import threading
from collections.abc import Generator, Set
from contextlib import contextmanager

from vmharness._interrupts import held

__all__ = ["InHand"]


class InHand:
    """Ids that threads have in hand, each at most one thread's."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._ids: set[str] = set()

    @contextmanager
    def take(self, ids: Set[str], timeout: float) -> Generator[Set[str]]:
        """Take ids in hand for a block, once other threads have let go of them.

        Args:
            ids: Those that are wanted.
            timeout: Seconds to wait; what others have in hand then isn't given.
        """
        mine: Set[str] = frozenset()
        try:
            with self._free:
                self._free.wait_for(lambda: not self._ids & ids, timeout)
                mine = ids - self._ids
                self._ids |= mine
            yield mine
        finally:
            with held, self._free:
                self._ids -= mine
                self._free.notify_all()
