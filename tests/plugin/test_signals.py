"""Real signals to real pytest processes, at moments that the engine's log shows."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from vmharness_fake import FolderStore, wait_for

Names = Callable[[], list[str]]
Start = Callable[..., subprocess.Popen[str]]

BODY = """
def test_before(vm):
    pass

def test_one(vm, shared_vm):
    vm.run(["sleep", "60"])
"""


def at(store: FolderStore, moment: str) -> None:
    """Wait until the run has come to the moment."""
    if moment == "body":
        wait_for(store, "run", "accepted")
    else:
        wait_for(store, moment.partition(":")[0], "waits", detail=moment)


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it didn't come to that in a minute"
        time.sleep(0.01)


def finished(folder: Path) -> list[str]:
    """Return the tests of a report; pytest leaves one without a name for the test that it was at."""
    cases = ElementTree.parse(folder / "junit.xml").iter("testcase")  # noqa: S314 - pytest's own
    return [case.attrib["name"] for case in cases if "name" in case.attrib]


@pytest.mark.parametrize("moment", ["body", "create:accepted", "delete:before"])
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 2), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)],
)
def test_a_signal_ends_the_run_in_good_order(
    start: Start,
    store: FolderStore,
    names: Names,
    ledgers: Names,
    pytester: pytest.Pytester,
    number: int,
    status: int,
    moment: str,
) -> None:
    if moment != "body":
        store.hold(moment)
    process = start(BODY)
    at(store, moment)

    process.send_signal(number)
    if moment != "body":
        time.sleep(0.1)  # so that the signal strikes at the moment, not after it
        store.release(moment)
    text, _ = process.communicate(timeout=60)

    assert process.returncode == status, text
    assert names() == [], text
    assert ledgers() == []
    assert " 0 left" in text
    assert finished(pytester.path) == ([] if moment == "create:accepted" else ["test_before"])


def test_a_callable_handler_of_ones_own_is_called(start: Start, store: FolderStore, names: Names) -> None:
    process = start(
        """
        import signal

        def handler(number, frame):
            print("called with", number, file=open("called", "a"))

        signal.signal(signal.SIGTERM, handler)
        """
        + BODY.replace("\n", "\n        ")
    )
    at(store, "body")

    process.terminate()
    text, _ = process.communicate(timeout=60)

    assert process.returncode == pytest.ExitCode.INTERRUPTED, text
    assert names() == []
    assert Path("called").read_text() == f"called with {int(signal.SIGTERM)}\n"


def test_an_ignored_signal_stays_ignored(start: Start, store: FolderStore, names: Names) -> None:
    process = start(
        """
        import signal

        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def test_one(vm):
            vm.run(["sleep", "0.5"])
        """
    )
    at(store, "body")

    process.send_signal(signal.SIGHUP)
    text, _ = process.communicate(timeout=60)

    assert process.returncode == 0, text
    assert names() == []


def test_handlers_are_restored(start: Start, names: Names) -> None:
    process = start(
        """
        import atexit
        import signal

        before = signal.getsignal(signal.SIGTERM)

        def test_one(vm):
            assert signal.getsignal(signal.SIGTERM) != before

        atexit.register(lambda: print("restored", signal.getsignal(signal.SIGTERM) == before))
        """
    )

    text, _ = process.communicate(timeout=60)

    assert process.returncode == 0, text
    assert "restored True" in text


@pytest.mark.parametrize("group", [True, False], ids=["group", "controller"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_xdist(
    start: Start, store: FolderStore, names: Names, ledgers: Names, number: int, group: bool
) -> None:
    process = start(
        """
        import pytest

        @pytest.mark.parametrize("n", range(4))
        def test_one(vm, n):
            vm.run(["sleep", "60"])
        """,
        "-n2",
    )
    wait_for(store, "run", "accepted", count=2)

    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    text, _ = process.communicate(timeout=60)

    assert process.returncode == (2 if number == signal.SIGINT else -number), text
    # A worker that its controller's end cut short leaves the rest to its reaper.
    eventually(lambda: names() == ledgers() == [])


@pytest.mark.usefixtures("no_reaper")
def test_sigkill_is_cleaned_up_by_the_next_run(
    start: Start, store: FolderStore, names: Names, ledgers: Names
) -> None:
    store.hold("create:accepted")
    process = start(BODY)
    at(store, "create:accepted")

    process.kill()
    process.communicate()
    store.release("create:accepted")
    assert len(names()) == len(ledgers()) == 1
    text, _ = start("def test_nothing(): pass").communicate(timeout=60)

    assert names() == ledgers() == []
    assert "1 swept, 0 left" in text
