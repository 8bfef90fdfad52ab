"""Sessions that start, live shortly and end, one after the other, or sweep; for beside each other.

`python starter.py live|sweep ENGINE STATE SECONDS` writes how many there were, or dies of what went wrong.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from vmharness._ledger import FileLedgers
from vmharness._providers import Providers
from vmharness._session import Session
from vmharness._settings import Settings
from vmharness.lifecycle.sweep import Sweep
from vmharness.lifecycle.teardown import Teardown
from vmharness_fake import FolderFakeProvider, FolderStore


def _session(engine: Path, state: Path, *, sweeps: bool) -> Session:
    provider = FolderFakeProvider(FolderStore(engine))
    return Session(
        Settings(backend="fake"),
        ledgers=FileLedgers(state),
        plugins=[("sweep", Sweep())] if sweeps else [("teardown", Teardown())],
        providers=Providers("fake", connect=lambda backend, endpoint: provider),
    )


def main(what: str, engine: Path, state: Path, seconds: float) -> None:
    """Open and close sessions for some seconds."""
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        session = _session(engine, state, sweeps=what == "sweep")
        session.open()
        if what == "live":
            machine = session.create()
            assert session.ledger.path.exists(), "a living session's ledger is gone"
            assert session.provider().exists(machine.name), "a living session's machine is gone"
            machine.delete()
        session.close()
        assert not session.tally.swept, "a living session's machine was swept"
        number += 1
    sys.stdout.write(f"{number}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
