"""Starting a reaper for a ledger, and whether it lives; it knows neither session nor engine."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vmharness.errors import VMHarnessError

__all__ = ["LOG", "PATHS", "Reaper", "environment", "open_log", "spawn"]

# The reaper's log, in the ledger's folder; it is renamed to LOG + ".1" when it is longer than this, in bytes.
LOG: Final = "reaper.log"
_LONGEST_LOG: Final = 1_000_000
# By these CI systems find, and end, what a job has started.
_CI_MARKS: Final = ("RUNNER_TRACKING_ID", "BUILD_ID", "JENKINS_NODE_COOKIE")
# Where the owner finds modules, for a reaper that lacks one.
PATHS: Final = "VMHARNESS_REAPER_PATHS"
# How long a reaper may take to be there, in seconds: it takes 10 ms, but all cores may be busy.
_START_S: Final = 30.0


class Reaper:
    """A reaper of one ledger. Made by `spawn`."""

    def __init__(self, ledger: Path, process: subprocess.Popen[bytes], pipe: int) -> None:
        self.ledger: Final = ledger
        self._process = process
        self._pipe = pipe
        # 0 until it is confirmed.
        self.pid: int = 0

    def confirm(self) -> bool:
        """Wait until it waits for its owner's end; False: it is dead. May be repeated."""
        if not self.pid:
            readable, _, _ = select.select([self._pipe], [], [], _START_S)
            said = os.read(self._pipe, 32) if readable else b""
            if readable:
                self._process.wait()  # it forked, and left at once
            if not said.endswith(b"\n"):
                return False
            self.pid = int(said)
        return self._lives()

    def _lives(self) -> bool:
        """Whether it does: it holds the pipe as long as it lives, unless a child of ours does so as well."""
        readable, _, _ = select.select([self._pipe], [], [], 0)
        if readable:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def forget(self) -> None:
        """Close the pipe; the reaper stays, if it was there."""
        os.close(self._pipe)
        self._process.wait()


def spawn(ledger: Path, environ: Mapping[str, str] = os.environ) -> Reaper:
    """Start a reaper for a ledger that this process holds; it isn't waited for.

    Args:
        ledger: Path of the ledger.
        environ: The environment, by which it will find backends and engines.

    Raises:
        VMHarnessError: It can't be started; nothing is left.
    """
    pipe, report = os.pipe()
    log = -1
    try:
        log = open_log(ledger.parent / LOG)
        wait = Path(__file__).with_name("wait.py")
        argv = [sys.executable, "-I", "-S", str(wait), str(ledger), str(report), sys.executable]
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(environ),
            pass_fds=[report],
            start_new_session=True,
        )
    except OSError as exc:
        os.close(pipe)
        raise VMHarnessError(
            f"cannot start the reaper of {ledger} with {sys.executable!r}: {exc.strerror}; if there can be "
            "none here, take it out of the setting lifecycle: then the next session deletes what a killed "
            "one leaves"
        ) from exc
    finally:
        os.close(report)
        if log >= 0:
            os.close(log)
    return Reaper(ledger, process, pipe)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the reaper's environment, in which relative paths mean what they mean here."""
    kept = {name: value for name, value in environ.items() if name not in _CI_MARKS}
    if kept.get("PYTHONPATH"):
        kept["PYTHONPATH"] = _absolute(kept["PYTHONPATH"].split(os.pathsep))
    kept[PATHS] = _absolute([path for path in sys.path if path])
    return kept


def _absolute(paths: list[str]) -> str:
    return os.pathsep.join(str(Path(path).absolute()) for path in paths)


def open_log(path: Path) -> int:
    """Open the log, a new one if it is long."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
        if os.fstat(descriptor).st_size > _LONGEST_LOG:
            os.close(descriptor)
            path.replace(path.with_name(f"{LOG}.1"))
            descriptor = os.open(path, flags, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    return descriptor
