"""When orphans go: at a session's start, and what its own dead processes left at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vmharness._model import Record, State
from vmharness._settings import SweepMode
from vmharness.errors import LedgerError, VMHarnessError
from vmharness.hooks import Ledger, Lifecycle, Session

__all__ = ["Sweep"]


class Sweep(Lifecycle):
    """Claims dead ledgers and deletes what they name; by setting, machines of others by prefix too."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def opened(self, session: Session) -> None:
        """Sweep the dead sessions' machines, and with the mode `prefix` those with a configured prefix."""
        if session.settings.sweep is SweepMode.OFF:
            return
        for ledger in _claim_all(session):
            _sweep(session, ledger, wait=False)
        if session.settings.sweep is SweepMode.PREFIX:
            self._adopt(session, "", session.settings.sweep_prefix)

    def before_create(self, session: Session, record: Record) -> Mapping[str, str] | None:
        """Before the first create on an engine, delete what has expired there and whose ledger isn't here."""
        if session.settings.sweep is not SweepMode.OFF and record.endpoint not in self._asked:
            self._adopt(session, record.backend, ())
        return None

    def closing(self, session: Session, interrupted: int) -> None:
        """Delete what processes of this session left that died, as xdist's workers may."""
        del interrupted
        if session.settings.sweep is SweepMode.OFF:
            return
        for ledger in _claim_all(session, session.id):
            _sweep(session, ledger, wait=True)

    def _adopt(self, session: Session, backend: str, prefixes: tuple[str, ...]) -> None:
        """Delete the orphans that no ledger here names; an engine that doesn't answer is reported."""
        orphans: list[Record] = []
        try:
            provider = session.provider(backend)
            self._asked.add(provider.endpoint)
            for info in provider.list():
                prefix = next((prefix for prefix in prefixes if info.name.startswith(prefix)), "")
                record = session.adopt(info, prefix=prefix, backend=backend)
                if record is not None:
                    orphans.append(record)
        except VMHarnessError as exc:
            session.report(f"cannot sweep {backend or 'the engine'}: {exc}")
        if orphans:
            _report(session, orphans, session.delete(orphans))


def _claim_all(session: Session, session_id: str = "") -> Iterator[Ledger]:
    """Claim the ledgers of dead processes, of all sessions or of one, each when the one before is let go of.

    What we hold looks living, and a name on a living owner's books keeps a machine that has no label.
    """
    for path in session.ledgers.paths():
        if path == session.ledger.path:
            continue
        try:
            ledger = session.ledgers.claim(path)
        except LedgerError as exc:
            session.report(str(exc))
            continue
        if ledger is None:
            continue
        if session_id and ledger.session_id != session_id:
            ledger.close()
            continue
        yield ledger


def _sweep(session: Session, ledger: Ledger, *, wait: bool) -> None:
    """Delete what a claimed ledger names, report what is left, and let go of it."""
    try:
        for damage in ledger.damage:
            session.report(
                f"kept a damaged ledger, {ledger.path}: {damage}; look for machines that it may name, "
                "then delete the file"
            )
        # What was kept on purpose is for a person to delete.
        settled = (State.GONE, State.KEPT)
        todo = [record for record in ledger.records.values() if record.state not in settled]
        swept = session.delete(todo, ledger=ledger)
        if wait:
            session.settle(ledger)
            swept = [ledger.records[record.id] for record in swept]
        _report(session, todo, swept)
        if any(record.error for record in swept if record.state is not State.GONE):
            session.report(f"they stay in {ledger.path}; delete that file if their engine is gone for good")
    except LedgerError as exc:
        session.report(f"cannot sweep by the ledger {ledger.path}: {exc}")
    finally:
        ledger.close()


def _report(session: Session, before: Sequence[Record], after: Sequence[Record]) -> None:
    """Say what was swept, and what could not be; a maybe that isn't in sight is no news."""
    gone = [record.name for record in after if record.state is State.GONE and not record.error]
    if gone:
        session.report(f"swept {len(gone)} of a dead session: {', '.join(gone)}")
    for old, new in zip(before, after, strict=True):
        if new.error and (new.error, new.state) != (old.error, old.state):
            session.report(f"sweep: machine {new.name!r} of {new.backend}: {new.error}")
