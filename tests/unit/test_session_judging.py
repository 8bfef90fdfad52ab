"""A session judges without deleting, and lets a test put a provider in a backend's place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmharness import Session, Spec
from vmharness._ledger import FileLedgers
from vmharness.errors import CreateFailed, SettingsError
from vmharness.testing import FakeClock, FaultyProvider
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore

MakeSession = Callable[..., Session]


def test_judge_says_what_delete_would_do_and_does_not(
    make_session: MakeSession, engine: FakeProvider, ledgers: FileLedgers
) -> None:
    dead, session = make_session(), make_session()
    there, gone = dead.create(), dead.create()
    engine.delete(gone.name, timeout=5)
    before = {path: path.read_bytes() for path in ledgers.paths()}

    verdicts = session.judge(list(dead.ledger.records.values()))

    assert [(v.record.name, v.info is not None, v.outcome is None) for v in verdicts] == [
        (there.name, True, True),
        (gone.name, False, False),
    ]
    assert [info.name for info in engine.list()] == [there.name]
    assert {path: path.read_bytes() for path in ledgers.paths()} == before
    dead.close()
    session.close()


def test_judge_of_an_engine_that_does_not_answer(make_session: MakeSession, store: MemoryStore) -> None:
    session = make_session()
    session.create()
    store.set_faults(Faults((Fault("list", "unavailable"),)))

    (verdict,) = session.judge(list(session.ledger.records.values()))

    assert verdict.outcome is not None
    assert verdict.outcome.error.startswith("cannot list machines: ")
    store.set_faults(Faults())
    session.close()


def test_orphan_is_what_adopt_would_record(
    make_session: MakeSession, engine: FakeProvider, clock: FakeClock
) -> None:
    engine.create(Spec(name="ci-1"), timeout=5)
    clock.sleep(10)
    session = make_session()
    (info,) = engine.list()

    orphan = session.orphan(info, prefix="ci-")

    assert session.orphan(info, prefix="db-") is None
    assert orphan is not None
    assert not session.ledger.records
    adopted = session.adopt(info, prefix="ci-")
    assert adopted is not None
    assert (adopted.name, adopted.wanted_at) == (orphan.name, orphan.wanted_at)
    session.close()


def test_a_provider_in_a_backends_place_for_a_block(make_session: MakeSession, engine: FakeProvider) -> None:
    session = make_session()

    with (
        session.using(FaultyProvider(engine, "create", "fails", calls=range(9))),
        pytest.raises(CreateFailed),
    ):
        session.create()

    session.create()
    session.close()


def test_a_provider_of_another_engine_is_refused(make_session: MakeSession) -> None:
    session = make_session()

    with (
        pytest.raises(SettingsError, match="cannot use a provider of"),
        session.using(FakeProvider(MemoryStore())),
    ):
        pass
    session.close()
