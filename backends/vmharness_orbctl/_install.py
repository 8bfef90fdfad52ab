"""Putting `orbctl` and `orb` into a folder: two small launchers that start this package's command."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from vmharness.errors import SettingsError
from vmharness_orbctl._input import INHERITED, identity
from vmharness_orbctl._log import EVENTS

__all__ = ["install", "stand_in"]

_MAIN: Final = Path(__file__).with_name("__main__.py")
_SIMULATOR: Final = "simulator"
_PROGRAMS: Final = ("orbctl", "orb")
# In bytes.
_LONGEST_LOG: Final = 1_000_000
# The backend that drives them.
_BACKEND: Final = "orbstack"


def install(folder: Path, engine: str = _SIMULATOR, *, state: Path | None = None) -> Path:
    """Write the commands `orbctl` and `orb` into a folder, to be put first on PATH.

    May be repeated, also with another engine. The commands use the Python that runs now.

    Args:
        folder: Where the two go; made if it isn't there.
        engine: What makes the machines: `simulator`, or the name of a backend, as `incus` or `docker`.
        state: Where settings, log and the simulator's machines are; None = `state` in the folder.
            `VMHARNESS_ORBCTL_DIR` in the commands' environment overrides it.

    Returns:
        The folder, as an absolute path.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "state" if state is None else state.resolve()
    # The simulator needs nothing but the standard library, and so its Python starts without anything else.
    flags = ["-I", "-S"] if engine == _SIMULATOR else ["-P"]
    for program in _PROGRAMS:
        words = [sys.executable, *flags, str(_MAIN), program, engine, str(place)]
        text = f'#!/bin/sh\n# vmharness in place of OrbStack, over: {engine}\nexec {shlex.join(words)} "$@"\n'
        new = folder / f".{program}.{os.getpid()}"
        new.write_text(text)
        new.chmod(0o755)
        new.replace(folder / program)
    return folder


def stand_in(engine: str, folder: Path) -> str:
    """Write the commands into a folder, for `vmharness run`; see `install`.

    The process's environment then tells the commands what its standard input is.

    Args:
        engine: `simulator`, or the name of a backend.
        folder: Where they go.

    Returns:
        Name of the backend that drives them.

    Raises:
        SettingsError: There is no such engine; nothing was written.
    """
    others = {point.name for point in entry_points(group="vmharness.backends")} - {_BACKEND}
    if engine != _SIMULATOR and engine not in others:
        raise SettingsError(
            f"cannot put {engine!r} behind orbctl: there are {', '.join([_SIMULATOR, *sorted(others)])}"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    install(folder, engine)
    os.environ[INHERITED] = identity()
    log = folder / "state" / EVENTS  # of all runs, for the folder stays
    if log.exists() and log.stat().st_size > _LONGEST_LOG:
        log.replace(log.with_name(f"{EVENTS}.1"))
    return _BACKEND
