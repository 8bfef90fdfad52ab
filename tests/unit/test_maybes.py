"""Maybes are looked for until they settle: while somebody waits, or in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from vmharness import Record, Spec, State
from vmharness._books import Books
from vmharness._clock import Clock
from vmharness._ledger import FileLedgers
from vmharness._maybes import Maybes
from vmharness._providers import Providers
from vmharness.errors import CreateTimeout, UnknownBackend
from vmharness.provider import LABEL_TOKEN, Provider
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, Fault, Faults, Latencies, MemoryStore, wait_for

Tasks = list[Callable[[], None]]


@pytest.fixture
def engine(store: MemoryStore, clock: FakeClock) -> FakeProvider:
    latencies = Latencies(settle_s=6.0)
    return FakeProvider(store, latencies=latencies, clock=clock.time, sleep=clock.sleep)


@pytest.fixture
def books(ledgers: FileLedgers, engine: FakeProvider, clock: FakeClock) -> Iterator[Books]:
    def connect(backend: str, endpoint: str | None) -> Provider:
        if backend != "fake":
            raise UnknownBackend(f"unknown backend {backend!r}")
        return engine

    providers = Providers("fake", connect=connect)
    books = Books(ledgers, "s", providers, clock, changed=lambda before, now: None, say=lambda text: None)
    yield books
    books.close()


@pytest.fixture
def said() -> list[str]:
    """The lines that were said at once."""
    return []


@pytest.fixture
def tasks() -> Tasks:
    """What was to be run in the background."""
    return []


@pytest.fixture
def maybes(books: Books, clock: FakeClock, said: list[str], tasks: Tasks) -> Maybes:
    return Maybes(books, clock, say=said.append, start=lambda name, task: tasks.append(task))


def maybe(books: Books, name: str = "vmh-x") -> Record:
    record = books.add(books.new(name, "fake", deadline=1.0, token=f"token of {name}"))
    return books.move(record, State.MAYBE)


def come_late(engine: FakeProvider, store: MemoryStore, record: Record, seconds: float) -> None:
    """Ask for the record's machine in vain, so that it comes after so many seconds."""
    store.set_faults(Faults((Fault("create", "late", seconds=seconds),)))
    with pytest.raises(CreateTimeout):
        engine.create(Spec(name=record.name, labels={LABEL_TOKEN: record.token}), timeout=0.1)


class TestWait:
    """Looking for what an unfinished create may still bring."""

    def test_without_maybes_nobody_waits(
        self, maybes: Maybes, books: Books, clock: FakeClock, said: list[str]
    ) -> None:
        books.move(maybe(books), State.GONE)

        maybes.wait(books.ledger)

        assert not clock.slept
        assert not said

    def test_it_is_said_for_what_and_for_how_long(
        self, maybes: Maybes, books: Books, said: list[str]
    ) -> None:
        maybe(books)
        maybe(books, "vmh-y")

        maybes.wait(books.ledger)

        assert said == ["looking up to 6 s for machines of unfinished creates: vmh-x, vmh-y"]

    def test_one_that_comes_is_deleted_and_the_wait_is_over(
        self, maybes: Maybes, books: Books, engine: FakeProvider, store: MemoryStore, clock: FakeClock
    ) -> None:
        record = maybe(books)
        come_late(engine, store, record, 1.0)

        maybes.wait(books.ledger)

        assert not engine.list()
        assert books.ledger.records[record.id].state is State.GONE
        assert sum(clock.slept) < 3.0, "it had come after one second"

    def test_one_whose_time_is_over_is_not_waited_for(
        self, maybes: Maybes, books: Books, clock: FakeClock, said: list[str]
    ) -> None:
        maybe(books)
        clock.sleep(7.0)
        clock.slept.clear()

        maybes.wait(books.ledger)

        assert not clock.slept
        assert not said

    def test_nobody_waits_where_nobody_can_look(self, maybes: Maybes, books: Books, clock: FakeClock) -> None:
        record = books.new("web", "fake", deadline=1.0)
        books.add(replace(record, backend="gone", state=State.MAYBE))

        maybes.wait(books.ledger)

        assert not clock.slept


class TestLater:
    """In the background, while tests go on."""

    def test_one_that_comes_is_deleted_on_sight(
        self,
        maybes: Maybes,
        books: Books,
        engine: FakeProvider,
        store: MemoryStore,
        clock: FakeClock,
        tasks: Tasks,
    ) -> None:
        record = maybe(books)
        come_late(engine, store, record, 1.0)
        maybes.look_later()

        tasks.pop()()

        assert not engine.list()
        assert books.ledger.records[record.id].state is State.GONE
        assert sum(clock.slept) < 4.0, "it had come after one second"

    def test_what_never_comes_is_looked_for_until_it_is_settled(
        self, maybes: Maybes, books: Books, clock: FakeClock, tasks: Tasks
    ) -> None:
        record = maybe(books)
        maybes.look_later()

        tasks.pop()()

        assert 6.0 <= sum(clock.slept) <= 11.0
        assert books.ledger.records[record.id].state is State.MAYBE, "the next session looks once more"

    def test_one_task_looks_for_all(self, maybes: Maybes, books: Books, tasks: Tasks) -> None:
        for name in ("vmh-x", "vmh-y"):
            maybe(books, name)
            maybes.look_later()

        assert len(tasks) == 1

    def test_for_one_that_comes_after_the_last_was_settled_there_is_a_new_one(
        self, maybes: Maybes, books: Books, tasks: Tasks
    ) -> None:
        books.move(maybe(books), State.GONE)
        maybes.look_later()
        tasks.pop()()

        maybes.look_later()

        assert len(tasks) == 1

    def test_it_ends_when_it_is_stopped(
        self, maybes: Maybes, books: Books, store: MemoryStore, tasks: Tasks
    ) -> None:
        maybe(books)
        maybes.look_later()
        maybes.stop()

        tasks.pop()()

        assert not store.events()
        maybes.look_later()
        assert not tasks

    def test_it_ends_with_its_ledger(
        self, maybes: Maybes, books: Books, store: MemoryStore, tasks: Tasks
    ) -> None:
        maybe(books)
        maybes.look_later()
        books.close()

        tasks.pop()()

        assert not store.events()


def test_what_one_thread_is_at_another_waits_for_and_does_not_do_again(
    ledgers: FileLedgers, store: MemoryStore
) -> None:
    engine = FakeProvider(store)  # on the real clock, for the threads to wait by
    providers = Providers("fake", connect=lambda backend, endpoint: engine)
    books = Books(ledgers, "s", providers, Clock(), changed=lambda before, now: None, say=lambda text: None)
    record = maybe(books)
    engine.create(Spec(name=record.name, labels={LABEL_TOKEN: record.token}), timeout=1)
    store.hold("delete:before")
    other = threading.Thread(target=books.delete, args=([record],))
    other.start()
    wait_for(store, "delete", "waits")
    threading.Timer(0.1, store.release, ["delete:before"]).start()

    (after,) = books.delete([record])

    other.join()
    assert after.state is State.GONE
    assert len([e for e in store.events() if (e.verb, e.phase) == ("delete", "begin")]) == 1
    books.close()
