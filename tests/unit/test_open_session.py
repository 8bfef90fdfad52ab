"""A session as a block: whatever ends it, its machines are gone, and its own error is the one that leaves."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from vmharness import Settings, open_session
from vmharness._ledger import FileLedgers
from vmharness.errors import CleanupFailed, PluginError, SettingsError
from vmharness_fake import Fault, Faults, FolderFakeProvider, FolderStore, wait_for


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(tmp_path / "engine"))
    return {"VMHARNESS_STATE_DIR": str(tmp_path / "state"), "VMHARNESS_BACKEND": "fake"}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "engine")


@pytest.fixture
def engine(store: FolderStore) -> FolderFakeProvider:
    return FolderFakeProvider(store)


@pytest.fixture
def ledgers(environ: Mapping[str, str]) -> FileLedgers:
    return FileLedgers.usual(environ)


def test_at_the_blocks_end_all_is_gone(
    environ: Mapping[str, str], engine: FolderFakeProvider, ledgers: FileLedgers
) -> None:
    with open_session(environ=environ) as session:
        machine = session.create()
        assert [info.name for info in engine.list()] == [machine.name]
        assert list(ledgers.paths()) == [session.ledger.path]

    assert not engine.list()
    assert not list(ledgers.paths())


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_block_when_all_is_gone(
    environ: Mapping[str, str], engine: FolderFakeProvider, error: type[BaseException]
) -> None:
    def block() -> None:
        with open_session(environ=environ) as session:
            session.create()
            raise error

    with pytest.raises(error):
        block()

    assert not engine.list()


def test_what_is_left_is_raised_and_stays_on_the_books(
    environ: Mapping[str, str], store: FolderStore, ledgers: FileLedgers
) -> None:
    def block() -> None:
        with open_session(environ=environ) as session:
            session.create()
            store.set_faults(Faults((Fault("delete", "fails"),)))

    with pytest.raises(CleanupFailed, match="could not be deleted"):
        block()

    assert len(list(ledgers.paths())) == 1


def test_what_is_left_is_logged_beside_the_blocks_own_error(
    environ: Mapping[str, str], store: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    def block() -> None:
        with open_session(environ=environ) as session:
            session.create(name="web")
            store.set_faults(Faults((Fault("delete", "fails"),)))
            raise ZeroDivisionError

    with caplog.at_level(logging.ERROR), pytest.raises(ZeroDivisionError):
        block()

    assert "cannot delete machine 'web'" in caplog.text
    assert "delete it with:" in caplog.text


def test_an_interrupt_in_the_clean_up_says_what_is_left(
    environ: Mapping[str, str], store: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt() -> None:
        wait_for(store, "delete", "waits")
        os.kill(os.getpid(), signal.SIGINT)

    def block() -> None:
        with open_session(environ=environ) as session:
            session.create(name="web")
            store.hold("delete:before")
            threading.Thread(target=interrupt).start()

    with caplog.at_level(logging.ERROR), pytest.raises(KeyboardInterrupt):
        block()

    assert "left: web of fake; delete it with:" in caplog.text
    store.release("delete:before")


def test_the_argument_wins_over_settings_and_these_over_the_environment(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.vmharness]\nprefix = "file"\nbackend = "docker"\n')
    with open_session(environ=environ) as session:
        assert (session.settings.backend, session.settings.prefix) == ("fake", "file")
    with open_session(settings=Settings(backend="incus"), environ=environ) as session:
        assert (session.backend(), session.settings.prefix) == ("incus", "vmh")
    with open_session(backend="fake", settings=Settings(backend="incus"), environ=environ) as session:
        assert session.backend() == "fake"


def test_what_is_malformed_is_told_before_anything_is_opened(
    environ: Mapping[str, str], ledgers: FileLedgers
) -> None:
    for wrong, error in ((("PREFIX", "-"), SettingsError), (("LIFECYCLE", "no-such"), PluginError)):
        variables = {**environ, f"VMHARNESS_{wrong[0]}": wrong[1]}
        with pytest.raises(error), open_session(environ=variables):
            pytest.fail("the block was entered")

    assert not ledgers.state.exists()
