"""Which scope the commands are called in that tests start: the running test's, or its fixture's.

Registered only where what commands make is recorded.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from vmharness._recording.folder import SCOPE_VARIABLE
from vmharness.errors import VMHarnessError
from vmharness.pytest_plugin._run import Run

__all__ = ["Scopes"]


class Scopes:
    """Tells commands their scope, by a variable of the environment.

    Args:
        run: Opens the session; without one nothing is recorded.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Open the session before anything of the suite is imported, for that may make machines, too."""
        try:
            if self._run.has_tests:
                _ = self._run.session
        except VMHarnessError as exc:
            raise pytest.UsageError(f"cannot record what commands make: {exc}") from exc

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """What a test calls is its own."""
        with _scope(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """What a fixture calls goes with the fixture: a module's machine isn't its first test's."""
        node = request.node
        with _scope(node.nodeid if fixturedef.scope != "session" else ""):
            return (yield)


@contextmanager
def _scope(scope: str) -> Generator[None]:
    before = os.environ.get(SCOPE_VARIABLE)
    os.environ[SCOPE_VARIABLE] = scope
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(SCOPE_VARIABLE, None)
        else:
            os.environ[SCOPE_VARIABLE] = before
