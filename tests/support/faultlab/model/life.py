"""What may happen in the world, for hypothesis to choose from: it judges nothing itself."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from faultlab.model.actors import Blow
from faultlab.model.clock import WorldClock
from faultlab.model.place import Place, Told
from faultlab.model.world import BACKENDS, FOLDERS, World, fake_places, pick
from vmharness._settings import SweepMode
from vmharness_fake import Fault
from vmharness_fake._faults import Kind, Verb

__all__ = ["Life"]

# Few, so that strangers and owners meet over them; one is a variant of another.
NAMES = ("web", "web-1", "ci-x")
PREFIXES = (("web",), ("ci-", "db-"), ("vmh",))
SCOPES = ("t1", "t2", "")

numbers = st.integers(0, 5)
backends = st.sampled_from(BACKENDS)
folders = st.sampled_from(FOLDERS)
names = st.sampled_from(NAMES)
# Names matter most where there are no labels.
named_on = st.sampled_from(["labelled", "bare", "bare"])
scopes = st.sampled_from(SCOPES)
engines = st.integers(0, 2)
made_on = st.sampled_from([0, 1, 2, 2])

# Deaths and interrupts in the middle of a call, or of any of some calls.
in_creates = st.builds(
    Blow,
    kills=st.booleans(),
    point=st.sampled_from(["create:before", "create:accepted", "create:after"]),
)
deaths = st.one_of(
    st.none(),
    st.none(),
    st.builds(
        Blow,
        kills=st.just(True),
        point=st.sampled_from(["", "list:before", "delete:before", "delete:after"]),
        after=st.integers(0, 4),
    ),
)
mishaps = st.one_of(
    st.none(),
    st.none(),
    in_creates,
    st.sampled_from(
        [
            Fault("create", "late", last=1, seconds=1),
            Fault("create", "late", last=1, seconds=60),
            Fault("create", "late", last=1, seconds=3600),
            Fault("create", "lost", last=1),
            Fault("create", "fails", last=1),
            Fault("create", "unavailable", last=1),
            Fault("create", "slow", last=1, seconds=5),
            Fault("create", "slow", last=1, seconds=40),
        ]
    ),
)
WRONGS: Final[Sequence[tuple[Verb, Kind, float]]] = (
    ("list", "unavailable", 0.0),
    ("*", "unavailable", 0.0),
    ("delete", "fails", 0.0),
    ("delete", "unavailable", 0.0),
    ("delete", "lies", 0.0),
    ("delete", "busy", 0.0),
    ("delete", "busy-creating", 0.0),
    ("delete", "slow", 100.0),
)
faults = st.sampled_from(
    [
        Fault(verb, kind, last=last, seconds=seconds)
        for verb, kind, seconds in WRONGS
        # The longest outlasts a delete's deadline, in which an engine is asked some forty times.
        for last in (1, 2, 20, 200)
    ]
)
# What goes wrong while machines are to go.
hitches = st.one_of(deaths, faults)


class Life(RuleBasedStateMachine):
    """What may happen. Numbers choose among what is there."""

    @staticmethod
    def make_places(clock: WorldClock, told: Told) -> Sequence[Place]:
        """Make the engines."""
        return fake_places(clock, told)

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="vmharness-model-")
        self.world = World(Path(self._folder.name), self.make_places)
        self._whole = False

    def _session(self, number: int) -> Any:
        return pick(self.world.living, number) or self.world.open(FOLDERS[number % len(FOLDERS)])

    def _owner(self, number: int) -> Any:
        return pick(self.world.owners, number) or self._session(number)

    @initialize(folder=folders)
    def begin(self, folder: str) -> None:
        self.world.open(folder)

    # -- sessions

    @rule(
        folder=folders,
        run=st.sampled_from(["", "", "run"]),
        sweep=st.sampled_from([SweepMode.OWNED, SweepMode.OWNED, SweepMode.PREFIX, SweepMode.OFF]),
        prefixes=st.sampled_from(PREFIXES),
        usual=st.sampled_from(["one", "two"]),
        blow=deaths,
    )
    def open_session(self, **kwargs: Any) -> None:
        self.world.open(**kwargs)

    @rule(number=numbers, backend=backends, scope=scopes, mishap=mishaps)
    def create(self, number: int, backend: str, scope: str, mishap: Any) -> None:
        self.world.create(self._session(number), backend, "", scope, mishap)

    @rule(number=numbers, backend=named_on, name=names, scope=scopes, mishap=mishaps)
    def create_by_name(self, number: int, backend: str, name: str, scope: str, mishap: Any) -> None:
        self.world.create(self._session(number), backend, name, scope, mishap)

    @rule(number=numbers, backend=named_on, name=names, scope=scopes)
    def track(self, number: int, backend: str, name: str, scope: str) -> None:
        self._session(number).track(backend, name, scope)

    @rule(number=numbers, which=numbers)
    def delete(self, number: int, which: int) -> None:
        actor = pick([actor for actor in self.world.living if actor.machines], number)
        if actor:
            actor.delete(which)

    @rule(number=numbers, which=numbers, hitch=hitches)
    def end_scope(self, number: int, which: int, hitch: Any) -> None:
        actor = self._owner(number)
        self.world.end_scope(actor, pick(self.world.scopes(actor), which) or "", hitch)

    @rule(number=numbers, blow=deaths)
    def look_in_the_background(self, number: int, blow: Blow | None) -> None:
        actor = pick([actor for actor in self.world.living if actor.tasks], number)
        if actor:
            actor.look(blow)

    @rule(number=numbers, hitch=hitches)
    def close(self, number: int, hitch: Any) -> None:
        self.world.close(self._owner(number), hitch)

    @rule(number=numbers)
    def crash(self, number: int) -> None:
        self._owner(number).crash()

    @rule(number=numbers, hitch=hitches)
    def reap(self, number: int, hitch: Any) -> None:
        self.world.reap(number, hitch)

    # -- strangers

    @rule(engine=made_on, name=names)
    def somebody_makes(self, engine: int, name: str) -> None:
        self.world.make(self.world.endpoints[engine], name)

    @rule(number=numbers)
    def somebody_takes_the_name_of_a_maybe(self, number: int) -> None:
        want = pick(self.world.in_doubt(), number)
        if want:
            self.world.make(want.endpoint, want.name)

    @rule(number=numbers, name=names)
    def somebody_copies(self, number: int, name: str) -> None:
        made = pick(list(self.world.truth.there()), number)
        if made:
            # One that has token and name of a machine of ours is ours, as far as anybody can tell.
            name = f"{name}-copy" if name in (made.name, made.of) else name
            self.world.make(made.endpoint, name, like=made)

    @rule(number=numbers)
    def somebody_deletes(self, number: int) -> None:
        self.world.remove(number)

    @rule(folder=folders, number=numbers)
    def somebody_protects(self, folder: str, number: int) -> None:
        self.world.protect(folder, number)

    # -- what goes wrong

    @rule(engine=engines, fault=faults)
    def engine_goes_wrong(self, engine: int, fault: Fault) -> None:
        self.world.trouble(self.world.endpoints[engine], fault)

    @rule()
    def heal(self) -> None:
        self.world.heal()

    @rule(number=numbers, how=st.sampled_from(["torn", "torn", "garbled", "lost"]), line=st.integers(0, 20))
    def ledger_is_damaged(self, number: int, how: str, line: int) -> None:
        self.world.damage(number, how, line)

    @rule(number=numbers)
    def vmharness_is_newer(self, number: int) -> None:
        self.world.make_newer(number)

    @rule(seconds=st.sampled_from([60.0, -60.0, 600.0, -600.0, 25 * 3600.0, -25 * 3600.0]))
    def clock_is_set(self, seconds: float) -> None:
        self.world.jump(seconds)

    @rule(seconds=st.sampled_from([0.3, 2.0, 15.0, 120.0, 3600.0, 13 * 3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.wait(seconds)

    # -- what holds

    @invariant()
    def the_promises_hold(self) -> None:
        self._whole = False
        self.world.check()
        self._whole = True

    def teardown(self) -> None:
        try:
            if self._whole:
                self.world.finish()
        finally:
            self._folder.cleanup()
