"""What front-ends recorded, on an engine without labels: which of two creates of one name has the machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import pytest

from vmharness import MachineInfo, Record, Spec, State
from vmharness._books import Books
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._providers import Providers
from vmharness.testing import FakeClock
from vmharness_fake import MemoryStore, UnlabelledFakeProvider


class Meanwhile(UnlabelledFakeProvider):
    """While it is listed, a test makes a machine by a command that is recorded."""

    books: Books
    made = False

    def list(self) -> Sequence[MachineInfo]:
        if not self.made:
            self.made = True
            self.books.own_ledger.inbox.path.write_text(
                json.dumps(asdict(self.books.new("web", "fake", deadline=10.0, scope="second"))) + "\n"
            )
            self.create(Spec(name="web"), timeout=10)
        return super().list()


@pytest.fixture
def engine(clock: FakeClock) -> Meanwhile:
    return Meanwhile(MemoryStore(), clock=clock.time, sleep=clock.sleep)


@pytest.fixture
def books(ledgers: FileLedgers, engine: Meanwhile, clock: FakeClock) -> Iterator[Books]:
    def connect(backend: str, endpoint: str | None) -> Meanwhile:
        return engine

    def changed(before: Record | None, now: Record) -> None:
        pass

    said: list[str] = []
    books = Books(ledgers, "s", Providers("fake", connect=connect), clock, changed=changed, say=said.append)
    books.own_ledger.inbox.make()
    engine.books = books
    yield books
    books.close()


def maybe(books: Books, clock: FakeClock) -> Record:
    """Return the record of a create that failed, nobody knows how."""
    record = books.add(books.new("web", "fake", deadline=10.0, scope="first"))
    record = books.move(record, State.MAYBE)
    clock.sleep(0.1)
    return record


def test_what_a_later_create_made_is_left_to_it_though_it_was_recorded_at_the_last_moment(
    books: Books, engine: Meanwhile, clock: FakeClock
) -> None:
    record = maybe(books, clock)

    (after,) = books.delete([record])

    assert engine.exists("web")
    assert after.state is State.GONE
    assert after.error == "a later create asked for its name"


def test_what_is_taken_up_in_between_is_given_to_who_collects(
    books: Books, engine: Meanwhile, clock: FakeClock
) -> None:
    books.delete([maybe(books, clock)])

    (later,) = books.collect()

    assert (later.name, later.scope, later.state) == ("web", "second", State.WANTED)
    assert books.collect() == []
    assert [record.state for record in books.delete([later])] == [State.GONE]
    assert not engine.exists("web")


def test_a_later_create_of_another_engine_or_with_a_token_overtakes_nothing(
    books: Books, clock: FakeClock
) -> None:
    record = maybe(books, clock)
    later = books.new("web", "fake", deadline=10.0)
    lines = [replace(later, endpoint="elsewhere", id="1"), replace(later, token="t", id="2")]
    books.own_ledger.inbox.path.write_text("".join(json.dumps(asdict(line)) + "\n" for line in lines))

    assert len(books.collect()) == 2

    assert books.ledger.records[record.id].state is State.MAYBE


@pytest.mark.parametrize(("token", "state"), [("", State.GONE), ("t", State.DOOMED)], ids=["none", "label"])
def test_what_surely_was_not_made_is_looked_for_only_by_a_label(
    books: Books, token: str, state: State
) -> None:
    record = books.new("web", "fake", deadline=10.0, token=token)
    books.own_ledger.bin.mkdir()
    (books.own_ledger.bin / f"{record.id}.call").write_text("1 5.0\n")
    books.own_ledger.inbox.path.write_text(json.dumps(asdict(record)) + "\n")

    books.collect()

    assert books.ledger.records[record.id].state is state


@pytest.mark.parametrize(("asked", "until"), [(-60.0, 5.0), (3600.0, 4000.0)], ids=["past", "set back"])
def test_a_call_that_has_ended_claims_what_is_made_soon_after_but_for_a_clock_that_was_set_back(
    books: Books, asked: float, until: float
) -> None:
    now = time.time()
    record = replace(books.new("web", "fake", deadline=1.0), wanted_at=now + asked, deadline=now + 4000)
    books.own_ledger.bin.mkdir()
    (books.own_ledger.bin / f"{record.id}.call").write_text("0 5.0\n")
    books.own_ledger.inbox.path.write_text(json.dumps(asdict(record)) + "\n")

    books.collect()

    assert 0 <= books.ledger.records[record.id].deadline - (now + until) < 60


def test_who_takes_a_ledger_over_says_so_in_it(ledgers: FileLedgers) -> None:
    ledger = ledgers.open("s")
    assert not ledgers.read(ledger.path).claimed
    ledger.abandon()

    claimed = ledgers.claim(ledger.path)

    assert isinstance(claimed, FileLedger)
    assert ledgers.read(ledger.path).claimed
    assert not ledgers.read(ledger.path).damage
    claimed.close()
