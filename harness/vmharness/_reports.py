"""What a process that nobody watches has to tell: kept in the state folder for the next run's summary.

It doesn't know what is told.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from vmharness._locks import REPORT_SUFFIX

__all__ = ["take_reports", "write_report"]


def write_report(ledger: Path, lines: Sequence[str]) -> None:
    """Leave lines beside a ledger, whose name they take; what can't be left is lost, no machine is.

    Args:
        ledger: Path of the ledger that they are about, there or not.
        lines: The lines; none = nothing is left.
    """
    if not lines:
        return
    path = ledger.with_suffix(REPORT_SUFFIX)
    hidden = path.with_name(f".{path.name}")
    try:
        descriptor = os.open(
            hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        hidden.rename(path)
    except OSError:
        hidden.unlink(missing_ok=True)


def take_reports(paths: Iterable[Path]) -> Sequence[str]:
    """Return the lines of reports, and delete those: of several that ask at once one gets each."""
    lines: list[str] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
            path.unlink()
        except OSError:
            continue  # somebody else has it, or it stays for the next one
        lines += [line for line in text.splitlines() if line.isprintable()]
    return lines
