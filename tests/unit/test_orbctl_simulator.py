"""The simulator against captured output of the real orbctl, and its daemon that outlives a client."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import cast

import pytest

from orbctls import Commands
from vmharness_orbctl._settings import FAILURES
from vmharness_orbstack._json import parse_info, parse_list

# Captured from 2.2.3; see test_orbstack_json.py.
RECORD = {
    "id": "01M1M7N61KT3MYNC8KGX55MSGN",
    "name": "mm44-dc-a-dmz",
    "image": {"distro": "ubuntu", "version": "noble", "arch": "arm64", "variant": "default"},
    "config": {"isolated": False, "default_username": "vh"},
    "builtin": False,
    "state": "running",
}
CREATE = ("create", "-a", "arm64", "-u", "vh")


def shape(value: object) -> object:
    """Return the keys, and the types of what is under them."""
    if not isinstance(value, dict):
        return type(value)
    return {key: shape(inner) for key, inner in cast("dict[str, object]", value).items()}


@pytest.fixture
def orbctl(tmp_path: Path) -> Commands:
    return Commands(tmp_path / "bin")


# what it says


def test_verbatim_texts(orbctl: Commands) -> None:
    assert orbctl.says("list", "--format", "json") == "[]\n"
    assert orbctl.says(*CREATE, "ubuntu:24.04", "a") == ""
    assert orbctl.says("create", "ubuntu:24.04", "a", status=1) == (
        "[-32098] create 'a': machine already exists: 'a'\n"
    )
    assert orbctl.says(*CREATE, "ubuntu:focal", "b", status=1) == (
        "[-32098] create 'b': make rootfs: image not found: {ubuntu focal arm64 default}\n"
    )
    assert orbctl.says("list", "-qr") == "a\n"
    assert orbctl.says("delete", "a", "--force") == ""
    for absent in (("info", "a", "-f", "json"), ("delete", "-f", "a"), ("run", "-m", "a", "true")):
        assert orbctl.says(*absent, status=1) == "[-32098] machine not found: 'a'\n"
    assert orbctl.says("version") == (
        "Version: 2.2.3 (2020300)\nCommit: c83556b0ef8f1ba9a33abbb194622b6b7a1c0307 (v2.2.3)\n"
    )


def test_json_has_the_shape_of_the_captured_one(orbctl: Commands) -> None:
    orbctl.set(release="2.0.5")
    orbctl(*CREATE, "ubuntu:24.04", "mm44-dc-a-dmz")
    (row,) = json.loads(orbctl("list", "-f", "json").stdout)
    orbctl.set(release="2.2.3")

    info = json.loads(orbctl("info", "mm44-dc-a-dmz", "-f", "json").stdout)

    assert shape(row) == shape(RECORD)
    assert {**row, "id": RECORD["id"]} == RECORD
    assert info.keys() == {"record", "disk_size", "ip4", "ip6"}
    assert info["record"]["config"].keys() == {
        *("isolated", "forward_ssh_agent", "isolate_network"),
        *("default_username", "http_port", "https_port"),
    }


def test_limits_are_in_the_info(orbctl: Commands) -> None:
    orbctl(*CREATE, "ubuntu", "a", "--cpus", "2", "--memory=2G", "--disk", "20G")

    config = json.loads(orbctl("info", "a", "-f", "json").stdout)["record"]["config"]

    assert (config["cpu_limit"], config["memory_limit_mib"], config["disk_limit_bytes"]) == (
        *(2, 2048),
        21474836480,
    )
    assert orbctl.says("create", "ubuntu", "b", "--memory", "512M", status=1).startswith("[-32098] ")


@pytest.mark.parametrize(
    ("release", "header"),
    [
        ("1.7.2", "NAME  STATE    DISTRO  VERSION  ARCH"),
        ("1.11.1", "NAME  STATE    DISTRO  VERSION  ARCH   SIZE"),
        ("2.2.3", "NAME  STATE    DISTRO  VERSION  ARCH   SIZE      IP"),
    ],
)
def test_the_table_of_each_release(orbctl: Commands, release: str, header: str) -> None:
    orbctl(*CREATE, "ubuntu:24.04", "b")
    orbctl(*CREATE, "ubuntu:22.04", "a")
    orbctl.set(release=release)

    lines = orbctl("list").stdout.splitlines()

    assert lines[0] == header
    assert lines[1].split() == ["-" * len(word) for word in header.split()]
    assert [line.split()[:5] for line in lines[2:]] == [
        ["a", "running", "ubuntu", "jammy", "arm64"],
        ["b", "running", "ubuntu", "noble", "arm64"],
    ]


def test_flags_are_read_as_pflag_reads_them(orbctl: Commands) -> None:
    assert orbctl.says("create", "ubuntu:22.04", "a", "-aamd64", "--user=me") == ""
    image = json.loads(orbctl("info", "a", "--format=json").stdout)["record"]["image"]

    assert image == {"distro": "ubuntu", "version": "jammy", "arch": "amd64", "variant": "default"}
    assert orbctl.says("run", "-ma", "-u", "you", "whoami") == "you\n"
    assert orbctl.says("add", "debian") == ""
    assert orbctl.says("list", "--quiet") == "a\ndebian\n"
    for wrong, said in (
        (("create", "--colour", "ubuntu"), "Error: unknown flag: --colour"),
        (("list", "-qx"), "Error: unknown shorthand flag: 'x' in -qx"),
        (("create", "ubuntu", "--arch"), "Error: flag needs an argument: --arch"),
        (("info",), "Error: accepts 1 arg(s), received 0"),
        (("create", "a", "b", "c"), "Error: accepts between 1 and 2 arg(s), received 3"),
        (("create", "ubuntu", "x", "--cpus", "many"), 'Error: invalid argument "many" for "--cpus" flag'),
        (("nonsense",), 'Error: unknown command "nonsense" for "orbctl"'),
        (("delete",), "Error: requires at least 1 arg(s), only received 0"),
    ):
        assert orbctl.says(*wrong, status=1) == f"{said}\n"


def test_orb_runs_what_is_no_command_in_the_default_machine(orbctl: Commands) -> None:
    assert "To create a Linux machine:\n    orb create ubuntu\n" in orbctl.orb("uname").stderr
    orbctl(*CREATE, "ubuntu", "a")
    orbctl(*CREATE, "ubuntu", "b")

    assert orbctl.orb("hostname").stdout == "a\n"
    assert orbctl.orb("-m", "b", "hostname").stdout == "b\n"
    assert orbctl.orb("list", "-q").stdout == "a\nb\n"
    orbctl("default", "b")
    assert orbctl.orb("hostname").stdout == "b\n"
    assert orbctl("default").stdout == "b\n"
    orbctl("default", "none")
    assert orbctl.orb("hostname").status == 1


def test_id_is_a_ulid_of_the_time_of_creation(orbctl: Commands) -> None:
    before = time.time()
    orbctl("create", "debian", "a")
    after = time.time()

    (machine,) = parse_list(orbctl("list", "-f", "json").stdout)

    assert machine.created_at is not None
    assert before - 0.001 <= machine.created_at <= after


def test_delete_asks_unless_forced(orbctl: Commands) -> None:
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


def test_delete_by_id_crashes_in_some_releases(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    (row,) = json.loads(orbctl("list", "-f", "json").stdout)

    result = orbctl("delete", "-f", row["id"])
    state = orbctl.state("a")
    orbctl.set(release="2.2.4")

    assert result.status == 2
    assert "scon/cmd/scli/cmd/delete.go:141" in result.stderr
    assert state == "running"
    assert orbctl.says("delete", "-f", row["id"]) == ""
    assert orbctl.state("a") == ""


# the daemon


def test_machine_appears_though_its_client_was_killed(orbctl: Commands) -> None:
    orbctl.set(create_s=3600, provision_s=3600)
    client = orbctl.start("create", "ubuntu", "a")
    orbctl.steer.wait_for("create", "accepted")

    client.kill()

    assert client.wait() == -signal.SIGKILL
    assert orbctl.state("a") == "creating"
    orbctl.steer.pass_time(3600)
    assert orbctl.state("a") == "provisioning"
    assert orbctl.says("run", "-m", "a", "hostname") == "a\n"
    orbctl.steer.pass_time(3600)
    assert orbctl.state("a") == "running"


@pytest.mark.parametrize("point", ["before", "accepted", "after"])
def test_a_create_can_be_stopped_at_each_moment(orbctl: Commands, point: str) -> None:
    orbctl.steer.hold(f"create:{point}")
    client = orbctl.start("create", "ubuntu", "a")

    (event,) = orbctl.steer.wait_for("create", "waits")

    assert event.pid == client.pid
    assert event.name == "a"
    assert orbctl.state("a") == ("" if point == "before" else "running")
    orbctl.steer.release(f"create:{point}")
    assert client.wait() == 0
    assert orbctl.state("a") == "running"


def test_a_wedged_engine_answers_nobody(orbctl: Commands) -> None:
    orbctl.steer.hold("*:before")
    clients = [orbctl.start("status"), orbctl.start("list")]

    orbctl.steer.wait_for("status", "waits")
    orbctl.steer.wait_for("list", "waits")

    assert [client.poll() for client in clients] == [None, None]
    orbctl.steer.release("*:before")
    assert [client.wait() for client in clients] == [0, 0]


def test_delete_is_refused_while_the_machine_is_being_made(orbctl: Commands) -> None:
    orbctl.set(create_s=3600)
    client = orbctl.start("create", "ubuntu", "a")
    orbctl.steer.wait_for("create", "accepted")

    refused = orbctl.says("delete", "-f", "a", status=1)
    orbctl.set(release="0.12.0")
    refused_long_ago = orbctl.says("delete", "-f", "a", status=1)
    orbctl.set(delete_unready="cancel")
    canceled = orbctl.says("delete", "-f", "a")

    assert refused == "[-32098] cannot transition from creating to deleting\n"
    assert refused_long_ago == "[-32098] invalid transition from creating to deleting\n"
    assert (canceled, orbctl.state("a")) == ("", "")
    assert client.wait() == 1


def test_a_stop_during_setup_cancels_the_create(orbctl: Commands) -> None:
    orbctl.set(provision_s=3600)
    client = orbctl.start("create", "ubuntu", "a", stderr=True)
    orbctl.steer.wait_for("create", "accepted")

    orbctl("stop", "a")

    _, said = client.communicate()
    assert said == (b"[-32098] create 'a': setup: do initial setup: canceled by machine shutdown\n")
    assert orbctl.state("a") == ""


def test_a_restart_of_the_engine_drops_what_is_being_set_up(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "done")
    orbctl("create", "ubuntu", "off")
    orbctl("stop", "off")
    orbctl.set(provision_s=3600)
    client = orbctl.start("create", "ubuntu", "new")
    orbctl.steer.wait_for("create", "accepted", name="new")

    orbctl("stop")

    assert client.wait() == 1
    orbctl("start")
    assert [orbctl.state(name) for name in ("done", "off", "new")] == ["running", "stopped", ""]


def test_start_and_stop_take_their_time(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl.set(stop_s=3600, start_s=3600, delete_s=3600)
    clients = [orbctl.start("stop", "a")]
    orbctl.steer.wait_for("stop", "accepted")

    stopping = orbctl.state("a")
    orbctl.steer.pass_time(3600)
    stopped = orbctl.state("a")
    clients.append(orbctl.start("start", "a"))
    orbctl.steer.wait_for("start", "accepted")
    starting = orbctl.state("a")
    orbctl.steer.pass_time(3600)
    clients.append(orbctl.start("delete", "-f", "a"))
    orbctl.steer.wait_for("delete", "accepted")
    deleting = orbctl.state("a")
    orbctl.steer.pass_time(7200)

    assert (stopping, stopped, starting, deleting) == ("stopping", "stopped", "starting", "deleting")
    assert [client.wait() for client in clients] == [0, 0, 0]
    assert orbctl.state("a") == ""


def test_scale_is_the_pace_of_a_mac(orbctl: Commands) -> None:
    orbctl.set(scale=1000)
    client = orbctl.start("create", "ubuntu", "a")
    orbctl.steer.wait_for("create", "accepted")

    states: list[str] = []
    for seconds in (12_999, 2, 5_000):  # download and creation, set-up
        orbctl.steer.pass_time(seconds)
        states.append(orbctl.state("a"))

    assert states == ["creating", "provisioning", "running"]
    assert client.wait() == 0


def test_a_stopped_engine_is_started_by_all_but_status_and_version(orbctl: Commands) -> None:
    assert orbctl.says("status") == "Running\n"
    orbctl("stop")
    orbctl("version")
    assert orbctl.says("status", status=1) == "Stopped\n"

    orbctl.set(cannot_start=True)
    assert orbctl.says("list", status=1) == "[-32098] timed out waiting for services to start\n"
    orbctl.set(cannot_start=None, engine_start_s=3600)
    client = orbctl.start("list")
    while orbctl("status").stdout == "Stopped\n":
        assert client.poll() is None

    assert orbctl.says("status", status=2) == "Starting\n"
    orbctl.steer.pass_time(3600)
    assert client.wait() == 0
    assert orbctl.says("status") == "Running\n"


def test_parallel_creates_get_a_machine_each(orbctl: Commands) -> None:
    clients = [orbctl.start("create", "ubuntu", f"vm-{number}") for number in range(6)]

    assert [client.wait() for client in clients] == [0] * 6
    rows = json.loads(orbctl("list", "-f", "json").stdout)
    assert [row["name"] for row in rows] == [f"vm-{number}" for number in range(6)]
    assert len({row["id"] for row in rows}) == 6


# its faults


@pytest.mark.parametrize("leftover", [False, True])
def test_a_failed_create_is_rolled_back_or_not(orbctl: Commands, leftover: bool) -> None:
    orbctl.set(errors={"create": "missing-ip"}, leftover=leftover)

    said = orbctl.says("create", "ubuntu", "a", status=1)

    assert said == "[-32098] create 'a': setup: machine didn't start in 30s (missing IP address)\n"
    assert orbctl.state("a") == ("creating" if leftover else "")


@pytest.mark.parametrize("error", sorted(FAILURES))
def test_each_error_of_a_create(orbctl: Commands, error: str) -> None:
    orbctl.set(errors={"create": error}, times={"create": 1})

    assert orbctl.says("create", "ubuntu", "a", status=1) == f"[-32098] create 'a': {FAILURES[error]}\n"
    assert orbctl.state("a") == ""
    assert orbctl.says("create", "ubuntu", "a") == ""


@pytest.mark.parametrize("verb", ["list", "info", "delete", "run", "start", "stop", "status", "clone"])
def test_errors_strike_as_often_as_they_shall(orbctl: Commands, verb: str) -> None:
    words = {"list": [], "status": [], "run": ["-ma", "true"], "delete": ["-f", "a"], "clone": ["a", "b"]}
    orbctl("create", "ubuntu", "a")
    orbctl("stop", "a")
    orbctl.set(errors={verb: "no luck today"}, times={verb: 2})

    results = [orbctl(verb, *words.get(verb, ["a"])) for _ in range(3)]

    assert [(result.status, result.stderr) for result in results] == [
        (1, "[-32098] no luck today\n"),
        (1, "[-32098] no luck today\n"),
        (0, ""),
    ]


def test_a_machine_whose_delete_fails_stays_stopped(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl.set(errors={"delete": "rootfs-busy"})

    said = orbctl.says("delete", "-f", "a", status=1)

    assert said == "[-32098] delete rootfs: remove all: unlinkat: EBUSY: Device or resource busy\n"
    assert orbctl.state("a") == "stopped"


def test_a_machine_that_runs_may_lack_address_and_agent(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl.set(no_address=True, agent_s=3600)

    assert "ip4" not in json.loads(orbctl("info", "a", "-f", "json").stdout)
    assert orbctl.says("run", "-ma", "true", status=1) == "[-32098] agent not running\n"
    orbctl.steer.pass_time(3600)
    assert orbctl.says("run", "-ma", "true") == ""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_banner_does_not_hide_the_machines(orbctl: Commands, stream: str) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl.set(banner=stream, indent=True)

    listing = orbctl("list", "-f", "json")
    info = parse_info(orbctl("info", "a", "-f", "json").stdout)

    assert "OrbStack update available!" in getattr(listing, stream)
    assert [machine.name for machine in parse_list(listing.stdout)] == ["a"]
    assert info is not None
    assert info.address == "192.168.139.3"


def test_older_releases_and_odd_json(orbctl: Commands) -> None:
    orbctl.set(release="2.0.5", null_list=True)

    assert orbctl.says("create", "--cpus", "2", "ubuntu", "b", status=1) == "Error: unknown flag: --cpus\n"
    assert orbctl.says("version").startswith("Version: 2.0.5 (2000500)\n")
    assert orbctl.says("list", "-f", "json") == "null\n"


def test_a_setting_that_is_none_is_refused(orbctl: Commands) -> None:
    with pytest.raises(ValueError, match="no such setting: colour"):
        orbctl.set(colour="red")
    (orbctl.steer.folder / "settings.json").write_text('{"colour": "red"}')

    assert "must be an object with some of the keys" in orbctl.says("list", status=1)


# commands and files


def test_run_hands_on_words_input_and_status(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl("stop", "a")

    assert orbctl.says("run", "-m", "a", "echo", "-n", "--", "a  b") == "-- a  b"
    assert orbctl.state("a") == "running"
    assert orbctl("run", "-m", "a", "sh", "-c", "exit 7").status == 7
    assert orbctl("run", "-m", "a", "sh", "-c", "kill -9 $$").status == 137
    assert orbctl("run", "-m", "a", "cat", input=b"in\n").stdout == "in\n"
    assert orbctl("run", "-m", "a", "no-such-program").status == 127
    assert orbctl("run", "-m", "a", "--", "true").status == 1
    assert orbctl.says("run", "-m", "a", "-s", "echo $USER;", "sudo", "-n", "whoami").endswith("\nroot\n")


def test_only_what_orbenv_names_is_handed_on(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")

    script = "echo $ONE $TWO $PWD"
    said = orbctl("run", "-m", "a", "sh", "-c", script, environ={"ONE": "1", "TWO": "2", "ORBENV": "TWO"})

    assert said.stdout.startswith("2 /")
    assert said.stdout.endswith(f"/home/{os.environ.get('USER', 'user')}\n")


def test_files_go_in_and_out(orbctl: Commands, tmp_path: Path) -> None:
    orbctl("create", "ubuntu", "a")
    content = bytes(range(256))
    (tmp_path / "in").write_bytes(content)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "leaf").write_text("green")

    orbctl.says("push", "-m", "a", str(tmp_path / "in"), "/etc/app.conf")
    orbctl.says("push", "-m", "a", str(tmp_path / "in"))
    orbctl.says("push", "-m", "a", str(tmp_path / "tree"), "/srv/")
    seen = orbctl.says("run", "-m", "a", "cat", "/srv/tree/leaf")
    orbctl.says("run", "-m", "a", "sh", "-c", "cat in > out")
    orbctl.says("pull", "-m", "a", "out", str(tmp_path / "back"))
    orbctl.says("pull", "-m", "a", "/srv/tree", str(tmp_path / "again"))

    assert seen == "green"
    assert (tmp_path / "back").read_bytes() == content
    assert (tmp_path / "again" / "leaf").read_text() == "green"
    assert not Path("/srv/tree").exists()
    assert orbctl.says("pull", "-m", "a", "nothing", status=1).startswith("[-32098] ")


def test_a_clone_is_stopped_and_has_the_files(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl("run", "-m", "a", "sh", "-c", "echo original > file")

    orbctl.says("clone", "a", "b")
    states = [orbctl.state("a"), orbctl.state("b")]
    orbctl("run", "-m", "b", "sh", "-c", "cat file > copy; echo changed > file")

    assert states == ["running", "stopped"]
    assert orbctl.says("run", "-m", "b", "cat", "copy") == "original\n"
    assert orbctl.says("run", "-m", "a", "cat", "file") == "original\n"
    assert orbctl.says("clone", "a", "b", status=1) == "[-32098] clone 'a': machine already exists: 'b'\n"


def test_a_renamed_machine_keeps_its_id(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    (before,) = json.loads(orbctl("list", "-f", "json").stdout)

    orbctl.says("rename", before["id"], "b")

    (after,) = json.loads(orbctl("list", "-f", "json").stdout)
    assert after == {**before, "name": "b"}


def test_restart_and_all(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl("create", "ubuntu", "b")

    orbctl.says("stop", "--all")
    stopped = [orbctl.state("a"), orbctl.state("b")]
    orbctl.says("restart", "b")

    assert stopped == ["stopped", "stopped"]
    assert orbctl.says("list", "-qr") == "b\n"
    orbctl.says("delete", "-af")
    assert orbctl.says("list", "-q") == ""
    assert orbctl.says("status") == "Running\n"


def test_the_log_tells_how_commands_ended(orbctl: Commands) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl("info", "b")

    log = [(event.verb, event.phase, event.name, event.detail) for event in orbctl.steer.events()]

    assert log == [
        ("create", "begin", "a", ""),
        ("create", "accepted", "a", ""),
        ("create", "end", "a", "0"),
        ("info", "begin", "b", ""),
        ("info", "end", "b", "1"),
    ]
    with pytest.raises(TimeoutError, match="0 instead of 1 events delete end"):
        orbctl.steer.wait_for("delete", "end", timeout=0)


def test_the_commands_work_without_site_packages(orbctl: Commands) -> None:
    """So they start fast: nothing but this package and the standard library is imported."""
    launcher = (orbctl.folder / "orbctl").read_text()

    assert " -I -S " in launcher
    assert shutil.which("orb", path=str(orbctl.folder)) is not None
