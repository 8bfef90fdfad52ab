"""Creates in foreign command lines: which machine an `orbctl` or `orb` would make. It runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

from vmharness_orbstack._front import follows, recognise_create

__all__ = ["PROGRAMS", "recognise"]

PROGRAMS: Final = ("orbctl", "orb")


def recognise(argv: Sequence[str]) -> str | None:
    """Return the name of the machine that a command would make, "" if it can't be read off, else None."""
    if not argv or PurePath(argv[0]).name not in PROGRAMS or follows([*argv[1:]]):
        return None
    return recognise_create([*argv[1:]])
