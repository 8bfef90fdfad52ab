"""Which scope the commands are told that a test starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from vmharness._recording.folder import SCOPE_VARIABLE
from vmharness.pytest_plugin._run import Run
from vmharness.pytest_plugin._scopes import Scopes


@pytest.fixture(params=[None, "outer.py::test"])
def outer(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Have a scope told already, as in a test of another run that this one is within, or none."""
    before = os.environ.pop(SCOPE_VARIABLE, None)
    if request.param is not None:
        os.environ[SCOPE_VARIABLE] = request.param
    yield request.param
    os.environ.pop(SCOPE_VARIABLE, None)
    if before is not None:
        os.environ[SCOPE_VARIABLE] = before


def test_each_test_is_told_and_at_the_end_what_was_told_before(outer: str | None) -> None:
    scopes = Scopes(cast("Run", SimpleNamespace(has_tests=False)))
    told: list[str | None] = []

    scopes.pytest_sessionstart()
    for name in ("a.py::test_1", "a.py::test_2"):
        scopes.pytest_runtest_protocol(cast("pytest.Item", SimpleNamespace(nodeid=name)))
        told.append(os.environ.get(SCOPE_VARIABLE))
    scopes.pytest_sessionfinish()

    assert told == ["a.py::test_1", "a.py::test_2"]
    assert os.environ.get(SCOPE_VARIABLE) == outer
