"""The plugin that decides: it deletes at a scope's end, in the place of vmharness' own `teardown`."""

from __future__ import annotations

from vmharness import Record, State
from vmharness.hooks import Session
from vmharness_eventlog._log import EventLog

__all__ = ["LoggedTeardown"]


class LoggedTeardown(EventLog):
    """Deletes what a scope has at its end, and writes what came of it.

    A log that can't be written holds up no delete: that comes first.
    """

    def changed(self, session: Session, before: Record | None, now: Record) -> None:
        """Observe: have a machine looked for whose create ended nobody knows how."""
        if _may_come(now) and (before is None or not _may_come(before)):
            session.settle_later()
        super().changed(session, before, now)

    def scope_ended(self, session: Session, scope: str) -> None:
        """Observe: delete what the scope has, all in parallel, but for what may still come."""
        here = [record for record in session.unfinished(scope) if not _may_come(record)]
        if here:
            session.delete(here)
        super().scope_ended(session, scope)


def _may_come(record: Record) -> bool:
    """Whether it may appear yet, so that waiting for it would hold up the next test."""
    return record.state is State.MAYBE and not record.tracked
