"""What several folders of tests share: real engines if there are any, and a state folder of a test's own."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmharness._settings import DEFAULT_LIFECYCLE

pytest_plugins = ["pytester"]

# A run started by nohup or in a script's background ignores interrupts, and so would the runs that it tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Let the tests of an engine be on one worker: they tell what is left from all that the engine has.

    Engines are worked on side by side, for most of a test is waiting for its own. So it is for
    `--dist=loadgroup`, which with pytest 9.2 doesn't see xdist's own groups.
    """
    if config.getoption("dist") != "loadgroup":
        return None
    whole: Any = importlib.import_module("xdist.scheduler").LoadScopeScheduling  # which has no types
    return type("EngineScheduling", (whole,), {"_split_scope": staticmethod(engine_or_test)})(config, log)


def engine_or_test(nodeid: str) -> str:
    """Return on which engine a test is, as it, its class or its module is named; if on none, the test."""
    for words in reversed(nodeid.rpartition("/")[2].lower().split("::")):
        if engine := re.search("docker|lxd|incus|libvirt", words):
            return engine[0]
    return nodeid


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a new state folder, which this process and those that it starts use for this test."""
    folder = tmp_path / "state"
    monkeypatch.setenv("VMHARNESS_STATE_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
    return folder


@pytest.fixture
def no_reaper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch the reaper off, for tests of what the next run does without one."""
    monkeypatch.setenv(
        "VMHARNESS_LIFECYCLE", ",".join(name for name in DEFAULT_LIFECYCLE if name != "reaper")
    )


@pytest.fixture(scope="session")
def docker_image() -> str:
    return os.environ.get("VMHARNESS_TEST_DOCKER_IMAGE", "vmharness-tiny:latest")


@pytest.fixture(scope="session")
def docker_engine(docker_image: str) -> Callable[..., str]:
    """Return what runs Docker's own command; without a Docker engine the test is skipped, or fails."""
    if importlib.util.find_spec("testcontainers") is None:
        without_engine("the package testcontainers isn't installed")
    return engine_command("docker", "image", "inspect", docker_image)


@pytest.fixture(scope="session")
def lxd_image() -> str:
    return os.environ.get("VMHARNESS_TEST_LXD_IMAGE", "vmharness-tiny")


@pytest.fixture(scope="session")
def lxd_engine(lxd_image: str) -> Callable[..., str]:
    """Return what runs LXD's own command; without an LXD the test is skipped, or fails."""
    return engine_command("lxc", "image", "info", lxd_image)


@pytest.fixture(scope="session")
def incus_image() -> str:
    return os.environ.get("VMHARNESS_TEST_INCUS_IMAGE", "vmharness-tiny")


@pytest.fixture(scope="session")
def incus_engine(incus_image: str) -> Callable[..., str]:
    """Return what runs Incus' own command; without an Incus the test is skipped, or fails."""
    return engine_command("incus", "image", "info", incus_image)


@pytest.fixture(scope="session")
def libvirt_engine() -> Callable[..., str]:
    """Return what runs libvirt's own command; without a libvirt the test is skipped, or fails."""
    return engine_command("virsh", "--quiet", "version")


def engine_command(program: str, *probe: str) -> Callable[..., str]:
    """Return what runs an engine's command and gives what it wrote, once the probe has succeeded."""

    def command(*args: str) -> str:
        done = subprocess.run(
            [program, *args], check=True, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=60
        )
        return done.stdout

    try:
        command(*probe)
    except subprocess.CalledProcessError as exc:
        without_engine(f"{program} says: {exc.stderr.strip()}")
    except (OSError, subprocess.TimeoutExpired) as exc:
        without_engine(str(exc))
    return command


def without_engine(reason: str) -> None:
    """Skip the test, or let it fail where engines are required, as in CI."""
    if os.environ.get("VMHARNESS_TEST_ENGINES") == "required":
        pytest.fail(f"VMHARNESS_TEST_ENGINES=required, but {reason}")
    pytest.skip(reason)
