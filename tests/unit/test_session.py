"""The session: records first, creates second, and nothing that it made stays."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence

import pytest

from vmharness import Lifecycle, MachineInfo, Provider, Record, Session, Settings, Spec, State
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._locks import is_abandoned, look
from vmharness._protected import Protected, ProtectedList
from vmharness._settings import SweepMode
from vmharness.errors import (
    CleanupFailed,
    CreateFailed,
    CreateTimeout,
    EngineUnavailable,
    LedgerError,
    NameTaken,
    SettingsError,
)
from vmharness.hooks import Session as SessionProtocol
from vmharness.provider import LABEL_EXPIRES, LABEL_HOST, LABEL_SESSION, LABEL_TEST, LABEL_TOKEN
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore, UnlabelledFakeProvider, wait_for

MakeSession = Callable[..., Session]


def names(engine: UnlabelledFakeProvider) -> Sequence[str]:
    return sorted(info.name for info in engine.list())


def only(session: Session) -> Record:
    (record,) = session.ledger.records.values()
    return record


class Watching(FakeProvider):
    """Calls back when the engine is asked to create."""

    seen: Callable[[Spec], None]

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self.seen(spec)
        return super().create(spec, timeout=timeout)


def test_a_session_on_two_phases_of_a_machine(make_session: MakeSession, engine: FakeProvider) -> None:
    session = make_session()

    machine = session.create(scope="t.py::test_boots")
    assert names(engine) == [machine.name]
    assert machine.name.startswith("vmh-boots-")
    assert only(session).state is State.RUNNING
    machine.delete()
    assert names(engine) == []
    machine.delete()
    session.close()

    assert (session.tally.created, session.tally.deleted) == (1, 1)
    assert not list(session.ledgers.paths())


def test_the_intent_is_on_the_disk_before_the_engine_is_asked(
    make_session: MakeSession, store: MemoryStore, clock: FakeClock, ledgers: FileLedgers
) -> None:
    engine = Watching(store, clock=clock.time, sleep=clock.sleep)
    found: list[Record] = []

    def look(spec: Spec) -> None:
        records = ledgers.read(next(iter(ledgers.paths()))).records
        found.extend(record for record in records.values() if record.token == spec.labels[LABEL_TOKEN])

    engine.seen = look
    session = make_session(providers=[engine])

    machine = session.create(scope="t")

    assert [(record.name, record.state) for record in found] == [(machine.name, State.WANTED)]
    session.close()


def test_what_cannot_be_recorded_is_not_created(
    make_session: MakeSession, engine: FakeProvider, store: MemoryStore
) -> None:
    session = make_session()
    session.ledger.close()
    session._books.closed = True  # pyright: ignore[reportPrivateUsage]

    with pytest.raises(LedgerError):
        session.create()

    assert not [event for event in store.events() if event.verb == "create"]


def test_the_labels_are_complete_in_the_create_call(
    make_session: MakeSession, engine: FakeProvider, clock: FakeClock
) -> None:
    session = make_session(id="session-1")

    session.create(scope="t.py::test_x")

    labels = engine.list()[0].labels or {}
    assert labels[LABEL_TOKEN] == only(session).token
    assert labels[LABEL_SESSION] == "session-1"
    assert labels[LABEL_TEST] == "t.py::test_x"
    assert float(labels[LABEL_EXPIRES]) == pytest.approx(clock.time() + 12 * 3600, abs=1)
    assert labels[LABEL_HOST]
    session.close()


def test_a_gate_adds_labels_but_never_replaces_ours(make_session: MakeSession, engine: FakeProvider) -> None:
    class Gate(Lifecycle):
        def before_create(self, session: SessionProtocol, record: Record) -> Mapping[str, str]:
            assert record.state is State.WANTED
            return {"team": "blue", LABEL_TOKEN: "forged"}

    session = make_session(Gate())
    session.create()

    labels = engine.list()[0].labels or {}
    assert labels["team"] == "blue"
    assert labels[LABEL_TOKEN] == only(session).token
    session.close()


def test_a_gate_that_raises_stops_the_create(make_session: MakeSession, store: MemoryStore) -> None:
    class Gate(Lifecycle):
        def before_create(self, session: SessionProtocol, record: Record) -> None:
            raise EngineUnavailable("not today")

    session = make_session(Gate())

    with pytest.raises(EngineUnavailable, match="not today"):
        session.create()

    assert only(session).state is State.GONE
    assert not [event for event in store.events() if event.verb == "create"]
    session.close()


def test_an_observer_that_raises_is_reported_and_the_run_goes_on(make_session: MakeSession) -> None:
    class Clumsy(Lifecycle):
        def changed(self, session: SessionProtocol, before: Record | None, now: Record) -> None:
            raise ZeroDivisionError("oops")

    session = make_session(Clumsy())
    session.create().delete()
    session.close()

    assert (
        "lifecycle plugin 'Clumsy' failed in its hook changed: ZeroDivisionError: oops"
        in session.tally.reports
    )


@pytest.mark.parametrize("error", [NameTaken, CreateFailed])
def test_only_a_sure_failure_settles_the_intent(
    make_session: MakeSession, store: MemoryStore, clock: FakeClock, error: type[Exception]
) -> None:
    def fail(spec: Spec) -> None:
        raise error("no")

    engine = Watching(store, clock=clock.time, sleep=clock.sleep)
    engine.seen = fail
    session = make_session(providers=[engine])

    with pytest.raises(error):
        session.create()

    assert only(session).state is State.GONE
    session.close()


@pytest.mark.parametrize("error", [CreateTimeout, EngineUnavailable, KeyboardInterrupt, SystemExit, OSError])
def test_any_other_end_leaves_a_maybe(
    make_session: MakeSession,
    store: MemoryStore,
    clock: FakeClock,
    ledgers: FileLedgers,
    error: type[BaseException],
) -> None:
    def fail(spec: Spec) -> None:
        raise error("no")

    engine = Watching(store, clock=clock.time, sleep=clock.sleep)
    engine.seen = fail
    session = make_session(providers=[engine])

    with pytest.raises(error):
        session.create()

    assert only(session).state is State.MAYBE
    session.close()
    assert len(list(ledgers.paths())) == 1, "a tombstone for the next session"


def test_a_machine_that_appears_late_is_deleted_on_sight(
    make_session: MakeSession, engine: FakeProvider, store: MemoryStore, tasks: list[Callable[[], None]]
) -> None:
    store.set_faults(Faults((Fault("create", "late", seconds=1.0, last=1),)))
    session = make_session()
    with pytest.raises(CreateTimeout):
        session.create(scope="t1", timeout=5)
    session.end_scope("t1")
    assert only(session).state is State.MAYBE

    tasks.pop()()

    assert names(engine) == []
    assert only(session).state is State.GONE
    session.close()
    assert not list(session.ledgers.paths())


def test_the_sessions_end_waits_for_a_late_machine(
    make_session: MakeSession, engine: FakeProvider, store: MemoryStore
) -> None:
    store.set_faults(Faults((Fault("create", "late", seconds=1.0),)))
    session = make_session()
    with pytest.raises(CreateTimeout):
        session.create(timeout=5)

    session.close()

    assert names(engine) == []
    assert (session.tally.created, session.tally.deleted) == (1, 1)
    assert not list(session.ledgers.paths())


def test_the_wait_for_late_machines_ends_with_the_settling_time(
    make_session: MakeSession, store: MemoryStore, clock: FakeClock
) -> None:
    store.set_faults(Faults((Fault("create", "late", seconds=1000.0),)))
    session = make_session()
    with pytest.raises(CreateTimeout):
        session.create(timeout=5)
    clock.jump(-3600)  # a wall clock that was set back doesn't prolong it
    begun = clock.monotonic()

    session.close()

    assert clock.monotonic() - begun <= 15.0
    assert only(session).state is State.MAYBE


def test_a_strangers_name_is_neither_adopted_nor_deleted(
    make_session: MakeSession, engine: FakeProvider
) -> None:
    engine.create(Spec(name="web"), timeout=1)
    session = make_session()

    with pytest.raises(NameTaken):
        session.create(name="web")
    session.close()

    assert names(engine) == ["web"]


def test_a_rerun_gets_the_name_that_its_unsettled_create_took(
    make_session: MakeSession, engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    store.set_faults(Faults((Fault("create", "late", seconds=0.5, last=1),)))
    session = make_session()
    with pytest.raises(CreateTimeout):
        session.create(name="web", scope="t", timeout=5)
    clock.sleep(1)

    machine = session.create(name="web", scope="t")

    labels = engine.list()[0].labels or {}
    assert labels[LABEL_TOKEN] == machine.record.token
    session.close()
    assert names(engine) == []


@pytest.mark.parametrize("name", ["-rf", "a b", "A", "../x", "x" * 64])
def test_a_bad_name_is_refused_before_anything_is_recorded(make_session: MakeSession, name: str) -> None:
    session = make_session()

    with pytest.raises(SettingsError):
        session.create(name=name)

    assert not session.ledger.records
    session.close()


def test_a_scope_ends_with_its_machines_and_no_others(
    make_session: MakeSession, engine: FakeProvider
) -> None:
    session = make_session()
    stays = session.create(scope="module")
    with session.scope("test", parent="module") as scope:
        session.create(scope=scope)
        session.create(scope=scope)
        assert len(names(engine)) == 3

    assert names(engine) == [stays.name]
    session.close()
    assert names(engine) == []


def test_a_scope_that_leaves_a_machine_says_which_and_how_to_remove_it(
    make_session: MakeSession, engine: FakeProvider, store: MemoryStore
) -> None:
    session = make_session()
    bad, good = session.create(scope="t"), session.create(scope="t")
    store.set_faults(Faults((Fault("delete", "fails", name=bad.name),)))

    with pytest.raises(CleanupFailed) as failed:
        session.end_scope("t")

    (error,) = failed.value.exceptions
    assert bad.name in str(error)
    assert "of t" in str(error)
    assert "delete it with:" in str(error)
    assert names(engine) == [bad.name]
    assert good.name not in str(error)
    store.set_faults(Faults())
    session.close()
    assert names(engine) == []


def test_an_exception_in_the_block_is_not_replaced(make_session: MakeSession, store: MemoryStore) -> None:
    session = make_session()
    store.set_faults(Faults((Fault("delete", "fails"),)))

    def block() -> None:
        with session.scope("t"):
            session.create(scope="t")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()

    assert any("delete it with" in line for line in session.tally.reports)
    store.set_faults(Faults())
    session.close()


def test_what_stays_at_the_end_is_raised_and_stays_on_the_books(
    make_session: MakeSession, store: MemoryStore, ledgers: FileLedgers
) -> None:
    session = make_session()
    session.create()
    store.set_faults(Faults((Fault("delete", "fails"),)))

    with pytest.raises(CleanupFailed):
        session.close()
    session.close()

    assert is_abandoned(look(ledgers.folder).ledgers)


def test_without_teardown_machines_go_at_the_sessions_end(
    make_session: MakeSession, engine: FakeProvider
) -> None:
    session = make_session(Lifecycle())
    with session.scope("t"):
        session.create(scope="t")
    assert len(names(engine)) == 1

    session.close()

    assert names(engine) == []


def test_a_protected_machine_stays(
    make_session: MakeSession, engine: FakeProvider, ledgers: FileLedgers
) -> None:
    session = make_session()
    machine = session.create(scope="t")
    ProtectedList(ledgers.folder).add(Protected("fake", engine.endpoint, machine.name))

    session.end_scope("t")
    session.close()

    assert names(engine) == [machine.name]
    assert only(session).state is State.KEPT


def test_a_list_of_protected_machines_that_cannot_be_read_stops_all_deletes(
    make_session: MakeSession, engine: FakeProvider, ledgers: FileLedgers
) -> None:
    session = make_session()
    machine = session.create(scope="t")
    (ledgers.folder / "protected.json").write_text("garbage")

    with pytest.raises(CleanupFailed, match="could not be deleted") as failed:
        session.end_scope("t")

    assert "protected" in str(failed.value.exceptions[0])
    assert names(engine) == [machine.name]
    (ledgers.folder / "protected.json").unlink()
    session.close()
    assert names(engine) == []


def test_machines_of_two_engines_are_deleted_on_their_own(
    make_session: MakeSession, engine: FakeProvider, clock: FakeClock
) -> None:
    other = FakeProvider(MemoryStore(), clock=clock.time, sleep=clock.sleep)
    session = make_session(providers=[engine, other])
    other.create(Spec(name="web"), timeout=1)
    session.create(name="web", scope="t")

    session.end_scope("t")

    assert names(engine) == []
    assert names(other) == ["web"]
    session.close()


def test_the_default_image_is_the_settings(make_session: MakeSession, engine: FakeProvider) -> None:
    session = make_session(settings=Settings(backend="fake", image="debian:12"))

    assert session.create().image == "debian:12"
    assert session.create(image="alpine:3.20").image == "alpine:3.20"
    assert session.create(Spec(name="web", image="ubuntu:22.04"), cpus=2).image == "ubuntu:22.04"
    session.close()


def test_a_forked_child_cleans_up_for_itself_only(make_session: MakeSession, engine: FakeProvider) -> None:
    session = make_session()
    machine = session.create()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            inherited = [record.name for record in session.unfinished()]
            session.close()
            os.write(write, str(inherited).encode())
        except BaseException as exc:
            os.write(write, repr(exc).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 999) == b"[]"
    assert names(engine) == [machine.name]
    session.close()
    assert names(engine) == []


class TestUnlabelled:
    """Engines without labels: the time of creation is the proof."""

    @pytest.fixture
    def engine(self, store: MemoryStore, clock: FakeClock) -> UnlabelledFakeProvider:
        return UnlabelledFakeProvider(store, clock=clock.time, sleep=clock.sleep)

    def test_machines_are_made_and_go(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider
    ) -> None:
        session = make_session()
        session.create(scope="t")
        session.create(name="web", scope="t")
        assert all(not record.token for record in session.ledger.records.values())

        session.end_scope("t")

        assert names(engine) == []
        session.close()

    def test_a_late_machine_goes(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider, store: MemoryStore
    ) -> None:
        store.set_faults(Faults((Fault("create", "late", seconds=1.0),)))
        session = make_session()
        with pytest.raises(CreateTimeout):
            session.create(name="web", timeout=5)

        session.close()

        assert names(engine) == []


class TestTrack:
    """Machines that others make."""

    def test_named_before_it_is_made(self, make_session: MakeSession, engine: FakeProvider) -> None:
        session = make_session()
        session.track("web", scope="t")
        engine.create(Spec(name="web"), timeout=1)

        session.end_scope("t")

        assert names(engine) == []
        session.close()

    def test_named_after_it_is_made(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        session = make_session()
        clock.sleep(1)
        engine.create(Spec(name="web"), timeout=1)
        session.track("web", scope="t")

        session.end_scope("t")

        assert names(engine) == []
        session.close()

    def test_one_that_was_there_before_stays(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        engine.create(Spec(name="web"), timeout=1)
        clock.sleep(1)
        session = make_session()
        session.track("web", scope="t")

        session.end_scope("t")
        session.close()

        assert names(engine) == ["web"]
        assert not list(session.ledgers.paths())

    def test_another_sessions_machine_stays(self, make_session: MakeSession, engine: FakeProvider) -> None:
        other, session = make_session(id="other"), make_session()
        machine = other.create(name="web", scope="t")
        session.track("web", scope="t")

        session.end_scope("t")
        session.close()

        assert names(engine) == [machine.name]
        other.close()

    def test_its_variants_go_too(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        engine.create(Spec(name="web-old"), timeout=1)
        clock.sleep(2)
        session = make_session()
        session.named("web", scope="t")
        for name in ("web", "web-1", "web-clone", "webber", "other-web-1"):
            engine.create(Spec(name=name), timeout=1)

        session.end_scope("t")
        session.close()

        assert names(engine) == ["other-web-1", "web-old", "webber"]

    def test_one_that_never_came_leaves_no_tombstone(self, make_session: MakeSession) -> None:
        session = make_session()
        session.track("web", scope="t")

        session.end_scope("t")
        session.close()

        assert not list(session.ledgers.paths())

    def test_without_the_plugin_that_tracks_it_is_refused(self, make_session: MakeSession) -> None:
        session = make_session(Lifecycle())

        with pytest.raises(SettingsError, match="no lifecycle plugin that tracks"):
            session.named("web")
        session.close()

    @pytest.mark.parametrize("name", ["", "-rf", "a b", "a/b"])
    def test_a_bad_name_is_refused(self, make_session: MakeSession, name: str) -> None:
        session = make_session()

        with pytest.raises(SettingsError):
            session.named(name)
        session.close()

    def test_an_engine_that_does_not_answer_is_told(
        self, make_session: MakeSession, store: MemoryStore
    ) -> None:
        session = make_session()
        store.set_faults(Faults((Fault("list", "unavailable"),)))

        with pytest.raises(EngineUnavailable):
            session.track("web")
        assert not session.ledger.records
        session.close()


def no_answer(spec: Spec) -> None:
    raise CreateTimeout("no answer", machine=spec.name)


def always(provider: Provider) -> Callable[[str, str | None], Provider]:
    """Open the same provider whatever is asked for."""
    return lambda backend, endpoint: provider


def die(session: Session) -> None:
    """Let a session's process die: the kernel drops its lock, and nothing else happens."""
    ledger = session.ledger
    assert isinstance(ledger, FileLedger)
    ledger.abandon()


class TestSweep:
    """What the next session does for a dead one."""

    def test_a_dead_sessions_machines_go(self, make_session: MakeSession, engine: FakeProvider) -> None:
        dead = make_session(id="dead")
        machine = dead.create(scope="t")
        die(dead)

        session = make_session()

        assert names(engine) == []
        assert session.tally.swept == 1
        assert any(machine.name in line for line in session.tally.reports)
        session.close()
        assert not list(session.ledgers.paths())

    def test_a_living_sessions_machines_stay(self, make_session: MakeSession, engine: FakeProvider) -> None:
        living = make_session(id="living")
        machine = living.create(scope="t")

        make_session().close()

        assert names(engine) == [machine.name]
        living.close()

    def test_a_death_before_the_create_returned(
        self, make_session: MakeSession, engine: FakeProvider, store: MemoryStore, clock: FakeClock
    ) -> None:
        store.set_faults(Faults((Fault("create", "late", seconds=1.0, last=1),)))
        dead = make_session(id="dead")
        with pytest.raises(CreateTimeout):
            dead.create(scope="t", timeout=5)
        die(dead)

        make_session().close()  # too early: the tombstone stays
        clock.sleep(2)
        make_session().close()

        assert names(engine) == []
        assert not list(dead.ledgers.paths())

    def test_a_stranger_that_came_after_a_death_with_the_intent_on_the_books(
        self, make_session: MakeSession, engine: FakeProvider, store: MemoryStore, clock: FakeClock
    ) -> None:
        silent = Watching(store, clock=clock.time, sleep=clock.sleep)
        silent.seen = no_answer
        dead = make_session(id="dead", connect=always(silent))
        with pytest.raises(CreateTimeout):
            dead.create(name="web", timeout=5)
        die(dead)
        engine.create(Spec(name="web"), timeout=1)

        session = make_session()
        session.close()

        assert names(engine) == ["web"]
        assert any("left alone" in line for line in session.tally.reports)

    def test_another_endpoint_proves_nothing(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        dead = make_session(id="dead")
        machine = dead.create(name="web")
        die(dead)
        other = FakeProvider(MemoryStore(), clock=clock.time, sleep=clock.sleep)
        other.create(Spec(name="web"), timeout=1)

        session = make_session(providers=[other, engine])
        session.close()

        assert names(other) == ["web"]
        assert names(engine) == []
        assert machine.name == "web"

    def test_a_backend_that_opens_another_engine_deletes_nothing_there(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        dead = make_session(id="dead")
        dead.create(name="web")
        die(dead)
        other = FakeProvider(MemoryStore(), clock=clock.time, sleep=clock.sleep)
        other.create(Spec(name="web"), timeout=1)

        session = make_session(connect=always(other))
        session.close()

        assert (names(engine), names(other)) == (["web"], ["web"])
        assert len(list(session.ledgers.paths())) == 1

    def test_a_failed_listing_keeps_the_ledger(
        self, make_session: MakeSession, engine: FakeProvider, store: MemoryStore
    ) -> None:
        dead = make_session(id="dead")
        dead.create()
        die(dead)
        store.set_faults(Faults((Fault("list", "unavailable"),)))

        session = make_session()
        session.close()
        assert any("cannot list" in line for line in session.tally.reports)
        store.set_faults(Faults())
        assert len(names(engine)) == 1
        make_session().close()

        assert names(engine) == []

    def test_tracked_machines_of_a_dead_session_go_but_not_what_came_after_it(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        dead = make_session(id="dead", settings=Settings(backend="fake", create_timeout=10))
        dead.track("ours")
        dead.track("theirs")
        engine.create(Spec(name="ours"), timeout=1)
        die(dead)
        clock.sleep(3600)
        engine.create(Spec(name="theirs"), timeout=1)

        make_session().close()

        assert names(engine) == ["theirs"]

    def test_switched_off_it_sweeps_nothing(self, make_session: MakeSession, engine: FakeProvider) -> None:
        dead = make_session(id="dead")
        dead.create()
        die(dead)

        make_session(settings=Settings(backend="fake", sweep=SweepMode.OFF)).close()

        assert len(names(engine)) == 1

    def test_dead_processes_of_this_session_are_swept_at_its_end(
        self, make_session: MakeSession, engine: FakeProvider
    ) -> None:
        session, worker = make_session(id="run"), make_session(id="run")
        worker.create()
        die(worker)
        stranger = make_session(id="other")
        kept = stranger.create()
        die(stranger)

        session.close()

        assert names(engine) == [kept.name]

    def test_an_expired_machine_whose_ledger_is_lost_goes_before_the_first_create(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        lost = make_session(id="lost")
        lost.create()
        die(lost)
        next(lost.ledgers.paths()).unlink()
        young = make_session()
        kept = young.create(scope="t")
        assert len(names(engine)) == 2, "not expired"
        clock.jump(13 * 3600)

        session = make_session()
        session.create(scope="t")
        session.end_scope("t")

        assert names(engine) == [kept.name], "the living one is expired too, but its owner lives"
        session.close()
        young.close()


class TestSweepByPrefix:
    """Machines that others made, whose names start with a configured prefix."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(backend="fake", sweep=SweepMode.PREFIX, sweep_prefix=("old-", "ci-"))

    def test_only_those_with_a_prefix_go(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock, settings: Settings
    ) -> None:
        for name in ("old-1", "ci-1", "cold-1", "old", "ol"):
            engine.create(Spec(name=name), timeout=1)
        clock.sleep(1)

        session = make_session(settings=settings)

        assert names(engine) == ["cold-1", "ol", "old"]
        assert (session.tally.deleted, session.tally.swept) == (0, 2)
        session.close()

    def test_what_carries_a_label_of_ours_stays(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock, settings: Settings
    ) -> None:
        other = make_session(settings=Settings(backend="fake", prefix="ci"))
        machine = other.create(name="ci-x")
        clock.sleep(1)

        make_session(settings=settings).close()

        assert names(engine) == [machine.name]
        other.close()

    def test_what_a_living_session_tracks_stays(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock, settings: Settings
    ) -> None:
        other = make_session()
        other.track("ci-x", scope="t")
        engine.create(Spec(name="ci-x"), timeout=1)
        clock.sleep(1)

        make_session(settings=settings).close()

        assert names(engine) == ["ci-x"]
        other.close()
        assert names(engine) == []

    def test_what_is_as_young_as_the_session_stays(
        self, make_session: MakeSession, engine: FakeProvider, settings: Settings
    ) -> None:
        engine.create(Spec(name="ci-x"), timeout=1)

        session = make_session(settings=settings)

        assert names(engine) == ["ci-x"]
        session.close()

    def test_protected_machines_stay(
        self,
        make_session: MakeSession,
        engine: FakeProvider,
        clock: FakeClock,
        settings: Settings,
        ledgers: FileLedgers,
    ) -> None:
        make_session().close()
        engine.create(Spec(name="ci-x"), timeout=1)
        ProtectedList(ledgers.folder).add(Protected("fake", engine.endpoint, "ci-x"))
        clock.sleep(1)

        make_session(settings=settings).close()

        assert names(engine) == ["ci-x"]


def test_a_state_that_cannot_be_written_is_reported_and_costs_no_machine(
    make_session: MakeSession, engine: FakeProvider, ledgers: FileLedgers
) -> None:
    class Full(FileLedger):
        """A ledger whose disk filled up."""

        def write(self, record: Record) -> None:
            self.records[record.id] = record
            raise LedgerError("no space left")

    session = make_session()
    session.create(scope="t")
    ledger = session.ledger
    assert isinstance(ledger, FileLedger)
    ledger.__class__ = Full

    session.end_scope("t")
    session.close()

    assert names(engine) == []
    assert "no space left" in session.tally.reports
    assert not list(ledgers.paths())


def test_a_scopes_machines_are_deleted_at_once(make_session: MakeSession, store: MemoryStore) -> None:
    engine = FakeProvider(store)
    session = make_session(providers=[engine])
    for _ in range(3):
        session.create(scope="t")
    store.hold("delete:before")
    ending = threading.Thread(target=session.end_scope, args=("t",))

    ending.start()
    try:
        wait_for(store, "delete", "waits", count=3)
    finally:
        store.release("delete:before")
        ending.join()

    assert names(engine) == []
    session.close()
