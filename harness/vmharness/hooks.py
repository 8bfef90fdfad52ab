"""What a lifecycle plugin implements, and all that it may see of a session.

The session knows *how* (record, create, prove, delete, verify); plugins decide only *when*. A plugin
is a class with an entry point in the namespace ``vmharness.lifecycle``, made without arguments, once a
session. This module knows no plugin and no engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from vmharness._model import MachineInfo, Record, State
from vmharness._settings import Settings
from vmharness.provider import Provider

__all__ = ["Ledger", "Ledgers", "Lifecycle", "Session"]


class Ledger(Protocol):
    """One file a process. Its flock is the right to delete what it names."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def session_id(self) -> str:
        """Which session its owner belongs to; "" if that can't be read."""
        ...

    @property
    def records(self) -> Mapping[str, Record]:
        """The newest line of each machine, by the record's id."""
        ...

    @property
    def damage(self) -> Sequence[str]:
        """What could not be read of it, one sentence each; a damaged ledger is kept."""
        ...

    def write(self, record: Record) -> None:
        """Append the record; WANTED is on the disk when this returns.

        The other states are not synced: losing one costs a look, never a machine. Safe from threads.

        Raises:
            LedgerError: It could not be written; the file is as before. A new record is not in `records`
                then, a later state of one is.
        """
        ...

    def close(self) -> None:
        """Unlink the file if all is GONE and nothing is damaged, then drop the lock. May be repeated."""
        ...


class Ledgers(Protocol):
    """The ledgers in the state folder of this host."""

    def claim(self, path: Path) -> Ledger | None:
        """Take over a dead process's ledger.

        Returns:
            None while its owner, a sweep or a reaper holds it, or if it is gone.

        Raises:
            LedgerError: It can't be opened or locked.
        """
        ...

    def paths(self) -> Iterator[Path]:
        """Yield the paths of all ledgers in sight; empty if there is no folder yet."""
        ...


class Session(Protocol):
    """What a lifecycle plugin may do."""

    @property
    def id(self) -> str:
        """The session's id, the same in all of its processes."""
        ...

    @property
    def settings(self) -> Settings:
        """The session's settings."""
        ...

    @property
    def began_at(self) -> float:
        """When the session began, in seconds since the epoch."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The ledger of this process."""
        ...

    @property
    def ledgers(self) -> Ledgers:
        """Everyone's on this host."""
        ...

    def provider(self, backend: str = "", endpoint: str | None = None) -> Provider:
        """Return the provider of that backend and endpoint; "" and None mean the configured ones.

        Raises:
            VMHarnessError: There is none, or its plugin is broken.
        """
        ...

    def scope(self, id: str, *, parent: str = "") -> AbstractContextManager[str]:
        """Open a scope; on leaving, `scope_ended` of each plugin is called."""
        ...

    def report(self, text: str) -> None:
        """Say one line to the user: at once where that is possible, and in the run's summary."""
        ...

    def track(self, name: str, *, scope: str = "", backend: str = "") -> Record:
        """Record a machine that others make or made.

        It is deleted only if it is absent now, or was created after the session began.

        Raises:
            SettingsError: No machine can have such a name; nothing was recorded.
            EngineUnavailable: The engine didn't say whether it is there; nothing was recorded.
            LedgerError: It could not be recorded.
        """
        ...

    def adopt(self, info: MachineInfo, *, prefix: str = "", backend: str = "") -> Record | None:
        """Record a machine that no ledger names, if it is an orphan by its own label or by a prefix.

        Args:
            info: From a listing of that backend.
            prefix: A prefix that its name starts with; "" = judge by the expiry in its label alone.
            backend: Name of the backend; "" = the configured one.

        Returns:
            The record in our ledger, to be deleted; None if nothing proves it an orphan.
        """
        ...

    def record_commands(self, *, by_path: bool = False) -> None:
        """Have machines recorded that this process and its children make by the engines' own commands.

        From now on the front-ends of those commands come first on this process's PATH, until the session
        is closed. Each records for this ledger before its command runs.

        Args:
            by_path: Whether those are recorded, too, that this process calls past the front-ends, by a path
                or with another PATH.

        Raises:
            VMHarnessError: Nothing can be recorded.
        """
        ...

    def collect(self) -> Sequence[Record]:
        """Take up what front-ends recorded since the last call, as WANTED, and return the new records.

        That of which they saw that it was made is RUNNING.
        """
        ...

    def move(
        self, record: Record, state: State | None = None, *, scope: str | None = None, error: str = ""
    ) -> Record:
        """Change a machine's state or scope: the ledger's line, then `changed` of each plugin."""
        ...

    def delete(
        self, records: Sequence[Record], *, timeout: float | None = None, ledger: Ledger | None = None
    ) -> Sequence[Record]:
        """Prove, delete in parallel, wait out Busy, and verify by one listing.

        Args:
            records: Ours, or those of a claimed `ledger`.
            timeout: Seconds until the deadline for all together; None = 60.
            ledger: The claimed ledger that names them; None = ours.

        Returns:
            The records as they are now. What the engine answers doesn't raise: read state and error.

        Raises:
            LedgerError: A change could not be recorded.
        """
        ...

    def settle(self, ledger: Ledger) -> None:
        """Look for a ledger's maybes with growing pauses until they are seen and deleted, or settled.

        What is not seen by then, or in 15 s, stays in the ledger: the next session looks again.
        """
        ...

    def settle_later(self) -> None:
        """Look for our maybes in the background, and delete them on sight, until they settle.

        May be repeated; the session's end stops it.
        """
        ...

    def unfinished(self, scope: str | None = None) -> Sequence[Record]:
        """Return our records that are neither GONE nor KEPT, of one scope or of all."""
        ...


class Lifecycle:
    """Base of the plugins; all hooks are no-ops, so a plugin overrides what it needs.

    Hooks are called in the order of the setting `lifecycle`; closing and closed in reverse. A *gate*
    may raise to stop what is about to happen; an *observer*'s exception is logged and reported, the other
    plugins are called, and the run goes on. A hook runs in its caller's thread: one that hangs holds up the
    run, and is told of.
    """

    def opened(self, session: Session) -> None:
        """Observe: the ledger is open, no engine was asked yet."""

    def before_create(self, session: Session, record: Record) -> Mapping[str, str] | None:
        """Gate: in the creating thread, WANTED already durable. Returns labels to add.

        On raise the record is GONE: the engine was not asked.
        """

    def named(self, session: Session, name: str, scope: str, backend: str) -> None:
        """Gate: somebody says that a machine of that name is or will be made by other means."""

    def changed(self, session: Session, before: Record | None, now: Record) -> None:
        """Observe a transition; from any thread."""

    def scope_ended(self, session: Session, scope: str) -> None:
        """Observe: decide for each record of the scope: delete now, or move to DOOMED or KEPT."""

    def closing(self, session: Session, interrupted: int) -> None:
        """Observe, in reverse order: the session deletes what is left itself after this.

        Args:
            session: The session.
            interrupted: How many interrupts have ended the run; 0 = it ended by itself.
        """

    def closed(self, session: Session) -> None:
        """Observe, in reverse order, the lock dropped: restore signal handlers, stop watching."""
