"""The world of the model: two engines, two state folders, processes that die, and the truth about it all.

Every process reaches the engines by clients of its own, and they note who asked for which machine and who
deleted it. What a ledger says is read here anew, so that a defect in the harness can't hide itself.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vmharness import Lifecycle, MachineInfo, Provider, Record, Session, Settings, Spec, State, errors
from vmharness._books import Books
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._protected import ProtectedList
from vmharness._providers import Providers
from vmharness._reaper.reap import reap
from vmharness._settings import SweepMode
from vmharness.errors import CreateFailed, CreateTimeout, CreateUnsettled, EngineUnavailable, NameTaken
from vmharness.hooks import Session as SessionProtocol
from vmharness.lifecycle.sweep import Sweep
from vmharness.lifecycle.teardown import Teardown
from vmharness.lifecycle.tracking import Tracking
from vmharness.provider import LABEL_EXPIRES
from vmharness.testing._fake_clock import FakeClock
from vmharness_fake import FakeProvider, Faults, Latencies, MemoryStore, UnlabelledFakeProvider
from vmharness_fake._engine import StoredMachine

__all__ = ["CREATE_S", "PREFIX", "SETTLE_S", "Engine", "Killed", "Made", "Process", "World"]

PREFIX: Final = "ci-"
# How long a create may take, and how much later it may still bring a machine, in seconds.
CREATE_S: Final = 5.0
SETTLE_S: Final = 2.0
# How far an engine without labels may lag behind, in seconds; see vmharness._cleanup.
_SLACK_S: Final = 1.0


class Killed(BaseException):
    """The process that called is dead; what Python does after that never happened."""


class WorldClock(FakeClock):
    """A clock that several threads may let pass, and that tells when it did."""

    def __init__(self, passed: Callable[[], None]) -> None:
        super().__init__(now=1_800_000_000.0)
        self._passed = passed
        self._moving = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._moving:
            super().sleep(seconds)
        self._passed()

    def jump(self, seconds: float) -> None:
        super().jump(seconds)
        self._passed()


@dataclass(slots=True, kw_only=True)
class Made:
    """One machine, or a create on its way to the engine: whose it is in truth."""

    uid: str
    engine: Engine
    spec: Spec
    maker: Process | None
    record: Record | None
    created_at: float
    # When it reaches the engine, by the steady clock; None = it has.
    due: float | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    def __str__(self) -> str:
        whose = f"{self.maker.title}'s" if self.maker else "a stranger's"
        return f"{whose} {self.name!r} on {self.engine.backend} (made at {self.created_at:.2f})"


class Engine:
    """One engine, and what goes wrong with it."""

    def __init__(self, world: World, number: int, *, labels: bool, coarse: bool, latencies: Latencies) -> None:
        self.world: Final = world
        self.backend: Final = f"fake{number}"
        self.labels: Final = labels
        # Whether its listings say only in which second a machine was made.
        self.coarse: Final = coarse
        self.latencies: Final = latencies
        self.store: Final = MemoryStore(f"memory:model:{number}")
        self.truth: dict[str, Made] = {}
        # What happens to the next create.
        self.trouble = ""
        # How many answers to deletes get lost.
        self.lost_answers = 0
        self.healthy = True

    def set_faults(self, faults: Faults) -> None:
        self.store.set_faults(faults)
        self.healthy = not faults.rules

    def heal(self) -> None:
        self.set_faults(Faults())
        self.lost_answers = 0

    def find(self, name: str) -> StoredMachine | None:
        """Return what has the name, also if it is still to appear."""
        now = self.world.clock.time()
        with self.store.locked() as engine:
            machine = engine.machines.get(name)
        return None if machine is None or machine.is_gone(now) else machine

    def there(self, *, coming: bool = False) -> Sequence[Made]:
        """Return the machines that nobody has deleted; those that are still to appear on demand."""
        now = self.world.clock.time()
        with self.store.locked() as engine:
            stored = list(engine.machines.values())
        there = [
            self.truth[machine.uid]
            for machine in stored
            if machine.gone_at is None and (coming or machine.appears_at <= now)
        ]
        return [*there, *(made for made in self.truth.values() if coming and made.due is not None)]

    def add(self, made: Made, *, at: float, ready_s: float = 0.0) -> bool:
        """Let a machine be, from that time on; False: its name is taken."""
        now = self.world.clock.time()
        machine = StoredMachine(uid=made.uid, spec=made.spec, appears_at=at, ready_at=at + ready_s)
        with self.store.locked() as engine:
            added = engine.add(machine, now)
        if added:
            made.created_at, made.due = at, None
            self.truth[made.uid] = made
        else:
            self.truth.pop(made.uid, None)
        return added

    def new(self, spec: Spec, maker: Process | None = None, record: Record | None = None) -> Made:
        self.world.count += 1
        uid = f"u{self.world.count}"
        return Made(uid=uid, engine=self, spec=spec, maker=maker, record=record, created_at=0.0)

    def deliver(self) -> None:
        """Let the requests arrive that are due; by one clock or the other, for the wall clock jumps."""
        clock = self.world.clock
        for made in list(self.truth.values()):
            if made.due is not None and (made.due <= clock.monotonic() or made.created_at <= clock.time()):
                self.add(made, at=min(made.created_at, clock.time()))


class Client(UnlabelledFakeProvider):
    """A process's way to an engine. It tells the world what is asked and done, and kills the process."""

    def __init__(self, engine: Engine, process: Process) -> None:
        clock = engine.world.clock
        super().__init__(engine.store, latencies=engine.latencies, clock=clock.time, sleep=clock.sleep)
        self._engine = engine
        self._process = process

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self._process.come_to("create", "before")
        engine, clock = self._engine, self._engine.world.clock
        trouble, engine.trouble = engine.trouble, ""
        kind, _, seconds = trouble.partition(" ")
        made = engine.new(spec, self._process, self._process.intent(spec, engine))
        record_id = made.record.id if made.record else ""
        try:
            if kind in ("vain", "flying", "sent", "late"):
                at = clock.time() + timeout + float(seconds or 0)
                if kind == "late" and not engine.add(made, at=at):
                    raise NameTaken(f"{spec.name} is taken")
                if kind in ("flying", "sent"):
                    made.created_at, made.due = at, clock.monotonic() + timeout + float(seconds or 0)
                    engine.truth[made.uid] = made
                if kind == "sent":
                    self._process.die()
                    raise Killed
                clock.sleep(timeout)
                raise CreateTimeout(f"no answer about {spec.name}")
            before = engine.find(spec.name)
            try:
                info = super().create(spec, timeout=timeout)
            finally:
                stored = engine.find(spec.name)
                if stored and (before is None or stored.uid != before.uid):
                    engine.truth[stored.uid] = replace(made, uid=stored.uid, created_at=stored.appears_at)
            if kind == "lost":
                raise CreateUnsettled(f"the answer about {spec.name} is lost")
        except (NameTaken, CreateFailed):
            self._process.refused.add(record_id)
            raise
        self._process.come_to("create", "after")
        return info

    def list(self) -> Sequence[MachineInfo]:
        seen = self._process.seen
        seen[self._engine.backend] = None
        self._process.come_to("list", "before")
        infos = super().list()
        self._process.come_to("list", "after")
        if self._engine.coarse:
            infos = [
                replace(info, created_at=float(int(info.created_at or 0)), created_resolution=1.0)
                for info in infos
            ]
        seen[self._engine.backend] = frozenset(info.name for info in infos)
        return infos

    def delete(self, name: str, *, timeout: float) -> None:
        self._process.seen[self._engine.backend] = None
        self._process.come_to("delete", "before")
        before = self._engine.find(name)
        try:
            super().delete(name, timeout=timeout)
        finally:
            with self._engine.store.locked() as engine:
                now = engine.machines.get(name)
            same = before is not None and now is not None and before.uid == now.uid
            if before is not None and before.gone_at is None and not (same and now and now.gone_at is None):
                self._engine.world.deleted(self._process, self._engine.truth[before.uid])
        self._process.come_to("delete", "after")
        if self._engine.lost_answers:
            self._engine.lost_answers -= 1
            raise EngineUnavailable("connection reset", machine=name)


class LabellingClient(Client, FakeProvider):
    """The same for an engine that has labels."""


class Holding(FileLedgers):
    """The ledgers of a state folder; it knows which of them this process holds."""

    def __init__(self, folder: Path, held: list[FileLedger]) -> None:
        super().__init__(folder, host="host")
        self._held = held

    def open(self, session_id: str) -> FileLedger:
        ledger = super().open(session_id)
        self._held.append(ledger)
        return ledger

    def take(self, path: Path, descriptor: int) -> FileLedger:
        ledger = super().take(path, descriptor)
        self._held.append(ledger)
        return ledger


class Process:
    """A process that has a session, or is a reaper."""

    def __init__(self, world: World, folder: int, title: str, *, prefix: str = "") -> None:
        self.world: Final = world
        self.folder: Final = folder
        self.title: Final = title
        self.prefix: Final = prefix
        self.held: list[FileLedger] = []
        self.ledgers: Final = Holding(world.folders[folder], self.held)
        self.session: Session | None = None
        self.path = Path()
        self.began_at = world.clock.time()
        self.alive = True
        # Names in the newest listing of each engine; None: it failed, or something was deleted since.
        self.seen: dict[str, frozenset[str] | None] = {}
        # Ids of records whose create the engine refused.
        self.refused: set[str] = set()
        # Where it dies: verb, moment, and at which call.
        self.death: tuple[str, str, int] | None = None
        self._clients: dict[str, Provider] = {}

    def connect(self, backend: str, endpoint: str | None) -> Provider:
        engine = next(engine for engine in self.world.engines if engine.backend == backend)
        assert endpoint in (None, engine.store.endpoint)
        if backend not in self._clients:
            self._clients[backend] = (LabellingClient if engine.labels else Client)(engine, self)
        return self._clients[backend]

    def come_to(self, verb: str, moment: str) -> None:
        """Die here, if that was the order; the dead do nothing."""
        if self.death and self.death[:2] == (verb, moment):
            self.death = (verb, moment, self.death[2] - 1)
            if not self.death[2]:
                self.die()
        if not self.alive:
            raise Killed

    def die(self) -> None:
        """Do what the kernel does at SIGKILL: all descriptors are closed, and so all locks dropped."""
        self.alive = False
        if self.session is not None:
            self.session._books.closed = True  # pyright: ignore[reportPrivateUsage]
        for ledger in self.held:
            ledger.abandon()

    def intent(self, spec: Spec, engine: Engine) -> Record | None:
        """Return the record by which the engine is asked; it must be on the disk by now."""
        session = self.session
        assert session is not None
        wanted = [
            record
            for record in session.ledger.records.values()
            if (record.name, record.backend, record.state) == (spec.name, engine.backend, State.WANTED)
        ]
        record = wanted[-1] if wanted else None
        world = self.world
        if record is None or (record.id not in world.lines(self.path) and self.path not in world.newer):
            world.wrong.append(f"{self.title} asks for {spec.name!r}, and has no record of it on the disk")
        if record is not None:
            world.asked.add(record.id)
            if bool(record.token) != engine.labels or not 0 <= world.clock.time() - record.wanted_at < 120:
                world.wrong.append(f"{self.title} has a strange record: {record}")
        return record

    def changed(self, before: Record | None, now: Record) -> None:
        """See to it that no record is settled without a reason."""
        del before
        world = self.world
        if now.state is not State.GONE or now.id in self.refused:
            return
        never_asked = not now.tracked and now.id not in world.asked
        engine = next(engine for engine in world.engines if engine.backend == now.backend)
        again = any(
            made.maker is self and made.name == now.name and made.record and made.record.id != now.id
            for made in engine.there()
        )
        if self.seen.get(now.backend) is None and not never_asked and not again:
            world.wrong.append(f"{self.title} settled {now.name!r} without a listing: {now.error}")


class Watch(Lifecycle):
    """Tells the process of each change, and lets some time pass before creates."""

    def __init__(self, process: Process, gate_s: float) -> None:
        self._process = process
        self._gate_s = gate_s

    def before_create(self, session: SessionProtocol, record: Record) -> Mapping[str, str]:
        self._process.world.clock.sleep(self._gate_s)
        return {}

    def changed(self, session: SessionProtocol, before: Record | None, now: Record) -> None:
        self._process.changed(before, now)


@dataclass(slots=True, kw_only=True)
class Track:
    """That a session tracks a name, and which machine had it at that moment."""

    process: Process
    name: str
    present: str


@dataclass(slots=True)
class World:
    """All there is, and what was wrong so far."""

    root: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="vmharness-", dir=_memory())))
    clock: WorldClock = field(init=False)
    folders: Sequence[Path] = field(init=False)
    engines: Sequence[Engine] = field(init=False)
    processes: list[Process] = field(default_factory=list["Process"])
    wrong: list[str] = field(default_factory=list[str])
    count: int = 0
    # Ids of records by which an engine was asked; of those whose ledger was destroyed.
    asked: set[str] = field(default_factory=set[str])
    destroyed: set[str] = field(default_factory=set[str])
    # Ledgers of a format to come.
    newer: set[Path] = field(default_factory=set[Path])
    tracks: dict[str, Track] = field(default_factory=dict[str, Track])
    # Machines of strangers that nobody had a right to delete.
    strangers: dict[str, Made] = field(default_factory=dict[str, Made])
    # Which machine the user wants to be gone, though it is kept.
    saved: list[tuple[Path, bytes]] = field(default_factory=list[tuple[Path, bytes]])

    def __post_init__(self) -> None:
        self.clock = WorldClock(self.deliver)
        self.folders = [self.root / "one", self.root / "two"]
        self.engines = []

    def build(self, labels: Sequence[bool], *, coarse: bool, create_s: float, delete_s: float) -> None:
        latencies = Latencies(create_s=create_s, delete_s=delete_s, settle_s=SETTLE_S)
        self.engines = [
            Engine(self, number, labels=labelled, coarse=coarse, latencies=latencies)
            for number, labelled in enumerate(labels)
        ]

    def deliver(self) -> None:
        for engine in self.engines:
            engine.deliver()

    def clear(self) -> None:
        for process in self.processes:
            process.die()
        shutil.rmtree(self.root)

    @property
    def healthy(self) -> bool:
        return all(engine.healthy and not engine.trouble and not engine.lost_answers for engine in self.engines)

    # -- processes

    def open(
        self, folder: int, *, by_prefix: bool = False, gate_s: float = 0.0, of: Process | None = None,
        death: tuple[str, str, int] | None = None,
    ) -> Process:
        """Open a session, or one more process of a session; it sweeps."""
        process = Process(self, folder, f"s{len(self.processes)}", prefix=PREFIX if by_prefix else "")
        self.processes.append(process)
        if of is not None and of.session is not None:
            process.began_at = of.session.began_at
        settings = Settings(
            backend="fake0",
            create_timeout=30.0,
            sweep=SweepMode.PREFIX if by_prefix else SweepMode.OWNED,
            sweep_prefix=(PREFIX,) if by_prefix else (),
        )
        plugins: list[Lifecycle] = [Sweep(), Tracking(), Teardown(), Watch(process, gate_s)]
        process.session = Session(
            settings,
            ledgers=process.ledgers,
            plugins=[(type(plugin).__name__, plugin) for plugin in plugins],
            providers=Providers(settings.backend, connect=process.connect),
            clock=self.clock,
            id=of.session.id if of and of.session else process.title,
            began_at=process.began_at,
            say=self.hear,
        )
        process.path = process.session.ledger.path
        process.death = death
        try:
            process.session.open()
        except Killed:
            pass
        return process

    def reap(self, folder: int, path: Path) -> None:
        """Be the reaper of a ledger, whether its owner is dead or not."""
        process = Process(self, folder, "the reaper")
        ledger = process.ledgers.claim(path)
        if ledger is None:
            return
        self.processes.append(process)
        books = Books(
            process.ledgers,
            ledger.session_id,
            Providers("", connect=process.connect),
            self.clock,
            changed=process.changed,
            say=self.hear,
            silent_s=0.0,
        )
        reap(books, ledger, self.clock)
        ledger.close()
        books.close()
        process.alive = False

    def hear(self, text: str) -> None:
        """Note which plugins failed by a defect: what an engine answers isn't one."""
        _, failed, why = text.partition("' failed: ")
        if failed and not hasattr(errors, why.partition(":")[0]):
            self.wrong.append(text)

    # -- what the ledgers say

    def ledgers(self, folder: int) -> Sequence[Path]:
        return sorted((self.folders[folder] / "host").glob("*.ledger"))

    def owner(self, path: Path) -> Process | None:
        """Return whose ledger that is; None = a copy."""
        return next((process for process in self.processes if process.path == path), None)

    def lines(self, path: Path) -> Mapping[str, Mapping[str, Any]]:
        """Return the newest lines that can be read in a ledger, by the records' ids."""
        found: dict[str, Mapping[str, Any]] = {}
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return found
        for number, line in enumerate(text.split(b"\n")[:-1]):
            try:
                value = json.loads(line)
                if number:
                    found[value["id"]] = value
                elif value["vmharness"] != 1:
                    return found
            except (ValueError, KeyError, TypeError):
                if not number:
                    return found
        return found

    def states(self, record_id: str, folder: int) -> set[str]:
        """Return what the ledgers of a folder say of a record; they disagree if one is a copy."""
        lines = (self.lines(path).get(record_id) for path in self.ledgers(folder))
        return {str(line["state"]) for line in lines if line}

    # -- what is right

    def deleted(self, process: Process, made: Made) -> None:
        """Judge a delete that happened."""
        why = self._why_not(process, made)
        if why:
            self.wrong.append(f"{process.title} deleted {made}: {why}")
        self.strangers.pop(made.uid, None)

    def _why_not(self, process: Process, made: Made) -> str:
        """Say by which promise a process must not delete a machine; "" if it may."""
        if self.protected(process.folder, made):
            return "it is protected"
        maker = made.maker
        if maker is None:
            return self._why_not_strangers(process, made)
        assert made.record
        if maker is process:
            return ""
        near = maker.folder == process.folder and made.record.id not in self.destroyed
        kept = self.states(made.record.id, maker.folder) == {State.KEPT}
        if near and maker.alive:
            return "its owner lives"
        if near and not kept:
            return ""
        if made.engine.labels:
            # Without the ledger only the label's expiry proves that nobody needs it any more.
            expires = float(made.spec.labels[LABEL_EXPIRES])
            return "" if not near and self.clock.time() > expires else "nothing proves that its owner is dead"
        # On an engine without labels a name is all there is, if one has not the owner's ledger.
        return "" if self._named(process, made) or self._prefixed(process, made) else "nobody named it"

    def _why_not_strangers(self, process: Process, made: Made) -> str:
        if made.spec.labels:
            return "it is a copy, and somebody's own"
        for other in self.processes:
            if other.alive and other is not process and other.folder == process.folder:
                for line in self.lines(other.path).values():
                    if line["tracked"] and self._names(line, made, late=True):
                        return f"{other.title} tracks it, and lives"
        if self._named(process, made) or self._prefixed(process, made):
            return ""
        return "nobody named it"

    def _named(self, process: Process, made: Made) -> bool:
        """Whether the process, or a dead one whose ledger it may claim, has the name on its books."""
        for path in self.ledgers(process.folder):
            owner = self.owner(path)
            if owner is not None and owner.alive and owner is not process:
                continue
            if any(self._names(line, made, late=owner is process) for line in self.lines(path).values()):
                return True
        return False

    def _names(self, line: Mapping[str, Any], made: Made, *, late: bool) -> bool:
        """Whether a ledger's line is of that machine, by name and time.

        Args:
            line: The line.
            made: The machine.
            late: Whether one counts that was made after the line's deadline.
        """
        here = (line["name"], line["backend"]) == (made.name, made.engine.backend)
        if not here or line["state"] in (State.GONE, State.KEPT):
            return False
        in_time = made.created_at <= line["deadline"]
        if not line["tracked"]:
            # Of the orphans that a session adopted nobody was asked for a create.
            asked = not line["token"] and not made.engine.labels and line["id"] in self.asked
            return asked and in_time and made.created_at >= line["wanted_at"] - _SLACK_S
        track = self.tracks.get(line["id"])
        if track is None:  # a variant
            stems = {track.name for track in self.tracks.values()}
            named = any(made.name.startswith(f"{stem}-") for stem in stems)
            return named and made.created_at >= line["wanted_at"] and (late or in_time)
        young = made.created_at >= track.process.began_at or made.uid != track.present
        return young and (late or in_time)

    def _prefixed(self, process: Process, made: Made) -> bool:
        """Whether somebody who may have it deleted said so by a prefix."""
        others = [other for other in self.processes if not other.alive and other.folder == process.folder]
        return any(
            other.prefix and made.name.startswith(other.prefix) and made.created_at < other.began_at
            for other in [process, *others]
        )

    def protected(self, folder: int, made: Made) -> bool:
        listed = ProtectedList(self.folders[folder] / "host").read()
        return any((one.backend, one.name) == (made.engine.backend, made.name) for one in listed)

    def provable(self, made: Made) -> bool:
        """Whether a machine of ours that comes late can be told from a stranger's."""
        return made.engine.labels or made.record is None or made.created_at <= made.record.deadline

    def lost(self) -> Sequence[str]:
        """Return the machines of ours of which no ledger says that they may be there."""
        ours = [made for engine in self.engines for made in engine.there(coming=True) if made.maker]
        if not ours:
            return ()
        known = {
            record_id
            for folder in range(len(self.folders))
            for path in self.ledgers(folder)
            for record_id, line in self.lines(path).items()
            if line["state"] != State.GONE
        } | self.destroyed
        return [str(made) for made in ours if made.record and made.record.id not in known and self.provable(made)]


def _memory() -> str | None:
    """Return a folder in memory, where nothing waits for a disk; None = the usual one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
