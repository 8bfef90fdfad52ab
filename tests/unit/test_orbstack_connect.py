"""Finding orbctl, and whose OrbStack is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import vmharness_orbstack
from vmharness.errors import EngineUnavailable


def test_connect_asks_nothing_and_opens_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "orbctl"
    program.write_text("#!/bin/sh\ntouch asked\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))

    provider = vmharness_orbstack.connect()

    assert provider.endpoint == f"orbstack:{os.getuid()}"
    assert vmharness_orbstack.connect(provider.endpoint).endpoint == provider.endpoint
    assert [path.name for path in tmp_path.iterdir()] == ["orbctl"]
    with pytest.raises(EngineUnavailable, match="run as that user"):
        vmharness_orbstack.connect(f"orbstack:{os.getuid() + 1}")


def test_orbctl_is_looked_for_in_its_own_places(tmp_path: Path) -> None:
    program = tmp_path / "orbctl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)

    found = vmharness_orbstack.find_command(["no-such-program", str(program)])

    assert found.program == str(program)


def test_without_orbctl_it_says_how_to_get_it() -> None:
    with pytest.raises(EngineUnavailable, match="brew install orbstack"):
        vmharness_orbstack.find_command(["no-such-program"])
