"""Sweeping when something is wrong: what can't be read or asked is kept and told, and the rest is swept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness import Session, Settings, Spec
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._settings import SweepMode
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore

MakeSession = Callable[..., Session]
Names = Callable[[], list[str]]


@pytest.fixture
def names(engine: FakeProvider) -> Names:
    return lambda: sorted(info.name for info in engine.list())


@pytest.fixture
def leave(make_session: MakeSession) -> Callable[..., Path]:
    """Let a session make a machine of that name and die; return its ledger's path."""

    def leave(name: str, id: str = "dead") -> Path:
        session = make_session(id=id, settings=Settings(backend="fake", sweep=SweepMode.OFF))
        session.create(name=name)
        ledger = session.ledger
        assert isinstance(ledger, FileLedger)
        ledger.abandon()
        return ledger.path

    return leave


def test_a_damaged_ledger_is_swept_as_far_as_it_can_be_read_and_kept(
    make_session: MakeSession, leave: Callable[..., Path], names: Names
) -> None:
    damaged, sound = leave("web"), leave("db")
    with damaged.open("ab") as file:
        file.write(b"garbage\n")

    session = make_session()

    assert names() == []
    assert damaged.exists()
    assert not sound.exists()
    (report,) = (report for report in session.tally.reports if "damaged" in report)
    assert str(damaged) in report
    assert "line 4 can't be read" in report
    session.close()


def test_what_is_no_file_among_the_ledgers_hinders_no_other(
    make_session: MakeSession, leave: Callable[..., Path], names: Names, tmp_path: Path
) -> None:
    path = leave("web")
    (tmp_path / "victim").touch()
    (path.parent / "0.ledger").symlink_to(tmp_path / "victim")
    (path.parent / "1.ledger").mkdir()
    os.mkfifo(path.parent / "2.ledger")

    session = make_session()

    assert names() == []
    session.close()


def test_a_dead_ledger_that_names_nothing_goes_without_a_word(
    make_session: MakeSession, ledgers: FileLedgers, store: MemoryStore
) -> None:
    ledgers.open("dead").abandon()

    session = make_session()

    assert list(ledgers.paths()) == [session.ledger.path]
    assert not session.tally.reports
    assert not store.events()
    session.close()


def test_at_the_end_another_sessions_dead_are_left_to_the_next_start(
    make_session: MakeSession, leave: Callable[..., Path], names: Names
) -> None:
    session = make_session(id="mine")
    theirs, ours = leave("theirs", "other"), leave("ours", "mine")

    session.close()

    assert names() == ["theirs"]
    assert theirs.exists()
    assert not ours.exists()


def test_an_engine_that_does_not_answer_is_reported_and_the_machine_is_made_all_the_same(
    make_session: MakeSession, store: MemoryStore, names: Names
) -> None:
    session = make_session()
    store.set_faults(Faults((Fault("list", "unavailable", last=1),)))

    machine = session.create()

    assert names() == [machine.name]
    assert any(report.startswith("cannot sweep fake: ") for report in session.tally.reports)
    session.close()


def test_an_orphan_that_cannot_be_deleted_is_reported_once_and_no_create_fails_for_it(
    make_session: MakeSession, engine: FakeProvider, store: MemoryStore, clock: FakeClock, names: Names
) -> None:
    engine.create(Spec(name="ci-x"), timeout=1)
    clock.sleep(1)
    store.set_faults(Faults((Fault("delete", "fails", name="ci-x"),)))
    settings = Settings(backend="fake", sweep=SweepMode.PREFIX, sweep_prefix=("ci-",))

    session = make_session(settings=settings)
    session.create().delete()

    assert names() == ["ci-x"]
    assert sum("sweep: machine 'ci-x' of fake" in report for report in session.tally.reports) == 1
    store.set_faults(Faults())
    session.close()
    assert names() == []


def test_switched_off_nothing_of_its_own_dead_processes_is_swept_either(
    make_session: MakeSession, leave: Callable[..., Path], names: Names
) -> None:
    session = make_session(id="mine", settings=Settings(backend="fake", sweep=SweepMode.OFF))
    leave("ours", "mine")

    session.close()

    assert names() == ["ours"]
