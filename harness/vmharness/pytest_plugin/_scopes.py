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
        self._outer: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Open the session before anything of the suite is imported, for that may make machines, too."""
        self._outer = os.environ.get(SCOPE_VARIABLE)
        try:
            if self._run.has_tests:
                _ = self._run.session
        except VMHarnessError as exc:
            raise pytest.UsageError(f"cannot record what commands make: {exc}") from exc

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """What a test calls is its own. No wrapper, which would cost each test some 20 µs."""
        os.environ[SCOPE_VARIABLE] = item.nodeid

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """What is called from here on is no test's; a run within another one's test leaves that as it was."""
        _restore(self._outer)

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
        _restore(before)


def _restore(scope: str | None) -> None:
    if scope is None:
        os.environ.pop(SCOPE_VARIABLE, None)
    else:
        os.environ[SCOPE_VARIABLE] = scope
