"""Which ledgers are in a folder, and whether anybody holds them; it doesn't know what is in one.

Every pytest run looks here at its start, so this imports next to nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from vmharness.errors import LedgerError

__all__ = ["REPORT_SUFFIX", "SUFFIX", "Found", "is_abandoned", "is_free", "is_linked", "lock", "look"]

SUFFIX: Final = ".ledger"
REPORT_SUFFIX: Final = ".report"
# A hidden file older than this was left by a process that died between making and showing it.
_HIDDEN_S: Final = 60.0


class Found(NamedTuple):
    """What is in the folder, oldest first: ledgers, and what reapers left for the next run to say."""

    ledgers: Sequence[Path]
    reports: Sequence[Path]


def look(folder: Path) -> Found:
    """Return what is in sight in the folder, by one look; nothing if there is no folder yet.

    Raises:
        LedgerError: The folder can't be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return Found((), ())
    except OSError as exc:
        raise LedgerError(f"cannot read the state folder {folder}: {exc.strerror}") from exc
    shown = [name for name in names if not name.startswith(".")]
    for name in names:
        if name.startswith("."):
            _drop_hidden(folder / name)
    return Found(
        [folder / name for name in shown if name.endswith(SUFFIX)],
        [folder / name for name in shown if name.endswith(REPORT_SUFFIX)],
    )


def is_abandoned(ledgers: Iterable[Path], *, since: float = 0.0) -> bool:
    """Whether there is a ledger whose lock is free, of those that were opened since then.

    Args:
        ledgers: Their paths.
        since: Seconds since the epoch; the ledgers' names begin with their time in milliseconds.
    """
    first = f"{int(since * 1000):013d}"
    return any(is_free(path) for path in ledgers if path.name >= first)


def is_free(path: Path) -> bool:
    """Whether the file's lock is free; a shared lock is taken for a moment, and False said in doubt."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def lock(descriptor: int) -> bool:
    """Take the lock, or say False: somebody holds it. The moment of `is_free` is waited out."""
    for pause in (0.001, 0.004, 0.0):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause)
        else:
            return True
    return False


def is_linked(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at the path."""
    mine = os.fstat(descriptor)
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return mine.st_nlink > 0 and (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _drop_hidden(path: Path) -> None:
    try:
        if time.time() - path.lstat().st_mtime > _HIDDEN_S and is_free(path):
            path.unlink()
    except OSError:
        pass  # of no consequence: it names no machine
