"""A suite for OrbStack that never cleans up, unchanged on a real engine, by an orbctl in OrbStack's place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hands import Engine
from processes import PYTEST, processes
from vmharness_orbctl import Orbctl

MAIN = "import sys; from vmharness.cli import main; sys.exit(main())"

SUITE = """
import subprocess
import unittest
import pytest

def orb(*words, timeout=120):
    argv = ["orbctl", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=timeout).stdout

@pytest.fixture(scope="module")
def shared(worker_id):
    orb("create", "ubuntu:24.04", f"pytest-shared-{worker_id}")

@pytest.mark.parametrize("n", range(3))
def test_plain(shared, n):
    orb("create", "ubuntu:24.04", f"web-{n}")
    assert orb("run", "-m", f"web-{n}", "echo", "hello") == "hello\\n"
    assert n, "on purpose"

def test_late():
    with subprocess.Popen(["orbctl", "create", "ubuntu:24.04", "web-late"]) as client:
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(timeout=0.5)
        client.kill()

class TestNamed(unittest.TestCase):
    test_vm_name = "web-named"

    def setUp(self):
        orb("create", "ubuntu:24.04", self.test_vm_name)

    def test_one(self):
        assert "web-named" in orb("list", "-q").split()
"""


@pytest.fixture
def stranger(engine: Engine) -> Iterator[str]:
    """Make a machine with a name like the suite's, and prove at the end that it is all that there is."""
    engine.make("web-named-old")
    yield "web-named-old"
    try:
        assert engine.names() == ["web-named-old"]
    finally:
        for name in engine.names():
            engine.remove(name)


@pytest.fixture
def start_run(
    engine: Engine, tmp_path: Path, state_dir: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the suite by `vmharness run`, in a process group of its own; whatever happens, that is ended."""
    (tmp_path / "test_it.py").write_text(SUITE)
    run = [sys.executable, "-c", MAIN, "run", f"--orbctl={engine.backend}", "--"]
    # The first call makes the folder in which the settings are.
    subprocess.run([*run, "true"], check=True)
    (folder,) = state_dir.glob(f"*/orbctl-{engine.backend}")
    Orbctl(folder / "state").set(images={"*": engine.image})
    with processes() as started:
        yield lambda *args: started.start([*run, *PYTEST, "-q", *args], cwd=tmp_path)


@pytest.mark.parametrize(
    ("engine", "runner"), [("docker", "-n2"), ("lxd", "-n0")], indirect=["engine"], ids=["docker", "lxd"]
)
def test_nothing_is_left_but_what_was_there(
    start_run: Callable[..., subprocess.Popen[str]], stranger: str, runner: str
) -> None:
    process = start_run(runner)

    text, _ = process.communicate(timeout=300)

    assert process.returncode == 1, text
    assert "1 failed, 4 passed" in text
    assert ", 0 left" in text


def test_an_interrupt_leaves_nothing(
    start_run: Callable[..., subprocess.Popen[str]],
    engine: Engine,
    stranger: str,
    wait_until: Callable[[Callable[[], object]], None],
) -> None:
    process = start_run("-n2")
    wait_until(lambda: {"web-0", "web-1", "web-2"}.intersection(engine.names()))

    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=120)

    assert process.returncode == 2, text
    wait_until(lambda: engine.names() == [stranger])
