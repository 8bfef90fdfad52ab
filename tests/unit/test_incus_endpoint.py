"""Which engine of Incus and LXD is meant: commands, variables, remotes, projects, and the endpoint's text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from vmharness.command import CommandLine
from vmharness.errors import EngineUnavailable
from vmharness.provider import CommandResult
from vmharness_incus import connect_incus, connect_lxd, open_engine
from vmharness_incus._endpoint import INCUS, LXD, Endpoint, Engine, find_endpoint

REMOTES = {
    "local": {"Addr": "unix://", "Project": ""},
    "far": {"Addr": "https://10.0.0.5:8443", "Project": "ours"},
    "images": {"Addr": "https://images.linuxcontainers.org", "Project": ""},
}


class Configuration(CommandLine):
    """A command that tells of its configuration."""

    def __init__(self, default: str = "local", remotes: Mapping[str, Any] = REMOTES, status: int = 0) -> None:
        super().__init__("lxc", backend="lxd")
        self.answers = {"get-default": f"{default}\n", "list": json.dumps(remotes)}
        self.status = status

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        return CommandResult(status=self.status, stdout=self.answers[args[1]], stderr="Error: bad config")


def put(folder: Path, program: str, script: str = "exit 1") -> dict[str, str]:
    """Put a program into a folder; return an environment in which it is the only one."""
    path = folder / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": str(folder)}


@pytest.mark.parametrize(
    "text",
    [
        "lxd:local/default",
        "incus:local/default",
        "lxd:local/default?dir=/var/lib/lxd",
        "incus:local/ours?dir=/d&socket=/run/s.sock",
        "incus:far/ours?conf=/home/me/.config/incus&address=https://10.0.0.5:8443",
    ],
)
def test_endpoint_is_read_as_it_is_written(text: str) -> None:
    assert str(Endpoint.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "docker:local/default", "lxd:local", "lxd:/default", "lxd:local/", "unix:///s"]
)
def test_text_that_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(EngineUnavailable, match="no endpoint of Incus or LXD"):
        connect_lxd(text)


@pytest.mark.parametrize(
    ("engine", "default", "environ", "text"),
    [
        (LXD, "local", {}, "lxd:local/default"),
        (LXD, "local", {"LXD_DIR": "/d", "LXD_CONF": "/c"}, "lxd:local/default?dir=/d"),
        (LXD, "local", {"LXD_SOCKET": "/s", "INCUS_DIR": "/i"}, "lxd:local/default?socket=/s"),
        (LXD, "far", {}, "lxd:far/ours?address=https://10.0.0.5:8443"),
        (LXD, "far", {"LXD_DIR": "/d", "LXD_CONF": "/c"}, "lxd:far/ours?conf=/c&address=https://10.0.0.5:8443"),
        (LXD, "local", {"INCUS_PROJECT": "p"}, "lxd:local/default"),
        (INCUS, "local", {"INCUS_PROJECT": "p", "INCUS_DIR": "/i"}, "incus:local/p?dir=/i"),
    ],
)  # fmt: skip
def test_default_engine_is_the_commands(
    engine: Engine, default: str, environ: dict[str, str], text: str
) -> None:
    assert str(find_endpoint(engine, Configuration(default), environ)) == text


def test_relative_folder_means_the_same_everywhere() -> None:
    endpoint = find_endpoint(LXD, Configuration(), {"LXD_DIR": "lxd"})

    assert endpoint.places == {"dir": str(Path("lxd").absolute())}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (Configuration("gone"), "no remote 'gone'"),
        (Configuration(status=1), "bad config"),
        (Configuration(remotes={"local": 3}), "cannot read the remotes"),
    ],
)
def test_unusable_configuration_is_an_engine_that_is_unavailable(command: CommandLine, why: str) -> None:
    with pytest.raises(EngineUnavailable, match=why):
        find_endpoint(LXD, command, {})


def test_opened_again_it_is_the_same_engine_whatever_the_environment_says() -> None:
    environ = {
        "HOME": "/h",
        "LXD_DIR": "/other",
        "LXD_SOCKET": "/other.sock",
        "LXC_REMOTE": "far",
        "LXD_CONF": "/c",
        "INCUS_DIR": "/i",
    }

    local = Endpoint.parse("lxd:local/default?dir=/d").environ(environ)
    far = Endpoint.parse("lxd:far/default?address=https://10.0.0.5:8443").environ(environ)

    assert {name: local.get(name) for name in environ} == {
        "HOME": "/h",
        "LXD_DIR": "/d",
        "LXD_SOCKET": None,
        "LXC_REMOTE": None,
        "LXD_CONF": "/c",
        "INCUS_DIR": "/i",
    }
    assert "LXD_CONF" not in far


def test_messages_are_english_and_aliases_off() -> None:
    environ = Endpoint.parse("incus:local/default").environ({"LC_ALL": "de_DE.UTF-8"})

    assert (environ["LC_ALL"], environ["INCUS_ALIASES"], environ["LXC_ALIASES"]) == ("C", "1", "1")


def test_missing_command_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineUnavailable, match="no `incus` or `lxc` on PATH; install it") as caught:
        connect_incus()
    assert caught.value.backend == "incus"
    with pytest.raises(EngineUnavailable, match="cannot use LXD: no `lxc` or `incus` on PATH; install it"):
        connect_lxd()
    with pytest.raises(EngineUnavailable, match="no `lxc` on PATH"):
        connect_incus("lxd:local/default")


CONFIGURED = f"""
case "$*" in
*get-default*) echo local ;;
*) echo '{json.dumps(REMOTES)}' ;;
esac"""


@pytest.mark.parametrize(
    ("programs", "opened", "rank"),
    [
        (("incus", "lxc"), "incus:local/default", 20),
        (("incus",), "incus:local/default", 20),
        (("lxc",), "lxd:local/default", 35),
    ],
)
def test_incus_takes_whichever_command_is_there(
    tmp_path: Path, programs: tuple[str, ...], opened: str, rank: int
) -> None:
    environ = {
        name: value for program in programs for name, value in put(tmp_path, program, CONFIGURED).items()
    }

    provider = open_engine("incus", (INCUS, LXD), None, environ)

    assert (provider.endpoint, provider.auto_rank) == (opened, rank)


def test_lxd_takes_whichever_command_is_there(tmp_path: Path) -> None:
    environ = put(tmp_path, "incus", CONFIGURED)

    provider = open_engine("lxd", (LXD, INCUS), None, environ)

    assert (provider.endpoint, provider.auto_rank) == ("incus:local/default", 35)


def test_connecting_with_an_endpoint_runs_nothing(tmp_path: Path) -> None:
    environ = put(tmp_path, "lxc", f"touch {tmp_path}/ran")

    provider = open_engine("lxd", (LXD, INCUS), "lxd:far/ours?address=https://10.0.0.5:8443", environ)

    assert provider.endpoint == "lxd:far/ours?address=https://10.0.0.5:8443"
    assert not (tmp_path / "ran").exists()


def test_shown_command_means_the_engine_in_any_shell(tmp_path: Path) -> None:
    environ = put(tmp_path, "lxc")

    provider = open_engine("lxd", (LXD, INCUS), "lxd:local/ours?dir=/d", environ)

    assert provider.delete_argv("vm-1") == [
        *("env", "LXD_DIR=/d", "lxc", "--project", "ours", "delete", "--force", "--", "local:vm-1")
    ]
