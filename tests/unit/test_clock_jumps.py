"""The clock is set forward or back between a create and what cleans up after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vmharness import Session, Spec
from vmharness._books import Books
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._model import Record
from vmharness._providers import Providers
from vmharness._reaper.reap import reap
from vmharness.errors import CreateUnsettled
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore, UnlabelledFakeProvider

MakeSession = Callable[..., Session]
CleanUp = Callable[[Session], None]

HOUR_S = 3600.0
FORWARD, BACK = 25 * HOUR_S, -2 * HOUR_S

either_way = pytest.mark.parametrize("jump", [FORWARD, BACK], ids=["forward", "back"])


@pytest.fixture(params=[FakeProvider, UnlabelledFakeProvider], ids=["labels", "no-labels"])
def engine(request: pytest.FixtureRequest, store: MemoryStore, clock: FakeClock) -> UnlabelledFakeProvider:
    """Return an engine that goes on by its own time, whatever is done to the host's clock."""
    kind: type[UnlabelledFakeProvider] = request.param
    began = clock.time()
    engine = kind(store, clock=lambda: began + clock.monotonic(), sleep=clock.sleep)
    engine.create(Spec(name="stranger"), timeout=1)
    clock.sleep(60)
    return engine


def names(engine: UnlabelledFakeProvider) -> Sequence[str]:
    return sorted(info.name for info in engine.list())


@pytest.fixture(params=["own end", "sweep", "reaper"])
def clean_up(
    request: pytest.FixtureRequest,
    make_session: MakeSession,
    ledgers: FileLedgers,
    engine: UnlabelledFakeProvider,
    clock: FakeClock,
) -> CleanUp:
    """Return what cleans up after a session: its own end; or its death, and the next session or a reaper."""

    def let_sweep(session: Session) -> None:
        die(session)
        make_session().close()

    def let_reap(session: Session) -> None:
        dead = ledgers.claim(die(session))
        assert dead is not None
        providers = Providers("fake", connect=lambda backend, endpoint: engine)
        books = Books(ledgers, "", providers, clock, changed=ignore, say=lambda text: None, silent_s=0.0)
        reap(books, dead, clock)
        dead.close()

    ways: dict[str, CleanUp] = {"own end": Session.close, "sweep": let_sweep, "reaper": let_reap}
    return ways[request.param]


def ignore(before: Record | None, now: Record) -> None:
    del before, now


def die(session: Session) -> Path:
    """Let a session's process die; return its ledger's path."""
    ledger = session.ledger
    assert isinstance(ledger, FileLedger)
    ledger.abandon()
    return ledger.path


@either_way
def test_a_machine_that_was_made_goes(
    make_session: MakeSession,
    engine: UnlabelledFakeProvider,
    clock: FakeClock,
    clean_up: CleanUp,
    jump: float,
) -> None:
    session = make_session()
    session.create()
    clock.jump(jump)

    clean_up(session)

    assert names(engine) == ["stranger"]
    assert list(session.ledgers.paths()) == []


@either_way
def test_a_machine_of_which_nobody_heard_goes(
    make_session: MakeSession,
    engine: UnlabelledFakeProvider,
    store: MemoryStore,
    clock: FakeClock,
    clean_up: CleanUp,
    jump: float,
) -> None:
    session = make_session()
    store.set_faults(Faults((Fault("create", "lost"),)))
    with pytest.raises(CreateUnsettled):
        session.create()
    clock.jump(jump)

    clean_up(session)

    assert names(engine) == ["stranger"]
    assert list(session.ledgers.paths()) == []


@either_way
def test_a_tracked_machine_goes(
    make_session: MakeSession,
    engine: UnlabelledFakeProvider,
    clock: FakeClock,
    clean_up: CleanUp,
    jump: float,
) -> None:
    session = make_session()
    session.named("web")
    engine.create(Spec(name="web"), timeout=1)
    clock.jump(jump)

    clean_up(session)

    assert names(engine) == ["stranger"]
    assert list(session.ledgers.paths()) == []


@pytest.mark.parametrize("jump", [20 * HOUR_S, BACK], ids=["forward", "back"])  # less than a tombstone stays
def test_a_machine_that_comes_late_goes_or_stays_on_the_books(
    make_session: MakeSession,
    engine: UnlabelledFakeProvider,
    store: MemoryStore,
    clock: FakeClock,
    clean_up: CleanUp,
    jump: float,
) -> None:
    session = make_session()
    store.set_faults(Faults((Fault("create", "late", seconds=1.0),)))
    with pytest.raises(CreateUnsettled):
        session.create(timeout=5)
    clock.jump(jump)
    began = clock.monotonic()

    clean_up(session)

    assert clock.monotonic() - began < 60, "it waited by the clock that was set"
    make_session().close()
    clock.sleep(60)
    make_session().close()
    assert names(engine) == ["stranger"]
    assert list(session.ledgers.paths()) == []


@either_way
def test_a_living_sessions_machine_stays_however_expired_it_looks(
    make_session: MakeSession, engine: UnlabelledFakeProvider, clock: FakeClock, jump: float
) -> None:
    living = make_session()
    machine = living.create()
    clock.jump(jump)

    other = make_session()
    other.create().delete()  # before its first create a session looks for what has expired
    other.close()

    assert names(engine) == ["stranger", machine.name]
    living.close()
    assert names(engine) == ["stranger"]
