"""The engine goes wrong under a run, a sweep or a reaper: it is told, and all goes once it is well."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess

import pytest

from faultlab.fake import FakeStage
from faultlab.stage import Run, eventually
from vmharness._settings import DEFAULT_LIFECYCLE
from vmharness_fake import Fault, Faults

# What a run may take here, in seconds, with all cores busy; it has looked for 5 s when it gives a listing up.
PATIENCE_S = 90.0
NO_REAPER = tuple(name for name in DEFAULT_LIFECYCLE if name != "reaper")

NOTHING = "def test_nothing(): pass"
# A name that a test chose is looked for before it is deleted; one that was made up is not.
MADE_UP = "def test_one(vm): vm.run(['sleep', '0'])"
CHOSEN = "def test_one(vm_factory): vm_factory('web').run(['sleep', '0'])"

LISTING_FAILS = Faults((Fault("list", "unavailable"),))
DELETES_FAIL = Faults((Fault("delete", "fails"),))


def start(stage: FakeStage, suite: str, *, reaper: bool = False) -> Run:
    return stage.start(suite, "-pno:xdist", lifecycle=DEFAULT_LIFECYCLE if reaper else NO_REAPER)


def run(stage: FakeStage, suite: str = NOTHING, *, reaper: bool = False) -> Run:
    """Let a run pass its tests and end."""
    ended = start(stage, suite, reaper=reaper)
    assert ended.end(PATIENCE_S) == 0, ended.text
    return ended


def at_body(stage: FakeStage, suite: str, *, reaper: bool = False) -> Run:
    """Start a run, and let it come to its test's body."""
    stage.store.hold("run:before")
    started = start(stage, suite, reaper=reaper)
    stage.at("run:before")
    return started


def kill(stage: FakeStage, killed: Run) -> None:
    os.killpg(killed.process.pid, signal.SIGKILL)
    killed.end(PATIENCE_S)
    stage.store.release("run:before")


def others_that_ended(stage: FakeStage, verb: str, pids: set[int]) -> list[str]:
    """Return how the calls of other processes ended."""
    return [
        event.detail
        for event in stage.store.events()
        if (event.verb, event.phase) == (verb, "end") and event.pid not in pids
    ]


# -- a run's own clean-up


def test_a_listing_that_fails_for_good_leaves_the_machine_to_the_next_run(stage: FakeStage) -> None:
    ours = at_body(stage, CHOSEN)
    stage.store.set_faults(LISTING_FAILS)
    stage.store.release("run:before")

    assert ours.end(PATIENCE_S) == 0

    assert stage.names() == {"web"}, "without a listing nothing proves that it is ours"
    assert "left: web of test_it.py::test_one (fake): cannot list machines: " in ours.text
    assert "the fake engine is unavailable" in ours.text
    stage.store.set_faults(Faults())
    assert "1 swept, 0 left" in run(stage).text
    assert stage.names() == set()
    assert stage.ledgers() == []


@pytest.mark.parametrize("suite", [CHOSEN, MADE_UP], ids=["first", "verifying"])
def test_a_listing_that_hangs_and_then_fails_for_a_while_is_waited_for(stage: FakeStage, suite: str) -> None:
    ours = at_body(stage, suite)
    stage.store.hold("list:before")
    stage.store.release("run:before")
    stage.at("list:before")
    stage.store.set_faults(Faults((Fault("list", "unavailable", last=3),)))
    stage.store.release("list:before")

    assert ours.end(PATIENCE_S) == 0

    assert "1 created, 1 deleted, 0 swept, 0 left" in ours.text
    assert stage.names() == set()
    assert stage.ledgers() == []


def test_a_delete_that_fails_for_a_while_is_repeated(stage: FakeStage) -> None:
    stage.store.set_faults(Faults((Fault("delete", "fails", last=2),)))

    assert "1 created, 1 deleted, 0 swept, 0 left" in run(stage, MADE_UP).text

    assert stage.names() == set()


def test_a_delete_that_fails_for_good_is_told_with_the_command_that_does_it(stage: FakeStage) -> None:
    stage.store.set_faults(DELETES_FAIL)

    ours = run(stage, MADE_UP)

    (name,) = stage.names()
    assert f"left: {name} of test_it.py::test_one (fake): cannot delete {name!r}" in ours.text
    assert len(stage.ledgers()) == 1
    again = run(stage)
    assert f"sweep: machine {name!r} of fake" not in again.text, "what is known already is no news"
    assert f"they stay in {stage.ledgers()[0]}" in again.text
    stage.store.set_faults(Faults())
    command = ours.text.partition("remove it with: ")[2].splitlines()[0]
    subprocess.run(shlex.split(command), check=True, timeout=PATIENCE_S)
    assert stage.names() == set()
    run(stage)
    assert stage.ledgers() == []


def test_once_deletes_work_again_the_next_run_removes_what_is_left(stage: FakeStage) -> None:
    stage.store.set_faults(DELETES_FAIL)
    run(stage, MADE_UP)
    assert len(stage.names()) == 1
    stage.store.set_faults(Faults())

    assert "1 swept, 0 left" in run(stage).text

    assert stage.names() == set()
    assert stage.ledgers() == []


def test_an_engine_that_is_off_when_a_machine_is_asked_for(stage: FakeStage) -> None:
    stage.store.set_faults(Faults((Fault("create", "unavailable"),)))

    ours = start(stage, MADE_UP)

    assert ours.end(PATIENCE_S) == 1
    assert "CreateFailed: cannot create" in ours.text
    assert "the fake engine is unavailable" in ours.text
    assert stage.names() == set()
    assert stage.ledgers() == []


# -- a sweep


def leave_orphan(stage: FakeStage) -> str:
    """Leave a machine of a run that was killed, and return its name."""
    kill(stage, at_body(stage, MADE_UP))
    (name,) = stage.names()
    return name


@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
def test_a_sweep_whose_listing_goes_wrong_is_told_and_done_by_the_next_run(
    stage: FakeStage, hangs: bool
) -> None:
    orphan = leave_orphan(stage)
    if hangs:
        stage.store.hold("list:before")
    else:
        stage.store.set_faults(LISTING_FAILS)

    ours = start(stage, NOTHING)
    if hangs:
        stage.at("list:before")
        stage.store.set_faults(LISTING_FAILS)
        stage.store.release("list:before")

    assert ours.end(PATIENCE_S) == 0
    assert f"sweep: machine {orphan!r} of fake: cannot list machines: " in ours.text
    assert (
        f"they stay in {stage.ledgers()[0]}; delete that file if their engine is gone for good" in ours.text
    )
    assert stage.names() == {orphan}
    stage.store.set_faults(Faults())
    assert "1 swept, 0 left" in run(stage).text
    assert stage.names() == set()
    assert stage.ledgers() == []


def test_a_sweep_whose_deletes_fail_names_the_machine_once(stage: FakeStage) -> None:
    orphan = leave_orphan(stage)
    stage.store.set_faults(DELETES_FAIL)

    told = run(stage)
    again = run(stage)

    assert f"sweep: machine {orphan!r} of fake: cannot delete {orphan!r}" in told.text
    assert f"sweep: machine {orphan!r}" not in again.text
    stage.store.set_faults(Faults())
    run(stage)
    assert stage.names() == set()


# -- a reaper


@pytest.mark.parametrize(
    ("verb", "faults"),
    [("list", LISTING_FAILS), ("delete", DELETES_FAIL), ("delete", Faults((Fault("*", "unavailable"),)))],
    ids=["listing", "deletes", "engine"],
)
def test_a_reaper_goes_on_until_the_engine_is_well(stage: FakeStage, verb: str, faults: Faults) -> None:
    ours = at_body(stage, MADE_UP, reaper=True)
    stage.store.set_faults(faults)
    kill(stage, ours)
    own = stage.pids("create")
    failing = "list" if faults.rules[0].verb == "*" else verb
    eventually(
        lambda: sum(map(bool, others_that_ended(stage, failing, own))) >= 3,
        PATIENCE_S,
        lambda: stage.store.events()[-8:],
    )
    assert len(stage.names()) == 1
    stage.store.set_faults(Faults())

    eventually(lambda: not stage.names() and not stage.ledgers(), PATIENCE_S, lambda: stage.names())

    assert "the reaper cleaned up after a dead run; gone: vmh-one-" in run(stage).text


@pytest.mark.parametrize("occurs", [1, 2], ids=["first", "verifying"])
def test_a_reaper_whose_listing_hangs_goes_on_after_it(stage: FakeStage, occurs: int) -> None:
    ours = at_body(stage, MADE_UP, reaper=True)
    point = "list:before" if occurs == 1 else "delete:after"
    stage.store.hold(point)
    kill(stage, ours)
    stage.at(point)
    if occurs == 2:
        stage.store.hold("list:before")
        stage.store.release(point)
        stage.at("list:before")
    stage.store.set_faults(Faults((Fault("list", "unavailable", last=2),)))

    stage.store.release("list:before")

    eventually(lambda: not stage.names() and not stage.ledgers(), PATIENCE_S, lambda: stage.names())
    ended = others_that_ended(stage, "list", stage.pids("create"))
    assert ended.count("EngineUnavailable") == 2, ended


def test_a_reaper_takes_over_what_a_run_could_not_delete(stage: FakeStage) -> None:
    stage.store.set_faults(DELETES_FAIL)
    ours = run(stage, MADE_UP, reaper=True)
    (name,) = stage.names()
    assert f"left: {name}" in ours.text

    stage.store.set_faults(Faults())

    eventually(lambda: not stage.names() and not stage.ledgers(), PATIENCE_S, lambda: stage.names())
    assert f"the reaper cleaned up after a dead run; gone: {name}" in run(stage).text
