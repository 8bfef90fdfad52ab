"""The list of machines that nobody of ours deletes; it knows no engine."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, cast

from vmharness._places import make_private
from vmharness.errors import LedgerError

__all__ = ["Protected", "ProtectedList"]


class Protected(NamedTuple):
    """One machine that is protected."""

    backend: str
    endpoint: str
    name: str


def _row(row: object) -> Protected:
    if not isinstance(row, list):
        raise TypeError(f"no row: {row!r}")
    cells = cast("list[object]", row)
    if len(cells) != len(Protected._fields) or not all(isinstance(cell, str) for cell in cells):
        raise ValueError(f"no row of backend, endpoint and name: {row!r}")
    return Protected(*map(str, cells))


class ProtectedList:
    """The list in the folder of this host's ledgers.

    Args:
        folder: The folder; made when the first machine is protected.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Final = folder / "protected.json"

    def read(self) -> frozenset[Protected]:
        """Return all protected machines.

        Raises:
            LedgerError: The list can't be read; nothing may be deleted then, for any machine could be on it.
        """
        try:
            return frozenset(_row(row) for row in json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, TypeError) as exc:
            raise LedgerError(
                f"cannot read the list of protected machines {self._path}: {exc}; mend the file or delete it"
            ) from exc

    def add(self, machine: Protected) -> None:
        """Put a machine on the list; on return it is on the disk. May be repeated."""
        with self._lock():
            self._write(self.read() | {machine})

    def remove(self, machine: Protected) -> bool:
        """Take a machine off the list; False if it wasn't on it."""
        with self._lock():
            before = self.read()
            self._write(before - {machine})
        return machine in before

    @contextmanager
    def _lock(self) -> Generator[None]:
        make_private(self._folder.parent)
        make_private(self._folder)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, machines: frozenset[Protected]) -> None:
        new = self._path.with_suffix(".new")
        try:
            with os.fdopen(
                os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w"
            ) as file:
                json.dump(sorted(machines), file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as exc:
            raise LedgerError(f"cannot write the list of protected machines {self._path}: {exc}") from exc
