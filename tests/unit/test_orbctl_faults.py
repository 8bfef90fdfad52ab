"""The simulator's faults: each setting, and what orbctl then says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orbctls import Commands
from vmharness_orbctl._settings import FAILURES
from vmharness_orbstack._json import parse_info, parse_list


@pytest.fixture
def orbctl(tmp_path: Path) -> Commands:
    return Commands(tmp_path / "bin")


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
