"""The ledgers of a state folder as anybody can read them, and how they get damaged; no product code helps."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

__all__ = ["Book", "Entry", "garble", "is_held", "make_newer", "read_book", "read_books", "tear"]

_SETTLED: Final = frozenset({"gone"})
_TO_STAY: Final = frozenset({"gone", "kept"})


@dataclass(frozen=True, slots=True)
class Entry:
    """The newest line of one record."""

    name: str
    endpoint: str
    token: str
    scope: str
    state: str
    tracked: bool

    @property
    def open(self) -> bool:
        """Whether the machine may still be there."""
        return self.state not in _SETTLED

    @property
    def doomed(self) -> bool:
        """Whether it may be deleted on its strength."""
        return self.state not in _TO_STAY

    def means(self, endpoint: str, name: str, token: str | None = None) -> bool:
        """Whether it is of that machine; with a token, of the very one."""
        return (self.endpoint, self.name) == (endpoint, name) and token in (None, self.token)


@dataclass(frozen=True, slots=True)
class Book:
    """One ledger."""

    path: Path
    held: bool
    entries: Mapping[str, Entry]


def read_books(folder: Path) -> Iterator[Book]:
    """Yield the ledgers in sight under a state folder."""
    for path in sorted(folder.glob("*/*.ledger")):
        yield read_book(path)


def read_book(path: Path) -> Book:
    """Read a ledger: what is no record is passed over, a last line without its end is none."""
    entries: dict[str, Entry] = {}
    for line in path.read_bytes().split(b"\n")[1:-1]:
        record = _record(line)
        if record:
            entries[record["id"]] = Entry(**{part.name: record[part.name] for part in fields(Entry)})
    return Book(path, is_held(path), entries)


def is_held(path: Path) -> bool:
    """Whether somebody has the ledger's lock."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def tear(path: Path) -> None:
    """Cut the last line in two, as a crash does that strikes while it is written.

    Lines of intents aren't: those are on the disk before anything is done.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    last = _record(lines[-1])
    if last and last["state"] != "wanted":
        lines[-1] = lines[-1][: len(lines[-1]) // 2]
    else:
        lines.append(b'{"id": "abc", "na')
    path.write_bytes(b"".join(lines))


def garble(path: Path, number: int) -> None:
    """Make a line after the header unreadable, as a bad disk does; some other if there is no such."""
    lines = path.read_bytes().split(b"\n")
    if len(lines) > 2:
        number = 1 + number % (len(lines) - 2)
        lines[number] = b"\0" * len(lines[number])
        path.write_bytes(b"\n".join(lines))


def make_newer(path: Path) -> None:
    """Make it one of a version to come; the file stays the same, and so does its lock."""
    path.write_bytes(path.read_bytes().replace(b'"vmharness": 1', b'"vmharness": 2', 1))


def _record(line: bytes) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return value if "id" in value else {}
