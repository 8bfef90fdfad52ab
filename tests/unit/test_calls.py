"""How a command's call ended, by its lock and its receipt."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmharness._calls import Ending, ending


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    """Hold the lock of call `c`, as its process does."""
    descriptor = os.open(tmp_path / "c.call", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("tells", "receipt", "living", "ended"),
    [
        ("1", None, None, Ending(made=False)),
        ("1", "", None, Ending(made=None, settle_s=5.0)),
        ("1", "made", Ending(made=True), Ending(made=True)),
        ("0", None, None, Ending(made=None, settle_s=5.0)),
    ],
    ids=["refused or not asked", "empty receipt", "receipt", "tells nothing"],
)
def test_ending(
    tmp_path: Path, lock: int, tells: str, receipt: str | None, living: Ending | None, ended: Ending | None
) -> None:
    os.write(lock, f"{tells} 5.0\n".encode())
    if receipt is not None:
        (tmp_path / "c.receipt").write_text(receipt)

    assert ending(tmp_path, "c") == living
    fcntl.flock(lock, fcntl.LOCK_UN)
    assert ending(tmp_path, "c") == ended


def test_of_a_call_without_a_lock_nothing_is_known(tmp_path: Path) -> None:
    assert ending(tmp_path, "c") is None


def test_of_a_call_that_is_just_being_locked_nothing_is_known(tmp_path: Path, lock: int) -> None:
    fcntl.flock(lock, fcntl.LOCK_UN)

    assert ending(tmp_path, "c") is None
