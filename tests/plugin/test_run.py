"""`vmharness run -- COMMAND`: any runner, its own status, and no machine left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from processes import processes
from vmharness_fake import FolderStore, wait_for

Names = Callable[[], list[str]]
MAIN = "import sys; from vmharness.cli import main; sys.exit(main())"
StartRun = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, fakectl: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def start_run() -> Iterator[StartRun]:
    """Start the command in a process group of its own; whatever happens, that is ended."""
    with processes() as started:

        def start(*argv: str, options: Sequence[str] = ()) -> subprocess.Popen[str]:
            call = [sys.executable, "-c", MAIN, "run", *options, "--", *argv]
            return started.start(call, stderr=subprocess.PIPE)

        yield start


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def nothing_stays(state: Path, names: Names) -> None:
    assert names() == []
    assert [path.name for path in state.glob("*/*") if path.name != "reaper.log"] == []


def test_a_script(start_run: StartRun, state: Path, names: Names) -> None:
    status, out, err = end(start_run("sh", "-c", 'fakectl create web && fakectl list; exit "$1"', "x", "7"))

    assert status == 7
    assert out == "web\trunning\tubuntu:24.04\n"
    assert err == "vmharness: machines: 1 created, 1 deleted, 0 swept, 0 left\n"
    nothing_stays(state, names)


def test_a_command_that_makes_no_machine_adds_nothing(start_run: StartRun, state: Path, names: Names) -> None:
    assert end(start_run("echo", "--backend", "x")) == (0, "--backend x\n", "")
    nothing_stays(state, names)


def test_unittest(start_run: StartRun, place: Path, state: Path, names: Names) -> None:
    (place / "test_it.py").write_text(
        "import subprocess, unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_one(self):\n"
        "        subprocess.run(['fakectl', 'create', 'web'], check=True)\n"
        "    def test_two(self):\n"
        "        self.fail()\n"
    )

    status, _, err = end(start_run(sys.executable, "-m", "unittest"))

    assert status == 1
    assert "FAILED (failures=1)" in err
    assert "1 created, 1 deleted" in err
    nothing_stays(state, names)


def test_make(start_run: StartRun, place: Path, state: Path, names: Names) -> None:
    (place / "Makefile").write_text("all: a b\na b: ; fakectl create $@\n")

    status, _, err = end(start_run("make", "-j2"))

    assert status == 0
    assert "2 created, 2 deleted" in err
    nothing_stays(state, names)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_forwarded_and_the_command_ends_as_it_likes(
    start_run: StartRun, place: Path, state: Path, names: Names, number: int
) -> None:
    script = "trap 'exit 9' TERM HUP; fakectl create web; touch ready; while :; do sleep 0.05; done"
    process = start_run("sh", "-c", script)
    wait_until((place / "ready").exists)

    process.send_signal(number)

    assert end(process)[0] == 9
    nothing_stays(state, names)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGABRT])
def test_a_command_that_dies_of_a_signal(
    start_run: StartRun, state: Path, names: Names, number: signal.Signals
) -> None:
    status, _, err = end(start_run("sh", "-c", f"fakectl create web; kill -{number.name[3:]} $$"))

    assert status == -number
    assert "1 created, 1 deleted" in err
    nothing_stays(state, names)


def test_an_interrupt_of_the_group_ends_the_command_and_then_us(
    start_run: StartRun, place: Path, state: Path, names: Names
) -> None:
    process = start_run("sh", "-c", "fakectl create web; : > ready; sleep 60")
    wait_until((place / "ready").exists)

    os.killpg(process.pid, signal.SIGINT)

    assert end(process)[0] == -signal.SIGINT
    nothing_stays(state, names)


def test_killed_with_its_command_its_reaper_cleans_up(
    start_run: StartRun, store: FolderStore, state: Path, names: Names
) -> None:
    process = start_run("sh", "-c", "fakectl create web; sleep 60")
    wait_for(store, "create", "end")

    os.killpg(process.pid, signal.SIGKILL)

    wait_until(lambda: not names() and not list(state.glob("*/*.ledger")))
    assert [path.suffix for path in state.glob("*/*") if path.name != "reaper.log"] == [".report"]


@pytest.mark.parametrize(("kind", "status"), [("missing", 127), ("folder", 126)])
def test_a_command_that_cannot_be_run(start_run: StartRun, place: Path, kind: str, status: int) -> None:
    (place / "folder").mkdir()

    code, _, err = end(start_run(f"./{kind}"))

    assert code == status
    assert f"cannot run './{kind}'" in err


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it didn't come to that in a minute"
        time.sleep(0.01)


SUITE = """
import subprocess

def orb(*words):
    return subprocess.run(["orb", *words], check=True, capture_output=True, text=True).stdout

def test_one():
    orb("create", "ubuntu", "web")
    orb("clone", "web", "copy")

def test_two():
    assert orb("list", "-q") == ""
    orb("create", "ubuntu", "db")
"""


@pytest.mark.parametrize("behind", ["simulator", "fake"])
def test_orbctl_in_place(start_run: StartRun, place: Path, state: Path, names: Names, behind: str) -> None:
    script = "orbctl create debian:bookworm web && orbctl list -q && command -v orbctl"

    status, out, err = end(start_run("sh", "-c", script, options=[f"--orbctl={behind}"]))

    assert (status, out.splitlines()[0]) == (0, "web")
    assert err == "vmharness: machines: 1 created, 1 deleted, 0 swept, 0 left\n"
    assert names() == []
    (folder,) = state.glob(f"*/orbctl-{behind}")
    quiet = subprocess.run([folder / "orbctl", "list", "-q"], capture_output=True, text=True, check=True)
    assert quiet.stdout == ""
    assert folder.stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("engine", ["fake", "simulator"])
def test_what_the_run_inherited_and_is_silent_holds_up_no_command_in_a_machine(engine: str) -> None:
    script = (
        "orbctl create debian:12 web; orb -m web echo one; echo two | orb -m web cat; orbctl delete -f web"
    )
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "run", f"--orbctl={engine}", "--", "sh", "-c", script],
            stdin=reading,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(reading)
        os.close(writing)

    assert (done.returncode, done.stdout) == (0, "one\ntwo\n"), done.stderr


def test_pytest_with_orbctl_in_place_deletes_test_by_test(
    start_run: StartRun, place: Path, names: Names
) -> None:
    (place / "test_it.py").write_text(SUITE)

    status, out, _ = end(start_run(sys.executable, "-m", "pytest", "-q", options=["--orbctl=simulator"]))

    assert status == 0, out
    assert "2 passed" in out
    assert "3 deleted, 0 swept, 0 left" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--orbctl=nope"], "cannot put 'nope' behind orbctl: there are simulator, "),
        (["--orbctl=../nope"], "cannot put '../nope' behind orbctl: that is no engine's name"),
        (["--orbctl=orbstack"], "cannot put 'orbstack' behind orbctl: there are simulator, "),
        (
            ["--orbctl=simulator", "--backend=fake"],
            "cannot use backend 'fake' with --orbctl: it is driven by",
        ),
    ],
)
def test_what_cannot_be_behind_orbctl_is_said(
    start_run: StartRun, state: Path, options: list[str], said: str
) -> None:
    status, out, err = end(start_run("echo", "run", options=options))

    assert (status, out) == (1, "")
    assert said in err
    assert list(state.glob("*/orbctl-n*")) == []
