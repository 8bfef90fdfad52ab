"""The reaper once its owner is dead: it deletes what that owner's ledger names, and ends.

Its streams are its log. It knows no plugin of the session that it cleans up after.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vmharness._books import Books
from vmharness._clock import Clock, pauses
from vmharness._ledger import FileLedgers
from vmharness._maybes import Maybes
from vmharness._model import Record, State
from vmharness._providers import Providers
from vmharness._reaper.spawn import PATHS
from vmharness._reports import write_report
from vmharness.hooks import Ledger

__all__ = ["main", "reap"]

_log = logging.getLogger("vmharness.reaper")

# For how long a machine that can't be deleted, or an engine that doesn't answer, is tried again, in seconds.
_PATIENCE_S: Final = 600.0
# The longest pause between two tries, in seconds.
_PAUSE_S: Final = 5.0


def main(path: Path, descriptor: int) -> None:
    """Reap the ledger whose lock we hold by that descriptor, and leave a report for the next session."""
    os.set_inheritable(descriptor, False)  # noqa: FBT003
    # Ignored until now, which the commands that we start would inherit.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, _deaf)
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {os.getpid()} %(message)s", stream=sys.stderr, force=True
    )
    known = set(sys.path)
    sys.path += [entry for entry in os.environ.get(PATHS, "").split(os.pathsep) if entry not in known]
    ledgers = FileLedgers(path.parent.parent, host=path.parent.name)
    ledger = ledgers.take(path, descriptor)
    _log.info("the owner of %s is dead; it names %d machines", path, len(ledger.records))
    clock = Clock()
    books = Books(
        ledgers,
        ledger.session_id,
        Providers(""),
        clock,
        changed=lambda before, now: None,
        say=lambda text: _log.info("%s", text),
        silent_s=0.0,
    )
    todo = {record.id for record in _unfinished(ledger)}
    try:
        reap(books, ledger, clock)
    finally:
        write_report(path, _lines(books, [r for r in ledger.records.values() if r.id in todo]))
        ledger.close()
        books.close()


def reap(books: Books, ledger: Ledger, clock: Clock) -> None:
    """Delete what a claimed ledger names; look for maybes until they settle, and go on trying for a while.

    What is left then stays in the ledger, for the next session's sweep.

    Args:
        books: Of this process.
        ledger: The dead owner's; we hold its lock.
        clock: Reads the time and waits.
    """
    maybes = Maybes(books, clock, say=_log.info)
    began = clock.monotonic()
    for pause in pauses(most=_PAUSE_S):
        books.delete(_unfinished(ledger), ledger=ledger)
        rest = _unfinished(ledger)
        tried = clock.monotonic() - began
        # Of an engine that doesn't answer nobody knows what it has: that is tried as long as a delete.
        failing = any(record.error for record in rest) and tried < _PATIENCE_S
        if not rest or not (failing or maybes.settle_in(ledger) > 0):
            return
        clock.sleep(pause)


def _unfinished(ledger: Ledger) -> Sequence[Record]:
    settled = (State.GONE, State.KEPT)
    return [record for record in ledger.records.values() if record.state not in settled]


def _lines(books: Books, records: Sequence[Record]) -> Sequence[str]:
    """Return what is to be told to the next run of what was to be done; nothing, if that was nothing."""
    lines: list[str] = []
    if books.tally.swept:
        gone = [record.name for record in records if record.state is State.GONE and not record.error]
        lines.append(f"the reaper cleaned up after a dead run; gone: {', '.join(gone)}")
    left = [record for record in records if record.state is not State.GONE and record.error]
    return [*lines, *(f"the reaper left {r.name!r} of {r.backend}: {r.error}" for r in left)]


def _deaf(number: int, frame: object) -> None:
    """Go on: what remains to be done is short, and nobody else does it before the next session."""
    del number, frame


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
