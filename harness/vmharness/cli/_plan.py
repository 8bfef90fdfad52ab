"""What a sweep would delete, and why, and what it leaves: judged by listings, nothing is changed.

It knows what was asked for; proof is the session's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vmharness._cleanup import Verdict, expiry
from vmharness._model import LABEL_TOKEN, MachineInfo, Record, State
from vmharness._owners import Owner, Owners
from vmharness._session import Session
from vmharness.cli._common import age

__all__ = ["Doomed", "Left", "Plan", "Wanted", "kept", "make_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall be swept.

    Attributes:
        backend: Only machines of this one; "" = those of all on the books of dead owners, and else of
            the configured backend.
        prefixes: Machines without a label of ours whose names start with one of these, too.
        expired: Machines whose ledger isn't here and whose expiry has passed, too.
        older_than: Only machines that were created longer ago, in seconds; None = of any age.
    """

    backend: str = ""
    prefixes: tuple[str, ...] = ()
    expired: bool = False
    older_than: float | None = None

    def asks_engine(self) -> bool:
        """Whether machines are wanted that no ledger names."""
        return bool(self.prefixes) or self.expired

    def too_young(self, info: MachineInfo | None) -> str:
        """Return why the machine isn't surely old enough; "" if it is. None: none is there."""
        if self.older_than is None:
            return ""
        if info is None:
            return "it isn't there"
        if info.created_at is None:
            return "the engine doesn't say when it was created"
        if info.created_at + info.created_resolution > time.time() - self.older_than:
            return f"it is only {age(info.created_at)} old"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A machine to delete.

    Attributes:
        record: The entry of a dead owner's ledger, or the one that is to be written for it.
        info: What the listing said.
        why: What it is deleted for.
        ledger: The dead owner's ledger; None = no ledger names it.
        prefix: The prefix that it is wanted by, or "".
    """

    record: Record
    info: MachineInfo
    why: str
    ledger: Path | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A machine, or a ledger, that is left alone.

    Attributes:
        name: Name of the machine; "" if no machine is concerned.
        backend: Name of the backend.
        endpoint: Which engine.
        reason: Why it is left.
        command: What a person would run to change that; "" = nothing.
        failed: Whether it should have gone, or may be ours.
    """

    name: str = ""
    backend: str = ""
    endpoint: str = ""
    reason: str
    command: str = ""
    failed: bool = False


@dataclass(slots=True)
class Plan:
    """What a sweep would do.

    Attributes:
        doomed: What it deletes.
        left: What it leaves, of all that it looked at.
        entries: Which records of each dead owner's ledger it settles, by their ids: those of machines
            that it deletes, and those of machines that are gone already.
        asked: The engine that was asked for machines that no ledger names; "" = none was.
    """

    doomed: list[Doomed] = field(default_factory=list[Doomed])
    left: list[Left] = field(default_factory=list[Left])
    entries: dict[Path, tuple[str, ...]] = field(default_factory=dict[Path, tuple[str, ...]])
    asked: str = ""


def make_plan(session: Session, wanted: Wanted) -> Plan:
    """Judge what a sweep would delete; no ledger and no machine is changed.

    Raises:
        EngineUnavailable: It must be asked for machines that no ledger names, and doesn't answer.
        LedgerError: A ledger, or the list of protected machines, can't be read.
    """
    plan = Plan()
    if wanted.backend:
        session.provider(wanted.backend)  # unknown or broken: said at once
    for path in session.ledgers.paths():
        if path != session.ledger.path and not session.ledgers.living(path):
            _plan_ledger(session, wanted, path, plan)
    if wanted.asks_engine():
        _plan_engine(session, wanted, plan)
    return plan


def _plan_ledger(session: Session, wanted: Wanted, path: Path, plan: Plan) -> None:
    """Plan what a dead owner's ledger names."""
    contents = session.ledgers.read(path)
    for damage in contents.damage:
        reason = f"damaged ledger {path}: {damage}; look for machines that it may name, then delete the file"
        plan.left.append(Left(reason=reason, failed=True))
    records = [
        record
        for record in contents.records.values()
        if record.state is not State.GONE and wanted.backend in ("", record.backend)
    ]
    plan.entries[path] = tuple(
        verdict.record.id
        for verdict in session.judge(records)
        if _plan_entry(session, verdict, wanted.too_young(verdict.info), path, plan)
    )


def _plan_entry(session: Session, verdict: Verdict, young: str, path: Path, plan: Plan) -> bool:
    """Plan one entry of a dead owner's ledger; return whether a sweep settles it."""
    record, info, outcome = verdict.record, verdict.info, verdict.outcome
    if young:
        if info is not None:
            plan.left.append(_left(record, young))
        return False
    if info is not None and outcome is None:
        of = f" ({record.scope})" if record.scope else ""
        plan.doomed.append(Doomed(record=record, info=info, why=f"its run is dead{of}", ledger=path))
        return True
    if outcome is not None and outcome.error:
        plan.left.append(kept(session, record, outcome.state, outcome.error))
    elif outcome is not None and outcome.state is State.MAYBE:
        plan.left.append(_left(record, "not there now; it may still appear, so later runs look again"))
    return outcome is not None and outcome.state is State.GONE


def _plan_engine(session: Session, wanted: Wanted, plan: Plan) -> None:
    """Plan what no ledger names: by prefix, and by an expiry that has passed."""
    backend = session.backend(wanted.backend)
    provider = session.provider(backend)
    plan.asked = f"{backend} at {provider.endpoint}"
    machines = provider.list()
    owners = Owners(session.ledgers, session.id)
    known = {item.record.name for item in plan.doomed if item.record.endpoint == provider.endpoint}
    orphans: list[Doomed] = []
    for info, prefix in _candidates(machines, wanted):
        if info.name in known:
            continue
        record = session.orphan(info, prefix=prefix, backend=backend)
        young = wanted.too_young(info)
        if record is not None and not young:
            why = f"its name starts with {prefix!r}" if prefix else f"expired {age(expiry(info))} ago"
            orphans.append(Doomed(record=record, info=info, why=why, prefix=prefix))
            continue
        reason = young if record is not None else _not_orphan(info, prefix, owners, provider.endpoint)
        if reason:
            left = Left(name=info.name, backend=backend, endpoint=provider.endpoint, reason=reason)
            plan.left.append(left)
    for item, verdict in zip(orphans, session.judge([item.record for item in orphans]), strict=True):
        if verdict.outcome is None:
            plan.doomed.append(item)
        else:
            plan.left.append(kept(session, item.record, verdict.outcome.state, verdict.outcome.error))


def _candidates(machines: Sequence[MachineInfo], wanted: Wanted) -> Iterator[tuple[MachineInfo, str]]:
    """Yield what is wanted by prefix, with that, and what may have expired, without one."""
    for info in machines:
        if (info.labels or {}).get(LABEL_TOKEN):
            if wanted.expired:
                yield info, ""
        else:
            prefix = next((prefix for prefix in wanted.prefixes if info.name.startswith(prefix)), "")
            if prefix:
                yield info, prefix


def _not_orphan(info: MachineInfo, prefix: str, owners: Owners, endpoint: str) -> str:
    """Return why a machine with a wanted prefix is no orphan; "" where that needs no word."""
    owner = owners.of(info, endpoint=endpoint)
    if not prefix or owner is Owner.DEAD:  # not expired yet; or a ledger names it, which was judged
        return ""
    if owner in (Owner.THIS, Owner.LIVING):
        return "its owner lives"
    if owner is Owner.UNKNOWN and info.created_at is not None:
        return "vmharness made its name, and its ledger isn't here: its owner may live for up to 12 h"
    if info.created_at is None:
        return "the engine doesn't say when it was created"
    return "it was created after this command began"


def _left(record: Record, reason: str) -> Left:
    return Left(name=record.name, backend=record.backend, endpoint=record.endpoint, reason=reason)


def kept(session: Session, record: Record, state: State, error: str) -> Left:
    """Say of a record that was not deleted what became of it, and what to do about it."""
    if state is State.KEPT:
        command = f"vmharness unprotect {record.name} --backend {record.backend}"
    else:
        command = session.removal(record)
    # GONE without a delete: surely a stranger's. STUCK and MAYBE: it should have gone, or may be ours.
    return Left(
        name=record.name,
        backend=record.backend,
        endpoint=record.endpoint,
        reason=error.removeprefix("left alone: "),
        command="" if state is State.GONE else command,
        failed=state in (State.STUCK, State.MAYBE),
    )
