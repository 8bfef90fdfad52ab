"""The product's processes in the world: sessions and reapers, which may be struck at any engine call."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from faultlab.model.clock import WorldClock
from faultlab.model.files import read_book
from faultlab.model.law import wrong_intent
from faultlab.model.place import Killed, Place
from faultlab.model.truth import Ended, Named, Process, Truth, Want
from faultlab.model.turns import Turns
from vmharness import Machine, Provider, Session, Settings
from vmharness._books import Books
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._model import Record
from vmharness._providers import Providers
from vmharness._reaper.reap import reap
from vmharness.errors import CreateFailed, NameTaken, VMHarnessError
from vmharness.lifecycle.sweep import Sweep
from vmharness.lifecycle.teardown import Teardown
from vmharness.lifecycle.tracking import Tracking
from vmharness.provider import LABEL_TOKEN, Spec

__all__ = ["CREATE_S", "HOST", "Actor", "Blow", "Engines", "ReaperActor", "SessionActor"]

# The deadline of all creates, in seconds.
CREATE_S: Final = 30.0
# The name of the one host.
HOST: Final = "host"


@dataclass(frozen=True, slots=True)
class Blow:
    """What strikes a process.

    Attributes:
        kills: Whether it kills; else it is an interrupt.
        point: At which point of a call; "" = any.
        after: How many such points are passed before.
    """

    kills: bool
    point: str = ""
    after: int = 0


class NotingLedgers(FileLedgers):
    """Ledgers that note which of them are open: what a process holds, the kernel drops at its death."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, host=HOST)
        self.held: Final[list[FileLedger]] = []
        self._dropped = False

    def drop(self) -> None:
        """Let go of all, as the kernel does; no more are opened."""
        self._dropped = True
        for ledger in self.held:
            ledger.abandon()

    def open(self, session_id: str) -> FileLedger:
        """Make a ledger."""
        if self._dropped:
            raise Killed
        # Ledgers are swept oldest first, by milliseconds, and then by chance.
        began = int(time.time() * 1000)
        while int(time.time() * 1000) == began:
            pass
        ledger = super().open(session_id)
        self.held.append(ledger)
        return ledger

    def take(self, path: Path, descriptor: int) -> FileLedger:
        """Take over a ledger."""
        ledger = super().take(path, descriptor)
        self.held.append(ledger)
        return ledger


class QueueingProviders(Providers):
    """Providers that let one thread at a time deal with an engine."""

    def __init__(self, configured: str, actor: Actor) -> None:
        super().__init__(configured, connect=actor.connect)
        self._turns = actor.turns

    def get(self, backend: str = "", endpoint: str | None = None) -> Provider:
        """Return the provider of that backend and endpoint."""
        self._turns.begin_engine()
        return super().get(backend, endpoint)


@dataclass(frozen=True, slots=True)
class Engines:
    """Where a process finds engines: by endpoint, and by a backend's name those of its environment."""

    places: Mapping[str, Place]
    usual: Mapping[str, str]


class Actor:
    """A process that vmharness runs in."""

    def __init__(self, truth: Truth, process: Process, engines: Engines) -> None:
        self.process: Final = process
        self.ledgers: Final = NotingLedgers(process.folder)
        self.truth: Final = truth
        self.clock: Final[WorldClock] = truth.clock
        self.engines: Final = engines
        self.turns: Final = Turns()
        self._blow: Blow | None = None
        self._passed = 0
        self._began = 0.0
        self._made_up = False
        self._scope = ""
        truth.processes.append(process)

    def connect(self, backend: str, endpoint: str | None) -> Provider:
        """Open an engine."""
        return self.engines.places[endpoint or self.engines.usual[backend]].connect(self)

    # -- what its calls tell

    def asks(self, endpoint: str, spec: Spec, takes: float) -> None:
        """Note that it asks an engine for a machine."""
        want = Want(
            process=self.process,
            endpoint=endpoint,
            name=spec.name,
            token=spec.labels.get(LABEL_TOKEN, ""),
            made_up=self._made_up,
            scope=self._scope,
            began=self._began,
            asked=self.clock.time(),
            takes=takes,
        )
        self.truth.ask(want)
        if why := wrong_intent(self.truth, want):
            self.truth.wrongs.append(why)

    def comes_to(self, point: str) -> None:
        """Note how far a call has come, and be struck there."""
        self.turns.begin_call()
        if not self.process.alive:
            raise Killed
        blow = self._blow
        if blow is None or blow.point not in ("", point):
            return
        self._passed += 1
        if self._passed <= blow.after:
            return
        self._blow = None
        self.truth.tell(f"... {self.process.name} is {'killed' if blow.kills else 'interrupted'} at {point}")
        if not blow.kills:
            raise KeyboardInterrupt
        self.die()
        raise Killed

    def die(self) -> None:
        """Be no more: the kernel drops the locks, nothing is written."""
        self.process.alive = False
        self.ledgers.drop()

    # -- acting

    @contextmanager
    def acting(self, text: str, blow: Blow | None = None) -> Generator[None]:
        """Let the process do something; what it raises on purpose is no defect."""
        self.truth.tell(f"{self.process.name} {text}" + (f", with {blow}" if blow else ""))
        self._blow, self._passed, self._began = blow, 0, self.clock.time()
        self.truth.actor = self.process
        try:
            yield
        except (VMHarnessError, KeyboardInterrupt, Killed) as exc:
            self.truth.tell(f"... {type(exc).__name__}: {exc}")
            self._end_creates(exc)
        else:
            self._end_creates(None)
        finally:
            self.truth.actor = None
            self._blow = None

    def _end_creates(self, exc: BaseException | None) -> None:
        for want in self.process.wants:
            if want.ended is Ended.OPEN:
                refused = isinstance(exc, NameTaken | CreateFailed)
                want.ended = Ended.MADE if exc is None else Ended.REFUSED if refused else Ended.DOUBT
                if want.ended is Ended.MADE and want.machine is None:
                    why = f"a create of {want.name!r} returned to {self.process.name} that made no machine"
                    self.truth.wrongs.append(why)


class SessionActor(Actor):
    """A process with a session."""

    def __init__(
        self, truth: Truth, process: Process, engines: Engines, *, run: str, settings: Settings
    ) -> None:
        super().__init__(truth, process, engines)
        self.machines: Final[list[Machine]] = []
        self.tasks: Final[list[Callable[[], None]]] = []
        self.session: Final = Session(
            settings,
            ledgers=self.ledgers,
            plugins=[("sweep", Sweep()), ("tracking", Tracking()), ("teardown", Teardown())],
            providers=QueueingProviders(settings.backend, self),
            id=run,
            clock=self.clock,
            say=self._say,
            start=lambda name, task: self.tasks.append(task),
        )

    @property
    def path(self) -> Path:
        """Its ledger's."""
        return self.ledgers.held[0].path

    def _say(self, text: str) -> None:
        self.truth.tell(f"... says: {text}")
        # A process that is killed here says so, for its session takes the death for a plugin's failure.
        known = ("EngineUnavailable", "LedgerError", "Killed")
        if text.startswith("lifecycle plugin") and not any(f": {error}" in text for error in known):
            self.truth.wrongs.append(text)

    def open(self, blow: Blow | None = None) -> None:
        """Open the session, which sweeps."""
        with self.acting("opens", blow):
            self.session.open()

    def create(self, backend: str, name: str, scope: str, blow: Blow | None = None) -> None:
        """Create a machine."""
        self._made_up, self._scope = not name, scope
        with self.acting(f"creates {name or 'a machine'} on {backend} for {scope!r}", blow):
            machine = self.session.create(name=name, scope=scope, backend=backend, timeout=CREATE_S)
            self.machines.append(machine)

    def endpoint(self, backend: str) -> str:
        """Return which engine its environment means by a backend's name."""
        return self.engines.usual[backend]

    def track(self, backend: str, name: str, scope: str) -> None:
        """Track a name."""
        endpoint = self.endpoint(backend)
        known = [
            entry
            for entry in read_book(self.path).entries.values()
            if entry.doomed and entry.means(endpoint, name) and entry.scope == scope
        ]
        absent = not self.truth.is_listed(endpoint, name)
        with self.acting(f"tracks {name} on {backend} for {scope!r}"):
            self.session.named(name, scope=scope, backend=backend)
            if not known:
                # What it knows already goes by the record that it has.
                until = self.clock.time() + CREATE_S + self.engines.places[endpoint].settle_s
                named = Named(
                    process=self.process,
                    endpoint=endpoint,
                    name=name,
                    scope=scope,
                    seen_absent=absent,
                    until=until,
                )
                self.process.named.append(named)
            for named in self.process.named:
                if (named.endpoint, named.name, named.scope) == (endpoint, name, scope):
                    named.active = True
                    if made := self.truth.find(endpoint, name):
                        self.truth.name(named, made)

    def end_scope(self, scope: str, blow: Blow | None = None) -> None:
        """End a scope."""
        with self.acting(f"ends scope {scope!r}", blow):
            self.session.end_scope(scope)
        for named in self.process.named:
            if named.scope == scope:
                named.active = False

    def delete(self, number: int, blow: Blow | None = None) -> None:
        """Delete one of its machines, again perhaps."""
        machine = self.machines[number % len(self.machines)]
        with self.acting(f"deletes {machine.name}", blow):
            machine.delete()

    def look(self, blow: Blow | None = None) -> None:
        """Do what it does in the background, to its end."""
        tasks, self.tasks[:] = list(self.tasks), []
        with self.acting("looks for maybes in the background", blow):
            for task in tasks:
                task()

    def close(self, blow: Blow | None = None) -> None:
        """Close the session."""
        with self.acting("closes", blow):
            self.session.close()
        self.process.alive = False

    def crash(self) -> None:
        """Die between two calls."""
        self.truth.tell(f"{self.process.name} is killed")
        self.die()


class ReaperActor(Actor):
    """A reaper, as it is once its owner is dead."""

    def reap(self, path: Path, blow: Blow | None = None) -> None:
        """Take over a ledger and do what a reaper does."""
        with self.acting(f"reaps {path.name[-15:]}", blow):
            ledger = self.ledgers.claim(path)
            if ledger is not None:
                self._reap(ledger)
        self.process.alive = False

    def _reap(self, ledger: FileLedger) -> None:
        books = Books(
            self.ledgers,
            ledger.session_id,
            QueueingProviders("", self),
            self.clock,
            changed=_unheard,
            say=lambda text: self.truth.tell(f"... says: {text}"),
            silent_s=0.0,
        )
        try:
            reap(books, ledger, self.clock)
        finally:
            ledger.close()
            books.close()


def _unheard(before: Record | None, now: Record) -> None:
    """Hear of a change that nobody asked to be told of."""
    del before, now
