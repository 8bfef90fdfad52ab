"""Engines as a person meets them: by their own commands, never through our code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Engine:
    """A real engine, its own command line, and what a run must be told to use it."""

    backend: str
    image: str
    command: Callable[..., str]

    def names(self) -> list[str]:
        """Return the names of all machines, running or not."""
        if self.backend == "docker":
            return sorted(self.command("ps", "-a", "--format", "{{.Names}}").split())
        return sorted(self.command("list", "-c", "n", "--format", "csv").split())

    def make(self, name: str) -> None:
        """Make a machine as a stranger would."""
        if self.backend == "docker":
            self.command("run", "-d", "--name", name, self.image, "sleep", "100000")
        else:
            self.command("launch", self.image, name)

    def remove(self, name: str) -> None:
        """Remove a machine if it is there."""
        if name in self.names():
            self.command(*(["rm", "-f"] if self.backend == "docker" else ["delete", "--force"]), name)

    def make_argv(self, name: str) -> list[str]:
        """Return the command that makes a machine, for a test's body."""
        if self.backend == "docker":
            return ["docker", "run", "-d", "--name", name, self.image, "sleep", "100000"]
        return ["incus" if self.backend == "incus" else "lxc", "launch", self.image, name]


@pytest.fixture(params=["docker", "lxd"])
def engine(request: pytest.FixtureRequest) -> Engine:
    kind = request.param
    command = request.getfixturevalue(f"{kind}_engine")
    return Engine(kind, request.getfixturevalue(f"{kind}_image"), command)


# Names that look like ours and aren't.
STRANGERS = ("vmh-plain-0-aaaaaaaaaa", "vmhx", "zz-vmh-one")


@pytest.fixture
def strangers(engine: Engine) -> Iterator[Sequence[str]]:
    """Make strangers' machines, and prove at the end that they are all that there is."""
    before = engine.names()
    assert before == [], "the engine must be empty, so that what is left can be told"
    for name in STRANGERS:
        engine.make(name)
    yield STRANGERS
    try:
        assert engine.names() == sorted(STRANGERS)
    finally:
        for name in engine.names():
            engine.remove(name)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(
    engine: Engine, pytester: pytest.Pytester, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """Start pytest on the engine, in a session of its own; whatever happens, it is ended."""
    for name in list(os.environ):
        if name.startswith(("PYTEST_XDIST", "PYTEST_ADDOPTS")):
            monkeypatch.delenv(name)
    started: list[subprocess.Popen[str]] = []

    def start(suite: str, *args: str) -> subprocess.Popen[str]:
        pytester.makepyfile(suite)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-pno:cacheprovider", "-q"),
                *(f"--vm-backend={engine.backend}", f"--vm-image={engine.image}"),
                *args,
            ],
            cwd=pytester.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        assert process.stdout
        process.stdout.close()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Return what waits until a condition holds, for a minute at most."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it didn't come to that in a minute"
            time.sleep(0.01)

    return wait


@pytest.fixture
def ledgers(state_dir: Path) -> Callable[[], list[Path]]:
    return lambda: sorted(state_dir.glob("*/*.ledger"))
