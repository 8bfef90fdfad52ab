"""How often a run was interrupted; it knows no session."""

from __future__ import annotations

import sys

__all__ = ["Interrupts"]


class Interrupts:
    """The interrupts of a run, each an exception that ended something of it.

    Python's own handler must stay, for others look for it; so they are counted by what it raised.
    """

    def __init__(self) -> None:
        # The exceptions themselves: an address would be used again.
        self._seen: list[BaseException] = []

    def note(self, error: BaseException) -> None:
        """Note an interrupt; one that is known already isn't counted again."""
        if not any(error is other for other in self._seen):
            self._seen.append(error)

    def count(self) -> int:
        """Return how many there were, with those on their way through whoever asks.

        One of them may have struck while pytest was telling its plugins of the one before.
        """
        error = sys.exc_info()[1]
        while error is not None:
            if isinstance(error, KeyboardInterrupt):
                self.note(error)
            error = error.__context__
        return len(self._seen)
