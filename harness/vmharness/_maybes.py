"""Looking for machines of creates whose outcome nobody knows; it knows no plugin, no test, and no engine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from vmharness._books import Books
from vmharness._clock import Clock, pauses
from vmharness._model import Record, State
from vmharness._threads import start_thread
from vmharness.errors import VMHarnessError
from vmharness.hooks import Ledger

__all__ = ["Maybes"]

_log = logging.getLogger("vmharness.session")

# How long a session's end waits for machines of unfinished creates, in seconds: longer than engines take
# whose image is at hand; the five minutes of a download would keep a person who pressed Ctrl+C.
_WAIT_S: Final = 15.0
# The longest pause between two looks in the background, in seconds: each is a listing beside others' work.
_PAUSE_S: Final = 5.0


class Maybes:
    """Looks for maybes with growing pauses, and deletes them on sight, until they settle.

    Args:
        books: What deletes, and whose ledger is ours.
        clock: Reads the time and waits.
        say: Shows a line to the user at once, where that is possible.
        start: Runs a task in the background.
    """

    def __init__(
        self,
        books: Books,
        clock: Clock,
        *,
        say: Callable[[str], None],
        start: Callable[[str, Callable[[], None]], None] = start_thread,
    ) -> None:
        self._books = books
        self._clock = clock
        self._say = say
        self._start = start
        self._starting = threading.Lock()
        self._looking = False
        self._stopped = threading.Event()
        # By the id of a maybe's record: when it is settled at the latest, by the clock that never jumps.
        self._settled_at: dict[str, float] = {}

    def wait(self, ledger: Ledger) -> None:
        """Look for a ledger's maybes until they are seen and deleted, or settled, or 15 s have passed."""
        left = self.settle_in(ledger)
        if left <= 0:
            return
        longest = min(left, _WAIT_S)
        until = self._clock.monotonic() + longest
        names = ", ".join(record.name for record in _maybes(ledger))
        self._say(f"looking up to {longest:.0f} s for machines of unfinished creates: {names}")
        for pause in pauses():
            if self._clock.monotonic() + pause > until:
                return
            self._clock.sleep(pause)
            self._books.delete(_maybes(ledger), ledger=ledger)
            if not _maybes(ledger):
                return

    def look_later(self) -> None:
        """Look for our own maybes in the background; nobody waits. May be repeated."""
        with self._starting:
            if not self._looking and not self._stopped.is_set():
                self._looking = True
                self._start("maybes", self._look)

    def stop(self) -> None:
        """Begin no further look in the background; one that is under way ends by itself."""
        self._stopped.set()

    def settle_in(self, ledger: Ledger) -> float:
        """Return in how many seconds none of a ledger's maybes can appear any more; 0 = there is none."""
        return max(map(self._settles_in, _maybes(ledger)), default=0.0)

    def _settles_in(self, record: Record) -> float:
        """Return in how many seconds it can't appear any more, however the wall clock is set meanwhile."""
        left, now = self._books.settles_in(record), self._clock.monotonic()
        return min(left, self._settled_at.setdefault(record.id, now + left) - now)

    def _look(self) -> None:
        try:
            for pause in pauses(most=_PAUSE_S):
                if self._clock.wait(self._stopped, pause):
                    return
                if not self._books.held:
                    return  # closed, or forked
                ledger = self._books.ledger
                self._books.delete(_maybes(ledger))
                with self._starting:
                    if self.settle_in(ledger) <= 0:
                        self._looking = False
                        return
        except VMHarnessError:
            _log.exception("no further look for machines of unfinished creates before the session's end")


def _maybes(ledger: Ledger) -> Sequence[Record]:
    """Return the records of creates of ours whose outcome is unknown."""
    records = list(ledger.records.values())
    return [record for record in records if record.state is State.MAYBE and not record.tracked]
