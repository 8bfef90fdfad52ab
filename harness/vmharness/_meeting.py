"""Where a user's sessions find each other's ledgers, whatever state folder each uses; it reads none of them.

Where an engine has no labels, only a ledger says whose a machine is of which a test chose the name. So each
ledger is announced by a link in a folder that doesn't depend on the environment. An announcement protects,
and gives no right: what it leads to is only looked at.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vmharness._places import make_private
from vmharness.errors import LedgerError

__all__ = ["MEETING", "Meeting"]

_log = logging.getLogger("vmharness.ledger")

# Not the temporary directory: two shells may have different ones.
MEETING: Final = Path("/tmp")  # noqa: S108 - a folder in it is made private, or not used


class Meeting:
    """The announcements of this user's ledgers.

    Args:
        folder: Where the user's folder is made.
    """

    def __init__(self, folder: Path = MEETING) -> None:
        self._user: Final = folder / f"vmharness-{os.geteuid()}"
        self._folder: Final = self._user / "ledgers"

    def announce(self, ledger: Path) -> None:
        """Let others know of a ledger; what hinders that is logged, for a session can do without."""
        link = self._folder / ledger.name
        try:
            make_private(self._user)
            make_private(self._folder)
            link.symlink_to(ledger.absolute())
        except (OSError, LedgerError) as exc:
            _log.warning("sessions with another state folder won't know of %s: %s", ledger, exc)

    def withdraw(self, ledger: Path) -> None:
        """Take the announcement of a ledger back, there or not; it mustn't raise."""
        try:
            (self._folder / ledger.name).unlink(missing_ok=True)
        except OSError:
            pass  # a link that leads nowhere is taken away by whoever finds it

    def ledgers(self) -> Iterator[Path]:
        """Yield the paths of all announced ledgers that are there; links that lead nowhere are taken away."""
        try:
            if self._folder.lstat().st_uid != os.geteuid():
                return  # somebody else's, so we never announced anything there
            links = sorted(self._folder.iterdir())
        except OSError:
            return  # nobody could announce anything either
        for link in links:
            try:
                target = link.readlink()
                if target.exists():
                    yield target
                else:
                    link.unlink(missing_ok=True)
            except OSError:
                continue  # withdrawn at this moment
