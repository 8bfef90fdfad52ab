"""Machines that the session didn't make: others track them, or nobody has them any more.

It decides what may be recorded of them, and deletes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from vmharness._books import Books
from vmharness._cleanup import expired
from vmharness._clock import Clock
from vmharness._ledger import FileLedgers
from vmharness._making import EXPIRY_S
from vmharness._model import LABEL_NAME, LABEL_TOKEN, MachineInfo, Record, State
from vmharness._naming import check_tracked
from vmharness._owners import Owner, Owners
from vmharness._providers import Providers

__all__ = ["Foreign"]


class Foreign:
    """Finds out which machines that a session didn't make may go on its books.

    Args:
        session_id: The session's.
        began_at: When the session began, in seconds since the epoch.
        books: The session's.
        ledgers: Those of this host, which say whom machines belong to.
        providers: Opens providers.
        clock: Reads the time.
    """

    def __init__(
        self,
        session_id: str,
        began_at: float,
        books: Books,
        ledgers: FileLedgers,
        providers: Providers,
        clock: Clock,
    ) -> None:
        self._session_id = session_id
        self._began_at = began_at
        self._books = books
        self._ledgers = ledgers
        self._providers = providers
        self._clock = clock

    def track(self, name: str, *, scope: str, backend: str, patience_s: float) -> Record:
        """Record a machine that others make or made.

        Args:
            name: Its name.
            scope: At whose end it goes.
            backend: Name of the backend; "" = the configured one.
            patience_s: Seconds from now until which it may be made.
        """
        check_tracked(name)
        provider, backend = self._providers.get(backend), self._providers.backend(backend)
        for record in self._books.unfinished():
            if (record.name, record.endpoint, record.scope) == (name, provider.endpoint, scope):
                return record
        info = next((info for info in provider.list() if info.name == name), None)
        # Seen absent is proof enough, whatever the engine's clock says of what appears later.
        wanted_at = self._began_at if info else 0.0
        record = self._books.new(
            name, backend, deadline=patience_s, scope=scope, tracked=True, wanted_at=wanted_at
        )
        return self._books.add(record)

    def orphan(self, info: MachineInfo, *, prefix: str, backend: str) -> Record | None:
        """Return the record to write for a machine that nobody has any more, or None.

        Args:
            info: The machine, from a listing.
            prefix: Machines without a label of ours are wanted whose names start so; "" = none.
            backend: Name of the backend; "" = the configured one.
        """
        provider, backend = self._providers.get(backend), self._providers.backend(backend)
        resolution = info.created_resolution
        before_us = info.created_at is not None and info.created_at + resolution < self._began_at
        by_prefix = bool(prefix) and info.name.startswith(prefix) and before_us
        now = self._clock.time()
        # By the engine's clock: a label was written by its owner's, and both must agree that it is old.
        old = info.created_at is not None and now - info.created_at > EXPIRY_S
        # A copy of a machine inherits its labels, but is somebody's own; it has another name.
        by_label = old and expired(info, now) and (info.labels or {}).get(LABEL_NAME) == info.name
        if not by_prefix and not by_label:
            return None  # most machines: the ledgers needn't be read for them
        owners = Owners(self._ledgers, self._session_id)
        if owners.unreadable:
            return None  # a living session's ledger that we can't read may name it
        owner = owners.of(info, endpoint=provider.endpoint)
        # Where an engine has no labels, the name that we made for a machine protects it for as long.
        nobodys = owner is Owner.STRANGER or (owner is Owner.UNKNOWN and info.labels is None and old)
        if by_label and owner is Owner.UNKNOWN:
            token = (info.labels or {})[LABEL_TOKEN]
        elif by_prefix and nobodys:
            token = ""
        else:
            return None
        created_at = info.created_at or 0.0
        record = self._books.new(info.name, backend, deadline=0.0, token=token, state=State.RUNNING)
        # Exactly the machine that was seen: one that takes its name later isn't.
        return replace(record, wanted_at=created_at, deadline=created_at + resolution)
