"""How `vmharness run` watches its command: real processes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from vmharness.cli._run import watch

FOREVER = ["sleep", "300"]


class Struck(Exception):
    """A signal that nobody passed on."""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Return the processes that a test starts; none of them outlives it."""
    started: list[subprocess.Popen[bytes]] = []

    def strike(number: int, frame: FrameType | None) -> None:
        raise Struck(number)

    before = {number: signal.signal(number, strike) for number in (signal.SIGINT, signal.SIGTERM)}
    yield started
    for number, handler in before.items():
        signal.signal(number, handler)
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_signal_while_the_command_is_started_reaches_it(
    started: list[subprocess.Popen[bytes]], number: signal.Signals, moment: str
) -> None:
    def popen(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        if moment == "before":
            os.kill(os.getpid(), number)
        started.append(subprocess.Popen[bytes](*args, **options))
        if moment == "after":
            os.kill(os.getpid(), number)
        return started[-1]

    assert watch(FOREVER, popen=popen) == -number


def test_a_signal_while_the_command_cannot_be_started_is_not_lost(
    started: list[subprocess.Popen[bytes]],
) -> None:
    def popen(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        os.kill(os.getpid(), signal.SIGTERM)
        raise FileNotFoundError("nothing there")

    with pytest.raises(Struck):
        watch(FOREVER, popen=popen)
    assert started == []
