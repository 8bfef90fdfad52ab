"""An engine that is too late, and a note of when the tests were over."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmharness import Session
from vmharness.testing import FaultyProvider


@pytest.fixture
def late_engine(vm_session: Session, vm_backend: str) -> Iterator[None]:
    """Let the create time out, and the machine come a second later."""
    engine = vm_session.provider(vm_backend)
    late = FaultyProvider(engine, "create", "late", late_s=1.0)
    with vm_session.using(late, backend=vm_backend):
        yield


def pytest_sessionfinish() -> None:
    """Note when the tests were over: later is at the session's end."""
    note = Path(__file__).with_name("tests-over")
    note.write_text(str(time.time()))
