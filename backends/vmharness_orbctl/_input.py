"""The standard input of a command that is run over a backend, which takes it as a whole."""

from __future__ import annotations

import os
import select
import sys

__all__ = ["INHERITED", "identity", "read_input"]

# Tells what the standard input is of the run that put orbctl on PATH: what a command has merely inherited.
INHERITED = "VMHARNESS_ORBCTL_STDIN"
# How long an inherited one may take to say something, in seconds; somebody may keep it open for hours.
_INHERITED_S = 0.1


def identity() -> str:
    """Return what tells this process's standard input from others; "" if it has none."""
    try:
        found = os.fstat(0)
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def read_input() -> bytes | None:
    """Return all of the standard input; None if there is nobody who would write to it for this command.

    That is a terminal, and what the whole run inherited, if it has nothing to read by now.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return None
    if os.environ.get(INHERITED) == identity() and not select.select([0], [], [], _INHERITED_S)[0]:
        return None
    return sys.stdin.buffer.read()
