"""`vmharness demo` on real engines, and what the engine's own command says afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def play(backend: str, image: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the demo; return the names of the machines that it made."""
    monkeypatch.setenv("VMHARNESS_IMAGE", image)
    command = "import sys; from vmharness.cli import main; sys.exit(main())"

    done = subprocess.run(
        [sys.executable, "-c", command, "demo", "--json", "--backend", backend],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["backend"], said["left_behind"], said["problems"]) == (backend, 0, [])
    assert {machine["removed_by"] for machine in said["machines"]} == {
        "its test's teardown",
        "the session's end",
        "the next run's sweep",
    }
    return [machine["name"] for machine in said["machines"]]


@pytest.mark.usefixtures("state_dir")
def test_demo_on_docker(
    docker_engine: Callable[..., str], docker_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = play("docker", docker_image, monkeypatch)

    there = docker_engine("ps", "--all", "--format", "{{.Names}}").split()
    assert len(made) == 6
    assert {*made} & {*there} == set()


@pytest.mark.usefixtures("state_dir")
def test_demo_on_lxd(lxd_engine: Callable[..., str], lxd_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = play("lxd", lxd_image, monkeypatch)

    there = lxd_engine("list", "--format", "csv", "--columns", "n").split()
    assert len(made) == 6
    assert {*made} & {*there} == set()


@pytest.mark.usefixtures("docker_engine")
def test_demo_on_an_image_that_is_not_there(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="cannot run the demo: no machine could be made"):
        play("docker", "vmharness-no-such-image:1", monkeypatch)
    assert not state_dir.exists()
