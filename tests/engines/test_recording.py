"""Suites that call engines' own commands and never clean up: what is left is read by those commands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hands import Engine

Start = Callable[..., subprocess.Popen[str]]
Ledgers = Callable[[], list[Path]]
WaitUntil = Callable[[Callable[[], object]], None]
MAIN = "import sys; from vmharness.cli import main; sys.exit(main())"


def make_argv(engine: Engine, name: str) -> list[str]:
    """Return the command that makes a machine; without a name the engine makes one up."""
    argv = engine.make_argv(name or "NAME")
    if name:
        return argv
    return [word for word in argv if word not in ("NAME", "--name")]


def suite(engine: Engine, body: str = "") -> str:
    return f"""
import subprocess
import time
import pytest

@pytest.mark.parametrize("n", range(3))
def test_one(n):
    argv = [word.replace("NAME", f"mine-{{n}}") for word in {make_argv(engine, "NAME")!r}]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    subprocess.run({make_argv(engine, "")!r}, check=True, stdin=subprocess.DEVNULL)
    {body or "pass"}
"""


@pytest.mark.parametrize("runner", [[], ["-n2"]], ids=["plain", "xdist"])
def test_a_suite_without_any_cleaning_up(
    start: Start, strangers: Sequence[str], engine: Engine, ledgers: Ledgers, runner: list[str]
) -> None:
    text, _ = start(suite(engine), "--vm-record=commands", *runner).communicate(timeout=300)

    assert "3 passed" in text
    assert "6 created, 6 deleted, 0 swept, 0 left" in text
    assert ledgers() == []


@pytest.mark.parametrize("runner", [[], ["-n2"]], ids=["plain", "xdist"])
def test_a_run_that_is_killed(
    start: Start,
    strangers: Sequence[str],
    engine: Engine,
    ledgers: Ledgers,
    wait_until: WaitUntil,
    runner: list[str],
) -> None:
    process = start(suite(engine, "time.sleep(60)"), "--vm-record=commands", *runner)
    wait_until(lambda: len(engine.names()) >= len(strangers) + 2)

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    wait_until(lambda: set(engine.names()) == set(strangers))


def by_path(engine: Engine, body: str) -> str:
    argv = make_argv(engine, "by-path")
    path = shutil.which(argv[0])
    assert path is not None
    return f"""
import subprocess
import time

def test_one():
    subprocess.run({[path, *argv[1:]]!r}, check=True, stdin=subprocess.DEVNULL)
    {body}
"""


def test_a_suite_that_calls_the_command_by_its_path(
    start: Start, strangers: Sequence[str], engine: Engine, ledgers: Ledgers
) -> None:
    text, _ = start(by_path(engine, "pass"), "--vm-record=paths").communicate(timeout=300)

    assert "1 passed" in text
    assert "1 created, 1 deleted, 0 swept, 0 left" in text
    assert ledgers() == []


def test_a_run_that_calls_the_command_by_its_path_and_is_killed(
    start: Start, strangers: Sequence[str], engine: Engine, wait_until: WaitUntil
) -> None:
    process = start(by_path(engine, "time.sleep(60)"), "--vm-record=paths")
    wait_until(lambda: "by-path" in engine.names())

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    wait_until(lambda: set(engine.names()) == set(strangers))


def test_a_create_that_times_out_in_its_test(
    start: Start, strangers: Sequence[str], engine: Engine, wait_until: WaitUntil
) -> None:
    """The client is killed within its work at moments from the first to the last."""
    text, _ = start(
        f"""
import subprocess
import pytest

@pytest.mark.parametrize("n", range(8))
def test_one(n):
    argv = [word.replace("NAME", f"late-{{n}}") for word in {make_argv(engine, "NAME")!r}]
    try:
        subprocess.run(argv, timeout=0.06 + n * 0.04, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        pass
""",
        "--vm-record=commands",
    ).communicate(timeout=300)

    assert "8 passed" in text
    wait_until(lambda: set(engine.names()) == set(strangers))


def test_what_a_test_deletes_or_makes_in_vain_is_not_waited_for(
    start: Start, strangers: Sequence[str], engine: Engine, ledgers: Ledgers
) -> None:
    remove = ["docker", "rm", "-f"] if engine.backend == "docker" else ["lxc", "delete", "-f"]
    text, _ = start(
        f"""
import subprocess

def test_one():
    subprocess.run({make_argv(engine, "mine")!r}, check=True, stdin=subprocess.DEVNULL)
    subprocess.run({[*remove, "mine"]!r}, check=True)

def test_in_vain():
    if {engine.backend!r} == "docker":
        made = subprocess.run({make_argv(engine, "")!r}, check=True, capture_output=True, text=True)
        subprocess.run([*{remove!r}, made.stdout.strip()], check=True)
        subprocess.run(["docker", "run", "--rm", {engine.image!r}, "true"], check=True)
        assert subprocess.run(["docker", "run", "--pull=never", "no-such-image"]).returncode == 125
""",
        "--vm-record=commands",
    ).communicate(timeout=300)

    assert "2 passed" in text
    assert "looking" not in text
    assert "unsettled" not in text
    assert ledgers() == []


@pytest.fixture
def runner(engine: Engine, state_dir: Path, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run a command by `vmharness run` in a folder of its own, and return its status and what was said."""

    def run(*argv: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "run", f"--backend={engine.backend}", "--", *argv],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode, done.stdout

    return run


Runner = Callable[..., tuple[int, str]]


@pytest.mark.parametrize("kind", ["sh", "make", "unittest"])
def test_any_runner(
    runner: Runner, strangers: Sequence[str], engine: Engine, ledgers: Ledgers, tmp_path: Path, kind: str
) -> None:
    argv = make_argv(engine, "mine")
    (tmp_path / "script").write_text(" ".join(argv) + "\nexit 5\n")
    (tmp_path / "Makefile").write_text("all: ; " + " ".join(argv) + "\n")
    (tmp_path / "test_it.py").write_text(
        "import subprocess, unittest\n"
        "class T(unittest.TestCase):\n"
        f"    def test_one(self):\n        subprocess.run({argv!r}, check=True)\n"
    )
    command = {"sh": ["sh", "script"], "make": ["make"], "unittest": [sys.executable, "-m", "unittest"]}[kind]

    status, text = runner(*command)

    assert status == (5 if kind == "sh" else 0), text
    assert "machines: 1 created, 1 deleted, 0 swept, 0 left" in text
    assert set(engine.names()) == set(strangers)
    assert ledgers() == []
