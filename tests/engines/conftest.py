"""Engines as a person meets them: by their own commands, never through our code."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hands import Engine
from processes import PYTEST, processes


@pytest.fixture(params=["docker", "lxd"])
def engine(request: pytest.FixtureRequest) -> Engine:
    kind = request.param
    command = request.getfixturevalue(f"{kind}_engine")
    return Engine(kind, request.getfixturevalue(f"{kind}_image"), command)


# Names that look like ours and aren't.
STRANGERS = ("vmh-plain-0-aaaaaaaaaa", "vmhx", "zz-vmh-one")


@pytest.fixture
def strangers(engine: Engine) -> Iterator[Sequence[str]]:
    """Make strangers' machines, and prove at the end that they are all that there is."""
    before = engine.names()
    assert before == [], "the engine must be empty, so that what is left can be told"
    for name in STRANGERS:
        engine.make(name)
    yield STRANGERS
    try:
        assert engine.names() == sorted(STRANGERS)
    finally:
        for name in engine.names():
            engine.remove(name)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(
    engine: Engine, pytester: pytest.Pytester, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """Start pytest on the engine, in a session of its own; whatever happens, it is ended."""
    for name in list(os.environ):
        if name.startswith(("PYTEST_XDIST", "PYTEST_ADDOPTS")):
            monkeypatch.delenv(name)
    with processes() as started:

        def start(suite: str, *args: str) -> subprocess.Popen[str]:
            pytester.makepyfile(suite)
            options = [f"--vm-backend={engine.backend}", f"--vm-image={engine.image}"]
            return started.start([*PYTEST, "-q", *options, *args], cwd=pytester.path)

        yield start


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Return what waits until a condition holds, for a minute at most."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it didn't come to that in a minute"
            time.sleep(0.01)

    return wait


@pytest.fixture
def ledgers(state_dir: Path) -> Callable[[], list[Path]]:
    return lambda: sorted(state_dir.glob("*/*.ledger"))
