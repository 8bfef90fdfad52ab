"""Commands in simulated machines, their files, and what else is done with a machine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from orbctls import Commands


@pytest.fixture
def orbctl(tmp_path: Path) -> Commands:
    return Commands(tmp_path / "bin")


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


@pytest.mark.parametrize(
    ("words", "user"),
    [
        ("", "root"),
        ("-n", "root"),
        ("-H -n -u vh", "vh"),
        ("-Hnu vh --", "vh"),
        ("-uvhu", "vhu"),
        ("--user=vh -p prompt", "vh"),
        ("--user vh -g staff", "vh"),
    ],
)
def test_sudo_is_whoever_it_shall_be(orbctl: Commands, words: str, user: str) -> None:
    orbctl("create", "ubuntu", "a")

    assert orbctl.says("run", "-m", "a", "sudo", *words.split(), "whoami") == f"{user}\n"


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


def test_a_script_sees_the_machines_own_files(orbctl: Commands, tmp_path: Path) -> None:
    orbctl("create", "ubuntu", "a")
    (tmp_path / "in").write_text("in\n")
    orbctl.says("push", "-m", "a", str(tmp_path / "in"), "/srv/deep/own.txt")

    def says(script: str) -> str:
        return orbctl("run", "-m", "a", "sh", "-c", script).stdout

    assert says("cat /srv/deep/own.txt") == "in\n"
    assert says("cat</srv/deep/own.txt;cat '/srv/deep/own.txt'") == "in\nin\n"
    assert says("cd /srv/deep && cat own.txt") == "in\n"
    assert says("echo /srv/deep/own.txt.old x/srv/deep/own.txt a/b /") == (
        "/srv/deep/own.txt.old x/srv/deep/own.txt a/b /\n"
    )
    assert says("test -e /proc/self && echo host") == "host\n"


def test_what_a_deleted_machine_had_inside_is_gone(orbctl: Commands, tmp_path: Path) -> None:
    orbctl("create", "ubuntu", "a")
    orbctl("create", "ubuntu", "b")
    orbctl("run", "-m", "a", "sh", "-c", "echo > file")
    orbctl("run", "-m", "b", "true")
    machines = tmp_path / "bin" / "state" / "machines"
    assert len([*machines.iterdir()]) == 2

    orbctl("delete", "-f", "a")
    orbctl("list")

    (kept,) = machines.iterdir()
    assert kept.name == json.loads(orbctl("info", "b", "-f", "json").stdout)["record"]["id"]


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


def test_a_line_of_the_log_that_is_half_written_is_no_event(orbctl: Commands) -> None:
    orbctl("info", "b")
    whole = orbctl.steer.events()
    log = orbctl.steer.folder / "events.jsonl"
    first, rest = log.read_text().split("\n", 1)

    log.write_text(f"{first}\n{first[:40]}{first}\n{rest}{first[:-2]}")

    assert orbctl.steer.events() == whole


def test_the_commands_work_without_site_packages(orbctl: Commands) -> None:
    """So they start fast: nothing but this package and the standard library is imported."""
    launcher = (orbctl.folder / "orbctl").read_text()

    assert " -I -S " in launcher
    assert shutil.which("orb", path=str(orbctl.folder)) is not None
