"""Where a session's recording front-ends are, and how they are told from the commands behind them.

It knows neither what a front-end does nor what it records.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["BIN_SUFFIX", "CONFIG", "INBOX_SUFFIX", "without_fronts"]

# Beside a ledger, under its name: the folder that comes first on PATH, and what front-ends write to.
BIN_SUFFIX: Final = ".bin"
INBOX_SUFFIX: Final = ".inbox"
# In each such folder, and in no other: what its front-ends must know.
CONFIG: Final = "vmharness-fronts.json"


def without_fronts(path: str) -> str:
    """Return the value of PATH without the folders of front-ends, ours and those of runs around this one."""
    return os.pathsep.join(entry for entry in path.split(os.pathsep) if not Path(entry, CONFIG).is_file())
