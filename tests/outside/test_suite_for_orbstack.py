"""A suite for OrbStack that others wrote, run unchanged but for its clean-up, on the simulator.

It takes some minutes, in which it mostly sleeps: `tox -e outside` runs it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from orbctls import Commands
from suite_of_others import fetch, without_its_cleanup

if importlib.util.find_spec("pyinfra_orbstack") is None:
    pytest.skip("what the suite tests is in the environment `outside` only", allow_module_level=True)

# They were there before. The first is the one that tests take which want any machine; the others have names
# like those of the suite.
STRANGERS = ("any", "e2e-test-vm-1", "pytest-shared-base", "pytest-test-worker-1-2", "test-vm-17")
# Of the suite's 341 tests: some need programs of the host, or a Mac's pace.
AT_LEAST = 320
PATIENCE_S = 60


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the suite, under way.

    Attributes:
        orbctl: The commands of its own simulator.
        process: Pytest, or what runs it.
        folder: Where it runs.
        environ: Its environment.
    """

    orbctl: Commands
    process: subprocess.Popen[bytes]
    folder: Path
    environ: Mapping[str, str]

    def passed(self) -> frozenset[str]:
        """Return the tests that passed, once it has ended."""
        self.process.wait()
        cases = ElementTree.parse(self.folder / "report.xml").iter("testcase")  # noqa: S314 - pytest's own
        return frozenset(f"{case.get('classname')}::{case.get('name')}" for case in cases if not len(case))

    def machines(self) -> Sequence[str]:
        """Return the machines that are there now."""
        return self.orbctl.says("list", "-q").split()

    def said(self) -> str:
        """Return what it printed."""
        return (self.folder / "output").read_text(errors="replace")


class Stage:
    """Starts runs of the suite, each beside a simulator and a state folder of its own.

    Args:
        folder: Where all of them are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._suite = fetch(folder / "fetched")
        self._runs: list[Run] = []

    def start(self, name: str, *words: str, ours: bool, pace: Mapping[str, float] | None = None) -> Run:
        """Start a run.

        Args:
            name: Name of the run.
            words: What pytest is called with.
            ours: Whether vmharness cleans up, and not the suite.
            pace: Settings of the simulator.
        """
        folder = self._folder / name
        shutil.copytree(self._suite, folder)
        commands = folder / "bin"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("VMHARNESS_")}
        environ |= {"VMHARNESS_STATE_DIR": str(folder / "state"), "VMHARNESS_ORBCTL_DIR": f"{commands}/state"}
        orbctl = Commands(commands)
        orbctl.set(**(pace or {}))
        for stranger in STRANGERS:
            orbctl.says("create", "ubuntu:22.04", stranger)
        words = ("-m", "pytest", "-o", "addopts=", "--timeout=180", "-rA", "--junitxml=report.xml", *words)
        if ours:
            assert without_its_cleanup(folder) > 10
            vmharness = str(Path(sys.executable).with_name("vmharness"))
            argv = [vmharness, "run", "--orbctl=simulator", "--", sys.executable, *words]
        else:
            environ["PATH"] = f"{commands}{os.pathsep}{environ['PATH']}"
            argv = [sys.executable, *words, "-p", "no:vmharness"]
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._runs.append(Run(orbctl=orbctl, process=process, folder=folder, environ=environ))
        return self._runs[-1]

    def close(self) -> None:
        """End what is still under way."""
        for run in self._runs:
            if run.process.poll() is None:
                os.killpg(run.process.pid, signal.SIGKILL)
                run.process.wait()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("outside"))
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def theirs(stage: Stage) -> Run:
    """With the clean-up of its own."""
    return stage.start("theirs", ours=False)


@pytest.fixture(scope="module", autouse=True)
def ours(stage: Stage, theirs: Run) -> Mapping[str, Run]:
    """With vmharness, in several ways, all at once."""
    return {
        "plain": stage.start("plain", ours=True),
        "xdist": stage.start("xdist", "-n2", ours=True),
        # Longer than what some creates are given, which is 15 seconds.
        "late": stage.start("late", "-n4", ours=True, pace={"create_s": 17.0}),
    }


def test_its_own_cleanup_leaves_a_machine_and_takes_a_strangers(theirs: Run) -> None:
    assert len(theirs.passed()) >= AT_LEAST, theirs.said()

    assert "test-invalid-user" in theirs.machines()
    assert "pytest-test-worker-1-2" not in theirs.machines()


@pytest.mark.parametrize("how", ["plain", "xdist", "late"])
def test_what_passes_with_its_cleanup_passes_with_ours_and_nothing_is_left(
    theirs: Run, ours: Mapping[str, Run], stage: Stage, how: str
) -> None:
    run = ours[how]
    lost = theirs.passed() - run.passed()

    assert sorted(run.machines()) == sorted(STRANGERS), run.said()
    assert "0 left" in run.said()
    if (
        lost
    ):  # some measure how long things take: what fails alone, too, fails for another reason than the time
        names = " or ".join(sorted({test.rpartition("::")[2].partition("[")[0] for test in lost}))
        again = stage.start(f"{how}-again", "-k", names, ours=True)
        assert not lost - again.passed(), again.said()


@pytest.mark.parametrize("words", [(), ("-n2",)], ids=["plain", "xdist"])
def test_after_an_interrupt_nothing_is_left(stage: Stage, words: Sequence[str]) -> None:
    run = stage.start(f"interrupted{len(words)}", *words, "tests/test_e2e.py", ours=True, pace={"scale": 1.0})
    run.orbctl.steer.wait_for("create", "accepted", count=len(STRANGERS) + 2, timeout=PATIENCE_S)
    made = set(run.machines()) - set(STRANGERS)

    os.killpg(run.process.pid, signal.SIGINT)
    run.process.wait(timeout=PATIENCE_S)

    assert made
    give_up = time.monotonic() + PATIENCE_S
    while sorted(run.machines()) != sorted(STRANGERS):  # under xdist the reaper finishes what takes long
        assert time.monotonic() < give_up, run.machines()
        time.sleep(0.2)
