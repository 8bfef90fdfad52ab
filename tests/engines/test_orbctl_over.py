"""orbctl over real engines: what a suite that was written for OrbStack does, on Linux."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from orbctls import Commands


@pytest.fixture(params=["docker", "lxd"])
def orbctl(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Commands]:
    request.getfixturevalue(f"{request.param}_engine")
    image: str = request.getfixturevalue(f"{request.param}_image")
    commands = Commands(tmp_path / "bin", request.param)
    commands.set(images={"*": image})
    yield commands
    made = {event.name for event in commands.steer.events() if event.verb == "create"}
    for name in sorted(made):
        commands("delete", "--force", name)


def test_a_suite_for_orbstack_runs(orbctl: Commands, tmp_path: Path) -> None:
    name = f"test-{secrets.token_hex(5)}"
    content = bytes(range(256)) * 100
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(content)

    orbctl.says("create", "ubuntu:24.04", name)
    (row,) = json.loads(orbctl("list", "-f", "json").stdout)
    orbctl.says("push", "-m", name, str(tmp_path / "tree"), "/srv/")
    orbctl.says("pull", "-m", name, "/srv/tree/file", str(tmp_path / "file"))
    orbctl.says("pull", "-m", name, "/srv/tree", str(tmp_path / "again"))

    assert (row["name"], row["state"], row["image"]["version"]) == (name, "running", "noble")
    assert json.loads(orbctl("info", name, "-f", "json").stdout)["record"] == row
    assert orbctl("run", "-m", name, "-u", "root", "whoami").stdout == "root\n"
    assert orbctl("run", "-m", name, "sh", "-c", "cat; exit 7", input=b"in").stdout == "in"
    assert orbctl("run", "-m", name, "sh", "-c", "exit 7").status == 7
    assert orbctl.says("run", "-m", name, "no-such-program", status=127) == (
        "-bash: line 1: no-such-program: command not found\n"
    )
    assert (tmp_path / "file").read_bytes() == content
    assert (tmp_path / "again" / "file").read_bytes() == content
    assert orbctl.says("create", "ubuntu:24.04", name, status=1) == (
        f"[-32098] create '{name}': machine already exists: '{name}'\n"
    )
    other = f"{name}-renamed"
    orbctl.says("rename", name, other)
    (renamed,) = json.loads(orbctl("list", "-f", "json").stdout)
    assert (renamed["name"], renamed["id"], renamed["state"]) == (other, row["id"], "running")
    orbctl.says("delete", "-f", other)
    assert orbctl.says("list", "-f", "json") == "[]\n"


def test_a_machine_has_the_user_and_variables_that_it_shall_have(orbctl: Commands) -> None:
    name = f"test-{secrets.token_hex(5)}"

    orbctl.says("create", "--user", "vh", "ubuntu:24.04", name)

    script = "id -un; cd && pwd && touch own && echo $ONE $TWO"
    said = orbctl(
        *("run", "-m", name, "sh", "-c", script),
        environ={"ONE": "1", "TWO": "2 3", "ORBENV": "TWO"},
    )
    assert (said.status, said.stdout) == (0, "vh\n/home/vh\n2 3\n"), said
    assert orbctl("run", "-m", name, "-u", "root", "id", "-u").stdout == "0\n"
    record = json.loads(orbctl("info", name, "-f", "json").stdout)["record"]
    assert record["config"]["default_username"] == "vh"


def test_a_user_that_cannot_be_made_fails_the_create(orbctl: Commands) -> None:
    name = f"test-{secrets.token_hex(5)}"

    said = orbctl.says("create", "--user", "no/name", "ubuntu:24.04", name, status=1)

    assert said.startswith(f"[-32098] create '{name}': setup: do initial setup: useradd")
    assert "invalid user name" in said
