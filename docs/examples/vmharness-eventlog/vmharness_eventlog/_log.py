"""The plugin that observes: whatever a hook tells becomes a line. It decides nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from vmharness import Lifecycle, Record
from vmharness.hooks import Session

__all__ = ["EventLog"]


class EventLog(Lifecycle):
    """Appends what happens to the file that VMHARNESS_EVENTLOG names, or to `vmharness-events.jsonl`.

    All processes of a run write to the same file, and so do several runs: each line is one write, at the
    file's end, so none is torn by another. Nothing is kept open, for a forked child to inherit.
    """

    def __init__(self) -> None:
        # Once, for a test may change the folder or the environment.
        self._path = Path(os.environ.get("VMHARNESS_EVENTLOG") or "vmharness-events.jsonl").absolute()

    def opened(self, session: Session) -> None:
        """Observe: write that the session has begun."""
        self.write(session, "opened")

    def named(self, session: Session, name: str, scope: str, backend: str) -> None:
        """Gate, but never closed: write which machine a test has named."""
        try:
            self.write(session, "named", name=name, scope=scope, backend=backend)
        except OSError:
            pass  # raising here would stop the test; the machine is tracked whether that is written or not

    def changed(self, session: Session, before: Record | None, now: Record) -> None:
        """Observe, from any thread: write what has become of a machine."""
        self.write(
            session,
            "changed",
            name=now.name,
            scope=now.scope,
            backend=now.backend,
            before=before.state if before else None,
            now=now.state,
            error=now.error,
        )

    def scope_ended(self, session: Session, scope: str) -> None:
        """Observe: write that a scope has ended, and what it still has."""
        self.write(session, "scope ended", scope=scope, left=_names(session, scope))

    def closing(self, session: Session, interrupted: int) -> None:
        """Observe: write what the session still has before it deletes that."""
        self.write(session, "closing", interrupted=interrupted, left=_names(session, None))

    def closed(self, session: Session) -> None:
        """Observe: write that the session has ended."""
        self.write(session, "closed")

    def write(self, session: Session, event: str, **details: object) -> None:
        """Append a line to the log; raise OSError if that can't be done."""
        told = {"at": time.time(), "event": event, "session": session.id, "pid": os.getpid(), **details}
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, f"{json.dumps(told)}\n".encode())
        finally:
            os.close(file)


def _names(session: Session, scope: str | None) -> list[str]:
    return [record.name for record in session.unfinished(scope)]
