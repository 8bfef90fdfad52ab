"""A process of another user, with sessions of its own on an engine that all users share.

`python user.py UID ENGINE STATE` reads an order a line, and answers each with JSON: `open` a session, which
sweeps by prefix too, and tell what it reported; `create` a machine, and tell its name; `close` the session.
Orders end with the input, and then the process is dead, whatever it has.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from vmharness._ledger import FileLedgers
from vmharness._providers import Providers
from vmharness._session import Session
from vmharness._settings import Settings, SweepMode
from vmharness.lifecycle.sweep import Sweep
from vmharness.lifecycle.teardown import Teardown
from vmharness_fake import FolderFakeProvider, FolderStore
from vmharness_fake._engine import Engine

__all__ = ["SharedStore", "open_session"]


class SharedStore(FolderStore):
    """An engine whose files all users may change, as a daemon's socket lets them."""

    def prepare(self) -> None:
        """Make the folder for all."""
        super().prepare()
        lock = self.path / "lock"
        if not lock.exists():
            lock.touch()
            lock.chmod(0o666)
            self.path.chmod(0o777)

    def _write(self, engine: Engine, before: str) -> None:
        super()._write(engine, before)
        for name in ("machines.json", "events.jsonl"):
            path = self.path / name
            if path.exists() and path.stat().st_uid == os.geteuid():
                path.chmod(0o666)


def open_session(store: FolderStore, state: Path) -> Session:
    """Open a session that sweeps, also by the prefix that all of us have."""
    provider = FolderFakeProvider(store)
    session = Session(
        Settings(backend="fake", sweep=SweepMode.PREFIX, sweep_prefix=("vmh-",)),
        ledgers=FileLedgers(state),
        plugins=[("sweep", Sweep()), ("teardown", Teardown())],
        providers=Providers("fake", connect=lambda backend, endpoint: provider),
    )
    session.open()
    return session


def main(uid: int, engine: Path, state: Path) -> None:
    """Become the user, and serve until the input ends."""
    os.setgid(uid)
    os.setuid(uid)
    store = SharedStore(engine)
    session: Session | None = None
    for line in sys.stdin:
        order = line.strip()
        answer: object = None
        if order == "open":
            session = open_session(store, state)
            answer = session.tally.reports
        elif session is not None and order == "create":
            answer = session.create().name
        elif session is not None:
            session.close()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
