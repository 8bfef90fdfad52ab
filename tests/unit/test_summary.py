"""What a run says at its end: all that is left, with the command that removes it, or nothing at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from vmharness import Session, Settings, Spec, State
from vmharness._ledger import FileLedger
from vmharness._protected import Protected, ProtectedList
from vmharness._settings import SweepMode
from vmharness._summary import Left, Part, lines, part_of
from vmharness.errors import CleanupFailed, CreateTimeout
from vmharness.testing import FakeClock, FaultyProvider
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore

MakeSession = Callable[..., Session]

SEEN = Left(name="web", backend="fake", scope="t.py::test_x", why="busy", command="fake rm web", seen=True)
UNSEEN = replace(SEEN, name="db", scope="", why="no answer", command="fake rm db", seen=False)


class TestLines:
    """The text."""

    @pytest.mark.parametrize("parts", [[], [Part()], [Part(), Part()]])
    def test_a_run_without_machines_says_nothing(self, parts: list[Part]) -> None:
        assert lines(parts) == []

    def test_one_part(self) -> None:
        part = Part(
            created=3, deleted=1, swept=2, engines=["fake: 1.0 at x"], reports=["a word"], left=[SEEN, UNSEEN]
        )

        assert lines([part]) == [
            "fake: 1.0 at x",
            "a word",
            "machines: 3 created, 1 deleted, 2 swept, 1 left",
            "left: web of t.py::test_x (fake): busy",
            "    remove it with: fake rm web",
            "unsettled: db (fake): no answer; the next session looks again",
            "    remove it with: fake rm db",
        ]

    def test_parts_are_added_up_and_what_several_say_is_said_once(self) -> None:
        first = Part(created=1, engines=["e1", "e2"], reports=["r1", "r2"], left=[SEEN])
        second = Part(created=2, deleted=3, engines=["e2", "e3"], reports=["r2", "r3"], left=[SEEN])

        text = lines(iter([first, second]))

        assert text[:7] == [
            *("e1", "e2", "e3"),
            *("r1", "r2", "r3"),
            "machines: 3 created, 3 deleted, 0 swept, 2 left",
        ]
        assert sum(line.startswith("left: ") for line in text) == 2

    @pytest.mark.parametrize(
        "part",
        [
            Part(created=1),
            Part(deleted=1),
            Part(swept=1),
            Part(engines=["x"]),
            Part(reports=["x"]),
            Part(left=[UNSEEN]),
        ],
    )
    def test_any_concern_is_a_reason_to_speak(self, part: Part) -> None:
        assert any(line.startswith("machines: ") for line in lines([part]))


def test_a_part_survives_the_way_between_processes() -> None:
    part = Part(created=3, deleted=1, swept=2, engines=["e"], reports=["r"], left=[SEEN, UNSEEN])

    assert Part.from_plain(json.loads(json.dumps(part.to_plain()))) == part
    assert Part.from_plain(Part().to_plain()) == Part()


class TestPartOf:
    """What a session did."""

    def test_a_session_that_left_nothing(self, make_session: MakeSession, engine: FakeProvider) -> None:
        session = make_session()
        session.create().delete()
        session.create()
        session.drain()

        part = part_of(session)

        assert (part.created, part.deleted, part.swept, part.left) == (2, 2, 0, [])
        assert part.engines == [f"fake: fake engine, {engine.endpoint} at {engine.endpoint}"]
        session.close()

    def test_a_machine_that_cannot_be_deleted_is_left_with_its_reason_and_a_command(
        self, make_session: MakeSession, store: MemoryStore
    ) -> None:
        session = make_session()
        machine = session.create(scope="t")
        store.set_faults(Faults((Fault("delete", "fails"),)))
        with pytest.raises(CleanupFailed):
            session.end_scope("t")

        (left,) = part_of(session).left

        assert (left.name, left.backend, left.scope, left.seen) == (machine.name, "fake", "t", True)
        assert "cannot delete" in left.why
        assert left.command == "vmharness sweep --backend fake"
        store.set_faults(Faults())
        session.close()

    def test_one_of_which_nobody_knows_is_unsettled(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        session = make_session()
        silent = FaultyProvider(engine, "create", "hangs", sleep=clock.sleep)
        with session.using(silent), pytest.raises(CreateTimeout):
            session.create(scope="t")
        session.drain()

        (left,) = part_of(session).left

        assert not left.seen
        session.close()

    def test_an_interrupted_run_says_that_it_was(self, make_session: MakeSession) -> None:
        session = make_session()
        session.create(scope="t")

        (left,) = part_of(session).left

        assert (left.why, left.seen) == ("the run was interrupted", True)
        session.close()

    def test_what_is_kept_on_purpose_is_not_left(
        self, make_session: MakeSession, engine: FakeProvider
    ) -> None:
        session = make_session()
        machine = session.create()
        ProtectedList(session.ledgers.folder).add(Protected("fake", engine.endpoint, machine.name))
        session.drain()

        assert part_of(session).left == []
        assert session.ledger.records[machine.record.id].state is State.KEPT
        session.close()

    def test_what_a_dead_session_left_is_counted_as_swept(self, make_session: MakeSession) -> None:
        dead = make_session(id="dead")
        dead.create()
        assert isinstance(dead.ledger, FileLedger)
        dead.ledger.abandon()

        session = make_session()

        part = part_of(session)
        assert (part.created, part.deleted, part.swept) == (0, 0, 1)
        session.close()

    def test_what_was_deleted_by_prefix_and_said_is_in_it(
        self, make_session: MakeSession, engine: FakeProvider, clock: FakeClock
    ) -> None:
        engine.create(Spec(name="ci-x"), timeout=1)
        clock.sleep(1)
        settings = Settings(backend="fake", sweep=SweepMode.PREFIX, sweep_prefix=("ci-",))

        session = make_session(settings=settings)
        session.report("a word")

        part = part_of(session)
        assert part.swept == 1
        assert part.reports[-1] == "a word"
        assert any("ci-x" in report for report in part.reports)
        session.close()
