"""A lifecycle plugin that limits the machines of a process, and keeps a diary of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vmharness import Lifecycle, Record
from vmharness.errors import VMHarnessError
from vmharness.hooks import Session

MOST = 3


class Budget(Lifecycle):
    """Refuses a fourth machine, and writes a line for each change to `machines.log`."""

    def before_create(self, session: Session, record: Record) -> Mapping[str, str] | None:
        """Gate: refuse, or name a label that the machine shall have."""
        others = [other for other in session.unfinished() if other.id != record.id]
        if len(others) >= MOST:
            raise VMHarnessError(f"cannot create {record.name!r}: {MOST} machines are there already")
        return {"team": "web"}

    def changed(self, session: Session, before: Record | None, now: Record) -> None:
        """Observe: write a line."""
        with Path("machines.log").open("a") as log:
            log.write(f"{now.at:.3f} {now.name} {before.state if before else 'new'} -> {now.state}\n")
