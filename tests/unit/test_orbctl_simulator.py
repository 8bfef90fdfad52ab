"""The simulator against captured output of the real orbctl, and its daemon that outlives a client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest

from vmharness.command import CommandLine
from vmharness.provider import CommandResult
from vmharness_orbstack._json import parse_info, parse_list

FAKES = Path(__file__).parents[1] / "fakes"

# Captured from 2.2.3; see test_orbstack_json.py.
RECORD = {
    "id": "01M1M7N61KT3MYNC8KGX55MSGN",
    "name": "mm44-dc-a-dmz",
    "image": {"distro": "ubuntu", "version": "noble", "arch": "arm64", "variant": "default"},
    "config": {"isolated": False, "default_username": "vh"},
    "builtin": False,
    "state": "running",
}


class Simulator:
    """Runs the simulator as a process, on a state of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        python = str(Path(sys.executable).parent)
        path = os.pathsep.join([str(FAKES), python, os.environ["PATH"]])
        self.environ = {"PATH": path, "ORBCTL_SIM_DIR": str(folder)}
        self._command = CommandLine("orbctl", backend="orbstack", environ=self.environ)

    def __call__(self, *args: str, input: bytes | None = None) -> CommandResult:
        return self._command.run(args, timeout=20, input=input)

    def says(self, *args: str, status: int = 0) -> str:
        """Return what it writes, be it to stdout or to stderr."""
        result = self(*args)
        assert result.status == status
        assert not (result.stdout and result.stderr)
        return result.stdout + result.stderr

    def faults(self, **faults: object) -> None:
        (self.folder / "faults.json").write_text(json.dumps(faults))

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["orbctl", *args], env=self.environ, stdin=subprocess.DEVNULL)

    def state(self, name: str) -> str:
        """Return the machine's state; "" if it is absent."""
        rows = json.loads(self("list", "-f", "json").stdout)
        return next((str(row["state"]) for row in rows if row["name"] == name), "")

    def pass_time(self, seconds: float) -> None:
        """Let the daemon's clock go on; to be called while no client runs."""
        path = self.folder / "state.json"
        state = json.loads(path.read_text())
        for machine in state["machines"].values():
            machine["born"] -= seconds
        path.write_text(json.dumps(state))

    def wait_for(self, name: str, state: str) -> None:
        ends = time.monotonic() + 20
        while self.state(name) != state:
            assert time.monotonic() < ends, f"{name} is not {state} within 20 s"
            time.sleep(0.01)


def shape(value: object) -> object:
    """Return the keys, and the types of what is under them."""
    if not isinstance(value, dict):
        return type(value)
    return {key: shape(inner) for key, inner in cast("dict[str, object]", value).items()}


@pytest.fixture
def orbctl(tmp_path: Path) -> Simulator:
    return Simulator(tmp_path)


def test_verbatim_texts(orbctl: Simulator) -> None:
    assert orbctl.says("list", "--format", "json") == "[]\n"
    assert orbctl.says("create", "ubuntu:24.04", "a") == ""
    assert orbctl.says("create", "ubuntu:24.04", "a", status=1) == (
        "[-32098] create 'a': machine already exists: 'a'\n"
    )
    assert orbctl.says("create", "ubuntu:focal", "b", status=1) == (
        "[-32098] create 'b': make rootfs: image not found: {ubuntu focal arm64 default}\n"
    )
    assert orbctl.says("list", "-qr") == "a\n"
    assert orbctl.says("delete", "a", "--force") == ""
    for absent in (("info", "a", "-f", "json"), ("delete", "-f", "a"), ("run", "-m", "a", "true")):
        assert orbctl.says(*absent, status=1) == "[-32098] machine not found: 'a'\n"
    assert orbctl.says("version") == (
        "Version: 2.2.3 (2020300)\nCommit: c83556b0ef8f1ba9a33abbb194622b6b7a1c0307 (v2.2.3)\n"
    )


def test_json_has_the_shape_of_the_captured_one(orbctl: Simulator) -> None:
    orbctl("create", "ubuntu:24.04", "mm44-dc-a-dmz")

    (row,) = json.loads(orbctl("list", "-f", "json").stdout)
    info = json.loads(orbctl("info", "mm44-dc-a-dmz", "-f", "json").stdout)

    assert shape(row) == shape(RECORD)
    assert {**row, "id": RECORD["id"]} == RECORD
    assert info.keys() == {"record", "disk_size", "ip4", "ip6"}
    assert info["record"]["config"].keys() == {
        *("isolated", "forward_ssh_agent", "isolate_network"),
        *("default_username", "http_port", "https_port"),
    }


def test_id_is_a_ulid_of_the_time_of_creation(orbctl: Simulator) -> None:
    before = time.time()
    orbctl("create", "debian", "a")
    after = time.time()

    (machine,) = parse_list(orbctl("list", "-f", "json").stdout)

    assert machine.created_at is not None
    assert before - 0.001 <= machine.created_at <= after


def test_delete_asks_unless_forced(orbctl: Simulator) -> None:
    orbctl("create", "ubuntu", "a")

    refused = orbctl("delete", "a")
    state = orbctl.state("a")
    agreed = orbctl("delete", "a", input=b"y\n")

    assert refused.status == 1
    assert refused.stderr == (
        "WARNING: This will PERMANENTLY DELETE ALL DATA in the following machines:\n"
        "  a\nYou cannot undo this action.\n\nContinue [y/N]? "
    )
    assert state == "running"
    assert (agreed.status, orbctl.state("a")) == (0, "")


def test_delete_by_id_crashes_and_deletes_nothing(orbctl: Simulator) -> None:
    orbctl("create", "ubuntu", "a")
    (row,) = json.loads(orbctl("list", "-f", "json").stdout)

    result = orbctl("delete", "-f", row["id"])

    assert result.status == 2
    assert "scon/cmd/scli/cmd/delete.go:141" in result.stderr
    assert orbctl.state("a") == "running"


def test_machine_appears_though_its_client_was_killed(orbctl: Simulator) -> None:
    orbctl.faults(create_s=3600, provision_s=3600)
    client = orbctl.start("create", "ubuntu", "a")
    orbctl.wait_for("a", "creating")

    client.kill()

    assert client.wait() == -signal.SIGKILL
    assert orbctl.state("a") == "creating"
    orbctl.pass_time(3600)
    assert orbctl.state("a") == "provisioning"
    orbctl.pass_time(3600)
    assert orbctl.state("a") == "running"


def test_machine_appears_though_its_client_hangs(orbctl: Simulator) -> None:
    orbctl.faults(create_hangs=True)
    client = orbctl.start("create", "ubuntu", "a")
    orbctl.wait_for("a", "running")

    assert client.poll() is None
    client.kill()
    client.wait()


def test_delete_is_refused_while_the_machine_is_being_made(orbctl: Simulator) -> None:
    orbctl.faults(create_s=3600)
    client = orbctl.start("create", "ubuntu", "a")
    orbctl.wait_for("a", "creating")

    refused = orbctl.says("delete", "-f", "a", status=1)
    orbctl.faults(delete_creating="cancel")
    canceled = orbctl.says("delete", "-f", "a")

    assert refused == "[-32098] cannot transition from creating to deleting\n"
    assert (canceled, orbctl.state("a")) == ("", "")
    client.kill()
    client.wait()


@pytest.mark.parametrize("leftover", [False, True])
def test_a_failed_create_is_rolled_back_or_not(orbctl: Simulator, leftover: bool) -> None:
    orbctl.faults(missing_ip=True, leftover=leftover)

    said = orbctl.says("create", "ubuntu", "a", status=1)

    assert said == "[-32098] create 'a': setup: machine didn't start in 30s (missing IP address)\n"
    assert orbctl.state("a") == ("creating" if leftover else "")


def test_a_stopped_engine_is_started_by_all_but_status_and_version(orbctl: Simulator) -> None:
    assert orbctl.says("status") == "Running\n"
    orbctl("stop")
    orbctl("version")
    assert orbctl.says("status", status=1) == "Stopped\n"

    orbctl.faults(cannot_start=True)
    assert orbctl.says("list", status=1) == "[-32098] timed out waiting for services to start\n"
    orbctl.faults(start_s=3600)
    orbctl("list")

    assert orbctl.says("status", status=2) == "Starting\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_banner_does_not_hide_the_machines(orbctl: Simulator, stream: str) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl.faults(banner=stream, indent=True)

    listing = orbctl("list", "-f", "json")
    info = parse_info(orbctl("info", "a", "-f", "json").stdout)

    assert "OrbStack update available!" in getattr(listing, stream)
    assert [machine.name for machine in parse_list(listing.stdout)] == ["a"]
    assert info is not None
    assert info.address == "192.168.139.3"


def test_other_faults(orbctl: Simulator) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl.faults(list_error="no list today", delete_error="delete rootfs: read-only file system")

    assert orbctl.says("list", "-f", "json", status=1) == "[-32098] no list today\n"
    assert orbctl.says("delete", "-f", "a", status=1) == "[-32098] delete rootfs: read-only file system\n"
    orbctl.faults(no_limits=True)
    assert orbctl.says("create", "--cpus", "2", "ubuntu", "b", status=1) == "Error: unknown flag: --cpus\n"
    assert orbctl.state("a") == "running"


def test_run_hands_on_words_input_and_status(orbctl: Simulator) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl("stop", "a")

    assert orbctl.says("run", "-m", "a", "echo", "-n", "--", "a  b") == "-- a  b"
    assert orbctl.state("a") == "running"
    assert orbctl("run", "-m", "a", "sh", "-c", "exit 7").status == 7
    assert orbctl("run", "-m", "a", "sh", "-c", "kill -9 $$").status == 137
    assert orbctl("run", "-m", "a", "cat", input=b"in\n").stdout == "in\n"
    assert orbctl("run", "-m", "a", "no-such-program").status == 127
    assert orbctl("run", "-m", "a", "--", "true").status != 0


def test_parallel_creates_get_a_machine_each(orbctl: Simulator) -> None:
    clients = [orbctl.start("create", "ubuntu", f"vm-{number}") for number in range(6)]

    assert [client.wait() for client in clients] == [0] * 6
    rows = json.loads(orbctl("list", "-f", "json").stdout)
    assert [row["name"] for row in rows] == [f"vm-{number}" for number in range(6)]
    assert len({row["id"] for row in rows}) == 6
