"""`orbctl` and `orb` of vmharness_orbctl as processes, for several folders of tests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmharness.command import CommandLine
from vmharness.provider import CommandResult
from vmharness_orbctl import Orbctl, install

__all__ = ["Commands"]


class Commands:
    """Runs the commands of a folder.

    Args:
        folder: Where they are put.
        engine: What is behind them.
        environ: Variables to set for all of them.
    """

    def __init__(
        self, folder: Path, engine: str = "simulator", environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder = install(folder, engine)
        self.steer = Orbctl(folder / "state")
        self._environ = {
            name: value for name, value in os.environ.items() if name != "VMHARNESS_ORBCTL_DIR"
        } | dict(environ or {})

    def __call__(
        self, *args: str, input: bytes | None = None, environ: Mapping[str, str] | None = None
    ) -> CommandResult:
        return self._run("orbctl", *args, input=input, environ=environ)

    def orb(self, *args: str) -> CommandResult:
        return self._run("orb", *args)

    def says(self, *args: str, status: int = 0) -> str:
        """Return what it writes, be it to stdout or to stderr."""
        result = self(*args)
        assert result.status == status, result
        assert not (result.stdout and result.stderr), result
        return result.stdout + result.stderr

    def set(self, **settings: Any) -> None:
        self.steer.set(**settings)

    def start(self, *args: str, stderr: bool = False) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.folder / "orbctl", *args],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if stderr else subprocess.DEVNULL,
        )

    def state(self, name: str) -> str:
        """Return the machine's state; "" if it is absent."""
        rows = json.loads(self("list", "-f", "json").stdout)
        return next((str(row["state"]) for row in rows if row["name"] == name), "")

    def _run(
        self,
        program: str,
        *args: str,
        input: bytes | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> CommandResult:
        command = CommandLine(
            str(self.folder / program), backend="orbstack", environ={**self._environ, **(environ or {})}
        )
        return command.run(args, timeout=60, input=input)
