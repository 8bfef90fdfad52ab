"""The engine that is kept in a folder, shared by all processes that open it; it knows no verb.

==================  =================================================================================
`machines.json`     machines, and how often each fault was met; replaced as a whole
`faults.json`       what shall go wrong; may be written by hand
`barriers/POINT`    a point that is held: `touch` and `rm` will do
`events.jsonl`      the log, only ever appended to
`lock`              held while one of them is read or written
==================  =================================================================================
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from vmharness.errors import EngineUnavailable, SettingsError
from vmharness_fake._engine import Engine
from vmharness_fake._events import Event
from vmharness_fake._faults import Faults
from vmharness_fake._store import Store, checked

__all__ = ["FolderStore"]


class FolderStore(Store):
    """An engine in a folder. Its machines outlive the processes; its files are their owner's alone.

    Args:
        path: The folder. It is made when it is first needed; while there is none, there are no machines.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path.resolve()

    @property
    def endpoint(self) -> str:
        """`folder:PATH`."""
        return f"folder:{self.path}"

    def prepare(self) -> None:
        """Make the folder if it isn't there."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise self._unavailable(exc) from exc

    @contextmanager
    def locked(self) -> Generator[Engine]:
        """Give the engine to one caller alone, in all processes."""
        try:
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            yield Engine()
            return
        except OSError as exc:
            raise self._unavailable(exc) from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            engine, before = self._read()
            yield engine
            self._write(engine, before)
        finally:
            # Unlocked, not only closed: a child that another thread has just forked holds it open as well.
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def set_faults(self, faults: Faults) -> None:
        """Say what shall go wrong from now on; counting starts anew."""
        self.prepare()
        with self.locked() as engine:
            engine.counts.clear()
            _replace(self.path / "faults.json", faults.dump())

    def hold(self, point: str) -> None:
        """Make calls stop at the point."""
        barrier = self.path / "barriers" / checked(point)
        self.prepare()
        barrier.parent.mkdir(mode=0o700, exist_ok=True)
        barrier.touch(mode=0o600)

    def release(self, point: str) -> None:
        """Let the calls at the point go on."""
        (self.path / "barriers" / checked(point)).unlink(missing_ok=True)

    def is_held(self, point: str) -> bool:
        """Say whether calls stop at the point."""
        return (self.path / "barriers" / point).exists()

    def events(self) -> Sequence[Event]:
        """Return the log since the engine was made, by all processes."""
        with self.locked():  # so that what an event tells of has been written as well
            lines = _text(self.path / "events.jsonl").splitlines()
        return tuple(Event(**json.loads(line)) for line in lines)

    def _read(self) -> tuple[Engine, str]:
        """Return the engine, and the text it was read from."""
        try:
            faults = Faults.load(_text(self.path / "faults.json") or "[]")
            before = _text(self.path / "machines.json")
            return (Engine.load(before, faults) if before else Engine(faults=faults)), before
        except SettingsError:
            raise
        except (OSError, ValueError) as exc:
            raise self._unavailable(exc) from exc

    def _write(self, engine: Engine, before: str) -> None:
        try:
            if engine.log:
                lines = "".join(json.dumps(asdict(event)) + "\n" for event in engine.log)
                _append(self.path / "events.jsonl", lines)
            # Last, so that an error means that no machine was changed.
            after = engine.dump()
            if after != before:
                _replace(self.path / "machines.json", after)
        except OSError as exc:
            raise self._unavailable(exc) from exc

    def _unavailable(self, exc: Exception) -> EngineUnavailable:
        return EngineUnavailable(f"cannot use the fake engine {self.endpoint!r}: {exc}", backend="fake")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _replace(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it; the lock is held, so its other name is free."""
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
    new.replace(path)


def _append(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with open(descriptor, "a") as file:
        file.write(text)
