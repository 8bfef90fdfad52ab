"""orbctl as a stand-in, which stays in its folder from run to run."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from orbctls import Commands
from vmharness._plugins import load_stand_in
from vmharness.errors import PluginError, SettingsError


def test_it_is_found_by_its_name_and_says_what_drives_it(tmp_path: Path) -> None:
    folder = tmp_path / "orbctl-simulator"

    assert load_stand_in("orbctl")("simulator", folder) == "orbstack"

    assert {path.name for path in folder.iterdir()} == {"orbctl", "orb"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_of_an_engine_that_is_not_there_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there are simulator, docker, fake, incus, lxd"):
        load_stand_in("orbctl")("nope", tmp_path / "orbctl-nope")

    assert list(tmp_path.iterdir()) == []


def test_a_command_without_a_stand_in_is_said() -> None:
    with pytest.raises(PluginError, match="unknown stand-in 'orbktl'; installed: orbctl"):
        load_stand_in("orbktl")


def test_a_long_log_is_put_aside_and_machines_stay(tmp_path: Path) -> None:
    orbctl = Commands(tmp_path)
    orbctl.says("create", "ubuntu", "web")
    log = tmp_path / "state" / "events.jsonl"
    short = log.read_bytes()

    load_stand_in("orbctl")("simulator", tmp_path)
    kept = log.read_bytes()
    with log.open("ab") as file:
        file.truncate(1_000_001)
    load_stand_in("orbctl")("simulator", tmp_path)

    assert kept == short
    assert not log.exists()
    assert log.with_name("events.jsonl.1").stat().st_size == 1_000_001
    assert orbctl.state("web") == "running"
