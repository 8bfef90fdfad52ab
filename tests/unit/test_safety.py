"""What is not surely ours stays: machines of living owners and of strangers, whatever name they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vmharness import Lifecycle, Session, Settings, Spec, State
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._protected import ProtectedList
from vmharness._providers import Providers
from vmharness._settings import SweepMode
from vmharness.errors import CreateTimeout, EngineUnavailable, LedgerError
from vmharness.hooks import Session as SessionProtocol
from vmharness.provider import LABEL_EXPIRES, LABEL_NAME, LABEL_TOKEN
from vmharness.testing import FakeClock, FaultyProvider
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore, UnlabelledFakeProvider

MakeSession = Callable[..., Session]

BY_PREFIX = Settings(backend="fake", sweep=SweepMode.PREFIX, sweep_prefix=("ci-",))


def names(engine: UnlabelledFakeProvider) -> Sequence[str]:
    return sorted(info.name for info in engine.list())


def die(session: Session) -> None:
    """Let a session's process die: its lock goes, its ledger stays."""
    assert isinstance(session.ledger, FileLedger)
    session.ledger.abandon()


def create_in_vain(
    session: Session, engine: UnlabelledFakeProvider, clock: FakeClock, name: str, *, scope: str
) -> None:
    """Let a create end without an answer, of which nothing ever comes."""
    silent = FaultyProvider(engine, "create", "hangs", sleep=clock.sleep)
    with session.using(silent), pytest.raises(CreateTimeout):
        session.create(name=name, scope=scope, timeout=5)


def write_as_newer(session: Session) -> None:
    """Let a session be one of a vmharness to come, whose ledgers nobody can read yet."""
    content = session.ledger.path.read_text()
    assert '"vmharness": 1' in content
    session.ledger.path.write_text(content.replace('"vmharness": 1', '"vmharness": 2', 1))


class TestWithoutLabels:
    """On an engine without labels name and time prove a machine, so whoever else may have the name counts."""

    @pytest.fixture
    def engine(self, store: MemoryStore, clock: FakeClock) -> UnlabelledFakeProvider:
        return UnlabelledFakeProvider(store, clock=clock.time, sleep=clock.sleep)

    def test_a_living_sessions_machine_is_no_variant_of_a_name_of_ours(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider, clock: FakeClock
    ) -> None:
        ours, other = make_session(id="ours"), make_session(id="other")
        clock.sleep(1)
        other.create(name="web-1", scope="t")
        ours.named("web", scope="t")

        ours.end_scope("t")

        assert names(engine) == ["web-1"]

    def test_a_tracked_name_is_left_to_the_living_session_that_created_it(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider, clock: FakeClock
    ) -> None:
        ours, other = make_session(id="ours"), make_session(id="other")
        clock.sleep(1)
        other.create(name="web", scope="t")
        ours.track("web", scope="t")

        ours.end_scope("t")

        assert names(engine) == ["web"]

    @pytest.fixture
    def elsewhere(self, engine: UnlabelledFakeProvider, clock: FakeClock, tmp_path: Path) -> Session:
        """A living session of the same engine, of whose ledger this state folder knows nothing."""
        return Session(
            Settings(backend="fake", prefix="ci"),
            ledgers=FileLedgers(tmp_path / "elsewhere", host="host"),
            plugins=[],
            providers=Providers("fake", connect=lambda backend, endpoint: engine),
            clock=clock,
        )

    def test_a_prefix_takes_no_machine_that_vmharness_named_and_whose_ledger_is_elsewhere(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider, clock: FakeClock, elsewhere: Session
    ) -> None:
        living = elsewhere.create(scope="test_boots").name
        for name in ("ci-boots-abcdefghij", f"{living}-1"):
            engine.create(Spec(name=name), timeout=1)
        clock.sleep(11 * 3600)

        make_session(settings=BY_PREFIX).close()

        assert names(engine) == [living]
        clock.sleep(2 * 3600)
        make_session(settings=BY_PREFIX).close()
        assert names(engine) == [], "for longer than 12 h nothing protects it, label or name"

    def test_a_create_without_an_answer_takes_nothing_from_a_living_session(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider, clock: FakeClock
    ) -> None:
        ours, other = make_session(id="ours"), make_session(id="other")
        create_in_vain(ours, engine, clock, "web", scope="t")
        other.create(name="web", scope="t")

        ours.end_scope("t")

        assert names(engine) == ["web"]

    def test_a_create_without_an_answer_takes_no_later_machine_of_our_own(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider, clock: FakeClock
    ) -> None:
        session = make_session()
        create_in_vain(session, engine, clock, "web", scope="t1")
        session.end_scope("t1")
        session.create(name="web", scope="module")
        session.create(scope="t2")

        session.end_scope("t2")

        assert names(engine) == ["web"]

    def test_another_scopes_machine_is_no_variant_of_a_scopes_name(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider, clock: FakeClock
    ) -> None:
        session = make_session()
        clock.sleep(1)
        session.create(name="web-db", scope="module")
        session.named("web", scope="t")

        session.end_scope("t")

        assert names(engine) == ["web-db"]

    def test_what_appears_long_after_a_creates_deadline_is_a_strangers(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider, clock: FakeClock
    ) -> None:
        session = make_session()
        create_in_vain(session, engine, clock, "web", scope="t")
        session.end_scope("t")
        clock.sleep(7200)
        engine.create(Spec(name="web"), timeout=1)

        session.close()

        assert names(engine) == ["web"]

    def test_a_dead_sessions_unanswered_create_takes_nothing_from_a_living_session(
        self, make_session: MakeSession, engine: UnlabelledFakeProvider, clock: FakeClock
    ) -> None:
        dead = make_session(id="dead")
        create_in_vain(dead, engine, clock, "web", scope="t")
        die(dead)
        living = make_session(id="living")
        living.create(name="web", scope="t")

        make_session().close()

        assert names(engine) == ["web"]


class TestTracked:
    """A machine that others make has no label of ours, whatever the engine can do."""

    def test_a_name_that_a_living_session_tracks_is_no_variant_of_ours(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        ours, other = make_session(id="ours"), make_session(id="other")
        clock.sleep(1)
        other.named("web-1", scope="t")
        engine.create(Spec(name="web-1"), timeout=1)
        ours.named("web", scope="t")

        ours.end_scope("t")

        assert names(engine) == ["web-1"]

    def test_a_name_that_a_living_session_tracks_too_is_left_alone(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        ours, other = make_session(id="ours"), make_session(id="other")
        other.track("web", scope="t")
        clock.sleep(1)
        engine.create(Spec(name="web"), timeout=1)
        ours.track("web", scope="t")

        ours.end_scope("t")

        assert names(engine) == ["web"]

    def test_a_living_ledger_of_a_newer_format_may_name_it(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        ours, newer = make_session(id="ours"), make_session(id="newer")
        write_as_newer(newer)
        ours.track("web", scope="t")
        engine.create(Spec(name="web"), timeout=1)

        ours.end_scope("t")

        assert names(engine) == ["web"]


class TestOrphans:
    """What no ledger names is swept only if it is surely an orphan, and the very machine that was seen."""

    def test_a_strangers_new_machine_under_an_orphans_name_stays(
        self, make_session: MakeSession, engine: FakeProvider, store: MemoryStore, clock: FakeClock
    ) -> None:
        engine.create(Spec(name="ci-x"), timeout=1)
        clock.sleep(10)
        store.set_faults(Faults((Fault("delete", "fails"),)))
        session = make_session(settings=BY_PREFIX)
        store.set_faults(Faults())
        engine.delete("ci-x", timeout=1)
        clock.sleep(600)
        engine.create(Spec(name="ci-x"), timeout=1)

        session.close()

        assert names(engine) == ["ci-x"]

    def test_a_copy_that_inherited_expired_labels_is_somebodys_own(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        lost = make_session(id="lost")
        lost.create()
        (original,) = engine.list()
        engine.create(Spec(name="copy", labels=original.labels or {}), timeout=1)
        lost.close()
        clock.sleep(13 * 3600)

        session = make_session()
        session.create()  # before its first one on an engine a session looks for what has expired
        session.close()

        assert names(engine) == ["copy"]

    @pytest.mark.parametrize(
        ("expires_in_h", "age_h", "stays"),
        [(12, 13, False), (36, 13, True), (-1, 1, True)],
        ids=["expired", "expires later", "its owner's clock was behind"],
    )
    def test_a_missing_ledger_proves_nothing_before_label_and_engine_say_that_it_has_expired(
        self,
        make_session: MakeSession,
        engine: FakeProvider,
        clock: FakeClock,
        expires_in_h: float,
        age_h: float,
        stays: bool,
    ) -> None:
        expires = str(int(clock.time() + expires_in_h * 3600))
        labels = {LABEL_TOKEN: "t" * 32, LABEL_NAME: "elsewhere", LABEL_EXPIRES: expires}
        engine.create(Spec(name="elsewhere", labels=labels), timeout=1)
        clock.sleep(age_h * 3600)

        session = make_session()
        session.create()
        session.close()

        assert names(engine) == ["elsewhere"] * stays

    def test_a_living_ledger_of_a_newer_format_may_name_any_machine(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        newer = make_session(id="newer")
        newer.track("ci-x", scope="t")
        engine.create(Spec(name="ci-x"), timeout=1)
        write_as_newer(newer)
        clock.sleep(10)

        make_session(settings=BY_PREFIX).close()

        assert names(engine) == ["ci-x"]


def test_a_delete_whose_answer_was_lost_does_not_hit_the_names_next_owner(
    make_session: MakeSession, engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    class Lossy(FakeProvider):
        """Deletes, and before the lost answer is told a session that waited for the name has it."""

        lost = False

        def delete(self, name: str, *, timeout: float) -> None:
            super().delete(name, timeout=timeout)
            if not self.lost:
                self.lost = True
                other.create(name=name)
                raise EngineUnavailable("connection reset")

    lossy = Lossy(store, clock=clock.time, sleep=clock.sleep)
    ours, other = make_session(id="ours", providers=[lossy]), make_session(id="other")
    ours.create(name="web", scope="t")

    ours.end_scope("t")

    assert lossy.lost
    assert names(engine) == ["web"]


def test_what_a_plugin_kept_is_kept_by_the_sessions_to_come(
    make_session: MakeSession, engine: FakeProvider
) -> None:
    class Keep(Lifecycle):
        def scope_ended(self, session: SessionProtocol, scope: str) -> None:
            for record in session.unfinished(scope):
                session.move(record, State.KEPT)

    keeping = make_session(Keep())
    machine = keeping.create(scope="t")
    keeping.end_scope("t")
    keeping.close()
    assert names(engine) == [machine.name]

    make_session().close()

    assert names(engine) == [machine.name]


def test_a_protected_list_of_words_of_three_letters_is_no_list_of_rows(tmp_path: Path) -> None:
    (tmp_path / "protected.json").write_text('["web"]')

    with pytest.raises(LedgerError, match="no row: 'web'"):
        ProtectedList(tmp_path).read()
