"""What orbctl of ours prints, against captured output of the real one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import cast

import pytest

from orbctls import Commands
from vmharness_orbstack._json import parse_list

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


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_needs_no_words(orbctl: Commands, flag: str) -> None:
    assert "Usage:" in orbctl.says("create", flag)


def test_who_reads_no_further_hears_nothing_of_it(orbctl: Commands) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run([orbctl.folder / "orbctl", "list"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)

    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


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
