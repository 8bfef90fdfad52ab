"""Locks: who holds a ledger is never taken for dead, and what is no ledger is left alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmharness._locks import is_abandoned, is_free, is_linked, lock, look
from vmharness.errors import LedgerError

Open = Callable[[Path], int]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open files as their owners do, and close them after the test."""
    descriptors: list[int] = []

    def open_file(path: Path) -> int:
        descriptors.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return descriptors[-1]

    yield open_file
    for descriptor in descriptors:
        os.close(descriptor)


def names(folder: Path) -> list[str]:
    return [path.name for path in look(folder).ledgers]


# -- in sight


def test_ledgers_come_oldest_first_and_nothing_else_with_them(tmp_path: Path) -> None:
    for name in ("2.ledger", "1.ledger", "10.ledger", "protected.json", "ledger", "x.ledger.bak"):
        (tmp_path / name).touch()

    assert names(tmp_path) == ["1.ledger", "10.ledger", "2.ledger"]


def test_a_hidden_ledger_is_not_in_sight_and_a_young_one_stays(tmp_path: Path) -> None:
    (tmp_path / ".1").touch()
    (tmp_path / ".2.ledger").touch()

    assert names(tmp_path) == []
    assert (tmp_path / ".1").exists()
    assert (tmp_path / ".2.ledger").exists()


def test_an_old_hidden_file_goes_unless_somebody_holds_it(tmp_path: Path, opened: Open) -> None:
    left, held = tmp_path / ".left", tmp_path / ".held"
    left.touch()
    assert lock(opened(held))
    for path in (left, held):
        os.utime(path, (1, 1))

    assert names(tmp_path) == []

    assert not left.exists()
    assert held.exists()


def test_an_old_hidden_folder_or_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".folder").mkdir()
    victim = tmp_path / "victim"
    victim.touch()
    (tmp_path / ".link").symlink_to(victim)
    os.utime(tmp_path / ".folder", (1, 1))
    os.utime(tmp_path / ".link", (1, 1), follow_symlinks=False)

    assert names(tmp_path) == []

    assert (tmp_path / ".folder").is_dir()
    assert victim.exists()


def test_no_folder_is_no_ledgers_and_so_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert names(tmp_path / "none") == []
    assert names(tmp_path / "file") == []
    assert not is_abandoned(look(tmp_path / "none").ledgers)


def test_a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    with pytest.raises(LedgerError, match="cannot read the state folder"):
        names(tmp_path / "loop")


# -- held


def test_a_held_lock_is_not_free_and_is_not_given_again(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "1.ledger"
    owner, other = opened(path), opened(path)

    assert is_free(path)
    assert is_abandoned(look(tmp_path).ledgers)
    assert lock(owner)
    assert not is_free(path)
    assert not is_abandoned(look(tmp_path).ledgers)
    assert not lock(other)


def test_one_abandoned_ledger_among_held_ones_is_found(tmp_path: Path, opened: Open) -> None:
    assert lock(opened(tmp_path / "1.ledger"))
    (tmp_path / "2.ledger").touch()
    assert lock(opened(tmp_path / "3.ledger"))

    assert is_abandoned(look(tmp_path).ledgers)


def test_a_lock_goes_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "1.ledger"
    owner = os.open(path, os.O_RDWR | os.O_CREAT)
    assert lock(owner)

    os.close(owner)

    assert is_free(path)


def test_looking_does_not_take_the_lock(tmp_path: Path, opened: Open) -> None:
    descriptor = opened(tmp_path / "1.ledger")

    assert is_free(tmp_path / "1.ledger")

    assert lock(descriptor)


def test_in_doubt_a_ledger_is_not_free(tmp_path: Path) -> None:
    (tmp_path / "real.ledger").touch()
    (tmp_path / "link.ledger").symlink_to(tmp_path / "real.ledger")

    assert not is_free(tmp_path / "none.ledger")
    assert not is_free(tmp_path / "link.ledger")


# -- linked


def test_a_file_is_linked_until_it_is_unlinked_or_replaced(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "1.ledger"
    first = opened(path)
    assert is_linked(first, path)

    path.unlink()
    assert not is_linked(first, path)

    second = opened(path)
    assert not is_linked(first, path)
    assert is_linked(second, path)


def test_a_link_in_the_place_is_not_the_file(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "1.ledger"
    descriptor = opened(path)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")

    assert not is_linked(descriptor, path)
