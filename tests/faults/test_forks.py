"""A test that holds a machine forks: the child never cleans up for its parent, nor hinders its reaper."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from faultlab.fake import FakeStage
from faultlab.stage import Run, eventually
from vmharness._settings import DEFAULT_LIFECYCLE

PATIENCE_S = 60.0

# How a child ends without pytest.
ENDS = {
    "exit": "os._exit(0)",
    "kill": "os.kill(os.getpid(), signal.SIGKILL)",
    "abort": "os.abort()",
}
# How it ends through pytest, which goes on in it as if it were the parent.
PYTEST_ENDS = {"return": "return", "sys-exit": "sys.exit(0)", "exception": "raise RuntimeError('on purpose')"}
# How a child of multiprocessing ends.
WORKER_ENDS = {**ENDS, **PYTEST_ENDS}

FORK = """
import os
import signal
import sys

def test_one(vm, vm_provider):
    child = os.fork()
    if not child:
        {end}
    os.waitpid(child, 0)
    assert vm_provider.exists(vm.name)

def test_two(vm): pass
"""

WORKER = """
import multiprocessing
import os
import signal
import sys

def work():
    {end}

def test_one(vm, vm_provider):
    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    worker.join()
    assert vm_provider.exists(vm.name)

def test_two(vm): pass
"""

LIVES_ON = """
import os
import signal
import subprocess
from pathlib import Path

def test_one(vm):
    child = os.fork()
    if not child:
        sleeper = subprocess.Popen(["sleep", "300"], close_fds=False)
        Path(__file__).with_name("children").write_text(f"{os.getpid()} {sleeper.pid}")
        signal.pause()
    vm.run(["sleep", "0"])
"""

CREATES = """
import multiprocessing
import os
import signal
import sys

def work(session):
    session.create(name="childs")
    {end}

def test_one(vm_factory, vm_session):
    vm_factory("parents")
    worker = multiprocessing.get_context("fork").Process(target=work, args=(vm_session,))
    worker.start()
    worker.join()
    vm_factory("parents-2").run(["sleep", "0"])
"""


def owners(stage: FakeStage, verb: str) -> dict[str, set[int]]:
    """Return which processes asked the engine for a verb, by the machine's name."""
    found: dict[str, set[int]] = {}
    for event in stage.store.events():
        if (event.verb, event.phase) == (verb, "accepted"):
            found.setdefault(event.name, set()).add(event.pid)
    return found


def check_that_each_deletes_its_own(stage: FakeStage, run: Run, *, machines: int) -> None:
    assert run.end(PATIENCE_S) == 0, run.text
    eventually(lambda: not stage.names(), PATIENCE_S, stage.names)
    created, deleted = owners(stage, "create"), owners(stage, "delete")
    assert len(created) == machines
    assert deleted == created


@pytest.mark.parametrize("end", list(ENDS.values()), ids=list(ENDS))
def test_a_child_that_ends_by_itself_deletes_nothing(stage: FakeStage, end: str) -> None:
    run = stage.start(FORK.format(end=end), "-pno:xdist", lifecycle=DEFAULT_LIFECYCLE)

    check_that_each_deletes_its_own(stage, run, machines=2)


@pytest.mark.parametrize("end", list(PYTEST_ENDS.values()), ids=list(PYTEST_ENDS))
def test_a_child_that_ends_through_pytest_deletes_what_it_made_itself(stage: FakeStage, end: str) -> None:
    run = stage.start(FORK.format(end=end), "-pno:xdist", lifecycle=DEFAULT_LIFECYCLE)

    # Parent's first, and the second test's in the child and in the parent.
    check_that_each_deletes_its_own(stage, run, machines=3)


@pytest.mark.parametrize("end", list(WORKER_ENDS.values()), ids=list(WORKER_ENDS))
def test_a_worker_of_multiprocessing_deletes_nothing(stage: FakeStage, end: str) -> None:
    run = stage.start(WORKER.format(end=end), "-pno:xdist", lifecycle=DEFAULT_LIFECYCLE)

    check_that_each_deletes_its_own(stage, run, machines=2)


@pytest.fixture
def children(stage: FakeStage) -> Iterator[Path]:
    """Return where the processes are noted that outlive their parent, and end them."""
    noted = stage.folder / "run0" / "children"
    yield noted
    for pid in noted.read_text().split():
        os.kill(int(pid), signal.SIGKILL)


def test_a_child_that_lives_on_keeps_no_machine_alive(stage: FakeStage, children: Path) -> None:
    stage.store.hold("run:before")
    run = stage.start(LIVES_ON, "-pno:xdist", lifecycle=DEFAULT_LIFECYCLE)
    stage.at("run:before")
    eventually(children.exists, PATIENCE_S, lambda: run.text)
    assert len(stage.names()) == 1

    os.kill(run.process.pid, signal.SIGKILL)

    eventually(lambda: not stage.names(), PATIENCE_S, stage.names)
    for pid in children.read_text().split():
        os.kill(int(pid), 0)


@pytest.mark.parametrize("end", list(WORKER_ENDS.values()), ids=list(WORKER_ENDS))
def test_a_childs_machine_goes_with_it_and_its_parents_stays(stage: FakeStage, end: str) -> None:
    stage.store.hold("run:before")
    run = stage.start(CREATES.format(end=end), "-pno:xdist", lifecycle=DEFAULT_LIFECYCLE)
    stage.at("run:before")

    eventually(lambda: stage.names() == {"parents", "parents-2"}, PATIENCE_S, stage.names)

    created, deleted = owners(stage, "create"), owners(stage, "delete")
    assert set(created) == {"childs", "parents", "parents-2"}
    assert created["childs"] != created["parents"]
    assert set(deleted) == {"childs"}
    assert deleted["childs"].isdisjoint(created["parents"] | created["childs"]), "not by its own reaper"
    stage.store.release("run:before")
    assert run.end(PATIENCE_S) == 0, run.text
    assert stage.names() == set()
