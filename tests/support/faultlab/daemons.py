"""Engines of a test's own, which it may kill; CI's script starts them, and starts them again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from faultlab.cells import Backend
from faultlab.engine import eventually
from faultlab.stage import is_dead

__all__ = ["Engines", "Killable", "reason_against_engines"]

IMAGE: Final = "vmharness-tiny"
_SCRIPT: Final = Path(__file__).parents[3] / ".ci/engines"
_START_S: Final = 180.0
_DEATH_S: Final = 10.0


def reason_against_engines() -> str:
    """Return why none can be started here; "" if they can."""
    if os.geteuid():
        return "an engine of a test's own needs root"
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"
    tools = ("dockerd", "lxd", "incus", "libvirtd", "busybox")
    missing = [tool for tool in tools if shutil.which(tool, path=path) is None]
    return f"there is no {missing[0]} here" if missing else ""


class Engines:
    """A Docker engine, an LXD and an Incus, in a folder of their own."""

    def __init__(self) -> None:
        # Sockets have room for short paths only.
        self.folder: Final = Path(tempfile.mkdtemp(prefix="vmh.", dir="/tmp"))
        self.folder.chmod(0o755)  # the root of an instance is nobody on the host, and must get in

    def start(self) -> None:
        """Start those that don't run, and wait until they answer."""
        self._script("start")

    def close(self) -> None:
        """Stop them, with all machines."""
        self._script("stop")
        shutil.rmtree(self.folder)

    def _script(self, verb: str) -> None:
        done = subprocess.run(
            [_SCRIPT, verb, self.folder],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_S,
        )
        assert done.returncode == 0, done.stderr


class Killable:
    """One of them."""

    def __init__(self, engines: Engines, backend: Backend) -> None:
        self._engines = engines
        self._backend = backend

    @property
    def socket(self) -> Path:
        """Where it listens."""
        place = "docker.sock" if self._backend is Backend.DOCKER else "lxd/unix.socket"
        return self._engines.folder / place

    def kill(self) -> None:
        """Kill the daemon; what it had started lives on."""
        record = self._engines.folder / f"{self._backend}.started"
        pid = int(record.read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: is_dead(pid), _DEATH_S, lambda: f"{self._backend} doesn't die")

    def start(self) -> None:
        """Start it again."""
        self._engines.start()
