"""A second interrupt ends a run at once, says what is left, and leaves that to the reaper."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness_fake import FolderStore, wait_for

Names = Callable[[], list[str]]
Start = Callable[..., subprocess.Popen[str]]

SUITE = """
import time
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def slow():
    yield
    Path("finalizing").touch()
    time.sleep({finalizer_s})

def test_one(vm, slow):
    vm.run(["sleep", "60"])
"""


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it didn't come to that in a minute"
        time.sleep(0.01)


def is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def one_name(names: Names) -> str:
    (name,) = names()
    return name


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "no-terminal"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_clean_up_it_waits_for_no_delete(
    start: Start, store: FolderStore, names: Names, number: int, *, terminal: bool
) -> None:
    store.hold("delete:before")
    process = start(SUITE.format(finalizer_s=0), *([] if terminal else ["-pno:terminal"]))
    wait_for(store, "run", "accepted")
    process.send_signal(number)
    wait_for(store, "delete", "waits")

    process.send_signal(number)
    text, _ = process.communicate(timeout=60)

    assert process.returncode == (2 if number == signal.SIGINT else -number), text
    assert f"left: {one_name(names)} of test_in_the_clean_up" in text.replace(os.sep, "/"), text
    assert "what is left is for its reaper" in text
    assert f"remove it with: {sys.executable} -m vmharness_fake" in text
    store.release("delete:before")
    eventually(lambda: names() == [])


def test_in_a_finalizer_nothing_is_begun_any_more(
    start: Start, store: FolderStore, names: Names, pytester: pytest.Pytester
) -> None:
    store.hold("delete:before")
    process = start(SUITE.format(finalizer_s=60))
    wait_for(store, "run", "accepted")
    process.send_signal(signal.SIGINT)
    eventually((Path(pytester.path) / "finalizing").exists)
    assert not [event for event in store.events() if event.verb == "delete"]

    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)

    ours = [event for event in store.events() if event.verb == "delete" and event.pid == process.pid]
    assert ours == []
    assert one_name(names) in text
    store.release("delete:before")
    eventually(lambda: names() == [])


def test_in_a_sweep_twice_it_ends_at_once(
    start: Start, store: FolderStore, names: Names, ledgers: Names
) -> None:
    orphaned = start("import os\ndef test_one(vm): os.kill(os.getpid(), 9)", "--vm-sweep=off")
    # Without its reaper, so that there is something to sweep.
    store.hold("delete:before")
    orphaned.communicate(timeout=60)
    for event in wait_for(store, "delete", "waits"):
        os.kill(event.pid, signal.SIGKILL)
    process = start("def test_two(): pass")
    wait_for(store, "delete", "waits", count=2)

    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)

    assert process.returncode == 2, text
    assert len(names()) == len(ledgers()) == 1
    store.release("delete:before")
    text, _ = start("def test_two(): pass").communicate(timeout=60)
    assert names() == ledgers() == [], text


def test_deletes_that_outlast_xdists_patience_are_the_reapers(
    start: Start, store: FolderStore, names: Names
) -> None:
    store.hold("delete:before")
    process = start(
        """
        import pytest

        @pytest.mark.parametrize("n", range(2))
        def test_one(vm, n):
            vm.run(["sleep", "60"])
        """,
        "-n2",
    )
    workers = {event.pid for event in wait_for(store, "run", "accepted", count=2)}
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    eventually(lambda: all(is_dead(pid) for pid in workers))
    assert len(names()) == 2

    store.release("delete:before")

    eventually(lambda: names() == [])
    deleted = [event for event in store.events() if (event.verb, event.phase) == ("delete", "accepted")]
    assert not {event.pid for event in deleted} & workers


def test_a_process_that_is_deaf_to_interrupts_says_so(start: Start, store: FolderStore, names: Names) -> None:
    process = start(SUITE.format(finalizer_s=0), deaf=True)
    wait_for(store, "run", "accepted")

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=60)

    assert "interrupts are ignored" in text
    assert process.returncode == -signal.SIGTERM, text
    assert names() == []


def test_one_that_hears_them_says_nothing(start: Start) -> None:
    text, _ = start("def test_one(): pass").communicate(timeout=60)

    assert "interrupts are ignored" not in text
