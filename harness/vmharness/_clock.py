"""The one place that reads the time or waits; tests pass a clock of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator

__all__ = ["Clock", "pauses"]


class Clock:
    """The machine's clocks, in seconds."""

    def time(self) -> float:
        """Return the wall clock: seconds since the epoch, comparable between processes."""
        return time.time()

    def monotonic(self) -> float:
        """Return a clock that never jumps, for deadlines within this process."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def pauses(*, first: float = 0.05, factor: float = 1.6, most: float = 2.0) -> Iterator[float]:
    """Yield growing pauses in seconds, without end."""
    pause = first
    while True:
        yield pause
        pause = min(most, pause * factor)
