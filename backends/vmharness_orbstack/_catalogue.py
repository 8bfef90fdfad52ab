"""The errors of orbctl: what it says, what that means, and what to do about it. It runs and raises nothing.

All go to stderr, most as one line `[-32098] message`; the exit status is 1 for nearly all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

__all__ = ["CATALOGUE", "Entry", "Means", "is_own_error", "look_up", "said"]


class Means(Enum):
    """What an error proves.

    NAME_TAKEN: a machine of that name was there. NOT_FOUND: there is none. REFUSED: the arguments were
    refused before the engine was asked. ROLLED_BACK: a create failed, and what was made is normally
    removed. BUSY: not now. DOWN: the engine doesn't run. NOTHING: it proves nothing.
    """

    NAME_TAKEN = auto()
    NOT_FOUND = auto()
    REFUSED = auto()
    ROLLED_BACK = auto()
    BUSY = auto()
    DOWN = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalogue: a pattern for what orbctl says, what it means, what to do about it."""

    says: str
    means: Means
    hint: str = ""
    retryable: bool = False


_NETWORK: Final = "OrbStack could not download the image: check the network"
_REBOOT: Final = "if every create fails so, OrbStack has run out of network interfaces: reboot the Mac"
_SETUP: Final = "the machine was stopped or rebooted while it was being set up"
_FULL: Final = "make room, or lift its limit: `orbctl config set machine.NAME.disk_bytes 0`"

# The first that fits counts, so what is more special stands first.
CATALOGUE: Final = (
    Entry(r"machine already exists", Means.NAME_TAKEN),
    Entry(
        r"image not found", Means.ROLLED_BACK, "OrbStack has no such version, or not for this architecture"
    ),
    Entry(r"machine not found|no machine found", Means.NOT_FOUND),
    Entry(r"(cannot|invalid) transition from", Means.BUSY, "try again in a moment"),
    Entry(r"fetch index|download|make rootfs: unexpected EOF", Means.ROLLED_BACK, _NETWORK, retryable=True),
    Entry(r"missing IP address", Means.ROLLED_BACK, _REBOOT, retryable=True),
    Entry(r"crashed on startup", Means.ROLLED_BACK, "the image may not run on this Mac's processor"),
    Entry(r"canceled by machine shutdown", Means.ROLLED_BACK, _SETUP),
    Entry(r"EBUSY|resource busy", Means.NOTHING, "something in the machine is in use", retryable=True),
    Entry(r"read-only file system", Means.NOTHING, "restart OrbStack: `orbctl stop`, `orbctl start`"),
    Entry(
        r"operation not permitted", Means.NOTHING, "a swap file in the machine may hold it: remove that first"
    ),
    Entry(r"no space left|ENOSPC", Means.NOTHING, _FULL),
    Entry(r"unknown (shorthand )?flag", Means.REFUSED, "update OrbStack: this release can't do that yet"),
    Entry(r'invalid argument "', Means.REFUSED),
    Entry(r"timed out waiting for services", Means.DOWN, "OrbStack needs a logged-in user's desktop session"),
    Entry(r"\$HOME is not defined", Means.DOWN, "set HOME"),
    Entry(r"agent not running", Means.NOTHING, "restart the machine: `orbctl restart NAME`"),
    Entry(r"cmd/delete\.go", Means.NOTHING, "orbctl itself crashed: update OrbStack"),
)
_UNKNOWN: Final = Entry("", Means.NOTHING)
_OWN: Final = re.compile(r"^\[-?\d+\] (.*)", re.MULTILINE)


def said(stderr: str) -> str:
    """Return orbctl's own error without its number; all of stderr where there is none."""
    own = _OWN.search(stderr)
    return own[1] if own else stderr.strip()


def is_own_error(line: str) -> bool:
    """Say whether a line of stderr is orbctl's own, and not from a command in a machine."""
    return _OWN.match(line) is not None


def look_up(message: str) -> Entry:
    """Return the catalogue's row for what `said` returned; one that means NOTHING if there is none."""
    for entry in CATALOGUE:
        if re.search(entry.says, message, re.IGNORECASE):
            return entry
    return _UNKNOWN
