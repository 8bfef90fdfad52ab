"""pytest runs inside tests, on a fake engine whose machines outlive them, with their own state folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vmharness_fake import FolderFakeProvider, FolderStore

Run = Callable[..., pytest.RunResult]


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
        off = {"xdist", "timeout", "rerunfailures"} - set(plugins)
        return pytester.runpytest_subprocess(*(f"-pno:{name}" for name in sorted(off)), "-W", "error", *args)

    return run


@pytest.fixture
def names(engine: FolderFakeProvider) -> Callable[[], list[str]]:
    """Return the names of the engine's machines."""
    return lambda: sorted(info.name for info in engine.list())


@pytest.fixture
def ledgers(state: Path) -> Callable[[], list[str]]:
    """Return the names of the ledgers in the state folder."""
    return lambda: sorted(path.name for path in state.glob("*/*.ledger"))
