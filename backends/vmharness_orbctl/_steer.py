"""How a test steers the commands of a folder, from any process: settings, held points, log, and the clock."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vmharness_orbctl._daemon import Daemon, pass_time
from vmharness_orbctl._log import EVENTS
from vmharness_orbctl._settings import FILE, KEYS, read_settings

__all__ = ["Event", "Orbctl"]

_POLL_S: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One moment of a command.

    Attributes:
        time: Seconds since the epoch.
        pid: The command's process.
        parent: The process that started it, which may be dead by now.
        verb: Which command.
        phase: `begin`; `waits`, at a point that is held; `accepted`, when what was asked for will happen
            even if the command dies; `end`.
        name: Name of the machine, or "".
        detail: The point of a `waits`; the exit status of an `end`; or "".
    """

    time: float
    pid: int
    parent: int = 0  # in logs of before
    verb: str
    phase: str
    name: str = ""
    detail: str = ""


class Orbctl:
    """The commands of one folder.

    Args:
        folder: Where their settings, their log and the simulator's machines are; made if it isn't there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def set(self, **settings: Any) -> None:
        """Change settings; None takes one back. Errors are counted anew.

        Raises:
            ValueError: There is no such setting.
        """
        unknown = sorted(set(settings) - KEYS)
        if unknown:
            raise ValueError(f"no such setting: {', '.join(unknown)}; there are {', '.join(sorted(KEYS))}")
        with self._changing() as now:
            for key, value in settings.items():
                now[key] = value
        if {"errors", "times"} & set(settings):
            with Daemon(str(self.folder)) as daemon:
                daemon.state["struck"].clear()

    def hold(self, point: str) -> None:
        """Make commands stop at the point, as `create:accepted`, until it is released."""
        with self._changing() as now:
            now["hold"] = [*now.get("hold", ()), point]

    def release(self, point: str) -> None:
        """Let the commands at the point go on, and those to come."""
        with self._changing() as now:
            now["hold"] = [held for held in now.get("hold", ()) if held != point]

    def pass_time(self, seconds: float) -> None:
        """Let the simulator's clock go on; what was made keeps the time in its ID."""
        with Daemon(str(self.folder)) as daemon:
            pass_time(daemon.state, seconds)

    def events(self) -> Sequence[Event]:
        """Return the log of all commands."""
        try:
            lines = (self.folder / EVENTS).read_text().splitlines()
        except FileNotFoundError:
            return ()
        return tuple(_whole(lines))

    def wait_for(
        self, verb: str, phase: str, *, name: str = "", count: int = 1, timeout: float = 30.0
    ) -> Sequence[Event]:
        """Wait until such events are in the log, and return all of them.

        Args:
            verb: Verb of the events.
            phase: Phase of the events.
            name: Name of the machine; "" = any.
            count: How many there must be at least.
            timeout: Seconds until it is given up.

        Raises:
            TimeoutError: There are fewer; the message shows the end of the log.
        """
        deadline = time.monotonic() + timeout
        while True:
            log = self.events()
            found = [
                event
                for event in log
                if (event.verb, event.phase) == (verb, phase) and name in ("", event.name)
            ]
            if len(found) >= count:
                return found
            if time.monotonic() >= deadline:
                last = "\n".join(map(str, log[-20:]))
                raise TimeoutError(f"{len(found)} instead of {count} events {verb} {phase}; last:\n{last}")
            time.sleep(_POLL_S)

    @contextmanager
    def _changing(self) -> Generator[dict[str, Any]]:
        """Give the settings, which may be changed, to one caller alone."""
        lock = os.open(self.folder / "settings.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            now = dict(read_settings(str(self.folder)))
            yield now
            new = self.folder / f"{FILE}.new"
            new.write_text(json.dumps({key: value for key, value in now.items() if value is not None}))
            new.replace(self.folder / FILE)
        finally:
            os.close(lock)


def _whole(lines: Sequence[str]) -> Iterator[Event]:
    """Yield the events of lines, but for one that is being written, or whose command was killed at that."""
    for line in lines:
        try:
            yield Event(**json.loads(line))
        except ValueError:
            continue
