"""How the call of a command ended: by a file that it locks, and one that the command writes.

The lock goes with the command's process, however that ends. It doesn't know what the command does.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

__all__ = ["CALL_SUFFIX", "RECEIPT_SUFFIX", "was_made"]

CALL_SUFFIX: Final = ".call"
RECEIPT_SUFFIX: Final = ".receipt"


def was_made(folder: Path, id: str) -> bool | None:
    """Say whether a call made what it was to make; None = nobody knows yet, or ever.

    Args:
        folder: Where the call's files are.
        id: Of the call's record.
    """
    receipt = folder / f"{id}{RECEIPT_SUFFIX}"
    try:
        descriptor = os.open(folder / f"{id}{CALL_SUFFIX}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None  # the command writes no receipts
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        ended = False
    else:
        ended = True
    finally:
        os.close(descriptor)
    try:
        if receipt.stat().st_size:
            return True
    except FileNotFoundError:
        # It is made before the engine is asked, and taken away when the engine has refused.
        return False if ended else None
    except OSError:
        pass
    return None
