"""A process's records: what becomes of each is written, told, and proven by its own engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vmharness import MachineInfo, Provider, Record, Spec, State
from vmharness._books import Books, _plain  # pyright: ignore[reportPrivateUsage]
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._protected import Protected, ProtectedList
from vmharness._providers import Providers
from vmharness.errors import LedgerError, UnknownBackend
from vmharness.provider import LABEL_TOKEN
from vmharness.testing import FakeClock, FaultyProvider
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore

Make = Callable[..., Books]
Changed = Callable[[Record | None, Record], None]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("memory:one")


@pytest.fixture
def other(clock: FakeClock) -> FakeProvider:
    """Another engine of the same backend."""
    return FakeProvider(MemoryStore("memory:two"), clock=clock.time, sleep=clock.sleep)


@pytest.fixture
def providers(engine: FakeProvider, other: FakeProvider) -> Providers:
    by_endpoint: dict[str | None, Provider] = {None: engine, "memory:one": engine, "memory:two": other}

    def connect(backend: str, endpoint: str | None) -> Provider:
        if backend != "fake":
            raise UnknownBackend(f"unknown backend {backend!r}")
        return by_endpoint[endpoint]

    return Providers("fake", connect=connect)


@pytest.fixture
def told() -> list[tuple[State | None, State]]:
    """The transitions that the books told of."""
    return []


@pytest.fixture
def said() -> list[str]:
    """The lines that the books said at once."""
    return []


@pytest.fixture
def make(
    ledgers: FileLedgers,
    providers: Providers,
    clock: FakeClock,
    told: list[tuple[State | None, State]],
    said: list[str],
) -> Iterator[Make]:
    made: list[Books] = []

    def tell(before: Record | None, now: Record) -> None:
        told.append((before.state if before else None, now.state))

    def make(session: str = "s", changed: Changed = tell, providers: Providers = providers) -> Books:
        made.append(Books(ledgers, session, providers, clock, changed=changed, say=said.append))
        return made[-1]

    yield make
    for books in made:
        books.close()


@pytest.fixture
def books(make: Make) -> Books:
    return make()


def create(books: Books, engine: FakeProvider, name: str = "vmh-x", **fields: Any) -> Record:
    """Make a machine as a session does, and return its record."""
    record = books.add(books.new(name, "fake", deadline=10.0, token=f"token of {name}", **fields))
    engine.create(Spec(name=name, labels={LABEL_TOKEN: record.token}), timeout=10)
    return record


def on_disk(ledgers: FileLedgers, books: Books) -> dict[str, State]:
    records = ledgers.read(books.ledger.path).records.values()
    return {record.name: record.state for record in records}


def verbs(store: MemoryStore) -> Sequence[str]:
    return [event.verb for event in store.events() if event.phase == "begin" and event.verb != "create"]


def die(books: Books) -> FileLedger:
    """Let the process of the books die, and claim its ledger."""
    ledger = books.ledger
    assert isinstance(ledger, FileLedger)
    content = ledger.path
    ledger.abandon()
    books.closed = True
    claimed = FileLedgers(content.parent.parent, host="host").claim(content)
    assert claimed is not None
    return claimed


class TestRecords:
    """New, made, moved."""

    def test_a_new_record_is_of_the_engine_and_lasts_until_a_create_has_settled(
        self, books: Books, store: MemoryStore, clock: FakeClock, engine: FakeProvider, told: list[object]
    ) -> None:
        record = books.new("web", "fake", deadline=10.0, scope="t", tracked=True)

        assert (record.name, record.backend, record.endpoint) == ("web", "fake", "memory:one")
        assert (record.state, record.scope, record.tracked) == (State.WANTED, "t", True)
        assert (record.wanted_at, record.at) == (clock.time(), clock.time())
        assert record.deadline == clock.time() + 10.0 + engine.settle_s
        assert not books.ledger.records
        assert not told
        assert not store.events()

    def test_no_two_records_have_one_id(self, books: Books) -> None:
        assert len({books.new("web", "fake", deadline=1.0).id for _ in range(50)}) == 50

    def test_what_is_added_is_written_before_it_is_told(self, make: Make, ledgers: FileLedgers) -> None:
        seen: list[dict[str, State]] = []

        mine: list[Books] = []

        def changed(before: Record | None, now: Record) -> None:
            seen.append(on_disk(ledgers, mine[0]))

        mine.append(make(changed=changed))
        mine[0].move(mine[0].add(mine[0].new("web", "fake", deadline=1.0)), State.RUNNING)

        assert seen == [{"web": State.WANTED}, {"web": State.RUNNING}]

    def test_a_machine_that_was_made_is_running_and_counted(
        self, books: Books, engine: FakeProvider, told: list[object]
    ) -> None:
        record = books.made(create(books, engine), made_up=True)

        assert record.state is State.RUNNING
        assert books.tally.created == 1
        assert told == [(None, State.WANTED), (State.WANTED, State.RUNNING)]

    def test_a_move_changes_what_it_names_and_nothing_else(
        self, books: Books, clock: FakeClock, ledgers: FileLedgers
    ) -> None:
        record = books.add(books.new("web", "fake", deadline=1.0, scope="t"))
        clock.sleep(5)

        moved = books.move(record, scope="module")
        assert moved == replace(record, scope="module")
        clock.sleep(5)
        stuck = books.move(moved, State.STUCK, error="busy")
        assert stuck == replace(moved, state=State.STUCK, error="busy", at=record.at + 10)
        assert books.move(record, State.GONE) == replace(stuck, state=State.GONE, error="", at=record.at + 10)
        assert on_disk(ledgers, books) == {"web": State.GONE}

    def test_a_scope_may_become_the_sessions(self, books: Books) -> None:
        record = books.add(books.new("web", "fake", deadline=1.0, scope="t"))

        assert books.move(record, scope="").scope == ""

    def test_a_move_to_where_it_is_writes_and_tells_nothing(self, books: Books, told: list[object]) -> None:
        record = books.add(books.new("web", "fake", deadline=1.0))
        told.clear()
        before = books.ledger.path.read_bytes()

        assert books.move(record, State.WANTED) == record

        assert books.ledger.path.read_bytes() == before
        assert not told

    def test_unfinished_is_what_is_neither_gone_nor_kept(self, books: Books) -> None:
        for state in State:
            books.move(books.add(books.new(state, "fake", deadline=1.0, scope="t")), state)
        books.add(books.new("elsewhere", "fake", deadline=1.0))

        of_scope = {record.name for record in books.unfinished("t")}

        assert of_scope == {*State} - {State.GONE, State.KEPT}
        assert {record.name for record in books.unfinished()} == of_scope | {"elsewhere"}
        assert [record.name for record in books.unfinished("")] == ["elsewhere"]

    def test_what_is_reported_is_said_now_and_in_the_summary(self, books: Books, said: list[str]) -> None:
        books.report("a word")

        assert said == ["a word"]
        assert books.tally.reports == ["a word"]

    def test_closed_books_take_no_more(self, books: Books) -> None:
        record = books.new("web", "fake", deadline=1.0)
        books.close()

        with pytest.raises(LedgerError, match="closed"):
            books.add(record)
        assert not books.held

    def test_a_forked_child_opens_a_ledger_of_its_own_when_it_writes(
        self, books: Books, ledgers: FileLedgers
    ) -> None:
        mine = books.made(books.add(books.new("mine", "fake", deadline=1.0)), made_up=True)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover
            try:
                before = (books.held, len(books.unfinished()))
                books.add(replace(mine, id="r2", name="childs", state=State.WANTED))
                after = [record.name for record in books.unfinished()]
                os.write(
                    write, repr((before, after, len(list(ledgers.paths())), books.tally.created)).encode()
                )
            except BaseException as exc:
                os.write(write, repr(exc).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)

        assert os.read(read, 999).decode() == "((False, 0), ['childs'], 2, 0)"
        assert [record.name for record in books.unfinished()] == ["mine"]
        assert on_disk(ledgers, books) == {"mine": State.RUNNING}
        assert books.tally.created == 1


class TestDelete:
    """Machines of our own and of claimed ledgers."""

    def test_a_name_that_we_made_up_costs_no_look_first(
        self, books: Books, engine: FakeProvider, store: MemoryStore
    ) -> None:
        record = books.made(create(books, engine), made_up=True)

        (after,) = books.delete([record])

        assert after.state is State.GONE
        assert verbs(store) == ["delete", "list"]
        assert (books.tally.deleted, books.tally.swept) == (1, 0)

    @pytest.mark.parametrize("made_up", [True, False])
    def test_a_chosen_name_and_an_unheard_of_create_are_looked_at_first(
        self, books: Books, engine: FakeProvider, store: MemoryStore, made_up: bool
    ) -> None:
        record = create(books, engine)
        if not made_up:
            record = books.made(record, made_up=False)

        (after,) = books.delete([record])

        assert after.state is State.GONE
        assert verbs(store) == ["list", "delete", "list"]

    def test_what_is_gone_is_not_asked_for_again(
        self, books: Books, engine: FakeProvider, store: MemoryStore
    ) -> None:
        record = create(books, engine)
        books.delete([record])
        asked = verbs(store)

        assert [after.state for after in books.delete([record, record])] == [State.GONE, State.GONE]
        assert verbs(store) == asked
        assert books.tally.deleted == 1

    def test_nothing_to_delete_asks_nothing(self, books: Books, store: MemoryStore) -> None:
        assert books.delete([]) == []
        assert not store.events()

    def test_two_engines_are_cleaned_up_each_for_itself(
        self, books: Books, engine: FakeProvider, other: FakeProvider, store: MemoryStore
    ) -> None:
        here = create(books, engine)
        there = create(books, other, endpoint="memory:two")
        store.set_faults(Faults((Fault("list", "unavailable"), Fault("delete", "unavailable"))))

        after = books.delete([here, there], timeout=5)

        assert [record.state for record in after] == [State.MAYBE, State.GONE]
        assert engine.store.events()
        assert not other.list()
        store.set_faults(Faults())
        assert [info.name for info in engine.list()] == ["vmh-x"]

    def test_a_machine_of_the_same_name_on_another_engine_stays(
        self, books: Books, engine: FakeProvider, other: FakeProvider
    ) -> None:
        record = create(books, engine)
        other.create(Spec(name="vmh-x", labels={LABEL_TOKEN: record.token}), timeout=1)

        books.delete([record])

        assert not engine.list()
        assert [info.name for info in other.list()] == ["vmh-x"]

    def test_an_engine_that_cannot_be_opened_keeps_its_records_and_no_others(
        self, books: Books, engine: FakeProvider
    ) -> None:
        here = create(books, engine)
        lost = books.add(replace(here, id="r2", backend="gone", state=State.RUNNING))

        after = books.delete([lost, here])

        assert [record.state for record in after] == [State.STUCK, State.GONE]
        assert after[0].error == "unknown backend 'gone'"

    def test_a_defect_of_one_backend_keeps_no_other_engines_machine_alive(
        self, books: Books, engine: FakeProvider, other: FakeProvider, providers: Providers
    ) -> None:
        class Broken(FaultyProvider):
            def list(self) -> Sequence[MachineInfo]:
                raise ZeroDivisionError("oops")

        here, there = create(books, engine), create(books, other, endpoint="memory:two")

        with providers.using(Broken(engine, "list", "fails", calls=()), "fake"):
            after = books.delete([here, there])

        assert [record.state for record in after] == [State.MAYBE, State.GONE]
        assert after[0].error == "cannot list machines: ZeroDivisionError: oops"

    def test_protection_is_of_one_engine(
        self, books: Books, ledgers: FileLedgers, engine: FakeProvider, other: FakeProvider
    ) -> None:
        here, there = create(books, engine), create(books, other, endpoint="memory:two")
        ProtectedList(ledgers.folder).add(Protected("fake", "memory:two", "vmh-x"))

        after = books.delete([here, there])

        assert [record.state for record in after] == [State.GONE, State.KEPT]
        assert other.exists("vmh-x")

    def test_a_protected_machine_is_kept_though_we_made_its_name_up(
        self, books: Books, ledgers: FileLedgers, engine: FakeProvider
    ) -> None:
        record = books.made(create(books, engine), made_up=True)
        ProtectedList(ledgers.folder).add(Protected("fake", "memory:one", "vmh-x"))

        assert books.delete([record])[0].state is State.KEPT
        assert engine.exists("vmh-x")

    def test_a_claimed_ledgers_machines_are_swept_and_noted_there(
        self, make: Make, engine: FakeProvider, told: list[object]
    ) -> None:
        dead = make("dead")
        record = dead.made(create(dead, engine), made_up=True)
        claimed, books = die(dead), make("mine")
        told.clear()

        (after,) = books.delete([record], ledger=claimed)

        assert after == claimed.records[record.id]
        assert after.state is State.GONE
        assert not books.ledger.records
        assert (books.tally.deleted, books.tally.swept) == (0, 1)
        assert told == [(State.RUNNING, State.GONE)]
        claimed.close()
        assert not claimed.path.exists()

    def test_a_claimed_ledgers_machines_are_looked_at_first(
        self, make: Make, engine: FakeProvider, store: MemoryStore
    ) -> None:
        dead = make("dead")
        record = dead.made(create(dead, engine), made_up=True)
        claimed = die(dead)

        make("mine").delete([record], ledger=claimed)

        assert verbs(store) == ["list", "delete", "list"]
        claimed.close()

    def test_the_ledgers_word_counts_not_an_old_record(self, books: Books, engine: FakeProvider) -> None:
        record = create(books, engine)
        books.move(record, State.GONE)

        books.delete([record])

        assert engine.exists("vmh-x"), "settled long ago: the name may be anybody's"


class TestJudge:
    """What a delete would do, without doing it."""

    def test_nothing_is_changed(
        self, make: Make, engine: FakeProvider, store: MemoryStore, ledgers: FileLedgers, told: list[object]
    ) -> None:
        dead = make("dead")
        ours = dead.made(create(dead, engine), made_up=True)
        absent = dead.made(dead.add(dead.new("absent", "fake", deadline=1.0)), made_up=False)
        engine.create(Spec(name="theirs"), timeout=1)
        theirs = dead.made(dead.add(dead.new("theirs", "fake", deadline=1.0, token="t" * 32)), made_up=False)
        assert isinstance(dead.ledger, FileLedger)
        dead.ledger.abandon()
        dead.closed = True
        books = make("mine")
        told.clear()

        verdicts = books.judge([absent, ours, theirs])

        assert [verdict.record for verdict in verdicts] == [absent, ours, theirs]
        assert [verdict.info and verdict.info.name for verdict in verdicts] == [None, "vmh-x", "theirs"]
        states = [verdict.outcome and verdict.outcome.state for verdict in verdicts]
        assert states == [State.GONE, None, State.GONE]
        assert "left alone" in (verdicts[2].outcome.error if verdicts[2].outcome else "")
        assert verbs(store) == ["list"]
        assert not told
        assert on_disk(ledgers, dead) == {
            "vmh-x": State.RUNNING,
            "absent": State.RUNNING,
            "theirs": State.RUNNING,
        }

    def test_it_agrees_with_the_delete(self, make: Make, engine: FakeProvider, other: FakeProvider) -> None:
        dead = make("dead")
        records = [
            dead.made(create(dead, engine), made_up=True),
            create(dead, engine, "vmh-maybe"),
            dead.add(dead.new("never", "fake", deadline=1.0, token="t" * 32)),
            dead.made(create(dead, other, endpoint="memory:two"), made_up=False),
        ]
        claimed, books = die(dead), make("mine")

        verdicts = books.judge(records)
        after = books.delete(records, ledger=claimed)

        said = [verdict.outcome.state if verdict.outcome else State.GONE for verdict in verdicts]
        assert [record.state for record in after] == said
        assert said == [State.GONE, State.GONE, State.MAYBE, State.GONE]
        claimed.close()

    def test_what_is_settled_is_left_out(self, books: Books, store: MemoryStore) -> None:
        gone = replace(books.new("web", "fake", deadline=1.0), state=State.GONE)

        assert not books.judge([gone])
        assert not store.events()

    def test_an_engine_that_does_not_answer_leaves_the_doubt(
        self, books: Books, store: MemoryStore, clock: FakeClock
    ) -> None:
        running = replace(books.new("a", "fake", deadline=1.0), state=State.RUNNING)
        wanted = books.new("b", "fake", deadline=1.0)
        store.set_faults(Faults((Fault("list", "unavailable"),)))
        begun = clock.monotonic()

        outcomes = [verdict.outcome for verdict in books.judge([running, wanted])]

        assert [outcome and outcome.state for outcome in outcomes] == [State.STUCK, State.MAYBE]
        assert all(outcome and "cannot list machines" in outcome.error for outcome in outcomes)
        assert clock.monotonic() - begun <= 5.0, "somebody waits to see it"

    def test_an_engine_that_cannot_be_opened_is_said(self, books: Books) -> None:
        (verdict,) = books.judge([replace(books.new("a", "fake", deadline=1.0), backend="gone")])

        assert verdict.outcome
        assert verdict.outcome.error == "unknown backend 'gone'"

    def test_an_unreadable_list_of_protected_machines_keeps_all(
        self, books: Books, ledgers: FileLedgers, engine: FakeProvider
    ) -> None:
        record = create(books, engine)
        (ledgers.folder / "protected.json").write_text("garbage")

        (verdict,) = books.judge([record])

        assert verdict.outcome
        assert "protected" in verdict.outcome.error


def test_an_engine_that_goes_away_between_two_machines_is_no_reason_to_forget_one(
    books: Books, engine: FakeProvider, providers: Providers, clock: FakeClock
) -> None:
    records = [books.made(create(books, engine, name), made_up=True) for name in ("vmh-x", "vmh-y")]
    broken = FaultyProvider(engine, "list", "fails", calls=range(1, 1000))

    with providers.using(broken, "fake"):
        after = books.delete(records, timeout=5)
    assert [record.state for record in after] == [State.STUCK, State.STUCK]
    assert all("not verified" in record.error for record in after)

    assert [record.state for record in books.delete(after)] == [State.GONE, State.GONE]


def test_one_engine_is_one_however_its_path_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    spelled = {
        _plain(f"unix://{tmp_path}/engine.sock"),
        _plain(f"unix://{tmp_path}/../{tmp_path.name}/engine.sock"),
        _plain(f"unix://{tmp_path}/link/engine.sock"),
    }

    assert len(spelled) == 1
    assert _plain(f"unix://{tmp_path}/other.sock") not in spelled
    assert _plain("tcp://host:2375?cert=/a") != _plain("tcp://host:2375?cert=/b")
