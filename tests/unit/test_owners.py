"""Whose a machine is: its label and this host's ledgers tell, and where names are shared the living win."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vmharness import MachineInfo, MachineState, Record, State
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._meeting import Meeting
from vmharness._owners import Owner, Owners, names_held
from vmharness.provider import LABEL_SESSION, LABEL_TOKEN

Write = Callable[..., FileLedger]

ONE, TWO = "1" * 32, "2" * 32
LABELLED = Record(
    id="r1",
    name="vmh-x",
    backend="fake",
    endpoint="memory:1",
    token=ONE,
    deadline=200.0,
    scope="",
    state=State.RUNNING,
    wanted_at=100.0,
    at=100.0,
)
PLAIN = replace(LABELLED, token="")
INFO = MachineInfo(
    name="vmh-x",
    state=MachineState.RUNNING,
    created_at=110.0,
    labels={LABEL_TOKEN: ONE, LABEL_SESSION: "session-1"},
)
BARE = replace(INFO, labels=None)


@pytest.fixture
def write(ledgers: FileLedgers) -> Iterator[Write]:
    """Write the records into the ledger of a session, whose process lives or is dead by now."""
    living: list[FileLedger] = []

    def write(*records: Record, session: str = "other", dead: bool = False) -> FileLedger:
        ledger = ledgers.open(session)
        for number, record in enumerate(records):
            ledger.write(replace(record, id=f"r{number}"))
        if dead:
            ledger.abandon()
        else:
            living.append(ledger)
        return ledger

    yield write
    for ledger in living:
        ledger.abandon()


@pytest.mark.parametrize(("dead", "expected"), [(False, Owner.LIVING), (True, Owner.STRANGER)])
def test_of_other_state_folders_only_the_living_count(tmp_path: Path, *, dead: bool, expected: Owner) -> None:
    meeting = Meeting(tmp_path)
    there = FileLedgers(tmp_path / "there", host="host", meeting=meeting).open("other")
    there.write(replace(PLAIN, name="web"))
    if dead:
        there.abandon()

    here = FileLedgers(tmp_path / "here", host="host", meeting=meeting)

    assert owner(here, replace(BARE, name="web")) is expected
    there.abandon()


def test_damage_elsewhere_makes_nothing_here_doubtful(tmp_path: Path) -> None:
    meeting = Meeting(tmp_path)
    there = FileLedgers(tmp_path / "there", host="host", meeting=meeting).open("other")
    there.write(replace(PLAIN, name="web"))
    with there.path.open("a") as file:
        file.write("garbled\n")
    here = FileLedgers(tmp_path / "here", host="host", meeting=meeting)

    assert not Owners(here).unreadable
    assert owner(here, replace(BARE, name="web")) is Owner.LIVING
    there.abandon()


def owner(ledgers: FileLedgers, info: MachineInfo, session: str = "mine") -> Owner:
    return Owners(ledgers, session).of(info, endpoint="memory:1")


# -- by label


def test_what_a_living_session_has_is_its_own(ledgers: FileLedgers, write: Write) -> None:
    write(LABELLED)

    assert owner(ledgers, INFO) is Owner.LIVING


def test_what_a_dead_session_had_is_a_dead_ones(ledgers: FileLedgers, write: Write) -> None:
    write(LABELLED, dead=True)

    assert owner(ledgers, INFO) is Owner.DEAD


def test_what_this_session_has_is_its_own_whichever_of_its_processes_made_it(
    ledgers: FileLedgers, write: Write
) -> None:
    write(LABELLED, session="mine")
    write(replace(LABELLED, token=TWO), session="mine", dead=True)

    assert owner(ledgers, INFO) is Owner.THIS
    assert owner(ledgers, replace(INFO, labels={LABEL_TOKEN: TWO})) is Owner.THIS


def test_the_label_of_this_session_is_enough(ledgers: FileLedgers) -> None:
    assert owner(ledgers, INFO, "session-1") is Owner.THIS


def test_without_a_session_of_ones_own_nothing_is_of_this_one(ledgers: FileLedgers, write: Write) -> None:
    write(LABELLED, session="")
    info = replace(INFO, labels={LABEL_TOKEN: ONE, LABEL_SESSION: ""})

    assert owner(ledgers, info, "") is Owner.LIVING


@pytest.mark.parametrize("dead", [False, True])
def test_a_label_whose_ledger_is_not_here_says_nothing_of_its_owner(
    ledgers: FileLedgers, write: Write, dead: bool
) -> None:
    write(replace(LABELLED, token=TWO), dead=dead)

    assert owner(ledgers, INFO) is Owner.UNKNOWN


def test_what_is_settled_is_on_nobodys_books(ledgers: FileLedgers, write: Write) -> None:
    write(replace(LABELLED, state=State.GONE))
    write(replace(PLAIN, state=State.GONE))

    assert owner(ledgers, INFO) is Owner.UNKNOWN
    assert owner(ledgers, BARE) is Owner.STRANGER


@pytest.mark.parametrize("state", [state for state in State if state is not State.GONE])
def test_any_other_state_counts(ledgers: FileLedgers, write: Write, state: State) -> None:
    write(replace(LABELLED, state=state), replace(PLAIN, name="vmh-y", state=state))

    assert owner(ledgers, INFO) is Owner.LIVING
    assert owner(ledgers, replace(BARE, name="vmh-y")) is Owner.LIVING


def test_a_label_is_stronger_than_a_name(ledgers: FileLedgers, write: Write) -> None:
    write(PLAIN, dead=True)

    assert owner(ledgers, INFO) is Owner.UNKNOWN


# -- by name and time


@pytest.mark.parametrize("labels", [None, {}, {"team": "blue"}, {LABEL_TOKEN: ""}])
@pytest.mark.parametrize("dead", [False, True])
def test_without_a_label_the_name_and_the_time_tell(
    ledgers: FileLedgers, write: Write, labels: dict[str, str] | None, dead: bool
) -> None:
    write(PLAIN, dead=dead)

    assert owner(ledgers, replace(INFO, labels=labels)) is (Owner.DEAD if dead else Owner.LIVING)


def test_without_a_label_this_sessions_come_by_name_as_well(ledgers: FileLedgers, write: Write) -> None:
    write(PLAIN, session="mine")

    assert owner(ledgers, BARE) is Owner.THIS


def test_a_record_that_has_a_token_names_no_machine_without_one(ledgers: FileLedgers, write: Write) -> None:
    write(LABELLED)

    assert owner(ledgers, BARE) is Owner.STRANGER


@pytest.mark.parametrize(
    "other", [replace(PLAIN, name="vmh-xx"), replace(PLAIN, name="vmh"), replace(PLAIN, endpoint="memory:2")]
)
def test_another_name_or_another_engine_is_another_machine(
    ledgers: FileLedgers, write: Write, other: Record
) -> None:
    write(other)

    assert owner(ledgers, BARE) is Owner.STRANGER


@pytest.mark.parametrize(
    ("created_at", "resolution", "whose"),
    [
        (100.0, 0.0, Owner.DEAD),
        (99.0, 0.0, Owner.DEAD),
        (98.9, 0.0, Owner.STRANGER),
        (98.0, 1.0, Owner.DEAD),
        (97.0, 1.0, Owner.STRANGER),
        (None, 0.0, Owner.DEAD),
    ],
)
def test_what_was_there_before_it_was_wanted_is_a_strangers(
    ledgers: FileLedgers, write: Write, created_at: float | None, resolution: float, whose: Owner
) -> None:
    write(PLAIN, dead=True)

    assert owner(ledgers, replace(BARE, created_at=created_at, created_resolution=resolution)) is whose


@pytest.mark.parametrize("living_first", [False, True])
def test_a_name_on_a_living_owners_books_is_never_a_dead_ones(
    ledgers: FileLedgers, write: Write, living_first: bool
) -> None:
    for dead in (not living_first, living_first):
        write(PLAIN, dead=dead)

    assert owner(ledgers, BARE) is Owner.LIVING


def test_a_name_on_this_sessions_books_is_its_own_before_anyone_elses(
    ledgers: FileLedgers, write: Write
) -> None:
    write(PLAIN)
    write(PLAIN, session="mine")
    write(PLAIN, dead=True)

    assert owner(ledgers, BARE) is Owner.THIS


# -- the ledgers


def test_without_ledgers_there_are_strangers_and_unknown_ones(ledgers: FileLedgers) -> None:
    assert owner(ledgers, BARE) is Owner.STRANGER
    assert owner(ledgers, INFO) is Owner.UNKNOWN


def test_a_ledger_that_a_sweep_holds_is_in_living_hands(ledgers: FileLedgers, write: Write) -> None:
    path = write(LABELLED, dead=True).path
    claimed = ledgers.claim(path)
    assert claimed is not None

    assert owner(ledgers, INFO) is Owner.LIVING
    claimed.abandon()
    assert owner(ledgers, INFO) is Owner.DEAD


def test_nothing_is_changed_by_the_question(ledgers: FileLedgers, write: Write) -> None:
    dead = write(LABELLED, dead=True)
    before = dead.path.read_bytes()

    owner(ledgers, INFO)

    assert dead.path.read_bytes() == before
    assert not ledgers.living(dead.path)


def test_a_living_owners_names_are_held_and_those_of_a_dead_one_that_somebody_deals_with_are_not(
    ledgers: FileLedgers, write: Write
) -> None:
    write(PLAIN)
    dead = write(replace(PLAIN, name="vmh-dead"), dead=True)
    claimed = ledgers.claim(dead.path)
    assert claimed is not None

    assert ledgers.living(dead.path)
    assert names_held(ledgers, PLAIN.endpoint, but=(), elsewhere=True) == frozenset({"vmh-x"})
    claimed.close()
