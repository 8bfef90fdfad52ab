"""`vmharness list` and `vmharness backends`: what is there, and whose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmharness_fake import Fault, Faults, FolderStore

Call = Callable[..., tuple[int, str, str]]
Make = Callable[..., None]


def listed(call: Call, *args: str) -> dict[str, dict[str, Any]]:
    status, out, _ = call("list", "--json", *args)
    assert status == 0
    return {row["name"]: row for row in json.loads(out)}


def test_list_says_whose_each_machine_is(call: Call, machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMHARNESS_SESSION", "mine")
    for owner in ("living", "dead", "unknown", "stranger"):
        machine(f"of-{owner}", owner)
    machine("of-this", "living", session="mine")

    rows = listed(call)

    assert {name: row["owner"] for name, row in rows.items()} == {
        f"of-{owner}": owner for owner in ("this", "living", "dead", "unknown", "stranger")
    }


def test_list_gives_what_is_known_of_a_machine(call: Call, machine: Make, store: FolderStore) -> None:
    machine("a", "unknown", age_s=100, expires_s=1000)
    machine("b", "stranger")

    rows = listed(call)

    assert rows["a"]["state"] == "running"
    assert rows["a"]["image"] == "ubuntu:24.04"
    assert rows["a"]["backend"] == "fake"
    assert rows["a"]["endpoint"] == f"folder:{store.path}"
    assert rows["a"]["protected"] is False
    assert rows["a"]["created_at"] == pytest.approx(time.time() - 100, abs=30)
    assert rows["a"]["expires"] == pytest.approx(time.time() + 1000, abs=30)
    assert rows["b"]["expires"] is None


def test_list_for_people(call: Call, machine: Make) -> None:
    machine("a", "dead", age_s=7200)
    machine("b", "stranger")
    call("protect", "b")

    status, out, _ = call("list", "--backend", "fake")

    assert status == 0
    heading, first, second, last = out.rstrip().splitlines()
    assert heading.split() == ["NAME", "STATE", "IMAGE", "OWNER", "AGE"]
    assert first.split() == ["a", "running", "ubuntu:24.04", "dead", "2h"]
    assert second.split() == ["b", "running", "ubuntu:24.04", "stranger", "1m", "protected"]
    assert last.startswith("2 machines at folder:")


def test_list_on_an_engine_that_does_not_answer(call: Call, store: FolderStore) -> None:
    store.set_faults(Faults((Fault("list", "unavailable"),)))

    status, out, err = call("list", "--json")

    assert (status, out) == (1, "")
    assert err.startswith("vmharness: ")


def test_backends(call: Call, store: FolderStore) -> None:
    store.set_faults(Faults((Fault("create", "unavailable"),)))

    status, out, _ = call("backends", "--json")

    (fake,) = [row for row in json.loads(out) if row["name"] == "fake"]
    assert status == 0
    assert fake == {
        "name": "fake",
        "distribution": fake["distribution"],
        "loads": True,
        "answers": True,
        "default": True,
        "endpoint": f"folder:{store.path}",
        "engine": f"fake engine, folder:{store.path}",
        "machines": 0,
        "error": "",
    }
    assert fake["distribution"].startswith("vmharness ")


def test_backends_shows_why_an_engine_does_not_answer(call: Call, store: FolderStore) -> None:
    store.set_faults(Faults((Fault("list", "unavailable"),)))

    status, out, _ = call("backends")

    (row,) = [line for line in out.splitlines() if line.startswith("fake *")]
    assert status == 0
    assert "doesn't answer" in row
    assert "\nfake: " in out


def test_backends_shows_one_that_does_not_load(tmp_path: Path) -> None:
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[vmharness.backends]\nbroken = no_such_module:connect\n")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    done = subprocess.run(
        [sys.executable, "-c", "from vmharness.cli import main; main()", "backends", "--json"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["fake"]["answers"]
    assert (rows["broken"]["loads"], rows["broken"]["answers"]) == (False, False)
    assert rows["broken"]["distribution"] == "broken 1.0"
    assert "no_such_module" in rows["broken"]["error"]
