"""What front-ends of a session's process wrote for it: lines of JSON, each durable before its command runs.

The file is there as long as its session records. Whoever writes a line holds the file's lock and has seen
that it is still linked; whoever unlinks it holds the lock, too, so that no line comes too late to be read.
This module doesn't know what is in a line.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

__all__ = ["Inbox", "News"]


class News(NamedTuple):
    """What was read: lines that are objects, and what can't be read, one sentence each."""

    lines: Sequence[Mapping[str, Any]]
    damage: Sequence[str]


class Inbox:
    """One process's inbox.

    Args:
        path: Where it is; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._read = 0

    def make(self) -> None:
        """Make it, empty and durable; front-ends write only to one that is there.

        Raises:
            OSError: It can't be made.
        """
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def has_news(self) -> bool:
        """Whether anything was written since it was last read.

        Raises:
            OSError: It can't be looked at.
        """
        try:
            return os.stat(self.path).st_size > self._read  # noqa: PTH116 - at each scope's end
        except FileNotFoundError:
            return False

    def news(self) -> News:
        """Return what was written since the last call; nothing if there is no inbox.

        Raises:
            OSError: It can't be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return News((), ())
        # What has no end is being written at this moment, or was cut off: nothing was done on its strength.
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        lines: list[Mapping[str, Any]] = []
        damage: list[str] = []
        for line in whole.splitlines():
            try:
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise TypeError("no object")
                lines.append(cast("dict[str, Any]", value))
            except (ValueError, TypeError, RecursionError) as exc:
                damage.append(f"a line of {self.path.name} can't be read ({exc})")
        return News(lines, damage)

    @contextmanager
    def shut(self) -> Generator[None]:
        """Let nobody write in a block.

        Raises:
            OSError: It can't be opened or locked.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Unlink it, there or not; its owner shuts it first."""
        self.path.unlink(missing_ok=True)
