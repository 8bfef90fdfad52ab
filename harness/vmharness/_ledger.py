"""The durable record of a process's machines, and its lock: the right to delete what it names.

A ledger is a file of JSON lines, its first one a header. `flock` on the file's own descriptor is the
lock, so lock and file are one inode. It is locked under a hidden name before it is renamed into sight:
no sweep ever sees it unlocked while its owner lives. Beside it may be an inbox, to which others write for the
owner: its lines come before the ledger's. This module knows no engine and no plugin.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, cast

from vmharness._calls import ending
from vmharness._fronts import BIN_SUFFIX, INBOX_SUFFIX
from vmharness._inbox import Inbox
from vmharness._interrupts import held
from vmharness._lines import CLAIMED_LINE, VERSION, line_of, merge, parse
from vmharness._locks import SUFFIX, is_free, is_linked, lock, look
from vmharness._meeting import Meeting
from vmharness._model import Record, State
from vmharness._places import check_private, host_id, make_private, state_folder
from vmharness.errors import LedgerError

__all__ = ["Contents", "FileLedger", "FileLedgers"]

_REMEDY: Final = "set VMHARNESS_STATE_DIR to a folder on a local disk with room"
_open_ledgers: weakref.WeakSet[FileLedger] = weakref.WeakSet()


def _abandon_all() -> None:
    """Close, in a forked child, what its parent holds: an inherited descriptor would keep the lock alive."""
    for ledger in list(_open_ledgers):
        ledger.abandon()


os.register_at_fork(after_in_child=_abandon_all)


class Contents(NamedTuple):
    """What can be read in a ledger.

    Attributes:
        session_id: Whose it is.
        records: The newest ones, by id.
        damage: What can't be read, one sentence each.
        claimed: Whether somebody has taken it over, since its owner is dead.
    """

    session_id: str
    records: Mapping[str, Record]
    damage: Sequence[str]
    claimed: bool = False


class FileLedger:
    """A ledger that this process holds the lock of. Made by `FileLedgers`."""

    def __init__(
        self, path: Path, descriptor: int, content: bytes, *, meeting: Meeting | None = None
    ) -> None:
        self.path: Final = path
        self._meeting = meeting or Meeting()
        self.records: dict[str, Record] = {}
        self.damage: list[str] = []
        self.session_id: str = ""
        self._descriptor: int | None = descriptor
        self._inode = _inode(descriptor)
        self._writing = threading.Lock()
        # What front-ends recorded for us; its lines count as ours as long as it is there.
        self.inbox: Final = Inbox(path.with_suffix(INBOX_SUFFIX))
        self.bin: Final = path.with_suffix(BIN_SUFFIX)
        self._only_in_inbox: set[str] = set()
        self._calls: set[str] = set()
        self._read(content)
        _open_ledgers.add(self)

    @property
    def held(self) -> bool:
        """Whether this process still holds the lock; False in a forked child."""
        return self._descriptor is not None

    def _read(self, content: bytes) -> None:
        header, records, self.damage = parse(content)
        self.session_id = str(header.get("session", ""))
        self.records.update(records)

    def write(self, record: Record) -> None:
        """Append the record; see `vmharness.hooks.Ledger`."""
        line = line_of(record)
        with self._writing, held:
            if self._descriptor is None:
                raise LedgerError(f"cannot write to the ledger {self.path}: it is closed")
            if record.state is State.WANTED and not self._in_sight():
                raise LedgerError(
                    f"cannot record machine {record.name!r}: the ledger {self.path} was deleted"
                )
            # In memory first: struck by a signal in between, we look for a machine too many, not too few.
            before = self.records.get(record.id)
            self.records[record.id] = record
            try:
                if _inode(self._descriptor) != self._inode:
                    raise OSError(None, "somebody closed it")
                _append(self._descriptor, line, sync=record.state is State.WANTED)
                self._only_in_inbox.discard(record.id)
            except OSError as exc:
                # An intent that isn't durable isn't acted on; what has happened we know all the same.
                if record.state is State.WANTED and before is None:
                    del self.records[record.id]
                raise LedgerError(
                    f"cannot record machine {record.name!r} in {self.path}: {exc.strerror}; {_REMEDY}"
                ) from exc

    def collect(self) -> tuple[Sequence[Record], Sequence[str]]:
        """Take up what front-ends recorded since the last call; one look if that is nothing.

        Returns:
            The new records, and those of which it became known that they were made; what is to be reported.
        """
        try:
            # Asked at each scope's end: to hold signals back costs something, so only if there is news.
            if not self._calls and not self.inbox.has_news():
                return [], []
            with self._writing, held:
                return self._collect()
        except OSError as exc:
            return (), [f"cannot read {self.inbox.path}: {exc.strerror}"]

    def _collect(self) -> tuple[Sequence[Record], Sequence[str]]:
        """Do so; raise OSError if the inbox can't be read."""
        if self._descriptor is None:
            return (), ()
        changed, notes, damage = merge(self.inbox.news(), self.records)
        self.damage += damage
        self._calls |= {record.id for record in changed}
        ended = self._ended_calls()
        self._only_in_inbox |= {record.id for record in (*changed, *ended)}
        now = {record.id: record for record in (*changed, *ended)}
        return list(now.values()), [*notes, *damage]

    def _ended_calls(self) -> Sequence[Record]:
        """Return the records of which it is known by now whether their machines were made."""
        ended: list[Record] = []
        for id in sorted(self._calls):
            record = self.records[id]
            if record.state not in (State.WANTED, State.MAYBE):
                self._calls.discard(id)
                continue
            how = ending(self.bin, id)
            if how is None:
                continue
            self._calls.discard(id)
            # What appears under the name later is somebody else's. If the clock was set back, who knows.
            now = time.time()
            if now >= record.wanted_at:
                record = replace(record, deadline=min(record.deadline, now + how.settle_s))
            self.records[id] = record
            self._only_in_inbox.add(id)
            if how.made is not None:
                # With a token, what surely wasn't made is looked for once all the same.
                unmade = State.DOOMED if record.token else State.GONE
                self.records[id] = replace(record, state=State.RUNNING if how.made else unmade)
                ended.append(self.records[id])
        return ended

    def close(self) -> None:
        """Unlink the file if all is settled, then drop the lock; see `vmharness.hooks.Ledger`."""
        with self._writing, held:
            if self._descriptor is None:
                return
            self._shut_inbox()
            shutil.rmtree(self.bin, ignore_errors=True)
            settled = all(record.state is State.GONE for record in self.records.values())
            if settled and not self.damage:
                self._meeting.withdraw(self.path)
                try:
                    self.path.unlink(missing_ok=True)
                except OSError:
                    pass  # an empty ledger that stays costs the next sweep a look
            self._release()

    def shut_inbox(self) -> None:
        """Take up what is in the inbox, and let nobody record any more; without an inbox nothing happens."""
        with self._writing, held:
            self._shut_inbox()

    def _shut_inbox(self) -> None:
        try:
            with self.inbox.shut():
                self._collect()
                for id in sorted(self._only_in_inbox):
                    _append(cast("int", self._descriptor), line_of(self.records[id]), sync=True)
                    self._only_in_inbox.discard(id)
                self.inbox.remove()
        except OSError:
            pass  # then it stays: whoever comes next reads it again

    def abandon(self) -> None:
        """Close the descriptor without a word: the lock is the parent's, and so are the machines."""
        self._writing = threading.Lock()  # the copied one may be held by a thread that doesn't exist here
        self.records = {}
        self._release()

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        # Code that closes all descriptors, as daemons do, may have put another file in its place.
        if descriptor is not None and _inode(descriptor) == self._inode:
            os.close(descriptor)

    def _in_sight(self) -> bool:
        """Whether the file is still ours and still where others find it."""
        return (
            self._descriptor is not None
            and _inode(self._descriptor) == self._inode
            and is_linked(self._descriptor, self.path)
        )


def _inode(descriptor: int) -> tuple[int, int] | None:
    """Return what identifies an open file; None if none is open."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _append(descriptor: int, line: bytes, *, sync: bool) -> None:
    """Write the whole line or nothing: what a full disk cut off is taken back."""
    size = os.fstat(descriptor).st_size
    try:
        rest = line
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if sync:
            os.fsync(descriptor)
    except BaseException:  # what a debugger or a tracer raises comes between the parts of a line, too
        try:
            os.ftruncate(descriptor, size)
        except OSError:
            pass  # a torn last line is told by its missing end
        raise


class FileLedgers:
    """The ledgers of this host in a state folder.

    Args:
        folder: The state folder; the ledgers are in a folder of it that is named after the host.
        host: Name of the host's folder; None = this host's id.
        meeting: Where ledgers are announced to sessions with other state folders; None = the usual place.
    """

    def __init__(self, folder: Path, *, host: str | None = None, meeting: Meeting | None = None) -> None:
        self._meeting = meeting or Meeting()
        self.state: Final = folder
        self.folder: Final = folder / (host or host_id())

    @classmethod
    def usual(cls, environ: Mapping[str, str] = os.environ) -> FileLedgers:
        """Return the ledgers in the state folder that the environment means; nothing is made."""
        return cls(state_folder(environ))

    def open(self, session_id: str) -> FileLedger:
        """Make a ledger for this process: locked first, then renamed into sight.

        Raises:
            LedgerError: The folder can't be used, or has no working locks; nothing is left there.
        """
        make_private(self.state)
        make_private(self.folder)
        with held:
            return self._open(session_id)

    def _open(self, session_id: str) -> FileLedger:
        stem = f"{int(time.time() * 1000):013d}-{os.getpid()}-{os.urandom(4).hex()}"
        hidden, path = self.folder / f".{stem}", self.folder / f"{stem}{SUFFIX}"
        header = {"vmharness": VERSION, "session": session_id, "pid": os.getpid()}
        content = json.dumps(header).encode() + b"\n"
        descriptor = -1
        try:
            descriptor = os.open(
                hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            lock(descriptor)
            if is_free(hidden):
                raise OSError(None, "its file system has no working locks")
            _append(descriptor, content, sync=True)
            hidden.rename(path)
            self._sync_folder()
        except OSError as exc:
            if descriptor >= 0:
                os.close(descriptor)
                hidden.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            raise LedgerError(f"cannot open a ledger in {self.folder}: {exc.strerror}; {_REMEDY}") from exc
        self._meeting.announce(path)
        return FileLedger(path, descriptor, content, meeting=self._meeting)

    def claim(self, path: Path) -> FileLedger | None:
        """Take over a dead process's ledger; see `vmharness.hooks.Ledgers`."""
        check_private(self.state)
        check_private(self.folder)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise LedgerError(f"cannot open the ledger {path}: {exc.strerror}") from exc
        # Between our open and our lock its owner may have settled and unlinked it.
        try:
            if lock(descriptor) and is_linked(descriptor, path):
                return self.take(path, descriptor)
        except OSError as exc:
            os.close(descriptor)
            raise LedgerError(f"cannot lock the ledger {path}: {exc.strerror}") from exc
        os.close(descriptor)
        return None

    def take(self, path: Path, descriptor: int) -> FileLedger:
        """Return a dead process's ledger, whose lock we have got by that descriptor.

        Raises:
            OSError: It can't be read; the descriptor stays open.
        """
        content = _read_all(descriptor)
        torn = len(content) - content.rfind(b"\n") - 1
        if torn and torn < len(content):
            os.ftruncate(descriptor, len(content) - torn)  # so that what we append is a line of its own
        ledger = FileLedger(path, descriptor, content, meeting=self._meeting)
        ledger.shut_inbox()
        if ledger.session_id and CLAIMED_LINE not in content:
            try:
                _append(descriptor, CLAIMED_LINE, sync=False)
            except OSError:
                pass  # then others take its owner for alive as long as we hold it
        return ledger

    def paths(self) -> Iterator[Path]:
        """Yield the paths of all ledgers in sight, oldest first."""
        return iter(look(self.folder).ledgers)

    def elsewhere(self) -> Iterator[Path]:
        """Yield the paths of this user's ledgers in other state folders, as far as they are announced."""
        return (path for path in self._meeting.ledgers() if path.parent != self.folder.absolute())

    def living(self, path: Path) -> bool:
        """Whether somebody holds the ledger: its owner, a sweep or a reaper. In doubt, yes."""
        return not is_free(path)

    def read(self, path: Path) -> Contents:
        """Return what is in a ledger that somebody else may hold; nothing is changed."""
        try:
            # First, for what is taken out of there is in the ledger before.
            news = Inbox(path.with_suffix(INBOX_SUFFIX)).news()
            header, records, damage = parse(path.read_bytes())
        except FileNotFoundError:
            return Contents("", {}, ())
        except OSError as exc:
            raise LedgerError(f"cannot read the ledger {path}: {exc.strerror}") from exc
        damage += merge(news, records)[2]
        return Contents(str(header.get("session", "")), records, damage, bool(header.get("claimed")))

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    parts: list[bytes] = []
    while part := os.pread(descriptor, 1 << 20, sum(map(len, parts))):
        parts.append(part)
    return b"".join(parts)
