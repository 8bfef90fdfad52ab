"""The command in this process, on a fake engine in a folder, with machines of every kind of owner."""

from __future__ import annotations

import io
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmharness import Record, Spec, State
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._meeting import Meeting
from vmharness.cli import main
from vmharness.provider import LABEL_EXPIRES, LABEL_NAME, LABEL_SESSION, LABEL_TOKEN
from vmharness_fake import FolderFakeProvider, FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "engine")
    store.prepare()
    return store


@pytest.fixture
def engine(store: FolderStore) -> FolderFakeProvider:
    return FolderFakeProvider(store)


@pytest.fixture
def ledgers(tmp_path: Path) -> FileLedgers:
    return FileLedgers(tmp_path / "state", meeting=Meeting(tmp_path))


@pytest.fixture(autouse=True)
def environ(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: FolderStore, ledgers: FileLedgers
) -> None:
    for name in [name for name in os.environ if name.startswith("VMHARNESS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(store.path))
    monkeypatch.setenv("VMHARNESS_STATE_DIR", str(ledgers.state))
    monkeypatch.setenv("VMHARNESS_BACKEND", "fake")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


class Terminal(io.StringIO):
    """A terminal at which somebody has typed an answer."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run the command; return its exit status, standard output and standard error."""

    def call(*args: str, typed: str | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO() if typed is None else Terminal(typed))
        capsys.readouterr()
        try:
            status = main(args)
        except SystemExit as exc:
            status = exc.code if isinstance(exc.code, int) else 0
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture
def names(engine: FolderFakeProvider) -> Callable[[], list[str]]:
    """Return the names of the engine's machines."""
    return lambda: sorted(info.name for info in engine.list())


@pytest.fixture
def machine(store: FolderStore, ledgers: FileLedgers) -> Iterator[Callable[..., None]]:
    """Make a machine: of a dead or living owner, of one whose ledger isn't here, or of a stranger."""
    held: list[FileLedger] = []

    def make(
        name: str, owner: str, *, age_s: float = 60.0, session: str = "s", expires_s: float = 60
    ) -> None:
        now = time.time() - age_s
        token = "" if owner == "stranger" else secrets.token_hex(16)
        labels = {LABEL_TOKEN: token, LABEL_SESSION: session, LABEL_NAME: name}
        labels[LABEL_EXPIRES] = f"{time.time() + expires_s}"
        if owner in ("dead", "living"):
            ledger = ledgers.open(session)
            ledger.write(record(name, f"folder:{store.path}", token, now))
            ledger.abandon() if owner == "dead" else held.append(ledger)
        engine = FolderFakeProvider(store, clock=lambda: now)
        engine.create(Spec(name=name, labels=labels if token else {}), timeout=5)

    yield make
    for ledger in held:
        ledger.close()


def record(name: str, endpoint: str, token: str, now: float) -> Record:
    return Record(
        id=secrets.token_hex(8),
        name=name,
        backend="fake",
        endpoint=endpoint,
        token=token,
        deadline=now + 60,
        scope="test_a.py::test_it",
        state=State.RUNNING,
        wanted_at=now,
        at=now,
    )
