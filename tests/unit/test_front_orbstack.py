"""OrbStack's arguments, as its front-ends read them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from orbctls import Commands
from vmharness_orbstack import _front as front


@pytest.fixture
def orbctl(tmp_path: Path) -> Commands:
    return Commands(tmp_path / "bin")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("delete vm-1", ["vm-1"]),
        ("delete --force vm-1 vm-2", ["vm-1", "vm-2"]),
        ("rm vm-1 -f", ["vm-1"]),
        ("delete -fa", ["*"]),
        ("delete --all", ["*"]),
        ("rename vm-1 vm-2", ["vm-1"]),
        ("delete --new-flag x vm-1", []),
        ("stop vm-1", []),
        ("", []),
    ],
)
def test_recognise_delete(line: str, words: list[str]) -> None:
    assert front.recognise_delete(shlex.split(line)) == words


def test_a_renamed_machine_is_one_that_is_there_already() -> None:
    assert front.recognise_create(["rename", "vm-1", "vm-2"]) == "vm-2"
    assert front.follows(["rename", "vm-1", "vm-2"])
    assert not front.follows(["clone", "vm-1", "vm-2"])


def test_a_name_that_cannot_be_read_off_is_said() -> None:
    assert front.elsewhere(["create", "--new-flag", "ubuntu", "vm-1"], "orbstack:0") != ""
    assert front.elsewhere(["create", "ubuntu", "vm-1"], "orbstack:0") == ""


def test_it_reads_what_the_command_lists(orbctl: Commands) -> None:
    orbctl.says("create", "ubuntu", "vm-1")
    orbctl.says("create", "debian")
    id = orbctl("info", "debian", "--format", "json").stdout.partition('"id":')[2].split('"')[1]

    listing = orbctl(*front.look_args()).stdout

    assert front.seen(listing, ["vm-1", "vm-2", "*x"]) == ["vm-1"]
    assert front.seen(listing, [id]) == ["debian"]
    assert sorted(front.seen(listing, ["*"])) == ["debian", "vm-1"]


@pytest.mark.parametrize("text", ["", "[]", "OrbStack says\n[]\nhello", "[1]", "{}", "[{}]"])
def test_a_listing_without_machines_or_sense_shows_none(text: str) -> None:
    assert front.seen(text, ["*"]) == []


def test_orbstacks_own_machines_are_not_made(orbctl: Commands) -> None:
    assert front.recognise_create(["create", "ubuntu", "docker"]) is None
    assert "already exists" in orbctl.says("create", "ubuntu", "docker", status=1)
