"""Prove, delete, verify: nothing goes without proof, and gone is what a successful listing lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from vmharness import MachineInfo, MachineState, Record, Spec, State
from vmharness._cleanup import TOMBSTONE_S, Cleanup, expired, prove
from vmharness.errors import Busy, DeleteFailed, EngineUnavailable
from vmharness.provider import LABEL_EXPIRES, LABEL_TOKEN
from vmharness.testing import FakeClock
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore, UnlabelledFakeProvider

RECORD = Record(
    id="r1",
    name="vmh-x",
    backend="fake",
    endpoint="memory:1",
    token="token-1",
    deadline=200.0,
    scope="",
    state=State.RUNNING,
    wanted_at=100.0,
    at=100.0,
)
UNLABELLED = replace(RECORD, token="")
TRACKED = replace(UNLABELLED, tracked=True)
OURS = MachineInfo(
    name="vmh-x", state=MachineState.RUNNING, created_at=110.0, labels={LABEL_TOKEN: "token-1"}
)
PLAIN = replace(OURS, labels=None)


@pytest.mark.parametrize(
    ("record", "info", "claimed", "ours", "surely_not"),
    [
        (RECORD, OURS, False, True, False),
        (RECORD, replace(OURS, created_at=None), True, True, False),
        (RECORD, replace(OURS, created_at=1.0), True, True, False),
        (RECORD, replace(OURS, labels={}), False, False, True),
        (RECORD, replace(OURS, labels={LABEL_TOKEN: "token-2"}), True, False, True),
        (RECORD, PLAIN, False, False, False),
        (UNLABELLED, PLAIN, False, True, False),
        (UNLABELLED, PLAIN, True, True, False),
        (UNLABELLED, replace(PLAIN, created_at=None), False, False, False),
        (UNLABELLED, replace(PLAIN, created_at=99.5), False, True, False),
        (UNLABELLED, replace(PLAIN, created_at=90.0), False, False, True),
        (UNLABELLED, replace(PLAIN, created_at=200.0), True, True, False),
        (UNLABELLED, replace(PLAIN, created_at=201.0), True, False, True),
        (UNLABELLED, replace(PLAIN, created_at=201.0), False, False, True),
        (UNLABELLED, OURS, False, False, True),
        (TRACKED, PLAIN, False, True, False),
        (TRACKED, replace(PLAIN, labels={}), False, True, False),
        (TRACKED, replace(PLAIN, labels={LABEL_TOKEN: "x"}), False, False, True),
        (TRACKED, replace(PLAIN, created_at=99.9), False, False, True),
        (TRACKED, replace(PLAIN, created_at=99.0, created_resolution=1.0), False, False, False),
        (TRACKED, replace(PLAIN, created_at=98.0, created_resolution=1.0), False, False, True),
        (TRACKED, replace(PLAIN, created_at=201.0), True, False, False),
        (TRACKED, replace(PLAIN, created_at=201.0), False, True, False),
        (replace(TRACKED, wanted_at=0.0), replace(PLAIN, created_at=1.0), False, True, False),
    ],
)
def test_proof(record: Record, info: MachineInfo, claimed: bool, ours: bool, surely_not: bool) -> None:
    proof = prove(record, info, claimed=claimed)

    assert (proof.ours, proof.surely_not) == (ours, surely_not)
    assert bool(proof.reason) is not ours


@pytest.mark.parametrize(
    ("labels", "passed"),
    [
        ({LABEL_TOKEN: "t", LABEL_EXPIRES: "99"}, True),
        ({LABEL_TOKEN: "t", LABEL_EXPIRES: "101"}, False),
        ({LABEL_TOKEN: "t", LABEL_EXPIRES: "soon"}, False),
        ({LABEL_TOKEN: "t"}, False),
        ({LABEL_EXPIRES: "99"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_a_passed_expiry_beside_our_token_counts(labels: dict[str, str] | None, passed: bool) -> None:
    assert expired(replace(OURS, labels=labels), 100.0) is passed


def make(engine: UnlabelledFakeProvider, clock: FakeClock, name: str = "vmh-x", **fields: object) -> Record:
    """Make a machine as a session does, and return its record."""
    now = clock.time()
    token = f"token of {name}"
    engine.create(Spec(name=name, labels={LABEL_TOKEN: token}), timeout=10)
    values: dict[str, Any] = {"id": name, "token": token, "wanted_at": now, "deadline": now + 10, **fields}
    return replace(RECORD, name=name, **values)


def verbs(store: MemoryStore) -> Sequence[str]:
    return [event.verb for event in store.events() if event.phase == "begin" and event.verb != "create"]


def test_a_fresh_machine_costs_one_delete_and_one_listing(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    record = make(engine, clock)

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=10, fresh=frozenset([record.id]))

    assert (outcome.state, outcome.deleted) == (State.GONE, True)
    assert verbs(store) == ["delete", "list"]


def test_what_is_not_fresh_is_proven_by_a_listing_first(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    record = make(engine, clock)

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=10)

    assert outcome.state is State.GONE
    assert verbs(store) == ["list", "delete", "list"]


def test_a_stranger_of_the_name_is_left_alone(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    record = replace(make(engine, clock), token="another", state=State.MAYBE)

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=10, claimed=True)

    assert (outcome.state, outcome.deleted) == (State.GONE, False)
    assert "left alone" in outcome.error
    assert "delete" not in verbs(store)
    assert engine.exists("vmh-x")


def test_in_doubt_the_machine_is_left_and_the_record_kept(store: MemoryStore, clock: FakeClock) -> None:
    labelled = FakeProvider(store, clock=clock.time, sleep=clock.sleep)
    record = make(labelled, clock)
    engine = UnlabelledFakeProvider(store, clock=clock.time, sleep=clock.sleep)

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=10)

    assert (outcome.state, outcome.deleted) == (State.STUCK, False)
    assert "nothing proves" in outcome.error
    assert engine.exists("vmh-x")


def test_a_protected_machine_is_kept_even_if_fresh(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    record = make(engine, clock)

    (outcome,) = Cleanup(engine, clock).delete(
        [record], timeout=10, fresh=frozenset([record.id]), protected=frozenset(["vmh-x"])
    )

    assert (outcome.state, outcome.error) == (State.KEPT, "protected")
    assert engine.exists("vmh-x")


def test_a_failed_listing_proves_nothing(engine: FakeProvider, store: MemoryStore, clock: FakeClock) -> None:
    running, maybe = make(engine, clock), replace(make(engine, clock, "vmh-y"), state=State.MAYBE)
    store.set_faults(Faults((Fault("list", "unavailable"),)))

    outcomes = Cleanup(engine, clock).delete([running, maybe], timeout=10)

    assert [outcome.state for outcome in outcomes] == [State.STUCK, State.MAYBE]
    assert all("cannot list" in outcome.error for outcome in outcomes)
    assert "delete" not in verbs(store)


def test_a_delete_that_cannot_be_verified_is_not_called_gone(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    record = make(engine, clock)
    store.set_faults(Faults((Fault("list", "unavailable"),)))

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=10, fresh=frozenset([record.id]))

    assert outcome.state is State.STUCK
    assert "not verified" in outcome.error


def test_a_listing_that_fails_for_a_while_is_repeated(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    record = make(engine, clock)
    store.set_faults(Faults((Fault("list", "unavailable", last=3),)))

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=10)

    assert outcome.state is State.GONE


class Refusing(FakeProvider):
    """An engine that refuses to delete, and whose last call is cut off by its deadline."""

    def delete(self, name: str, *, timeout: float) -> None:
        if timeout <= 0.1:
            self._sleep(timeout)
            raise DeleteFailed(f"no answer within {timeout:g} s", retryable=True)
        raise Busy("it is still being created")


def test_what_the_engine_said_outlasts_that_time_was_up(store: MemoryStore, clock: FakeClock) -> None:
    engine = Refusing(store, clock=clock.time, sleep=clock.sleep)
    record = make(engine, clock)

    # Its pauses come to this, so that the last call has next to no time.
    (outcome,) = Cleanup(engine, clock).delete([record], timeout=0.26)

    assert (outcome.state, outcome.error) == (State.STUCK, "it is still being created")


@pytest.mark.parametrize("kind", ["busy", "fails"])
def test_a_delete_that_fails_for_a_while_is_repeated(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock, kind: str
) -> None:
    record = make(engine, clock)
    store.set_faults(Faults((Fault("delete", kind, last=2),)))  # type: ignore[arg-type]

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=60)

    assert outcome.state is State.GONE
    assert not engine.exists("vmh-x")


def test_a_delete_that_fails_for_good_is_stuck_with_the_engines_words(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    bad, good = make(engine, clock), make(engine, clock, "vmh-y")
    store.set_faults(Faults((Fault("delete", "fails", name="vmh-x"),)))

    outcomes = Cleanup(engine, clock).delete([bad, good], timeout=60)

    assert [outcome.state for outcome in outcomes] == [State.STUCK, State.GONE]
    assert outcomes[0].error
    assert engine.exists("vmh-x")
    assert not engine.exists("vmh-y")


def test_a_delete_that_lies_once_is_repeated(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    record = make(engine, clock)
    store.set_faults(Faults((Fault("delete", "lies", last=1),)))

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=60)

    assert outcome.state is State.GONE
    assert not engine.exists("vmh-x")


def test_a_delete_that_always_lies_is_stuck(
    engine: FakeProvider, store: MemoryStore, clock: FakeClock
) -> None:
    record = make(engine, clock)
    store.set_faults(Faults((Fault("delete", "lies"),)))

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=5)

    assert outcome.state is State.STUCK
    assert "lists it still" in outcome.error


@pytest.mark.parametrize("state", [State.WANTED, State.MAYBE])
def test_an_absent_maybe_stays_on_the_books_for_a_day(
    engine: FakeProvider, clock: FakeClock, state: State
) -> None:
    now = clock.time()
    record = replace(RECORD, state=state, wanted_at=now, deadline=now + 10)
    cleanup = Cleanup(engine, clock)

    assert cleanup.delete([record], timeout=5)[0].state is State.MAYBE
    clock.jump(10 + TOMBSTONE_S - 1)
    assert cleanup.delete([record], timeout=5)[0].state is State.MAYBE
    clock.jump(2)
    assert cleanup.delete([record], timeout=5)[0].state is State.GONE


@pytest.mark.parametrize("state", [State.RUNNING, State.STUCK, State.DOOMED, State.KEPT])
def test_what_was_made_and_is_absent_is_gone(engine: FakeProvider, clock: FakeClock, state: State) -> None:
    (outcome,) = Cleanup(engine, clock).delete([replace(RECORD, state=state)], timeout=5)

    assert (outcome.state, outcome.deleted) == (State.GONE, False)


def test_two_records_of_one_name_are_told_apart(engine: FakeProvider, clock: FakeClock) -> None:
    made = make(engine, clock)
    earlier = replace(made, id="earlier", token="other", state=State.MAYBE)

    outcomes = Cleanup(engine, clock).delete([earlier, made], timeout=5)

    assert [(outcome.state, outcome.deleted) for outcome in outcomes] == [
        (State.GONE, False),
        (State.GONE, True),
    ]


def test_a_defect_of_the_backend_keeps_no_other_machine_alive(store: MemoryStore, clock: FakeClock) -> None:
    class Broken(FakeProvider):
        def delete(self, name: str, *, timeout: float) -> None:
            if name == "vmh-x":
                raise ZeroDivisionError("oops")
            super().delete(name, timeout=timeout)

    engine = Broken(store, clock=clock.time, sleep=clock.sleep)
    records = [make(engine, clock), make(engine, clock, "vmh-y")]

    outcomes = Cleanup(engine, clock).delete(records, timeout=5)

    assert [outcome.state for outcome in outcomes] == [State.STUCK, State.GONE]
    assert "ZeroDivisionError: oops" in outcomes[0].error


def test_a_coarse_time_of_creation_is_looked_at_more_closely(store: MemoryStore, clock: FakeClock) -> None:
    class Coarse(FakeProvider):
        def list(self) -> Sequence[MachineInfo]:
            return [
                replace(info, created_at=float(int(info.created_at or 0)), created_resolution=1.0)
                for info in super().list()
            ]

    clock = FakeClock(1000.5)
    engine = Coarse(store, clock=clock.time, sleep=clock.sleep)
    ours = replace(make(engine, clock), token="", tracked=True, wanted_at=1000.4, deadline=2000.0)
    cleanup = Cleanup(engine, clock)
    engine.create(Spec(name="plain"), timeout=1)
    ours, older = replace(ours, name="plain"), replace(ours, name="plain", wanted_at=1000.6)

    assert not cleanup.delete([older], timeout=5)[0].deleted
    assert engine.exists("plain")
    assert cleanup.delete([ours], timeout=5)[0].deleted


def test_an_engine_that_cannot_be_inspected_keeps_the_doubt(store: MemoryStore, clock: FakeClock) -> None:
    class Coarse(FakeProvider):
        def list(self) -> Sequence[MachineInfo]:
            return [replace(info, created_at=1000.0, created_resolution=1.0) for info in super().list()]

        def inspect(self, name: str) -> MachineInfo | None:
            raise EngineUnavailable("no answer")

    engine = Coarse(store, clock=clock.time, sleep=clock.sleep)
    engine.create(Spec(name="plain"), timeout=1)
    record = replace(TRACKED, name="plain", wanted_at=1000.4, deadline=2000.0)

    (outcome,) = Cleanup(engine, clock).delete([record], timeout=5)

    assert outcome.state is State.STUCK
    assert engine.exists("plain")
