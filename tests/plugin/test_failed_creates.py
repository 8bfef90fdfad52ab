"""Creates of tests that fail, on an engine without labels: whose is what has their name later?"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness_orbctl import Orbctl, install

Run = Callable[..., pytest.RunResult]

HELPERS = """
import subprocess
import time

def orbctl(*args):
    return subprocess.run(["orbctl", *args], capture_output=True, text=True)

def names():
    return orbctl("list", "-q").stdout.split()
"""


@pytest.fixture
def orbstack(tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a simulated OrbStack on PATH, and return its folder; commands of the tests are recorded."""
    bin = install(tmp_path / "orb")
    monkeypatch.setenv("PATH", f"{bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VMHARNESS_BACKEND", "orbstack")
    monkeypatch.setenv("VMHARNESS_RECORD", "commands")
    pytester.makepyfile(helpers=HELPERS)
    pytester.syspathinsert()
    return bin


def there(orbstack: Path) -> list[str]:
    done = subprocess.run([orbstack / "orbctl", "list", "-q"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_test_keeps_its_machine_whose_name_an_earlier_ones_create_had(run: Run, orbstack: Path) -> None:
    result = run(
        """
        from helpers import names, orbctl, time

        def test_refused():
            assert orbctl("create", "ubuntu:99.04", "web").returncode == 1

        def test_made():
            assert orbctl("create", "ubuntu", "web").returncode == 0
            for _ in range(30):
                assert names() == ["web"]
                time.sleep(0.1)
        """
    )

    result.assert_outcomes(passed=2)
    assert there(orbstack) == []


@pytest.mark.parametrize("error", ["", "missing-ip"])
def test_a_machine_that_others_make_later_is_left_alone(run: Run, orbstack: Path, error: str) -> None:
    Orbctl(orbstack / "state").set(errors={"create": error} if error else {}, times={"create": 1})
    result = run(
        f"""
        from helpers import orbctl, subprocess, time

        def test_refused():
            assert orbctl("create", "ubuntu{"" if error else ":99.04"}", "db").returncode == 1

        def test_others():
            subprocess.run(["{orbstack}/orbctl", "create", "debian:12", "db"], check=True)
            time.sleep(3)
        """
    )

    result.assert_outcomes(passed=2)
    assert there(orbstack) == ["db"]


def test_the_next_run_deletes_its_own_machine_of_a_name_that_a_reaper_still_looks_for(
    run: Run, orbstack: Path
) -> None:
    steer = Orbctl(orbstack / "state")
    steer.hold("create:before")
    run(
        """
        import pytest
        from helpers import subprocess

        def test_late():
            with pytest.raises(subprocess.TimeoutExpired):
                subprocess.run(["orbctl", "create", "ubuntu", "app"], timeout=2)
        """
    ).stdout.fnmatch_lines(["unsettled: app of *"])
    steer.release("create:before")

    result = run(
        """
        from helpers import names, orbctl

        def test_made():
            assert orbctl("create", "ubuntu", "app").returncode == 0

        def test_gone():
            assert names() == []
        """
    )

    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*left alone*")
    assert there(orbstack) == []
