"""A process's records and what becomes of their machines: written, moved, deleted, looked for.

The session's floor of *how*: it knows ledger, providers and clean-up, and neither plugins nor tests.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from vmharness._cleanup import NO_ANSWER, Cleanup, Outcome, Verdict, undone
from vmharness._clock import Clock
from vmharness._inhand import InHand
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._model import Record, State
from vmharness._naming import new_token
from vmharness._owners import names_held
from vmharness._protected import ProtectedList
from vmharness._providers import Providers, settling
from vmharness._threads import run_parallel
from vmharness.errors import LedgerError, PluginError, VMHarnessError
from vmharness.hooks import Ledger

__all__ = ["Books", "Tally"]

_log = logging.getLogger("vmharness.session")

# How long deleting machines may take, in seconds, all that are asked for at once together.
_DELETE_S: Final = 60.0
# For how long an engine that gave no listing isn't asked again, in seconds: eight dead ledgers of an engine
# that is off cost a run's start what one costs.
_SILENT_S: Final = 10.0
# How long an engine may take to be judged by, in seconds; somebody is waiting to see it.
_JUDGE_S: Final = 2.0


@dataclass
class Tally:
    """What a process did, for the run's summary: numbers, which engines, lines to show."""

    created: int = 0
    deleted: int = 0
    swept: int = 0
    engines: dict[str, str] = field(default_factory=dict[str, str])
    reports: list[str] = field(default_factory=list[str])


class Books:
    """The ledger of this process, and the one way that its records change.

    Args:
        ledgers: Where ledgers are.
        session_id: For the ledger's header.
        providers: Opens providers.
        clock: Reads the time and waits.
        changed: Called after each transition with the record before (None = new) and now.
        say: Shows a line to the user at once, where that is possible.
        silent_s: For how long an engine that gave no listing for a dead session's ledger isn't asked again
            for another one, in seconds.
    """

    def __init__(
        self,
        ledgers: FileLedgers,
        session_id: str,
        providers: Providers,
        clock: Clock,
        *,
        changed: Callable[[Record | None, Record], None],
        say: Callable[[str], None],
        silent_s: float = _SILENT_S,
    ) -> None:
        self._silent_s = silent_s
        self._ledgers = ledgers
        self._session_id = session_id
        self._providers = providers
        self._clock = clock
        self._changed = changed
        self._say = say
        self._counting = threading.Lock()
        self._in_hand = InHand()
        # Engines that gave no listing for a dead session's ledger, and when: the next one doesn't wait again.
        self._silent: dict[str, tuple[float, str]] = {}
        self._adopted: set[str] = set()
        self._ledger: FileLedger | None = None
        self._fresh: set[str] = set()
        self._news = deque[Record]()
        self.tally = Tally()
        self.closed = False

    @property
    def ledger(self) -> Ledger:
        """The ledger of this process, as others may see it; see `own_ledger`."""
        return self.own_ledger

    @property
    def own_ledger(self) -> FileLedger:
        """The ledger of this process, made when it is first asked for.

        A forked child gets its own: its parent's machines are its parent's.
        """
        if self._ledger is not None and (self._ledger.held or self.closed):
            return self._ledger
        if self.closed:
            raise LedgerError("cannot open a ledger: the session is closed")
        if self._ledger is not None:
            # Its threads, too, which may have been at something.
            self._counting = threading.Lock()
            self._in_hand = InHand()
            self._fresh = set()
            self._news = deque[Record]()
            self.tally = Tally()
        self._ledger = self._ledgers.open(self._session_id)
        return self._ledger

    @property
    def held(self) -> bool:
        """Whether this process has an open ledger; a forked child has none until it makes a machine."""
        return self._ledger is not None and self._ledger.held

    def close(self) -> None:
        """Drop the ledger's lock; what is not settled stays on its books."""
        self.closed = True
        if self._ledger is not None:
            self._ledger.close()

    def unfinished(self, scope: str | None = None) -> Sequence[Record]:
        """Return our records that are neither GONE nor KEPT, of one scope or of all."""
        return [
            record
            for record in list(self._ledger.records.values() if self._ledger else ())
            if record.state not in (State.GONE, State.KEPT) and scope in (None, record.scope)
        ]

    def report(self, text: str) -> None:
        """Say something to the user, now and in the summary."""
        self.tally.reports.append(text)
        self._say(text)

    def add(self, record: Record) -> Record:
        """Write a new record; WANTED is durable when this returns."""
        self.ledger.write(record)
        self._changed(None, record)
        return record

    def collect(self) -> Sequence[Record]:
        """Take up what front-ends recorded for this process since the last call; return the new records."""
        self._take_up()
        return [self._news.popleft() for _ in range(len(self._news))]

    def _take_up(self) -> None:
        """Do so; the new records wait for who asks for them."""
        if self._ledger is None or not self._ledger.held:
            return
        known = dict(self._ledger.records)
        records, notes = self._ledger.collect()
        for note in notes:
            if note not in self.tally.reports:
                self.report(note)
        for record in records:
            _log.info("%s %s: %s, says its command's front-end", record.backend, record.name, record.state)
            with self._counting:
                self.tally.created += record.state is State.RUNNING
            self._changed(known.get(record.id), record)
        for record in (new := [record for record in records if record.id not in known]):
            self._overtake(record)
        self._news.extend(new)

    def _overtake(self, record: Record) -> None:
        """Let a create go of which nobody knows the outcome, if a later one asked for the same name.

        The later one has seen that the name was free; what has it from then on is the later one's.
        """
        if record.token or record.tracked:
            return
        for other in self.unfinished():
            same = (other.name, other.endpoint) == (record.name, record.endpoint)
            unsure = other.state in (State.WANTED, State.MAYBE) and not (other.token or other.tracked)
            if same and unsure and other.wanted_at < record.wanted_at:
                self.move(other, State.GONE, error="a later create asked for its name")

    def made(self, record: Record, *, made_up: bool) -> Record:
        """Note that the create returned, and whether we made the name up ourselves."""
        record = self.move(record, State.RUNNING)
        for other in self.unfinished():
            same = (other.name, other.endpoint) == (record.name, record.endpoint)
            if same and other.state is State.MAYBE and not other.tracked:
                # The engine gives a name to one machine only: what was asked for earlier never came.
                self.move(other, State.GONE, error="a later machine of ours has its name")
        with self._counting:
            self.tally.created += 1
            if made_up:
                self._fresh.add(record.id)
        return record

    def move(
        self,
        record: Record,
        state: State | None = None,
        *,
        scope: str | None = None,
        error: str = "",
        ledger: Ledger | None = None,
    ) -> Record:
        """Change a record's state or scope in our ledger, or in a claimed one."""
        book = ledger or self.ledger
        before = book.records.get(record.id)
        current = before or record
        now = replace(
            current,
            state=state or current.state,
            scope=current.scope if scope is None else scope,
            error=error,
            at=self._clock.time() if state not in (None, current.state) else current.at,
        )
        if now != before:
            try:
                book.write(now)
            except LedgerError as exc:
                # Losing this line costs the next session a look, never a machine.
                self.report(str(exc))
            _log.info("%s %s: %s%s", now.backend, now.name, now.state, f" ({error})" if error else "")
            self._changed(before, now)
        return now

    def new(self, name: str, backend: str, *, deadline: float, **fields: Any) -> Record:
        """Make a WANTED record of a machine on the backend's endpoint; nothing is written."""
        now = self._clock.time()
        provider = self._providers.get(backend)
        plain = Record(
            id=new_token()[:16],
            name=name,
            backend=backend,
            endpoint=provider.endpoint,
            token="",
            deadline=now + deadline + settling(provider),
            scope="",
            state=State.WANTED,
            wanted_at=now,
            at=now,
        )
        return replace(plain, **fields)

    def delete(
        self, records: Sequence[Record], *, timeout: float | None = None, ledger: Ledger | None = None
    ) -> Sequence[Record]:
        """Prove, delete in parallel, wait out Busy, verify by one listing; see `vmharness.hooks.Session`."""
        book = ledger or self.ledger
        claimed = book is not self._ledger
        limit = _DELETE_S if timeout is None else timeout
        with self._in_hand.take({record.id for record in records}, limit) as ids:
            now = [book.records.get(record.id, record) for record in records if record.id in ids]
            for outcomes in run_parallel(lambda group: self._delete_group(group, limit, book), _groups(now)):
                for outcome in outcomes:
                    self._count(outcome, claimed=claimed)  # first: who sees it gone sees it counted
                    self.move(outcome.record, outcome.state, error=outcome.error, ledger=book)
        return [book.records.get(record.id, record) for record in records]

    def adopt(self, record: Record) -> Record:
        """Write a record of a machine that no ledger named; it counts as swept."""
        self._adopted.add(record.id)
        return self.add(record)

    def _count(self, outcome: Outcome, *, claimed: bool) -> None:
        claimed = claimed or outcome.record.id in self._adopted
        late = outcome.record.state in (State.WANTED, State.MAYBE) and not outcome.record.tracked
        with self._counting:
            self.tally.swept += outcome.deleted and claimed
            self.tally.deleted += outcome.deleted and not claimed
            # Its create never told us that it was made, but there it was.
            self.tally.created += outcome.deleted and not claimed and late

    def _delete_group(self, records: Sequence[Record], timeout: float, book: Ledger) -> Sequence[Outcome]:
        """Delete machines of one endpoint; errors become states."""
        try:
            cleanup, protected = self._cleanup(records[0])
        except VMHarnessError as exc:
            return [Outcome(record, undone(record), str(exc)) for record in records]
        claimed = book is not self._ledger
        endpoint = records[0].endpoint
        since, unanswered = self._silent.get(endpoint, (0.0, ""))
        if claimed and unanswered and self._clock.monotonic() - since < self._silent_s:
            return [Outcome(record, undone(record), unanswered) for record in records]
        fresh = frozenset[str]() if book is not self._ledger else frozenset(self._fresh)
        done = cleanup.delete(
            records,
            timeout=timeout,
            claimed=claimed,
            fresh=fresh,
            protected=protected,
            taken=lambda: self._taken(records, book),
        )
        done = [outcome for outcome in done if not _is_gone(outcome.record, book)]  # overtaken meanwhile
        unanswered = next((outcome.error for outcome in done if outcome.error.startswith(NO_ANSWER)), "")
        if unanswered:
            self._silent[endpoint] = (self._clock.monotonic(), unanswered)
        return done

    def _taken(self, records: Sequence[Record], book: Ledger | None) -> frozenset[str]:
        """Return the ids of records whose machine others may have: by name, for they have no token.

        Others are living sessions, and machines that we made ourselves for another scope. For a dead owner
        they are also those of this user's other state folders, which may have made what it never got.
        """
        unsigned = [record for record in records if not record.token]
        if not unsigned:
            return frozenset()
        self._take_up()
        ours = {record.id for record in records}
        endpoint = records[0].endpoint
        names = {
            record.name
            for record in self.unfinished()
            if record.id not in ours and record.endpoint == endpoint and record.state is State.RUNNING
        }
        own = {one.path for one in (book, self._ledger) if one is not None}
        held = names_held(self._ledgers, endpoint, but=own, elsewhere=book is not self._ledger)
        if held is None:
            return frozenset(record.id for record in unsigned)
        others = {record.id for record in unsigned if record.name in names | held}
        return frozenset(others | {record.id for record in unsigned if book and _is_gone(record, book)})

    def judge(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """Say what `delete` would do with records of dead owners; no lock is needed, nothing is changed."""
        judged = {
            verdict.record.id: verdict
            for verdicts in run_parallel(self._judge_group, _groups(records))
            for verdict in verdicts
        }
        return [judged[record.id] for record in records if record.id in judged]

    def _judge_group(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """Judge machines of one endpoint; errors become states."""
        try:
            cleanup, protected = self._cleanup(records[0])
        except VMHarnessError as exc:
            return [Verdict(record, None, Outcome(record, undone(record), str(exc))) for record in records]
        return cleanup.judge(
            records, timeout=_JUDGE_S, protected=protected, taken=lambda: self._taken(records, None)
        )

    def _cleanup(self, record: Record) -> tuple[Cleanup, frozenset[str]]:
        """Return what deletes on the record's endpoint, and the names that it must not delete there.

        Raises:
            VMHarnessError: The endpoint can't be opened, or it isn't known what is protected.
        """
        protected = ProtectedList(self._ledgers.folder).read()
        provider = self._providers.get(record.backend, record.endpoint)
        if provider.endpoint != record.endpoint:
            raise PluginError(
                f"backend {record.backend!r} opened {provider.endpoint!r}, not {record.endpoint!r}"
            )
        here = _plain(record.endpoint)
        names = frozenset(machine.name for machine in protected if _plain(machine.endpoint) == here)
        return Cleanup(provider, self._clock), names

    def settles_in(self, record: Record) -> float:
        """Return in how many seconds a maybe's machine can't appear any more; 0 or less = it is settled."""
        try:
            longest = settling(self._providers.get(record.backend, record.endpoint))
        except VMHarnessError:
            return 0.0  # nobody can look there now: the next session will
        # Never longer than from now, if the wall clock was set back since the record was written.
        return min(longest, record.at - self._clock.time() + longest)


def _is_gone(record: Record, book: Ledger) -> bool:
    return book.records.get(record.id, record).state is State.GONE


def _plain(endpoint: str) -> str:
    """Return the endpoint with the real paths of what it names, for one engine is spelled in several ways."""
    return re.sub(r"/[^?&=]+", lambda path: os.path.realpath(path[0]), endpoint)


def _groups(records: Sequence[Record]) -> Sequence[Sequence[Record]]:
    """Return the records that are not settled, by engine."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.state is not State.GONE:
            groups.setdefault((record.backend, record.endpoint), []).append(record)
    return list(groups.values())
