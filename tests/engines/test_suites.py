"""Whole suites on real engines: what is left afterwards is read by the engine's own command."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hands import Engine

Start = Callable[..., subprocess.Popen[str]]
Ledgers = Callable[[], list[Path]]
WaitUntil = Callable[[Callable[[], object]], None]

FIFTY = """
import pytest

@pytest.fixture
def broken(vm):
    raise RuntimeError("broken")

@pytest.fixture(scope="module")
def of_module(request, vm_session):
    return vm_session.create(scope=request.node.nodeid)

@pytest.mark.parametrize("n", range(30))
def test_plain(vm, n):
    assert vm.run(["sh", "-c", "echo hi; exit 7"]).status == 7
    assert n % 6

@pytest.mark.parametrize("n", range(8))
def test_broken(broken, n):
    pass

@pytest.mark.parametrize("n", range(6))
def test_two(vm, vm_factory, of_module, n):
    other = vm_factory(f"web{n}")
    assert other.run(["true"]).status == 0

class TestShared:
    @pytest.mark.parametrize("n", range(6))
    def test_shared(self, shared_vm, n):
        assert shared_vm.run(["echo", str(n)]).stdout == f"{n}\\n"
"""

XDIST = pytest.mark.parametrize("runner", [[], ["-n4"]], ids=["plain", "xdist"])

# Incus has the same backend as LXD: there go only tests of what it does with our names, labels and times.
ON_INCUS_TOO = pytest.mark.parametrize("engine", ["docker", "lxd", "incus"], indirect=True)


@XDIST
def test_fifty_tests_with_failures_and_errors_in_setup(
    start: Start, strangers: Sequence[str], ledgers: Ledgers, runner: list[str]
) -> None:
    text, _ = start(FIFTY, *runner).communicate(timeout=300)

    assert "5 failed, 37 passed, 8 errors" in text
    assert ", 0 swept, 0 left" in text
    assert ledgers() == []


@XDIST
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seed", range(2))
def test_an_interrupt_at_a_random_moment(
    start: Start, strangers: Sequence[str], engine: Engine, runner: list[str], number: int, seed: int
) -> None:
    process = start(FIFTY, *runner)
    time.sleep(random.Random(f"{seed}{number}{runner}{engine.backend}").uniform(0.5, 8))  # noqa: S311
    assert process.poll() is None, "the run ended before it could be interrupted"

    os.killpg(process.pid, number)
    text, _ = process.communicate(timeout=120)

    assert process.returncode == (2 if number == signal.SIGINT else -number), text
    assert set(engine.names()) == set(strangers), text


@pytest.mark.parametrize(
    ("engine", "moment", "runner"),
    [
        *itertools.product(["docker", "lxd"], ["create", "body"], [[], ["-n2"]]),
        ("incus", "create", ["-n2"]),
    ],
    indirect=["engine"],
    ids=lambda value: str(value) if isinstance(value, str) else "xdist" if value else "plain",
)
def test_a_run_killed_as_a_group_is_cleaned_up_by_its_reapers(
    start: Start,
    strangers: Sequence[str],
    engine: Engine,
    wait_until: WaitUntil,
    tmp_path: Path,
    runner: list[str],
    moment: str,
) -> None:
    suite = f"""
        import pathlib
        import time
        import pytest

        @pytest.mark.parametrize("n", range(2))
        def test_one(vm, n):
            pathlib.Path({str(tmp_path)!r}, "body").touch()
            time.sleep(60)
    """
    process = start(suite, "--vm-prefix=killed", *runner)
    body = tmp_path / "body"
    seen = (
        body.exists
        if moment == "body"
        else lambda: any(name.startswith("killed-") for name in engine.names())
    )
    wait_until(seen)

    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    wait_until(lambda: set(engine.names()) == set(strangers))
    time.sleep(3)  # what the other worker had asked for may have been on its way
    wait_until(lambda: set(engine.names()) == set(strangers))


@ON_INCUS_TOO
@pytest.mark.usefixtures("no_reaper")
def test_a_run_killed_in_mid_create_is_swept_by_the_next(
    start: Start, strangers: Sequence[str], engine: Engine, ledgers: Ledgers, wait_until: WaitUntil
) -> None:
    process = start("def test_one(vm): pass", "--vm-prefix=killed")
    wait_until(lambda: any(name.startswith("killed-") for name in engine.names()))

    process.kill()
    process.communicate()
    assert len(ledgers()) == 1
    text, _ = start("def test_two(): pass").communicate(timeout=120)

    assert "swept 1 of a dead session: killed-" in text
    assert set(engine.names()) == set(strangers)
    assert ledgers() == []


@pytest.mark.parametrize("seconds", ["0.01s", "0.05s", "0.1s", "0.15s", "0.2s"])
def test_a_create_that_times_out_leaves_nothing(
    start: Start, strangers: Sequence[str], engine: Engine, seconds: str
) -> None:
    text, _ = start(
        "def test_one(vm): pass\ndef test_two(vm): pass", f"--vm-create-timeout={seconds}"
    ).communicate(timeout=120)

    assert "machines:" in text
    assert set(engine.names()) == set(strangers), text


def test_a_strangers_name_is_left_alone(start: Start, strangers: Sequence[str]) -> None:
    text, _ = start(f"def test_one(vm_factory): vm_factory({strangers[0]!r})").communicate(timeout=120)

    assert "NameTaken" in text
    assert "1 failed" in text


@pytest.mark.usefixtures("no_reaper")
def test_a_stranger_that_took_the_name_after_our_death(
    start: Start, strangers: Sequence[str], engine: Engine, ledgers: Ledgers, wait_until: WaitUntil
) -> None:
    process = start("import time\ndef test_one(vm_factory): vm_factory('web'); time.sleep(60)")
    wait_until(lambda: ledgers() and b'"running"' in ledgers()[0].read_bytes())
    process.kill()
    process.communicate()
    engine.remove("web")
    engine.make("web")

    text, _ = start("def test_two(): pass").communicate(timeout=120)

    assert "left alone" in text
    assert "web" in engine.names()
    engine.remove("web")


@ON_INCUS_TOO
@pytest.mark.parametrize("when", ["before", "after"])
def test_machines_that_a_test_makes_itself(
    start: Start, strangers: Sequence[str], engine: Engine, when: str
) -> None:
    make = f"subprocess.run({engine.make_argv('theirs')!r}, check=True, stdin=subprocess.DEVNULL)"
    track = "track_test_vm('theirs')"
    first, second = (track, make) if when == "before" else (make, track)
    variant = f"subprocess.run({engine.make_argv('klass-1')!r}, check=True, stdin=subprocess.DEVNULL)"

    text, _ = start(f"""
        import subprocess

        def test_one(track_test_vm):
            {first}
            {second}

        class TestTheirs:
            test_vm_name = "klass"

            def test_two(self):
                {variant}

        def test_strangers(track_test_vm):
            track_test_vm({strangers[0]!r})
        """).communicate(timeout=120)

    assert "3 passed" in text
    assert set(engine.names()) == set(strangers), text


def test_living_sessions_are_safe_from_each_other(
    start: Start, strangers: Sequence[str], engine: Engine, wait_until: WaitUntil, tmp_path: Path
) -> None:
    suite = f"""
        import subprocess
        import pathlib
        import time

        def test_one(vm, track_test_vm):
            track_test_vm("vmh-theirs")
            subprocess.run({engine.make_argv("vmh-theirs")!r}, check=True, stdin=subprocess.DEVNULL)
            pathlib.Path({str(tmp_path / "ready")!r}).touch()
            while not pathlib.Path({str(tmp_path / "go")!r}).exists():
                time.sleep(0.05)
            assert vm.run(["true"]).status == 0
    """
    living = start(suite)
    wait_until((tmp_path / "ready").exists)
    before = engine.names()

    sweeping = start("def test_two(vm): pass", "--vm-sweep=prefix", "--vm-sweep-prefix=vmh-")
    text, _ = sweeping.communicate(timeout=120)
    after = engine.names()
    (tmp_path / "go").touch()
    theirs, _ = living.communicate(timeout=120)

    assert "1 passed" in text
    # The stranger with the prefix is what the prefix asks for; the living session's machines are not.
    assert set(before) - set(after) == {strangers[0]}
    assert "1 passed" in theirs
    engine.make(strangers[0])
