"""Carrying out what a sweep has planned: claims ledgers, and lets the session delete on its own proof.

Whatever has changed since the plan was made is left alone: what was shown is what goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vmharness._model import LABEL_TOKEN, MachineInfo, Record, State
from vmharness._session import Session
from vmharness.cli._common import count
from vmharness.cli._plan import Doomed, Left, Plan, kept
from vmharness.errors import LedgerError, VMHarnessError

__all__ = ["Swept", "carry_out"]


@dataclass(slots=True)
class Swept:
    """What a sweep has deleted, and what it has left."""

    deleted: list[Doomed] = field(default_factory=list[Doomed])
    left: list[Left] = field(default_factory=list[Left])


def carry_out(session: Session, plan: Plan, swept: Swept, progress: Callable[[str], None]) -> None:
    """Delete what was planned, as far as it is still so.

    Args:
        session: Proves and deletes.
        plan: What to delete.
        swept: Is filled while machines go, so that an interrupted sweep can say what it did.
        progress: Is told what happens next.
    """
    for path, ids in plan.entries.items():
        items = [item for item in plan.doomed if item.ledger == path]
        if items:
            progress(f"deleting {count(len(items))} of a dead run")
        _sweep_ledger(session, path, ids, items, swept)
    orphans = [item for item in plan.doomed if item.ledger is None]
    if orphans:
        progress(f"deleting {count(len(orphans))} that no ledger names")
        _sweep_orphans(session, orphans, swept)


def _sweep_ledger(
    session: Session, path: Path, ids: Sequence[str], items: Sequence[Doomed], swept: Swept
) -> None:
    """Take over a dead owner's ledger, and settle the entries."""
    try:
        ledger = session.ledgers.claim(path)
    except LedgerError as exc:
        swept.left.append(Left(reason=str(exc), failed=True))
        return
    if ledger is None:
        reason = "another process is sweeping it"
        swept.left += [_left(item, reason) for item in items]
        return
    try:
        records = [ledger.records[id] for id in ids if id in ledger.records]
        after = {record.id: record for record in session.delete(records, ledger=ledger)}
        for item in items:
            _note(session, item, after.get(item.record.id), swept)
    except LedgerError as exc:
        swept.left.append(Left(reason=str(exc), failed=True))
    finally:
        ledger.close()


def _sweep_orphans(session: Session, items: Sequence[Doomed], swept: Swept) -> None:
    """Put on our own books what no ledger names, delete it, and keep nothing of it there."""
    backend, endpoint = items[0].record.backend, items[0].record.endpoint
    try:
        there = {info.name: info for info in session.provider(backend, endpoint).list()}
    except VMHarnessError as exc:
        swept.left += [_left(item, str(exc), failed=True) for item in items]
        return
    adopted: list[tuple[Doomed, Record]] = []
    try:
        for item in items:
            info = there.get(item.info.name)
            record = None
            if info is not None and _identity(info) == _identity(item.info):
                record = session.adopt(info, prefix=item.prefix, backend=backend)
            if record is None:
                swept.left.append(_left(item, "it has gone or changed since it was judged"))
            else:
                adopted.append((item, record))
        after = session.delete([record for _, record in adopted])
        for (item, _), record in zip(adopted, after, strict=True):
            _note(session, item, record, swept)
    finally:
        # Off the books, or a later run would delete without a question what the user has just kept.
        for record in session.unfinished():
            session.move(record, State.GONE, error=f"given up: {record.error or 'interrupted'}")


def _identity(info: MachineInfo) -> tuple[str, float | None, str]:
    return info.name, info.created_at, (info.labels or {}).get(LABEL_TOKEN, "")


def _note(session: Session, item: Doomed, after: Record | None, swept: Swept) -> None:
    if after is None:
        swept.left.append(_left(item, "another process has settled it"))
    elif after.state is State.GONE and not after.error:
        swept.deleted.append(item)
    else:
        swept.left.append(kept(session, after, after.state, after.error))


def _left(item: Doomed, reason: str, *, failed: bool = False) -> Left:
    record = item.record
    return Left(
        name=record.name, backend=record.backend, endpoint=record.endpoint, reason=reason, failed=failed
    )
