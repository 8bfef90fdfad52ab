"""Suites for OrbStack that cleaned up after themselves: each thing that they did, without a line of theirs.

Their tests call `orbctl`, here the simulator's, and know nothing of vmharness but `track_test_vm` and the
attribute `test_vm_name`, which are as theirs were.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from orbctls import Commands

Run = Callable[..., pytest.RunResult]

ORB = """
import os, signal, subprocess, unittest
import pytest

def orb(*args, timeout=60):
    done = subprocess.run(["orbctl", *args], timeout=timeout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout

def names():
    return sorted(orb("list", "-q").split())
"""
NO_REAPER = "VMHARNESS_LIFECYCLE", "tracking,teardown,sweep,signals"


@pytest.fixture(autouse=True)
def orbctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Put the simulator on PATH, as OrbStack is, and have its commands recorded."""
    commands = Commands(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{commands.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("VMHARNESS_ORBCTL_DIR", raising=False)
    monkeypatch.setenv("VMHARNESS_BACKEND", "orbstack")
    monkeypatch.setenv("VMHARNESS_RECORD", "commands")
    # A machine that was there before, with a name like theirs: it must live, whatever happens.
    commands.says("create", "ubuntu", "web-old")
    return commands


def left(orbctl: Commands) -> list[str]:
    """Return what is there, but for the machine that was there before."""
    names = orbctl("list", "-q").stdout.split()
    assert "web-old" in names
    return sorted(set(names) - {"web-old"})


def leave_one(run: Run, orbctl: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run die with a machine, and without a reaper."""
    with monkeypatch.context() as patch:
        patch.setenv(*NO_REAPER)
        result = run(
            ORB + "def test_it():\n orb('create', 'ubuntu', 'web')\n os.kill(os.getpid(), signal.SIGKILL)"
        )
    assert result.ret == -signal.SIGKILL
    assert left(orbctl) == ["web"]


def test_sweep_at_start(run: Run, orbctl: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_one(run, orbctl, monkeypatch)

    result = run(ORB + "def test_it():\n assert names() == ['web-old']")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["machines: 0 created, 0 deleted, 1 swept, 0 left"])


def test_sweep_with_collect_only(run: Run, orbctl: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_one(run, orbctl, monkeypatch)

    run(ORB + "def test_it(): assert 0", "--collect-only")

    assert left(orbctl) == []


def test_prefixes_by_startswith(run: Run, orbctl: Commands) -> None:
    prefixes = ("test-", "e2e-", "pytest-", "ci-", "tmp-", "install-")
    for prefix in prefixes:
        orbctl.says("create", "ubuntu", f"{prefix}vm")
    for name in ("my-test-vm", "testing", "e2evm"):
        orbctl.says("create", "ubuntu", name)

    result = run(
        ORB + "def test_it(): pass",
        "--vm-sweep=prefix",
        *(f"--vm-sweep-prefix={prefix}" for prefix in prefixes),
    )

    result.stdout.fnmatch_lines(["machines: 0 created, 0 deleted, 6 swept, 0 left"])
    assert left(orbctl) == ["e2evm", "my-test-vm", "testing"]


def test_shared_machines(run: Run, orbctl: Commands) -> None:
    suite = """
    @pytest.fixture(scope="session")
    def shared():
        orb("create", "ubuntu", "pytest-shared-one")

    def test_one(shared):
        orb("create", "ubuntu", "web")

    def test_two(shared):
        assert names() == ["pytest-shared-one", "web-old"]

    class TestThree(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            orb("create", "ubuntu", "pytest-shared-two")

        def test_three(self):
            assert names() == ["pytest-shared-one", "pytest-shared-two", "web-old"]

        def test_four(self):
            self.test_three()

    def test_five():
        assert names() == ["pytest-shared-one", "web-old"]
    """

    run(ORB + _dedent(suite)).assert_outcomes(passed=5)

    assert left(orbctl) == []


def test_a_named_machine_that_its_class_made_stays_for_all_of_its_tests(run: Run, orbctl: Commands) -> None:
    suite = """
    class TestIt(unittest.TestCase):
        test_vm_name = "web"

        @classmethod
        def setUpClass(cls):
            orb("create", "ubuntu", cls.test_vm_name)

        def test_one(self):
            assert names() == ["web", "web-old"]

        def test_two(self):
            assert names() == ["web", "web-old"]

    def test_three():
        assert names() == ["web-old"]
    """

    run(ORB + _dedent(suite)).assert_outcomes(passed=3)

    assert left(orbctl) == []


@pytest.mark.parametrize("plugins", [[], ["xdist"]], ids=["plain", "xdist"])
def test_per_test_clean_up(run: Run, orbctl: Commands, plugins: list[str]) -> None:
    suite = """
    @pytest.mark.parametrize("n", range(4))
    def test_it(n):
        orb("create", "ubuntu", f"web-{n}")
        orb("clone", f"web-{n}", f"copy-{n}")
        orb("rename", f"copy-{n}", f"web-{n}-copy")
        assert n != 2, "on purpose"

    def test_last():
        if "PYTEST_XDIST_WORKER" not in os.environ:
            assert names() == ["web-old"]
    """

    result = run(ORB + _dedent(suite), *(["-n2"] if plugins else []), plugins=plugins)

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*, 0 left"])
    assert left(orbctl) == []


def test_time_outs_handled(run: Run, orbctl: Commands) -> None:
    orbctl.set(create_s=5)
    suite = """
    def test_late():
        with subprocess.Popen(["orbctl", "create", "ubuntu", "web"]) as client:
            while "web" not in names():
                pass
            with pytest.raises(subprocess.TimeoutExpired):
                client.wait(timeout=0.01)
            client.kill()

    def test_next():
        pass
    """

    result = run(ORB + _dedent(suite))

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*, 0 left"])
    assert left(orbctl) == []
    assert "web" in {event.name for event in orbctl.steer.events() if event.verb == "delete"}


@pytest.mark.parametrize("end", ["return", "pytest.exit('on purpose')", "os._exit(3)"])
def test_tracked_machines_gone_at_the_sessions_end_and_at_exit(run: Run, orbctl: Commands, end: str) -> None:
    suite = f"""
    class TestIt(unittest.TestCase):
        test_vm_name = "web"

        def test_it(self):
            # Not by orbctl of PATH, so that only its name tells of it.
            real = {str(orbctl.folder / "orbctl")!r}
            for name in ("web", "web-1"):
                subprocess.run([real, "create", "ubuntu", name], check=True)
            {end}
    """

    run(ORB + _dedent(suite))

    if "_exit" in end:  # the reaper knows the name, and not what variants a test made of it
        orbctl.steer.wait_for("delete", "end")
        assert left(orbctl) == ["web-1"]
    else:
        assert left(orbctl) == []


def test_visible_log_lines(run: Run, orbctl: Commands) -> None:
    suite = "def test_it():\n orb('create', 'ubuntu', 'web')\n orb('create', 'ubuntu', 'db')"

    result = run(ORB + suite, "--log-cli-level=INFO")

    text = result.stdout.str()
    for name in ("web", "db"):
        assert f"orbstack {name}: running" in text
        assert f"orbstack {name}: gone" in text
    result.stdout.fnmatch_lines(["machines: *, 2 deleted, 0 swept, 0 left"])


def test_track_test_vm(run: Run, orbctl: Commands) -> None:
    suite = f"""
    def test_it(track_test_vm):
        track_test_vm("web")
        subprocess.run([{str(orbctl.folder / "orbctl")!r}, "create", "ubuntu", "web"], check=True)

    def test_next():
        assert names() == ["web-old"]
    """

    run(ORB + _dedent(suite)).assert_outcomes(passed=2)

    assert left(orbctl) == []


def _dedent(suite: str) -> str:
    return suite.replace("\n    ", "\n")
