"""The one place that reads the time or waits; tests pass a clock of their own."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator

__all__ = ["Clock", "pauses"]


class Clock:
    """The machine's clocks, in seconds.

    Asked in a way that tests which set Python's clock for themselves (`time.time`) don't reach: by such a
    time a living machine would look expired.
    """

    def time(self) -> float:
        """Return the wall clock: seconds since the epoch, comparable between processes."""
        return time.clock_gettime(time.CLOCK_REALTIME)

    def monotonic(self) -> float:
        """Return a clock that never jumps, for deadlines within this process."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        select.select([], [], [], max(0.0, seconds))

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, or for so long, and say whether it is."""
        return event.wait(seconds)


def pauses(*, first: float = 0.05, factor: float = 1.6, most: float = 2.0) -> Iterator[float]:
    """Yield growing pauses in seconds, without end."""
    pause = first
    while True:
        yield pause
        pause = min(most, pause * factor)
