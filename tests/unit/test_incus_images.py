"""Images by the name that all backends take, and in the engine's own form."""

from __future__ import annotations

from typing import Any

import pytest

from vmharness.provider import MachineState
from vmharness_incus._images import native_image
from vmharness_incus._machine import to_machine

LXD = ("images", "local", "ubuntu", "ubuntu-daily")
INCUS = ("images", "local")
ALIASES = ("vmharness-tiny", "ubuntu:22.04")
FINGERPRINT = "e72ec5691394"


@pytest.mark.parametrize(
    ("image", "remotes", "native"),
    [
        ("vmharness-tiny", LXD, "local:vmharness-tiny"),
        ("ubuntu:22.04", LXD, "local:ubuntu:22.04"),
        (FINGERPRINT, LXD, f"local:{FINGERPRINT}"),
        ("nosuch", LXD, "local:nosuch"),
        ("ubuntu:24.04", LXD, "ubuntu:24.04"),
        ("ubuntu:24.04", INCUS, "images:ubuntu/24.04"),
        ("debian:12", LXD, "images:debian/12"),
        ("alpine:3.20", INCUS, "images:alpine/3.20"),
        ("images:debian/12/cloud", INCUS, "images:debian/12/cloud"),
        ("local:vmharness-tiny", INCUS, "local:vmharness-tiny"),
    ],
)
def test_image_is_given_in_the_engines_form(image: str, remotes: tuple[str, ...], native: str) -> None:
    assert native_image(image, remote="local", aliases=ALIASES, remotes=remotes) == native


def test_image_with_cloud_init_is_another_one_on_the_image_server() -> None:
    assert native_image("debian:12", remote="local", aliases=(), remotes=LXD, cloud_init=True) == (
        "images:debian/12/cloud"
    )
    assert (
        native_image("ubuntu:24.04", remote="local", aliases=(), remotes=LXD, cloud_init=True)
        == "ubuntu:24.04"
    )


def test_machine_has_what_the_engine_says() -> None:
    info = to_machine(
        {
            "name": "vm-1",
            "status": "Running",
            "created_at": "2026-11-22T21:05:28.319550711Z",
            "config": {"image.description": "tiny", "user.vmharness.token": "t", "volatile.uuid": "1"},
            "state": {
                "network": {
                    "lo": {"addresses": [{"family": "inet", "scope": "local", "address": "127.0.0.1"}]},
                    "eth0": {
                        "addresses": [
                            {"family": "inet6", "scope": "link", "address": "fe80::1"},
                            {"family": "inet6", "scope": "global", "address": "fd00::2"},
                            {"family": "inet", "scope": "global", "address": "10.1.2.3"},
                        ]
                    },
                }
            },
        }
    )

    assert (info.name, info.state, info.image) == ("vm-1", MachineState.RUNNING, "tiny")
    assert (info.created_at, info.created_resolution) == (1795381528.31955, 1e-6)
    assert info.labels == {"vmharness.token": "t"}
    assert info.address == "10.1.2.3"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Running", MachineState.RUNNING),
        ("Ready", MachineState.RUNNING),
        ("Stopped", MachineState.STOPPED),
        ("Frozen", MachineState.OTHER),
        ("Error", MachineState.OTHER),
        ("Starting", MachineState.OTHER),
    ],
)
def test_each_status_has_its_meaning(status: str, state: MachineState) -> None:
    entry: dict[str, Any] = {
        "name": "a",
        "status": status,
        "created_at": "0001-01-01T00:00:00Z",
        "config": {},
    }

    assert to_machine(entry).state is state


def test_nothing_is_known_of_a_machine_on_a_member_that_is_down() -> None:
    """As an LXD 5.0 cluster lists it. With empty labels it would be a stranger's, and left for ever."""
    entry = {"name": "a", "status": "Error", "created_at": "0001-01-01T00:00:00Z", "config": None}

    info = to_machine(entry)

    assert (info.name, info.state) == ("a", MachineState.OTHER)
    assert (info.labels, info.created_at) == (None, None)
