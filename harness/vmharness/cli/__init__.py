"""The command `vmharness`. Prints, asks the user, and knows no engine; all work is the session's.

One file a command; what a command needs is imported when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vmharness.errors import VMHarnessError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Its arguments; None = those of the process.

    Returns:
        1: what was asked for could not be done, and stderr says why. All other ends leave by
        SystemExit: 0 after a success, 1 if something is left undone, 2 when it was called wrongly, 130
        when it was interrupted.
    """
    if sys.platform == "win32":
        sys.stderr.write("vmharness: there are no machines on Windows; use WSL\n")
        return 1
    from vmharness.cli._app import app
    from vmharness.cli._common import complain

    try:
        app(args=argv, prog_name="vmharness")
    except VMHarnessError as exc:
        complain(exc)
        return 1
    return 0
