"""Which machine a test class means by its attribute `test_vm_name`: tracked for each of its tests.

The attribute may be the class's, or be set in a test's setup or body; so it is read before the body, that a
name is known however the test dies, and after it. A run that is interrupted tears its test down without
saying so, and is asked before that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vmharness._session import Session

__all__ = ["Names"]


class Names:
    """Tracks what the running test's class names; what hinders it is reported, not the test's fault.

    A plugin of its own, registered only where there are classes, so that a run without any pays nothing.

    Args:
        session: Returns the session, which is opened by that.
        note: Says something in the summary.
    """

    def __init__(self, session: Callable[[], Session], note: Callable[[str], None]) -> None:
        self._session = session
        self._note = note
        self._running: pytest.Item | None = None
        self._refused: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Note which test it is; one whose setup fails is asked at its end all the same."""
        if isinstance(item.parent, pytest.Class):  # also unittest's
            self._running = item

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Track what is named before the test's body runs."""
        if self._running is not None:
            self._track(self._running)

    def end(self) -> None:
        """Track what is named by now; done already, or without a test, it does nothing."""
        item, self._running = self._running, None
        if item is not None:
            self._track(item)

    def _track(self, item: pytest.Item) -> None:
        try:
            name = getattr(getattr(item, "instance", None), "test_vm_name", None)
            if name:
                self._track_name(item, str(name))
        except Exception as exc:  # whatever the class's attribute does
            if item.nodeid not in self._refused:
                self._refused.add(item.nodeid)
                self._note(f"cannot track test_vm_name of {item.nodeid}: {exc}")

    def _track_name(self, item: pytest.Item, name: str) -> None:
        session = self._session()
        session.collect()
        around = {node.nodeid for node in item.listchain()[:-1]}
        if any(record.name == name and record.scope in around for record in session.unfinished()):
            return  # a fixture of the class or module made it, and it goes with that
        funcargs: dict[str, Any] = getattr(item, "funcargs", None) or {}
        session.named(name, scope=item.nodeid, backend=funcargs.get("vm_backend", ""))
