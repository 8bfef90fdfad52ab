"""A process forks while another of its threads is at something: its child isn't kept by what that holds."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from vmharness import Record, Session, State
from vmharness._door import Door
from vmharness._ledger import FileLedger
from vmharness.errors import VMHarnessError
from vmharness.lifecycle.reaper import Reaper

# A child that hangs is killed after that, in seconds; one that doesn't is done at once.
HANGS_S = 30
RECORD = Record(
    id="r1",
    name="vmh-x",
    backend="fake",
    endpoint="memory:1",
    token="",
    deadline=200.0,
    scope="",
    state=State.RUNNING,
    wanted_at=100.0,
    at=100.0,
)


def fork(act: Callable[[], object]) -> int:
    """Let a forked child act, and return how it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:  # pragma: no cover
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(HANGS_S)
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_ledger_that_a_thread_is_writing_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    ledger = FileLedger(path, os.open(path, os.O_RDWR | os.O_CLOEXEC), b"")
    reader = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    longer_than_a_pipe = replace(RECORD, scope="x" * 1_000_000)
    writer = threading.Thread(target=ledger.write, args=(longer_than_a_pipe,))
    writer.start()
    os.read(reader, 1)  # now it has begun, and can't end

    status = fork(ledger.close)

    while not os.read(reader, 65536).endswith(b"\n"):
        pass
    writer.join()
    os.close(reader)
    ledger.abandon()
    assert status == 0


class Opened(Exception):
    """A session's ledger was asked for."""


class SlowSession:
    """A session whose ledger isn't there yet; in another process asking for it raises."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self._pid = os.getpid()

    @property
    def ledger(self) -> FileLedger:
        if os.getpid() == self._pid:
            self.asked.set()
            self.go_on.wait()
        raise Opened


def test_a_reaper_that_a_thread_is_starting() -> None:
    reaper, slow = Reaper(), SlowSession()
    session = cast("Session", slow)

    def create() -> None:
        with pytest.raises(Opened):
            reaper.before_create(session, RECORD)

    starter = threading.Thread(target=create)
    starter.start()
    slow.asked.wait()

    status = fork(create)

    slow.go_on.set()
    starter.join()
    assert status == 0


def test_a_create_that_a_thread_has_under_way() -> None:
    door = Door()
    inside, go_on = threading.Event(), threading.Event()

    def create() -> None:
        with door.through():
            inside.set()
            go_on.wait()

    def end() -> None:
        door.shut(timeout=10 * HANGS_S)
        with pytest.raises(VMHarnessError, match="ending"), door.through():
            pass

    creator = threading.Thread(target=create)
    creator.start()
    inside.wait()

    status = fork(end)

    go_on.set()
    creator.join()
    assert status == 0
    with door.through():
        pass  # the child's end isn't the parent's
