"""Telling whoever records what commands make how a create ended, by a file that the environment names."""

from __future__ import annotations

import os
from contextlib import contextmanager

from vmharness_orbctl._failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["made"]

_CREATES = ("clone", "create")


@contextmanager
def made(verb: str) -> Generator[None]:
    """Write to the receipt if what is done in a block succeeds, take it away if surely nothing was made.

    It was put there, empty, by who asked for it; what stays empty says nothing.
    """
    path = os.environ.get("VMHARNESS_ORBCTL_RECEIPT", "") if verb in _CREATES else ""
    try:
        yield
    except Failure as failure:
        if path and failure.nothing_made:
            os.unlink(path)
        raise
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write("made\n")
