"""A small pytest plugin: `orbctl` and `orb` on PATH for a test. A run that doesn't use it pays nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vmharness_orbctl import Orbctl

__all__ = ["orbctl_engine", "orbctl_on_path"]


@pytest.fixture
def orbctl_engine() -> str:
    """Return what is behind `orbctl`: `simulator`, or a backend's name. Override or parametrise it."""
    return "simulator"


@pytest.fixture
def orbctl_on_path(
    orbctl_engine: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Orbctl]:
    """Put `orbctl` and `orb` first on PATH for the test; machines that it leaves are deleted.

    Returns:
        What steers them: settings, held points, log.
    """
    from vmharness_orbctl import Orbctl, install
    from vmharness_orbctl._input import INHERITED, identity

    folder = tmp_path_factory.mktemp("orbctl", numbered=True)
    commands = install(folder, orbctl_engine)
    monkeypatch.setenv("PATH", os.pathsep.join([str(commands), os.environ.get("PATH", os.defpath)]))
    monkeypatch.setenv("VMHARNESS_ORBCTL_DIR", str(folder / "state"))
    monkeypatch.setenv(INHERITED, identity())
    orbctl = Orbctl(folder / "state")
    yield orbctl
    if orbctl_engine != "simulator":
        _delete_machines(orbctl, commands / "orbctl")


def _delete_machines(orbctl: Orbctl, command: Path) -> None:
    """Delete what the test's commands made, be it at once or since; a simulated machine harms nobody."""
    orbctl.set(hold=None)
    made = {event.name for event in orbctl.events() if event.phase == "begin" and event.verb in _MAKES}
    quiet = subprocess.run([command, "list", "-q"], check=True, capture_output=True, text=True)
    for name in sorted(made.intersection(quiet.stdout.split())):
        subprocess.run([command, "delete", "--force", name], check=True, stdin=subprocess.DEVNULL)


_MAKES = ("clone", "create", "rename")
