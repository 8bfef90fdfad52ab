"""Which machines are ours though others make them: named by a test, their variants, and recorded ones."""

from __future__ import annotations

from collections.abc import Sequence

from vmharness._model import Record
from vmharness._settings import RecordMode
from vmharness.hooks import Lifecycle, Session

__all__ = ["Tracking"]


class Tracking(Lifecycle):
    """Records machines by the names that tests chose, and their `NAME-…` variants.

    By setting also those that engines' own commands make. Must come before the plugin that deletes at a
    scope's end.
    """

    def __init__(self) -> None:
        self._ended: set[str] = set()

    def opened(self, session: Session) -> None:
        """Have the engines' own commands recorded, if the settings say so."""
        if session.settings.record.takes_commands:
            session.record_commands(by_path=session.settings.record is RecordMode.PATHS)

    def named(self, session: Session, name: str, scope: str, backend: str) -> None:
        """Record the machine of that name, there already or not."""
        session.track(name, scope=scope, backend=backend)

    def scope_ended(self, session: Session, scope: str) -> None:
        """Take up what was recorded, and record the variants of the scope's names that are there."""
        self._ended.add(scope)
        for record in session.collect():
            # Made by what a test left running: it goes as soon as it is known.
            if record.scope != scope and record.scope in self._ended:
                session.move(record, scope=scope)
        self._track_variants(session, scope)

    def closing(self, session: Session, interrupted: int) -> None:
        """Do so for the scopes that an interrupt left open."""
        del interrupted
        session.collect()
        for scope in {record.scope for record in session.unfinished() if record.tracked}:
            self._track_variants(session, scope)

    def _track_variants(self, session: Session, scope: str) -> None:
        tracked = [record for record in session.unfinished(scope) if record.tracked]
        for backend, endpoint in {(record.backend, record.endpoint) for record in tracked}:
            there = session.provider(backend, endpoint).list()
            known = [record for record in tracked if (record.backend, record.endpoint) == (backend, endpoint)]
            made = {record.name for record in session.unfinished() if record.endpoint == endpoint}
            younger = [
                info
                for info in there
                if info.name not in made and (info.created_at or 0) >= int(session.began_at)
            ]
            for name in _variants([info.name for info in younger], known):
                session.track(name, scope=scope, backend=backend)


def _variants(there: Sequence[str], known: Sequence[Record]) -> Sequence[str]:
    """Return the names that begin with one of the records' names and a hyphen."""
    names = {record.name for record in known}
    stems = tuple(f"{name}-" for name in names)
    return [name for name in there if name not in names and name.startswith(stems)]
