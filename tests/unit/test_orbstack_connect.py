"""Finding orbctl, and whose OrbStack is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import vmharness_orbstack
from vmharness.errors import EngineUnavailable


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an orbctl on PATH that is no script; it can't be run, and must not be."""
    program = tmp_path / "orbctl"
    program.write_bytes(b"\xcf\xfa\xed\xfe")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


def test_connect_asks_nothing_and_opens_the_same_again(program: Path) -> None:
    provider = vmharness_orbstack.connect()

    assert provider.endpoint == f"orbstack:{os.getuid()}"
    assert vmharness_orbstack.connect(provider.endpoint).endpoint == provider.endpoint
    for other in (f"orbstack:{os.getuid() + 1}", f"orbstack:{os.getuid() + 1}:{program}", "orbstack:"):
        with pytest.raises(EngineUnavailable, match="run as that user"):
            vmharness_orbstack.connect(other)


def test_a_script_in_orbctls_place_is_an_engine_of_its_own(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.write_text("#!/bin/sh\ntouch asked\n")

    provider = vmharness_orbstack.connect()
    monkeypatch.setenv("PATH", "/nowhere")

    assert provider.endpoint == f"orbstack:{os.getuid()}:{program}"
    assert vmharness_orbstack.connect(provider.endpoint).endpoint == provider.endpoint
    assert [path.name for path in program.parent.iterdir()] == ["orbctl"]
    program.unlink()
    with pytest.raises(EngineUnavailable, match=f"'{program}' isn't there"):
        vmharness_orbstack.connect(provider.endpoint)


def test_what_was_on_one_engine_is_not_looked_for_on_the_other(program: Path) -> None:
    real = vmharness_orbstack.connect().endpoint
    program.write_text("#!/bin/sh\ntouch asked\n")
    script = vmharness_orbstack.connect().endpoint

    with pytest.raises(EngineUnavailable, match="cannot find OrbStack: no 'orbctl' on PATH"):
        vmharness_orbstack.connect(real)
    program.write_bytes(b"\xcf\xfa\xed\xfe")
    with pytest.raises(EngineUnavailable, match=f"'{program}' isn't there"):
        vmharness_orbstack.connect(script)


def test_orbctl_is_looked_for_in_its_own_places(tmp_path: Path) -> None:
    program = tmp_path / "orbctl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)

    (found,) = vmharness_orbstack.find_commands(["no-such-program", str(program)])

    assert found.program == str(program)


def test_without_orbctl_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(EngineUnavailable, match="brew install orbstack"):
        vmharness_orbstack.connect()
