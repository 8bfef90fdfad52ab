"""pytest runs inside tests, on a fake engine whose machines outlive them, with their own state folder."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from processes import PYTEST, processes
from vmharness_fake import POINTS, FolderFakeProvider, FolderStore

Run = Callable[..., pytest.RunResult]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "engine")
    store.prepare()
    return store


@pytest.fixture
def engine(store: FolderStore) -> FolderFakeProvider:
    return FolderFakeProvider(store)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, store: FolderStore, state: Path) -> None:
    for name in [
        name for name in os.environ if name.startswith(("VMHARNESS_", "PYTEST_XDIST", "PYTEST_ADDOPTS"))
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(store.endpoint.removeprefix("folder:")))
    monkeypatch.setenv("VMHARNESS_STATE_DIR", str(state))
    monkeypatch.setenv("VMHARNESS_BACKEND", "fake")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run a suite in a process of its own, without plugins that the test doesn't ask for."""

    def run(suite: str, *args: str, plugins: Sequence[str] = ()) -> pytest.RunResult:
        pytester.makepyfile(suite)
        off = {"xdist", "timeout", "rerunfailures", "hypothesispytest"} - set(plugins)
        return pytester.runpytest_subprocess(*(f"-pno:{name}" for name in sorted(off)), "-W", "error", *args)

    return run


@pytest.fixture
def start(pytester: pytest.Pytester, store: FolderStore) -> Iterator[Start]:
    """Start pytest in a process group of its own, reporting to junit.xml; whatever happens, it is ended."""
    with processes() as started:

        def start(suite: str, *args: str, deaf: bool = False) -> subprocess.Popen[str]:
            pytester.makepyfile(suite)
            argv = [*PYTEST, "--junit-xml=junit.xml", *args]
            return started.start(["env", "--ignore-signal=INT", *argv] if deaf else argv, cwd=pytester.path)

        yield start
        for point in POINTS:
            store.release(point)


@pytest.fixture
def names(engine: FolderFakeProvider) -> Callable[[], list[str]]:
    """Return the names of the engine's machines."""
    return lambda: sorted(info.name for info in engine.list())


@pytest.fixture
def ledgers(state: Path) -> Callable[[], list[str]]:
    """Return the names of the ledgers in the state folder."""
    return lambda: sorted(path.name for path in state.glob("*/*.ledger"))


@pytest.fixture
def fakectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the fake engine's own command on PATH, in a folder whose name has a blank."""
    folder = tmp_path / "own commands"
    folder.mkdir()
    program = folder / "fakectl"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m vmharness_fake "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return program
