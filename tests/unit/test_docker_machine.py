"""From Docker's JSON to machines; the samples are a real engine's."""

from __future__ import annotations

from typing import Any

import pytest

from vmharness.provider import MachineState
from vmharness_docker._machine import inspected, listed, stays_up

ENTRY: dict[str, Any] = {
    "Id": "dcf1693e0d770c722a32c62b7b27343e9aefaf6a7f01bb8d00dc7f8585979660",
    "Names": ["/vm-1"],
    "Image": "vmharness-tiny:latest",
    "Created": 1795381973,
    "Labels": {"vmharness.token": "t"},
    "State": "running",
    "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": ""}}},
}
DESCRIPTION: dict[str, Any] = {
    "Id": ENTRY["Id"],
    "Name": "/vm-1",
    "Created": "2026-11-22T21:12:53.611852315Z",
    "State": {"Status": "exited", "Running": False, "ExitCode": 0},
    "Config": {"Image": "vmharness-tiny:latest", "Labels": None},
    "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "", "GlobalIPv6Address": ""}}},
}


def test_listed_machine_has_all_that_the_list_says() -> None:
    info = listed(ENTRY)

    assert (info.name, info.state, info.image) == ("vm-1", MachineState.RUNNING, "vmharness-tiny:latest")
    assert (info.created_at, info.created_resolution) == (1795381973.0, 1.0)
    assert info.labels == {"vmharness.token": "t"}
    assert info.address == "172.17.0.2"


def test_inspected_machine_has_its_exact_time() -> None:
    info = inspected(DESCRIPTION)

    assert (info.name, info.state, info.address) == ("vm-1", MachineState.STOPPED, "")
    assert (info.created_at, info.created_resolution) == (1795381973.611852, 1e-6)
    assert info.labels == {}


@pytest.mark.parametrize(
    ("state", "means"),
    [
        ("created", MachineState.STOPPED),
        ("running", MachineState.RUNNING),
        ("exited", MachineState.STOPPED),
        ("removing", MachineState.DELETING),
        ("paused", MachineState.OTHER),
        ("restarting", MachineState.OTHER),
        ("dead", MachineState.OTHER),
        ("of-next-year", MachineState.OTHER),
    ],
)
def test_each_state_has_its_meaning(state: str, means: MachineState) -> None:
    assert listed({**ENTRY, "State": state}).state is means


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (["/vm-1"], "vm-1"),
        (["/other/alias", "/vm-1"], "vm-1"),
        (None, ENTRY["Id"]),
    ],
)
def test_machine_is_called_by_its_own_name(names: list[str] | None, name: str) -> None:
    assert listed({**ENTRY, "Names": names}).name == name


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        (None, ""),
        ({}, ""),
        ({"a": {"IPAddress": ""}, "b": {"IPAddress": "10.0.0.7"}}, "10.0.0.7"),
        ({"a": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}}, "fd00::2"),
    ],
)
def test_address_is_that_of_any_network(networks: dict[str, Any] | None, address: str) -> None:
    assert listed({**ENTRY, "NetworkSettings": {"Networks": networks}}).address == address


@pytest.mark.parametrize(
    ("entrypoint", "command", "own"),
    [
        (None, None, False),
        ([], [], False),
        (None, ["/bin/bash"], False),
        (None, ["sh"], False),
        (None, ["bash", "-l"], False),
        (["/bin/sh"], None, False),
        (None, ["/bin/sh", "-c", "bash"], False),
        (None, ["/bin/sh", "-c", "/bin/bash --login"], False),
        (None, ["/sbin/init"], True),
        (["/usr/bin/tini", "--"], ["serve"], True),
        (None, ["/bin/sh", "-c", "exec serve --port 1"], True),
        (None, ["sh", "-c", "trap exit TERM; sleep 1000000 & wait"], True),
        (None, ["bash", "/start.sh"], True),
    ],
)
def test_mere_shell_does_not_stay_up(
    entrypoint: list[str] | None, command: list[str] | None, own: bool
) -> None:
    assert stays_up({"Entrypoint": entrypoint, "Cmd": command}) is own
