"""`orbctl config`, on the simulator and over another backend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orbctls import Commands


@pytest.fixture(params=["simulator", "fake"])
def orbctl(request: pytest.FixtureRequest, tmp_path: Path) -> Commands:
    return Commands(tmp_path / "bin", request.param, {"VMHARNESS_FAKE_DIR": str(tmp_path / "engine")})


def values(shown: str) -> dict[str, str]:
    """Return what `config show` says."""
    pairs = (line.partition(": ") for line in shown.splitlines())
    return {key: value for key, _, value in pairs}


def test_orbstacks_own_settings_are_remembered_until_the_reset(orbctl: Commands) -> None:
    before = values(orbctl.says("config", "show"))

    assert int(before["cpu"]) > 0
    assert before["app.start_at_login"] == "false"
    assert orbctl.says("config", "get", "network.subnet4") == f"{before['network.subnet4']}\n"
    assert orbctl.says("config", "set", "app.start_at_login", "true") == ""
    assert orbctl.says("config", "get", "app.start_at_login") == "true\n"
    assert values(orbctl.says("config", "show")) == {**before, "app.start_at_login": "true"}
    assert orbctl.says("config", "reset") == ""
    assert values(orbctl.says("config", "show")) == before


def test_what_takes_effect_at_the_start_says_so(orbctl: Commands) -> None:
    assert orbctl.says("config", "set", "setup.use_admin", "false") == (
        'Restart OrbStack with "orb stop" to apply changes.\n'
    )


def test_a_machines_user_can_be_set(orbctl: Commands) -> None:
    orbctl("create", "-u", "vh", "ubuntu:24.04", "vm-1")

    assert orbctl.says("config", "get", "machine.vm-1.username") == "vh\n"
    assert orbctl.says("run", "-m", "vm-1", "whoami") == "vh\n"
    assert orbctl.says("config", "set", "machine.vm-1.username", "other") == ""
    assert orbctl.says("config", "get", "machine.vm-1.username") == "other\n"
    assert values(orbctl.says("config", "show"))["machine.vm-1.username"] == "other"
    assert orbctl.says("run", "-m", "vm-1", "whoami") == "other\n"
    record = json.loads(orbctl("info", "vm-1", "-f", "json").stdout)["record"]
    assert record["config"]["default_username"] == "other"


def test_what_is_set_of_a_machine_ends_with_it(orbctl: Commands) -> None:
    orbctl("create", "ubuntu:24.04", "vm-1")
    assert orbctl.says("config", "get", "machine.vm-1.isolated") == "false\n"
    orbctl.says("config", "set", "machine.vm-1.disk_bytes", "0")
    orbctl.says("config", "set", "machine.vm-1.username", "other")
    assert orbctl.says("config", "get", "machine.vm-1.disk_bytes") == "0\n"

    orbctl.says("delete", "-f", "vm-1")
    orbctl("create", "-u", "vh", "ubuntu:24.04", "vm-1")

    assert orbctl.says("config", "get", "machine.vm-1.disk_bytes") == "\n"
    assert orbctl.says("config", "get", "machine.vm-1.username") == "vh\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("config", "Error: requires at least 1 arg(s), only received 0"),
        ("config list", 'Error: unknown command "list" for "orbctl config"'),
        ("config get", "Error: accepts 1 arg(s), received 0"),
        ("config set cpu", "Error: accepts 2 arg(s), received 1"),
        ("config get flavour", "Error: unknown key: flavour"),
        ("config set machine.vm-1.flavour x", "Error: unknown key: machine.vm-1.flavour"),
        ("config get machine.vm-1.username", "[-32098] machine not found: 'vm-1'"),
        ("config set machine.vm-1.username x", "[-32098] machine not found: 'vm-1'"),
    ],
)
def test_what_is_wrong_is_said(orbctl: Commands, words: str, said: str) -> None:
    assert orbctl.says(*words.split(), status=1) == f"{said}\n"


def test_the_simulator_tells_its_settings_while_orbstack_is_stopped(tmp_path: Path) -> None:
    orbctl = Commands(tmp_path / "bin")
    orbctl("stop")

    assert orbctl.says("config", "get", "rosetta") == "true\n"
    assert orbctl.says("status", status=1) == "Stopped\n"


def test_a_machines_name_may_have_dots(tmp_path: Path) -> None:
    orbctl = Commands(tmp_path / "bin")
    orbctl("create", "-u", "vh", "ubuntu:24.04", "vm.1")

    assert orbctl.says("config", "get", "machine.vm.1.username") == "vh\n"
