"""Runs on an engine under test, whose deaths are real, and their state folder."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from faultlab.engine import EngineUnderTest, eventually
from faultlab.suites import CONFTEST
from processes import PYTEST

__all__ = ["Run", "Stage", "eventually", "is_dead", "reapers"]

# How long a run may take to come to its moment, and an engine to be done with what dead clients asked for.
_PATIENCE_S: Final = 60.0


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


def is_dead(pid: int) -> bool:
    """Whether a process is dead, waited for by its parent or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Run:
    """A pytest run in a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process: Final = process
        self._folder = folder

    @property
    def text(self) -> str:
        """What it printed so far."""
        return (self._folder / "output").read_text(errors="replace")

    def end(self, within: float) -> int:
        """Wait for its end, and return its exit status."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run goes on after {within:g} s:\n{self.text}") from None

    def bomb(self, pid: int, how: str) -> None:
        """Let one of its processes end itself: "exit" by os._exit, "segfault" by a bad pointer."""
        hidden = self._folder / ".bomb"
        hidden.write_text(f"{pid} {how}")
        hidden.rename(self._folder / "bomb")


class Stage:
    """A state folder, and the runs that use it.

    Args:
        engine: Where they have their machines.
        folder: Where all files are.
        state: The state folder, if it is elsewhere.
    """

    def __init__(self, engine: EngineUnderTest, folder: Path, *, state: Path | None = None) -> None:
        self.engine: Final = engine
        self.folder: Final = folder
        self.state: Final = state or folder / "state"
        self._runs: list[Run] = []

    def start(
        self,
        suite: str,
        *args: str,
        lifecycle: Sequence[str],
        sweep: str = "owned",
        variables: Mapping[str, str] | None = None,
    ) -> Run:
        """Start pytest on a suite, with these lifecycle plugins and variables of the environment."""
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
            **self.engine.environ,
            "VMHARNESS_BACKEND": self.engine.backend,
            "VMHARNESS_PREFIX": self.engine.prefix,
            "VMHARNESS_STATE_DIR": str(self.state),
            "VMHARNESS_LIFECYCLE": ",".join(lifecycle),
            "VMHARNESS_SWEEP": sweep,
            **(variables or {}),
        }
        with (place / "output").open("wb") as file:
            process = subprocess.Popen(
                [*PYTEST, "-pno:rerunfailures", "-q", *args],
                cwd=place,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        run = Run(process, place)
        self._runs.append(run)
        return run

    def ledgers(self) -> list[Path]:
        """Return the ledgers in sight."""
        return sorted(self.state.glob("*/*.ledger"))

    @property
    def reapers_log(self) -> str:
        """What reapers of the state folder wrote so far."""
        return "".join(log.read_text() for log in self.state.glob("*/reaper.log"))

    def at(self, point: str, count: int = 1) -> Sequence[int]:
        """Wait until so many calls stand at a point, and return whose they are."""
        eventually(
            lambda: len(self.engine.stood(point)) >= count,
            _PATIENCE_S,
            lambda: (point, self.engine.stood(point), *(run.text for run in self._runs)),
        )
        return self.engine.stood(point)

    def close(self) -> None:
        """End what is still there of the runs and their reapers, and let the engine come to rest."""
        for run in self._runs:
            try:
                os.killpg(run.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            run.process.wait()
        for pid in reapers(self.state):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.engine.forget()
        eventually(lambda: not self.engine.is_busy(), _PATIENCE_S, lambda: "calls are still under way")
