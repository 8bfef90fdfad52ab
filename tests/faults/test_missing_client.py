"""An engine's client vanishes from PATH while there are machines, as when its package is upgraded."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from faultlab.fake import FakeStage
from faultlab.stage import eventually
from orbctls import Commands
from vmharness import Session, Settings
from vmharness._ledger import FileLedgers
from vmharness._plugins import load_lifecycle
from vmharness._settings import DEFAULT_LIFECYCLE
from vmharness.errors import CleanupFailed, CreateFailed
from vmharness.testing import FakeClock
from vmharness_orbctl import install

PATIENCE_S = 60.0


class Client:
    """The simulator's `orbctl` on PATH; its machines stay when it is taken away."""

    def __init__(self, folder: Path) -> None:
        self.path = install(folder / "bin")
        self.orbctl = self.path / "orbctl"
        self._look = Commands(folder / "look", environ={"VMHARNESS_ORBCTL_DIR": str(self.path / "state")})

    def remove(self) -> None:
        self.orbctl.unlink()

    def install(self) -> None:
        install(self.path)

    def names(self) -> list[str]:
        return sorted(row["name"] for row in json.loads(self._look("list", "-f", "json").stdout))


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client(tmp_path / "orbstack")
    path = [str(client.path), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    monkeypatch.delenv("VMHARNESS_ORBCTL_DIR", raising=False)
    return client


@pytest.fixture
def make_session(tmp_path: Path) -> Callable[[], Session]:
    def make() -> Session:
        session = Session(
            Settings(backend="orbstack"),
            ledgers=FileLedgers(tmp_path / "state"),
            plugins=load_lifecycle(("sweep", "tracking", "teardown")),
            clock=FakeClock(),
        )
        session.open()
        return session

    return make


def test_without_a_client_nothing_is_made(client: Client, make_session: Callable[[], Session]) -> None:
    session = make_session()
    session.create().delete()
    client.remove()

    with pytest.raises(CreateFailed, match=f"'{client.orbctl}': not found"):
        session.create()

    session.close()
    assert client.names() == []


def test_a_machine_whose_client_vanished_goes_with_the_next_session(
    client: Client, make_session: Callable[[], Session]
) -> None:
    session = make_session()
    name = session.create().name
    client.remove()

    with pytest.raises(CleanupFailed) as caught:
        session.close()

    (left,) = caught.value.exceptions
    assert f"cannot delete machine {name!r}" in str(left)
    assert f"'{client.orbctl}': not found" in str(left)
    assert f"delete it with: {client.orbctl} delete --force {name}" in str(left)
    assert client.names() == [name]
    client.install()
    make_session().close()
    assert client.names() == []
    assert list(session.ledgers.paths()) == []


def test_a_reaper_waits_for_the_client_to_come_back(client: Client, stage: FakeStage) -> None:
    run = stage.start(
        f"""
        import os, pathlib, signal

        def test_one(vm):
            pathlib.Path({str(client.orbctl)!r}).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        """.replace("\n        ", "\n"),
        "-pno:xdist",
        lifecycle=DEFAULT_LIFECYCLE,
        variables={"VMHARNESS_BACKEND": "orbstack"},
    )
    assert run.end(PATIENCE_S) == -signal.SIGKILL, run.text
    (log,) = stage.state.glob("*/reaper.log")
    eventually(lambda: f"'{client.orbctl}' isn't there" in log.read_text(), PATIENCE_S, log.read_text)
    assert len(client.names()) == 1

    client.install()

    eventually(lambda: not client.names() and not stage.ledgers(), PATIENCE_S, log.read_text)
