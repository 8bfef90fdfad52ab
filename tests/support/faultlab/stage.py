"""One run on a fake engine, whose deaths are real: started, brought to its moment, struck, and looked at.

What the engine has is read from its files, never through the code under test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from faultlab.suites import CONFTEST, POINTS
from vmharness_fake import Event, Faults, FolderStore, wait_for

__all__ = ["Run", "Stage", "eventually", "reapers"]

_POLL_S: Final = 0.01


def eventually(condition: Callable[[], object], within: float, what: Callable[[], object]) -> None:
    """Wait until the condition holds; AssertionError with what was seen if it doesn't in time, in seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what()}"
        time.sleep(_POLL_S)


def reapers(state: Path) -> list[int]:
    """Return the process ids of the reapers of a state folder, as the system lists them."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            argv = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        reaper = any(b"_reaper" in word for word in argv)
        if reaper and any(word.startswith(bytes(state)) for word in argv):
            found.append(int(entry.name))
    return found


class Run:
    """A pytest run in a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process: Final = process
        self._output = output

    @property
    def text(self) -> str:
        """What it printed so far."""
        return self._output.read_text(errors="replace")

    def end(self, within: float) -> int:
        """Wait for its end, and return its exit status."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run goes on after {within:g} s:\n{self.text}") from None


class Stage:
    """An engine, a state folder and the runs there."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.store: Final = FolderStore(folder / "engine")
        self.state: Final = folder / "state"
        self._runs: list[Run] = []
        self.store.prepare()

    def start(self, suite: str, *args: str, lifecycle: Sequence[str], sweep: str = "owned") -> Run:
        """Start pytest on a suite, with these lifecycle plugins."""
        place = self.folder / f"run{len(self._runs)}"
        place.mkdir()
        (place / "test_it.py").write_text(suite)
        (place / "conftest.py").write_text(CONFTEST)
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("VMHARNESS_", "PYTEST_", "COV"))
        }
        environ |= {
            "VMHARNESS_BACKEND": "fake",
            "VMHARNESS_FAKE_DIR": str(self.store.path),
            "VMHARNESS_STATE_DIR": str(self.state),
            "VMHARNESS_LIFECYCLE": ",".join(lifecycle),
            "VMHARNESS_SWEEP": sweep,
        }
        output = place / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-pno:cacheprovider", "-q", *args],
                cwd=place,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        run = Run(process, output)
        self._runs.append(run)
        return run

    def at(self, point: str, count: int = 1) -> Sequence[Event]:
        """Wait until so many calls stand at a point, and return them."""
        return wait_for(self.store, point.partition(":")[0], "waits", detail=point, count=count)

    def bomb(self, pid: int, how: str) -> None:
        """Let a process of the last run end itself: "exit" by os._exit, "segfault" by a bad pointer."""
        place = self.folder / f"run{len(self._runs) - 1}"
        hidden = place / ".bomb"
        hidden.write_text(f"{pid} {how}")
        hidden.rename(place / "bomb")

    def release_all(self) -> None:
        """Let all calls go on, and nothing go wrong any more."""
        for point in POINTS.values():
            self.store.release(point)
        self.store.release("list:before")
        self.store.set_faults(Faults())

    def names(self) -> set[str]:
        """Return the names of the machines that the engine has, by its own file."""
        try:
            text = (self.store.path / "machines.json").read_text()
        except FileNotFoundError:
            return set()
        now = time.time()
        return {
            machine["spec"]["name"]
            for machine in json.loads(text)["machines"]
            if machine["appears_at"] <= now and not (machine["gone_at"] and machine["gone_at"] <= now)
        }

    def pids(self, verb: str) -> set[int]:
        """Return the processes that called a verb."""
        return {event.pid for event in self.store.events() if event.verb == verb}

    def close(self) -> None:
        """End what is still there of the runs and their reapers."""
        for run in self._runs:
            try:
                os.killpg(run.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            run.process.wait()
        for pid in reapers(self.state):
            os.kill(pid, signal.SIGKILL)
