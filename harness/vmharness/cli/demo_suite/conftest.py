"""An engine that answers too late, and a note of when the tests were over."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmharness import Session
from vmharness.testing import FaultyProvider


@pytest.fixture
def late_engine(vm_session: Session, vm_backend: str) -> Iterator[None]:
    """The next create times out, and a second later the engine makes the machine all the same."""
    late = FaultyProvider(vm_session.provider(vm_backend), "create", "late", late_s=1.0)
    with vm_session.using(late, backend=vm_backend):
        yield


def pytest_sessionfinish() -> None:
    """Tell the demo when the tests were over: what goes from now on, goes at the session's end."""
    Path(__file__).with_name("tests-over").write_text(str(time.time()))
