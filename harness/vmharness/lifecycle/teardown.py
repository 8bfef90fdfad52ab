"""When machines go: at the end of their scope. Without this plugin, at the session's end."""

from __future__ import annotations

from vmharness._model import Record, State
from vmharness.hooks import Lifecycle, Session

__all__ = ["Teardown"]


class Teardown(Lifecycle):
    """Deletes a scope's machines at its end, all in parallel; what may still come, as soon as it is seen."""

    def changed(self, session: Session, before: Record | None, now: Record) -> None:
        """Have a machine looked for whose create ended nobody knows how, while the run goes on."""
        if _may_come(now) and (before is None or not _may_come(before)):
            session.settle_later()

    def scope_ended(self, session: Session, scope: str) -> None:
        """Delete what the scope has; what may still come holds up no test."""
        here = [record for record in session.unfinished(scope) if not _may_come(record)]
        if here:
            session.delete(here)


def _may_come(record: Record) -> bool:
    return record.state is State.MAYBE and not record.tracked
