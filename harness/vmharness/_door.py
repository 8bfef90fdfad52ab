"""The door through which creates go: shut at a session's end, which waits for those that are under way."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

from vmharness.errors import VMHarnessError

__all__ = ["Door"]


class Door:
    """Counts the creates under way. Safe from threads; in a forked child none of its parent's is."""

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._shut = False
        self._inside = 0

    def _mine(self) -> threading.Condition:
        """Return what guards the count, anew in a forked child, where nobody would ever count down."""
        if os.getpid() != self._pid:
            self._open()
        return self._changed

    @contextmanager
    def through(self) -> Generator[None]:
        """Let a create through for a block.

        Raises:
            VMHarnessError: The door is shut.
        """
        with self._mine():
            if self._shut:
                raise VMHarnessError("cannot create a machine: the session is ending")
            self._inside += 1
        try:
            yield
        finally:
            with self._mine():
                self._inside = max(0, self._inside - 1)  # forked within: it was never counted here
                self._changed.notify_all()

    def shut(self, timeout: float) -> None:
        """Let no more through, and wait until those inside are out, or for so many seconds."""
        with self._mine():
            self._shut = True
            self._changed.wait_for(lambda: self._inside == 0, timeout=timeout)
