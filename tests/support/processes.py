"""Processes that tests start, each in a process group of its own, and whatever happens, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["PYTEST", "Processes", "processes"]

# How a test starts pytest. Most of the time of a small run would go into the import of hypothesis, for which
# no suite here has a use.
PYTEST: Final = (sys.executable, "-m", "pytest", "-pno:cacheprovider", "-pno:hypothesispytest")


class Processes:
    """Starts processes, and ends them with all that is in their groups. Made by `processes`."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self, argv: Sequence[str], *, cwd: Path | None = None, stderr: int = subprocess.STDOUT
    ) -> subprocess.Popen[str]:
        """Start a process whose output can be read, by default both streams as one.

        Args:
            argv: The program and its arguments.
            cwd: Its folder; None = the test's own.
            stderr: As for `subprocess.Popen`.
        """
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill what still runs, and wait for it."""
        for process in self._started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@contextmanager
def processes() -> Generator[Processes]:
    """Start processes in a block, at whose end they are killed."""
    started = Processes()
    try:
        yield started
    finally:
        started.end()
