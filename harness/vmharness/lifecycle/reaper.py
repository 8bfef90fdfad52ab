"""When somebody waits to clean up after this process: before it makes its first machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Final

from vmharness._model import Record, State
from vmharness._reaper.spawn import LOG, spawn
from vmharness._reaper.spawn import Reaper as Process
from vmharness.errors import VMHarnessError
from vmharness.hooks import Lifecycle, Session

__all__ = ["Reaper"]

# How many reapers are started before a create is refused: one may be killed in between.
_TRIES: Final = 3


class Reaper(Lifecycle):
    """Keeps a process waiting that deletes what our ledger names when this one dies, however it dies.

    Comes first, so that its start overlaps all that the others do.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._starting = threading.Lock()
        self._pid = os.getpid()

    def opened(self, session: Session) -> None:
        """Start it; nobody waits for it yet."""
        if session.settings.record.takes_commands:
            self._confirm(session)  # whatever makes a machine doesn't ask us first
            return
        with self._starting:
            self._start(session)

    def scope_ended(self, session: Session, scope: str) -> None:
        """See to it again, for what others make next."""
        del scope
        if session.settings.record.takes_commands:
            self._confirm(session)

    def before_create(self, session: Session, record: Record) -> Mapping[str, str] | None:
        """Let nothing be created unless it waits; one that was killed is replaced."""
        del record
        self._confirm(session)
        return None

    def changed(self, session: Session, before: Record | None, now: Record) -> None:
        """See to it for machines that others make, too."""
        if before is None and now.state is State.WANTED and now.tracked:
            self._confirm(session)

    def closed(self, session: Session) -> None:
        """Forget it: it ends when there is nothing left to do."""
        del session
        with self._starting:
            self._forget()

    def _confirm(self, session: Session) -> None:
        if os.getpid() != self._pid:
            # A forked child has a ledger of its own, and none of the threads that may hold the lock.
            self._pid = os.getpid()
            self._starting = threading.Lock()
        with self._starting:
            for _ in range(_TRIES):
                if self._start(session).confirm():
                    return
                self._forget()
        raise VMHarnessError(
            f"cannot create a machine: its reaper ended at once; {session.ledger.path.parent}/{LOG} says why"
        )

    def _start(self, session: Session) -> Process:
        """Return the reaper of the session's ledger, a new one if there is none."""
        path = session.ledger.path
        if self._process is None or self._process.ledger != path:
            self._forget()
            self._process = spawn(path)
        return self._process

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.forget()
