"""The world: two hosts' worth of state folders, three engines, and all that may happen, one at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from faultlab.model.actors import CREATE_S, HOST, Blow, Engines, ReaperActor, SessionActor
from faultlab.model.clock import WorldClock
from faultlab.model.engine import Bare, FakePlace, Labelled, WatchedStore
from faultlab.model.files import Entry, garble, is_held, make_newer, read_book, tear
from faultlab.model.law import excuse, lose, off_the_books, wrong_delete
from faultlab.model.place import Place, Seen, Told
from faultlab.model.truth import EXPIRY_S, Ended, Made, Named, Process, Truth, Want
from vmharness import Settings
from vmharness._protected import Protected, ProtectedList
from vmharness._settings import SweepMode
from vmharness.errors import ProviderError
from vmharness.provider import LABEL_NAME, LABEL_TOKEN, Spec
from vmharness_fake import Fault

__all__ = ["BACKENDS", "FOLDERS", "World", "fake_places", "pick"]

T = TypeVar("T")

BACKENDS: Final = ("labelled", "bare")
FOLDERS: Final = ("a", "b")


def fake_places(clock: WorldClock, told: Told) -> Sequence[Place]:
    """Make fake engines: two with labels and one without."""
    ways = {"one": Labelled, "two": Labelled, "bare": Bare}
    return [
        FakePlace(way, WatchedStore(f"memory:{os.getpid()}:{name}", told), clock)
        for name, way in ways.items()
    ]


class World:
    """All of it. Its methods are what may happen; `check` says whether what must hold does.

    Args:
        folder: Where the state folders are.
        make_places: Makes the engines: two for the first backend, one for the second.
    """

    def __init__(
        self, folder: Path, make_places: Callable[[WorldClock, Told], Sequence[Place]] = fake_places
    ) -> None:
        self.clock: Final = WorldClock()
        self.truth: Final = Truth(self.clock)
        self.folder: Final = folder
        self.sessions: Final[list[SessionActor]] = []
        self._number = 0
        places = make_places(self.clock, self)
        self._places: Final = {place.endpoint: place for place in places}

    # -- whom and what there is

    @property
    def endpoints(self) -> Sequence[str]:
        """The engines."""
        return tuple(self._places)

    @property
    def living(self) -> Sequence[SessionActor]:
        """The sessions of living processes."""
        return [actor for actor in self.sessions if actor.process.alive]

    @property
    def owners(self) -> Sequence[SessionActor]:
        """The sessions of living processes that have something on their books."""
        return [actor for actor in self.living if _doomed(actor)]

    @property
    def dead(self) -> Sequence[SessionActor]:
        """The sessions of dead processes whose ledgers are there."""
        return [actor for actor in self.sessions if not actor.process.alive and actor.path.exists()]

    @property
    def calm(self) -> bool:
        """Whether no engine goes wrong."""
        return all(place.calm for place in self._places.values())

    # -- what engines tell

    def born(self, endpoint: str, seen: Seen) -> None:
        """Hear that an engine has taken in a machine."""
        self.truth.take_in(endpoint, seen)

    def vanished(self, uid: str) -> None:
        """Hear that an engine has given up a machine by itself."""
        made = self.truth.machines[uid]
        made.gone, made.gone_at = True, self.clock.monotonic()

    def doomed(self, endpoint: str, uid: str, gone_at: float) -> None:
        """Hear that an engine begins to delete a machine, and judge whether it may."""
        self.truth.pass_time()  # by now a machine may be older than it was when the step began
        made = self.truth.machines[uid]
        actor = self.truth.actor
        made.gone, made.gone_at = True, gone_at
        if actor is not None:
            self.truth.tell(f"... {actor.name} deletes {made.name} on {endpoint}")
            if why := wrong_delete(self.truth, actor, made):
                self.truth.wrongs.append(f"{actor.name} deletes {made.name!r} on {endpoint}: {why}")

    # -- sessions

    def open(
        self,
        folder: str,
        *,
        run: str = "",
        sweep: SweepMode = SweepMode.OWNED,
        prefixes: tuple[str, ...] = (),
        usual: str = "one",
        blow: Blow | None = None,
    ) -> SessionActor:
        """Open a session in a new process."""
        prefixes = prefixes if sweep is SweepMode.PREFIX else ()
        self._number += 1
        settings = Settings(
            backend="labelled",
            create_timeout=CREATE_S,
            sweep=sweep,
            prefix=f"vmh{self._number}",  # so that machines are deleted in an order that isn't chance
            sweep_prefix=prefixes,
        )
        one, two, bare = self.endpoints
        labelled = {"one": one, "two": two}[usual]
        engines = Engines(self._places, {"labelled": labelled, "bare": bare})
        process = Process(
            name=f"session {self._number} ({folder}{', ' + run if run else ''})",
            folder=self.folder / folder,
            began=self.clock.time(),
            prefixes=prefixes,
        )
        actor = SessionActor(self.truth, process, engines, run=run, settings=settings)
        actor.open(blow)
        self.sessions.append(actor)
        return actor

    def create(
        self, actor: SessionActor, backend: str, name: str, scope: str, mishap: Fault | Blow | None = None
    ) -> None:
        """Let a session create a machine, which may go wrong."""
        if isinstance(mishap, Fault):
            self.trouble(actor.endpoint(backend), mishap)
        actor.create(backend, name, scope, mishap if isinstance(mishap, Blow) else None)

    def end_scope(self, actor: SessionActor, scope: str, hitch: Fault | Blow | None = None) -> None:
        """End a scope. On engines that do as they are told, it leaves nothing but maybes."""
        blow = self._hit(actor, hitch)
        before = [
            made
            for made in self._of(actor.process)
            if scope in _scopes(made, actor.process) and not (made.want and made.want.ended is Ended.DOUBT)
        ]
        calm = self.calm and blow is None
        actor.end_scope(scope, blow)
        if calm:
            self._expect_gone(actor.process, before, f"when scope {scope!r} had ended")

    def close(self, actor: SessionActor, hitch: Fault | Blow | None = None) -> None:
        """Close a session. On engines that do as they are told, it leaves nothing that was there."""
        blow = self._hit(actor, hitch)
        before = self._of(actor.process)
        calm = self.calm and blow is None
        actor.close(blow)
        if calm:
            self._expect_gone(actor.process, before, "when it had closed")

    def _hit(self, actor: SessionActor, hitch: Fault | Blow | None) -> Blow | None:
        """Let the engines go wrong of which the session has something; return what strikes the process."""
        if not isinstance(hitch, Fault):
            return hitch
        for endpoint in sorted({entry.endpoint for entry in _doomed(actor)}):
            self.trouble(endpoint, hitch)
        return None

    def scopes(self, actor: SessionActor) -> Sequence[str]:
        """Return the scopes that have something."""
        return sorted({entry.scope for entry in _doomed(actor)})

    def _of(self, process: Process) -> Sequence[Made]:
        """Return the machines of a process that are there."""
        return [made for made in self.truth.there() if _scopes(made, process)]

    def _expect_gone(self, process: Process, machines: Sequence[Made], when: str) -> None:
        for made in machines:
            if not (made.gone or excuse(self.truth, made) or self._in_doubt(process, made)):
                self.truth.wrongs.append(f"{made.name!r} of {process.name} was left {when}")

    def _in_doubt(self, process: Process, made: Made) -> bool:
        """Whether a living owner beside it has, or may have, the name of an unlabelled machine as well."""
        others = [a for a in self.living if a.process.folder == process.folder and a.process is not process]
        return not made.token and any(
            actor.process.newer
            or any(
                entry.open and entry.means(made.endpoint, made.name)
                for entry in read_book(actor.path).entries.values()
            )
            for actor in others
        )

    def reap(self, number: int, hitch: Fault | Blow | None = None) -> None:
        """Let a reaper take over a dead process's ledger."""
        dead = pick([actor for actor in self.dead if _doomed(actor)], number)
        if dead is None:
            return
        blow = self._hit(dead, hitch)
        self._number += 1
        process = Process(
            name=f"reaper {self._number} of {dead.process.name}",
            folder=dead.process.folder,
            began=self.clock.time(),
        )
        ReaperActor(self.truth, process, dead.engines).reap(dead.path, blow)

    # -- people, and what else makes machines

    def make(self, endpoint: str, name: str, *, like: Made | None = None) -> None:
        """Let somebody make a machine, or a copy of one, which has its labels."""
        labels = {LABEL_TOKEN: like.token, LABEL_NAME: like.of} if like and like.token else {}
        self.truth.tell(
            f"somebody makes {name} on {endpoint}" + (f" as a copy of {like.name}" if like else "")
        )
        try:
            self._places[endpoint].hand().create(Spec(name=name, labels=labels), timeout=CREATE_S)
        except ProviderError as exc:
            self.truth.tell(f"... {type(exc).__name__}: {exc}")

    def remove(self, number: int) -> None:
        """Let somebody delete a machine."""
        made = pick(list(self.truth.there()), number)
        if made is None:
            return
        self.truth.tell(f"somebody deletes {made.name} on {made.endpoint}")
        try:
            self._places[made.endpoint].hand().delete(made.name, timeout=CREATE_S)
        except ProviderError as exc:
            self.truth.tell(f"... {type(exc).__name__}: {exc}")

    def protect(self, folder: str, number: int) -> None:
        """Let a person protect a machine."""
        made = pick(list(self.truth.there()), number)
        if made is None:
            return
        place = self.folder / folder
        self.truth.tell(f"somebody protects {made.name} on {made.endpoint} in {folder}")
        ProtectedList(place / HOST).add(Protected("any", made.endpoint, made.name))
        self.truth.protected.add((place, made.endpoint, made.name))

    # -- what goes wrong

    def trouble(self, endpoint: str, fault: Fault) -> None:
        """Let an engine go wrong."""
        self.truth.tell(f"{endpoint} will go wrong: {fault}")
        self._places[endpoint].trouble(fault)

    def heal(self) -> None:
        """Let all engines do as they are told."""
        self.truth.tell("nothing goes wrong any more")
        for place in self._places.values():
            place.heal()

    def in_doubt(self) -> Sequence[Want]:
        """Return what was asked for in doubt."""
        wants = [want for process in self.truth.processes for want in process.wants]
        return [want for want in wants if want.ended is Ended.DOUBT]

    def damage(self, number: int, how: str, line: int) -> None:
        """Let a dead process's ledger suffer."""
        dead = pick(self.dead, number)
        if dead is None:
            return
        self.truth.tell(f"the ledger of {dead.process.name} is {how}")
        match how:
            case "torn":
                tear(dead.path)
            case "garbled":
                garble(dead.path, line)
            case _:
                dead.path.unlink()
        left = read_book(dead.path).entries.values() if dead.path.exists() else ()
        lose(dead.process, list(left), f"its ledger is {how}")

    def make_newer(self, number: int) -> None:
        """Let a process be one of a vmharness to come."""
        actor = pick([*self.living, *self.dead], number)
        if actor is None:
            return
        self.truth.tell(f"{actor.process.name} is of a version to come")
        make_newer(actor.path)
        actor.process.newer = True

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self.truth.tell(f"the clock is set by {seconds:+} s")
        self.clock.jump(seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.truth.tell(f"{seconds} s pass")
        self.clock.sleep(seconds)

    # -- what must hold

    def check(self) -> None:
        """Raise AssertionError, with the story, unless all holds that always must."""
        for place in self._places.values():
            place.pass_time()
        self.truth.pass_time()
        wrongs = [*self.truth.wrongs, *off_the_books(self.truth)]
        wrongs += [
            f"{actor.process.name} lives, and doesn't hold its ledger"
            for actor in self.living
            if not (actor.path.exists() and is_held(actor.path))
        ]
        if wrongs:
            raise AssertionError("\n".join([*wrongs, "", *self.truth.story]))

    def finish(self) -> None:
        """Let all owners end, and look at what one more session for each state folder leaves."""
        self.heal()
        for number, actor in enumerate(self.living):
            if number % 2:
                actor.crash()
            else:
                self.close(actor)
            self.check()
        settle_s = max(place.settle_s for place in self._places.values())
        self._outlast(max((made.appears for made in self.truth.machines.values()), default=0.0) + settle_s)
        for folder in FOLDERS:
            self._sweep(folder)
        self._expect_clean(
            "no sweep removes", [made for made in self._ours() if not excuse(self.truth, made)]
        )

        # Promise 5: where the state folder is gone, by the expiry in the label.
        labelled = [made for made in self._ours() if made.token and made.name not in self._protected_names()]
        times = [(self.truth.created(made), made.want.asked if made.want else 0.0) for made in labelled]
        latest = max((max(pair) for pair in times), default=self.clock.time())
        self.wait(max(0.0, latest + EXPIRY_S - self.clock.time()) + 1.0)
        for usual in ("one", "two"):
            self._sweep(FOLDERS[0], usual=usual, creates=True)
        self._expect_clean("not even its expiry removes", [made for made in labelled if not made.gone])

    def _outlast(self, steady: float) -> None:
        self.wait(max(0.0, steady - self.clock.monotonic()) + 1.0)
        self.truth.pass_time()

    def _sweep(self, folder: str, *, usual: str = "one", creates: bool = False) -> None:
        actor = self.open(folder, usual=usual)
        if creates:
            self.create(actor, "labelled", "", "")
        self.close(actor)
        self.check()

    def _ours(self) -> Sequence[Made]:
        return [made for made in self.truth.there() if made.want or made.named]

    def _protected_names(self) -> Sequence[str]:
        return [name for _, _, name in self.truth.protected]

    def _expect_clean(self, what: str, left: Sequence[Made]) -> None:
        self.truth.wrongs.extend(f"{what} {made.name!r} on {made.endpoint}" for made in left)
        self.check()


def pick(things: Sequence[T], number: int) -> T | None:
    """Return one of the things; None if there are none."""
    return things[number % len(things)] if things else None


def _doomed(actor: SessionActor) -> Sequence[Entry]:
    """Return what may be deleted on the strength of its ledger."""
    return [entry for entry in read_book(actor.path).entries.values() if entry.doomed]


def _scopes(made: Made, process: Process) -> Sequence[str]:
    """Return the scopes of the process that have the machine."""
    items: list[Want | Named] = [*([made.want] if made.want else []), *made.named]
    return [item.scope for item in items if item.process is process]
