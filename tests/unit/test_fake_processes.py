from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmharness.errors import EngineUnavailable
from vmharness.provider import Spec
from vmharness_fake import FakeProvider, Fault, Faults, FolderFakeProvider, FolderStore, wait_for

HOUR_S = 3600.0


class Command:
    """The fake engine's own command, on one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *args: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "vmharness_fake", *args],
            env={**os.environ, "VMHARNESS_FAKE_DIR": str(self.folder), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, *args: str) -> tuple[int, str, str]:
        process = self.start(*args)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "engine")
    yield command
    command.end()


def states(provider: FakeProvider) -> dict[str, str]:
    return {info.name: info.state.value for info in provider.list()}


def test_machine_gets_ready_when_its_client_is_killed_in_mid_create(command: Command) -> None:
    store = FolderStore(command.folder)
    store.hold("create:accepted")
    client = command.start("create", "a", VMHARNESS_FAKE_CREATE_S=str(HOUR_S))

    (waits,) = wait_for(store, "create", "waits", name="a")
    os.kill(waits.pid, signal.SIGKILL)
    client.wait(60)

    assert waits.pid == client.pid
    assert states(FakeProvider(store)) == {"a": "creating"}
    assert states(FakeProvider(store, clock=lambda: time.time() + HOUR_S)) == {"a": "running"}


def test_client_killed_before_the_engine_is_asked_makes_nothing(command: Command) -> None:
    store = FolderStore(command.folder)
    store.hold("create:before")
    client = command.start("create", "a")

    wait_for(store, "create", "waits")
    client.kill()
    client.wait(60)

    assert states(FakeProvider(store, clock=lambda: time.time() + HOUR_S)) == {}


def test_machine_goes_when_its_client_is_killed_in_mid_delete(command: Command) -> None:
    store = FolderStore(command.folder)
    provider = FakeProvider(store)
    provider.create(Spec(name="a"), timeout=60)
    client = command.start("delete", "a", VMHARNESS_FAKE_DELETE_S=str(HOUR_S))

    wait_for(store, "delete", "accepted")
    client.kill()
    client.wait(60)

    assert states(provider) == {"a": "deleting"}
    assert states(FakeProvider(store, clock=lambda: time.time() + HOUR_S)) == {}


def test_faults_set_by_one_process_strike_another(command: Command) -> None:
    store = FolderStore(command.folder)
    provider = FakeProvider(store)
    provider.create(Spec(name="a"), timeout=60)
    store.set_faults(Faults((Fault("delete", "fails", first=1, last=2),)))

    assert command.run("delete", "a")[0] == 1
    status, _, said = command.run("delete", "a")
    assert (status, said) == (1, "DeleteFailed: cannot delete 'a': the fake engine's faults say so\n")
    assert command.run("delete", "a") == (0, "", "")
    assert states(provider) == {}


def test_command_makes_stops_and_lists_strangers(command: Command) -> None:
    assert command.run("create", "a", "--image", "debian:12", "--label", "k=v=w")[0] == 0
    assert command.run("stop", "a")[0] == 0

    assert command.run("list") == (0, "a\tstopped\tdebian:12\n", "")
    (info,) = FakeProvider(FolderStore(command.folder)).list()
    assert info.labels == {"k": "v=w"}


def test_shown_command_reads_no_name_as_an_option(tmp_path: Path) -> None:
    provider = FolderFakeProvider(FolderStore(tmp_path))
    provider.create(Spec(name="a"), timeout=60)

    done = subprocess.run(provider.delete_argv("--help"), check=True, timeout=60, capture_output=True)
    assert done.stdout == b""
    assert states(provider) == {"a": "running"}
    subprocess.run(provider.delete_argv("a"), check=True, timeout=60)
    assert states(provider) == {}


def test_log_has_the_events_of_all_processes(command: Command) -> None:
    store = FolderStore(command.folder)
    store.set_faults(Faults((Fault("list", "unavailable", last=1),)))
    with pytest.raises(EngineUnavailable):
        FakeProvider(store).list()

    command.run("list")

    ends = wait_for(store, "list", "end", count=2)
    assert [event.detail for event in ends] == ["EngineUnavailable", ""]
    assert ends[0].pid == os.getpid() != ends[1].pid


def test_forked_child_has_no_part_in_an_engine_in_memory() -> None:
    script = """
import os
from vmharness.errors import CreateFailed
from vmharness.provider import Spec
from vmharness_fake import FakeProvider, MemoryStore

provider = FakeProvider(MemoryStore())
if child := os.fork():
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), provider.list())
else:
    try:
        provider.create(Spec(name="a"), timeout=60)
    except CreateFailed as exc:
        os._exit(7 if "from a forked child" in str(exc) else 1)
"""

    said = subprocess.run([sys.executable, "-c", script], check=True, timeout=60, capture_output=True)

    assert said.stdout == b"7 []\n"
