"""How the call of a command ended: by a file that it locks, and one that the command may write.

The lock goes with the command's process, however that ends. It doesn't know what the command does.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["CALL_SUFFIX", "RECEIPT_SUFFIX", "Ending", "ending"]

CALL_SUFFIX: Final = ".call"
RECEIPT_SUFFIX: Final = ".receipt"


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a call that has ended, or has told what it made.

    Attributes:
        made: Whether it made what it was to make; None = nobody says.
        settle_s: For how long after its end the engine may go on with what it asked for, in seconds.
    """

    made: bool | None
    settle_s: float = 0.0


def ending(folder: Path, id: str) -> Ending | None:
    """Say how a call ended; None = it goes on, or there is nothing to know it by.

    Args:
        folder: Where the call's files are.
        id: Of the call's record.
    """
    try:
        descriptor = os.open(folder / f"{id}{CALL_SUFFIX}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        tells, settle_s = os.read(descriptor, 64).split()
        ended = _is_free(descriptor)
    except (OSError, ValueError):
        return None  # it is being written at this moment
    finally:
        os.close(descriptor)
    if tells == b"1":
        receipt = folder / f"{id}{RECEIPT_SUFFIX}"
        try:
            if receipt.stat().st_size:
                return Ending(made=True)
        except FileNotFoundError:
            # It is made before the engine is asked, and taken away when the engine has refused.
            return Ending(made=False) if ended else None
    return Ending(made=None, settle_s=float(settle_s)) if ended else None


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
