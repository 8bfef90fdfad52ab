"""Commands that a test calls know which session they are called from."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

SUITE = """
import json, subprocess, sys

def owners():
    call = [sys.executable, "-c", "from vmharness.cli import main; main()", "list", "--json"]
    done = subprocess.run(call, stdout=subprocess.PIPE, check=True)
    return {machine["name"]: machine["owner"] for machine in json.loads(done.stdout)}

def test_it(vm):
    assert owners() == {vm.name: "this"}
"""


def test_list_knows_the_machines_of_the_run_that_calls_it(run: Run) -> None:
    run(SUITE).assert_outcomes(passed=1)


def test_xdist_workers_are_of_one_session(run: Run) -> None:
    run(SUITE, "-n1", plugins=["xdist"]).assert_outcomes(passed=1)


def test_the_session_is_not_told_after_its_end(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(vm): pass")

    pytester.runpytest_inprocess("-pno:xdist", "-pno:timeout", "-pno:rerunfailures").assert_outcomes(passed=1)

    assert "VMHARNESS_SESSION" not in os.environ
