"""Whose a machine is, by its label and the ledgers of this host. It asks no engine and deletes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum
from pathlib import Path

from vmharness._ledger import FileLedgers
from vmharness._model import LABEL_SESSION, LABEL_TOKEN, MachineInfo, Record, State
from vmharness._naming import is_made_up

__all__ = ["Owner", "Owners", "names_held"]


class Owner(StrEnum):
    """Whose a machine is.

    THIS: of the session that asks. UNKNOWN: made by vmharness, as its label tells, or its name where the
    engine has no labels, but its ledger isn't here.
    """

    THIS = "this"
    LIVING = "living"
    DEAD = "dead"
    UNKNOWN = "unknown"
    STRANGER = "stranger"


class Owners:
    """The owners of all machines that the ledgers of this host name, as they are now.

    Of this user's other state folders only those count that live: what dead ones left is theirs to sweep.

    Args:
        ledgers: The ledgers.
        session_id: The session that asks; "" = none.
    """

    def __init__(self, ledgers: FileLedgers, session_id: str = "") -> None:
        self._session_id = session_id
        # Whether there is a ledger of a living owner that can't be read: then no machine is surely nobody's.
        self.unreadable: bool = False
        self._by_token: dict[str, Owner] = {}
        self._by_name: dict[tuple[str, str], list[tuple[Record, Owner]]] = {}
        for record, owner in self._read(ledgers):
            if record.token:
                # Whoever swept it by its label has it on its books too; the living one counts.
                if self._by_token.get(record.token, Owner.DEAD) is Owner.DEAD:
                    self._by_token[record.token] = owner
            else:
                key = (record.endpoint, record.name)
                self._by_name.setdefault(key, []).append((record, owner))

    def _read(self, ledgers: FileLedgers) -> Iterator[tuple[Record, Owner]]:
        here = [(path, ledgers.living(path)) for path in ledgers.paths()]
        elsewhere = [(path, True) for path in ledgers.elsewhere() if ledgers.living(path)]
        for path, living in (*here, *elsewhere):
            session_id, records, damage, _ = ledgers.read(path)
            # Elsewhere nobody would look for the cause: what can be read of those protects.
            self.unreadable |= living and bool(damage) and (path, living) in here
            if session_id == self._session_id and session_id:
                owner = Owner.THIS
            else:
                owner = Owner.LIVING if living else Owner.DEAD
            yield from ((record, owner) for record in records.values() if record.state is not State.GONE)

    def of(self, info: MachineInfo, *, endpoint: str) -> Owner:
        """Return whose a machine of a listing is; on engines without labels, judged by name and time."""
        labels = info.labels or {}
        token = labels.get(LABEL_TOKEN, "")
        if token:
            if self._session_id and labels.get(LABEL_SESSION) == self._session_id:
                return Owner.THIS
            return self._by_token.get(token, Owner.UNKNOWN)
        owners = [
            owner
            for record, owner in self._by_name.get((endpoint, info.name), ())
            if info.created_at is None or info.created_at + info.created_resolution >= record.wanted_at - 1.0
        ]
        # A name that a living owner has on its books is never a dead one's.
        for owner in (Owner.THIS, Owner.LIVING, Owner.DEAD):
            if owner in owners:
                return owner
        return Owner.UNKNOWN if info.labels is None and is_made_up(info.name) else Owner.STRANGER


def names_held(
    ledgers: FileLedgers, endpoint: str, *, but: Collection[Path], elsewhere: bool
) -> frozenset[str] | None:
    """Return the names of an engine's machines that living owners have on their books.

    Args:
        ledgers: The ledgers.
        endpoint: Which engine.
        but: Paths of ledgers that don't count.
        elsewhere: Whether those of this user's other state folders count, too. Of them only what was made or
            is being made does: a name that is only tracked there holds up nobody here.

    Returns:
        None if a living owner's ledger can't be read here, so that it may name any machine.
    """
    names: set[str] = set()
    for path in ledgers.paths():
        if path in but or not ledgers.living(path):
            continue
        contents = ledgers.read(path)
        if contents.claimed:
            continue
        if contents.damage:
            return None
        held = [record for record in contents.records.values() if record.state is not State.GONE]
        names |= {record.name for record in held if record.endpoint == endpoint}
    for path in ledgers.elsewhere() if elsewhere else ():
        if ledgers.living(path) and not (contents := ledgers.read(path)).claimed:
            made = [
                record
                for record in contents.records.values()
                if record.state in (State.WANTED, State.RUNNING) and not record.tracked
            ]
            names |= {record.name for record in made if record.endpoint == endpoint}
    return frozenset(names)
