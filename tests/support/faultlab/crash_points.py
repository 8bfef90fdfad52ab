"""The points that a process passes while it has machines, each told in a file, and its death at one of them.

Points are each write of a ledger, each call of the engine, and each change in the state folder. It knows
neither session nor reaper; the product takes what it wraps as it takes the plain ones.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

from vmharness._ledger import FileLedger, FileLedgers
from vmharness._model import Record
from vmharness_fake import FolderStore

__all__ = ["EXITED", "Death", "Points", "WatchedLedgers", "WatchedStore", "release"]

# The exit status of a process that ended itself by os._exit.
EXITED: Final = 77
# Changes in a folder, as Python itself announces them before it makes them.
_CHANGES: Final = ("os.mkdir", "os.rename", "os.remove", "os.truncate")


class Death(StrEnum):
    """How a process ends itself; STAND: the thread that came there stands still until it is released."""

    KILL = "kill"
    EXIT = "exit"
    INTERRUPT = "interrupt"
    STAND = "stand"


# How often a thread that stands looks whether it is released, in seconds.
_POLL_S: Final = 0.002


class Points:
    """Tells of each point that this process passes, and ends it at one.

    Args:
        log: The file in which they are told, one a line: what it is, and for the how-manieth time.
        at: The point at which to die; "" = none.
        how: How to die.
    """

    def __init__(self, log: Path, at: str, how: Death) -> None:
        self._path = log
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._at = at
        self._how = how
        self._passed: Counter[str] = Counter()
        self._counting = threading.Lock()

    def reach(self, what: str) -> None:
        """Pass a point, or die there."""
        with self._counting:
            self._passed[what] += 1
            point = f"{what} #{self._passed[what]}"
        os.write(self._log, f"{point}\n".encode())
        if point != self._at:
            return
        if self._how is Death.EXIT:
            os._exit(EXITED)
        elif self._how is Death.STAND:
            while not release(self._path).exists():
                time.sleep(_POLL_S)
        else:
            os.kill(os.getpid(), signal.SIGINT if self._how is Death.INTERRUPT else signal.SIGKILL)

    def watch(self, folder: Path) -> None:
        """Pass a point before each change in the folder, and before each process that is started."""

        def hear(event: str, args: tuple[Any, ...]) -> None:
            if event == "subprocess.Popen":
                self.reach("before spawn")
            elif event in _CHANGES or (event == "open" and _changes(args[2])):
                path = Path(os.fsdecode(args[0])) if isinstance(args[0], str | bytes | Path) else None
                if path is not None and path.is_relative_to(folder):
                    self.reach(f"before {event.removeprefix('os.')} {_kind(path)}")

        sys.addaudithook(hear)


def release(log: Path) -> Path:
    """Return the file whose appearance releases the thread that stands at a point of that log."""
    return log.with_suffix(".go")


def _changes(flags: int) -> bool:
    """Whether a file is opened to be changed, or a folder to be synced."""
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_DIRECTORY))


def _kind(path: Path) -> str:
    if path.name.startswith("."):
        return "hidden file"
    return path.suffix.removeprefix(".") or "folder"


class WatchedStore(FolderStore):
    """An engine whose calls pass a point where the engine would hold them."""

    def __init__(self, path: Path, points: Points) -> None:
        super().__init__(path)
        self._points = points

    def is_held(self, point: str) -> bool:
        """Pass the point; nothing is held."""
        self._points.reach(point)
        return False


class WatchedLedger:
    """A ledger around another that passes a point before and after each write, and its end."""

    def __init__(self, ledger: FileLedger, points: Points) -> None:
        self._ledger = ledger
        self._points = points

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    def write(self, record: Record) -> None:
        """Append the record."""
        self._points.reach(f"before write {record.state}")
        self._ledger.write(record)
        self._points.reach(f"after write {record.state}")

    def close(self) -> None:
        """Unlink the file if all is settled, and drop the lock."""
        self._points.reach("before close")
        self._ledger.close()
        self._points.reach("after close")


class WatchedLedgers(FileLedgers):
    """Ledgers that pass points."""

    def __init__(self, folder: Path, points: Points) -> None:
        super().__init__(folder)
        self._points = points

    def open(self, session_id: str) -> FileLedger:
        """Make a ledger for this process."""
        self._points.reach("before ledger")
        ledger = super().open(session_id)
        self._points.reach("after ledger")
        return self._watched(ledger)

    def claim(self, path: Path) -> FileLedger | None:
        """Take over a dead process's ledger."""
        self._points.reach("before claim")
        ledger = super().claim(path)
        self._points.reach("after claim")
        return ledger and self._watched(ledger)

    def _watched(self, ledger: FileLedger) -> FileLedger:
        return cast("FileLedger", WatchedLedger(ledger, self._points))
