"""The reaper: it waits for its owner's end, cleans up then, and tells the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmharness._books import Books
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._locks import look
from vmharness._model import LABEL_TOKEN, Record, State
from vmharness._providers import Providers
from vmharness._reaper import wait
from vmharness._reaper.reap import reap
from vmharness._reaper.spawn import LOG, PATHS, Reaper, environment, open_log, spawn
from vmharness._reports import take_reports, write_report
from vmharness.provider import Provider, Spec
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, Fault, Faults, FolderStore, MemoryStore


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def ledgers(tmp_path: Path) -> FileLedgers:
    return FileLedgers(tmp_path / "state", host="here")


def record_of(engine: Provider, name: str, *, state: State = State.WANTED) -> Record:
    now = time.time()
    return Record(
        id=name,
        name=name,
        backend="fake",
        endpoint=engine.endpoint,
        token=f"token of {name}",
        deadline=now + 60,
        scope="",
        state=state,
        wanted_at=now,
        at=now,
    )


def create(engine: FakeProvider, record: Record) -> None:
    engine.create(Spec(name=record.name, labels={LABEL_TOKEN: record.token}), timeout=10)


class TestProcess:
    """A real one, on an engine in a folder."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> FakeProvider:
        return FakeProvider(FolderStore(tmp_path / "engine"))

    @pytest.fixture
    def ledger(self, ledgers: FileLedgers) -> Iterator[FileLedger]:
        ledger = ledgers.open("session")
        yield ledger
        ledger.close()

    @pytest.fixture
    def reaper(self, ledger: FileLedger) -> Iterator[Reaper]:
        reaper = spawn(ledger.path)
        yield reaper
        reaper.forget()

    def test_it_deletes_what_a_dead_owners_ledger_names_and_tells(
        self, engine: FakeProvider, ledger: FileLedger, reaper: Reaper, ledgers: FileLedgers
    ) -> None:
        record = record_of(engine, "vmh-one")
        create(engine, record)
        engine.create(Spec(name="vmh-two"), timeout=10)
        ledger.write(record)
        assert reaper.confirm()
        assert reaper.confirm()

        ledger.abandon()  # as the kernel does when its owner dies

        eventually(lambda: look(ledgers.folder).reports)
        assert [info.name for info in engine.list()] == ["vmh-two"]
        eventually(lambda: not look(ledgers.folder).ledgers)
        assert take_reports(look(ledgers.folder).reports) == [
            "the reaper cleaned up after a dead run; gone: vmh-one"
        ]
        assert not reaper.confirm()

    def test_it_ends_when_all_is_settled(self, ledger: FileLedger, reaper: Reaper) -> None:
        assert reaper.confirm()

        ledger.close()

        eventually(lambda: not reaper.confirm())

    @pytest.mark.parametrize(("state", "stays"), [(State.GONE, False), (State.KEPT, True)])
    def test_a_ledger_that_its_owner_had_no_time_to_drop_goes_unless_something_is_kept(
        self, engine: FakeProvider, ledger: FileLedger, reaper: Reaper, state: State, *, stays: bool
    ) -> None:
        assert reaper.confirm()
        ledger.write(record_of(engine, "vmh-one"))
        ledger.write(record_of(engine, "vmh-one", state=state))

        ledger.abandon()

        eventually(lambda: not reaper.confirm())
        assert ledger.path.exists() is stays

    def test_that_it_was_killed_is_noticed(self, reaper: Reaper) -> None:
        assert reaper.confirm()
        assert reaper.pid != os.getpid()

        os.kill(reaper.pid, signal.SIGKILL)

        eventually(lambda: not reaper.confirm())

    def test_it_is_deaf_to_what_ends_jobs(self, reaper: Reaper) -> None:
        assert reaper.confirm()

        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            os.kill(reaper.pid, number)

        assert reaper.confirm()
        assert os.getsid(reaper.pid) != os.getsid(0)

    def test_an_owner_that_died_before_it_was_there_is_cleaned_up_after_all_the_same(
        self, engine: FakeProvider, ledger: FileLedger, ledgers: FileLedgers
    ) -> None:
        record = record_of(engine, "vmh-one")
        create(engine, record)
        ledger.write(record)
        pipe, report = os.pipe()
        os.close(pipe)
        argv = [sys.executable, "-I", "-S", wait.__file__, str(ledger.path), str(report), sys.executable]
        subprocess.run(
            argv, env=environment(os.environ), pass_fds=[report], stderr=subprocess.DEVNULL, check=True
        )
        os.close(report)

        ledger.abandon()

        eventually(lambda: not engine.list() and not look(ledgers.folder).ledgers)

    def test_without_its_ledger_it_is_dead_at_once(self, tmp_path: Path) -> None:
        reaper = spawn(tmp_path / "none.ledger")

        assert not reaper.confirm()

        reaper.forget()
        assert "none.ledger" in (tmp_path / LOG).read_text()


class TestReap:
    """What it does once it has the ledger."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def engine(self, clock: FakeClock) -> FakeProvider:
        return FakeProvider(MemoryStore(), clock=clock.time, sleep=clock.sleep)

    @pytest.fixture
    def books(self, ledgers: FileLedgers, engine: FakeProvider, clock: FakeClock) -> Iterator[Books]:
        said: list[str] = []
        providers = Providers("fake", connect=lambda backend, endpoint: engine)

        def changed(before: Record | None, now: Record) -> None:
            del before, now

        books = Books(ledgers, "s", providers, clock, changed=changed, say=said.append, silent_s=0.0)
        yield books
        books.close()

    @pytest.fixture
    def dead(self, ledgers: FileLedgers) -> Iterator[FileLedger]:
        ledger = ledgers.open("dead")
        yield ledger
        ledger.close()

    def test_a_machine_that_comes_late_is_deleted(
        self, books: Books, dead: FileLedger, engine: FakeProvider, clock: FakeClock
    ) -> None:
        engine.store.set_faults(Faults((Fault("create", "late", seconds=1.0),)))
        record = record_of(engine, "vmh-late")
        dead.write(record)
        with pytest.raises(TimeoutError):
            engine.create(Spec(name="vmh-late", labels={LABEL_TOKEN: record.token}), timeout=0.5)

        reap(books, dead, clock)

        assert dead.records["vmh-late"].state is State.GONE
        assert engine.list() == []
        assert books.tally.swept == 1

    def test_a_machine_that_never_comes_is_left_to_the_next_session(
        self, books: Books, dead: FileLedger, engine: FakeProvider, clock: FakeClock
    ) -> None:
        dead.write(record_of(engine, "vmh-never"))

        reap(books, dead, clock)

        assert dead.records["vmh-never"].state is State.MAYBE
        assert sum(clock.slept) < 20

    @pytest.mark.parametrize(
        "fault", [Fault("delete", "fails", last=20), Fault("list", "unavailable", last=20)]
    )
    def test_it_goes_on_while_the_engine_fails(
        self, books: Books, dead: FileLedger, engine: FakeProvider, clock: FakeClock, fault: Fault
    ) -> None:
        record = record_of(engine, "vmh-one", state=State.RUNNING)
        create(engine, record)
        dead.write(record)
        engine.store.set_faults(Faults((fault,)))

        reap(books, dead, clock)

        assert dead.records["vmh-one"].state is State.GONE
        engine.store.set_faults(Faults())
        assert engine.list() == []

    def test_it_gives_up_in_the_end_and_the_ledger_keeps_the_machine(
        self, books: Books, dead: FileLedger, engine: FakeProvider, clock: FakeClock
    ) -> None:
        record = record_of(engine, "vmh-one", state=State.RUNNING)
        create(engine, record)
        dead.write(record)
        engine.store.set_faults(Faults((Fault("delete", "fails"),)))

        reap(books, dead, clock)

        assert dead.records["vmh-one"].state is State.STUCK
        assert [info.name for info in engine.list()] == ["vmh-one"]


class TestPlace:
    """Its environment, its log, its reports."""

    def test_ci_does_not_find_it_by_its_marks_and_relative_paths_stay_true(self) -> None:
        made = environment(
            {"BUILD_ID": "1", "RUNNER_TRACKING_ID": "2", "PYTHONPATH": "src:/lib", "HOME": "/h"}
        )

        assert made.pop(PATHS)
        assert made == {"PYTHONPATH": f"{Path.cwd()}/src:/lib", "HOME": "/h"}

    def test_a_long_log_is_put_aside(self, tmp_path: Path) -> None:
        (tmp_path / LOG).write_bytes(b"x" * 1_000_001)

        os.close(open_log(tmp_path / LOG))

        assert (tmp_path / LOG).stat().st_size == 0
        assert (tmp_path / f"{LOG}.1").stat().st_size == 1_000_001

    def test_a_report_is_told_once(self, tmp_path: Path) -> None:
        write_report(tmp_path / "1.ledger", ["one", "two"])
        write_report(tmp_path / "2.ledger", [])
        reports = look(tmp_path).reports

        assert [path.name for path in reports] == ["1.report"]
        assert take_reports(reports) == ["one", "two"]
        assert take_reports(reports) == []
