"""Holding signals off while something must not be torn apart; it knows not what that is nor who handles them.

Python runs a signal's handler in the main thread, between any two of its steps, and most of them raise there.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final

__all__ = ["Hold", "held"]

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM") if hasattr(signal, name)
)


class Hold:
    """A block in which signals wait that have a handler of Python's; blocks may be nested.

    Their handlers are put aside only within the block, for others look at who handles an interrupt: asyncio
    cancels its task by it only if it finds Python's own handler. In other threads than the main one, which
    no signal interrupts, it does nothing.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._aside: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._waiting: list[int] = []

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._depth += 1
        if self._depth > 1:
            return
        try:
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._aside[number] = handler
                    signal.signal(number, self._wait)
        except BaseException:  # one that wasn't put aside yet
            self._depth -= 1
            self._restore()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the block; what waited is delivered now, and may raise in place of what the block raised."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._depth -= 1
        if not self._depth:
            self._restore()

    def reset(self) -> None:
        """Begin anew, in a forked child: its main thread may not be the one that was in a block."""
        if self._depth:
            self._depth = 0
            self._waiting.clear()
            self._restore()

    def _wait(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._waiting.append(number)

    def _restore(self) -> None:
        """Put all handlers back, and then deliver; a handler that is back may raise at any step."""
        try:
            while self._aside:
                number, handler = next(iter(self._aside.items()))
                signal.signal(number, handler)
                del self._aside[number]
            while self._waiting:
                signal.raise_signal(self._waiting.pop(0))
        finally:
            if self._aside or self._waiting:
                self._restore()


# Handlers are the whole process's, and so is what puts them aside.
held: Final = Hold()
os.register_at_fork(after_in_child=held.reset)
