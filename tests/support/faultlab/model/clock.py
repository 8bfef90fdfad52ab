"""The world's time: a wall clock that anybody may set, and the engines' own, which nobody can."""

from __future__ import annotations

from typing import Final

from vmharness.testing import FakeClock

__all__ = ["WorldClock"]

_BEGIN: Final = 1_700_000_000.0


class WorldClock(FakeClock):
    """One clock for sessions and engines.

    A machine doesn't go away because a clock is set back. So engines live by the steady clock; what they
    say of a machine's creation is what the wall clock showed then.
    """

    def __init__(self) -> None:
        super().__init__(now=_BEGIN)
        # From which steady time on the wall clock is how far ahead.
        self._ahead: list[tuple[float, float]] = [(0.0, _BEGIN)]

    def jump(self, seconds: float) -> None:
        """Set the wall clock, forward or back."""
        self.sleep(0.001)  # so that what came before did so by the steady clock, too
        super().jump(seconds)
        self._ahead.append((self.monotonic(), self.time() - self.monotonic()))

    @property
    def last_set(self) -> float:
        """When the wall clock was set last, by the steady clock."""
        return self._ahead[-1][0]

    def wall_at(self, steady: float) -> float:
        """Return what the wall clock showed, or if it isn't set again will show, at that steady time."""
        return steady + next(ahead for since, ahead in reversed(self._ahead) if since <= steady)
