"""The demo's pytest runs, each a process, and what their ledgers say of it. It knows no engine by name."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vmharness._ledger import FileLedgers
from vmharness._model import State

__all__ = ["History", "Run", "Watch", "run_pytest"]

# How long an interrupted run may take to clean up, and then to leave the rest, in seconds.
_GRACES_S: Final = (6.0, 4.0)
_POLL_S: Final = 0.01


@dataclass(slots=True)
class Run:
    """One pytest run. Times are seconds since the epoch.

    Attributes:
        pid: Its process.
        began_at: When it began.
        ended_at: When it had ended.
        status: Its exit status; negative: the signal that ended it.
        tests_over_at: When its last test was over; None if it didn't get so far.
    """

    pid: int = 0
    began_at: float = 0.0
    ended_at: float = 0.0
    status: int = 0
    tests_over_at: float | None = None


def run_pytest(
    arguments: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    show: Callable[[str], None],
    begun: Callable[[str], None],
    tick: Callable[[int], None],
) -> Run:
    """Run pytest to its end.

    Args:
        arguments: What it is called with.
        folder: Where it runs.
        environ: Its environment.
        show: Is given each line that it prints.
        begun: Is given the line that it has begun to print.
        tick: Is called with its process id all the time while it runs.

    Raises:
        KeyboardInterrupt: We were interrupted; the run was interrupted in turn, and has ended.
    """
    over = folder / "tests-over"
    over.unlink(missing_ok=True)
    run = Run(began_at=time.time())
    # In a session of its own: a Ctrl+C is ours alone, and passed on once.
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        run.pid = process.pid
        output = _Output(process, show, begun)
        try:
            while output.read(_POLL_S):
                tick(process.pid)
        except BaseException:
            _interrupt(process, output)
            raise
        run.status = process.wait()
    run.ended_at = time.time()
    if over.exists():
        run.tests_over_at = float(over.read_text())
    return run


def _interrupt(process: subprocess.Popen[bytes], output: _Output) -> None:
    """End a run in good order, then in a hurry, and in the end by force."""
    try:
        for patience in _GRACES_S:
            process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + patience
            while output.read(_POLL_S):
                if time.monotonic() > deadline:
                    break
            else:
                return
    finally:
        process.kill()  # of no effect on one that has ended


class _Output:
    """The lines that a process prints, as they come."""

    def __init__(
        self, process: subprocess.Popen[bytes], show: Callable[[str], None], begun: Callable[[str], None]
    ) -> None:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        self._process = process
        self._show = show
        self._begun = begun
        self._descriptor = process.stdout.fileno()
        self._rest = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._descriptor, selectors.EVENT_READ)

    def read(self, wait: float) -> bool:
        """Show what has come within some seconds; False when no more will."""
        # Its end is asked for first: what it wrote before that is then already there to be read.
        ended = self._process.poll() is not None
        came = bool(self._selector.select(0 if ended else wait))
        content = os.read(self._descriptor, 1 << 16) if came else b""
        lines = (self._rest + content).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._show(line.decode("utf-8", "replace"))
        # An orphaned child of it may hold the pipe open, so that its end alone proves nothing.
        if content or not (ended or came):
            if content:
                self._begun(self._rest.decode("utf-8", "replace"))
            return True
        if self._rest:
            self._show(self._rest.decode("utf-8", "replace"))
        self._selector.close()
        return False


@dataclass(slots=True)
class History:
    """What the ledgers say of one machine.

    Attributes:
        name: Its name.
        scope: The test that it was for.
        pid: The process that asked for it.
        steps: The states that it was in, since when, and why.
    """

    name: str
    scope: str
    pid: int
    steps: list[tuple[State, float, str]] = field(default_factory=list[tuple[State, float, str]])

    @property
    def state(self) -> State:
        """The state that it is in now."""
        return self.steps[-1][0]

    @property
    def states(self) -> set[State]:
        """All states that it was in."""
        return {state for state, _, _ in self.steps}


class Watch:
    """Keeps ledgers open while their runs write them: a settled one is unlinked, and can still be read.

    Args:
        ledgers: The demo's.
    """

    def __init__(self, ledgers: FileLedgers) -> None:
        self._ledgers = ledgers
        self._open: dict[Path, int] = {}

    def look(self) -> None:
        """Open the ledgers that are new."""
        for path in self._ledgers.paths():
            if path not in self._open:
                try:
                    self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    pass  # nothing was on its books

    def close(self) -> None:
        """Close all."""
        while self._open:
            os.close(self._open.popitem()[1])

    def histories(self) -> Sequence[History]:
        """Return what became of each machine so far, in the order in which they were wanted."""
        found: dict[str, History] = {}
        for descriptor in self._open.values():
            lines = os.pread(descriptor, os.fstat(descriptor).st_size, 0).split(b"\n")[:-1]
            header: dict[str, Any] = json.loads(lines[0])
            for line in lines[1:]:
                entry: dict[str, Any] = json.loads(line)
                if "id" not in entry:
                    continue  # that the ledger was taken over
                history = found.setdefault(
                    entry["id"], History(name=entry["name"], scope=entry["scope"], pid=header["pid"])
                )
                history.steps.append((State(entry["state"]), entry["at"], entry["error"]))
        return list(found.values())
