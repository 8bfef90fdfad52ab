"""What a user can have wrong where state is kept, and what dead runs left there. It changes nothing."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from vmharness._cleanup import expiry
from vmharness._ledger import FileLedgers
from vmharness._locks import SUFFIX, is_free, lock
from vmharness._model import State
from vmharness._owners import Owner, Owners
from vmharness._places import check_private, usual_folder
from vmharness._protected import ProtectedList
from vmharness.cli._common import count
from vmharness.cli._engines import Engine
from vmharness.cli._findings import Finding, Level
from vmharness.errors import LedgerError

__all__ = ["check_ledgers", "check_orphans", "check_state"]

_ELSEWHERE = "set VMHARNESS_STATE_DIR to a folder of your own on a local disk"


def _state(level: Level, what: str, remedy: str = "") -> Finding:
    return Finding(level=level, about="state", what=what, remedy=remedy)


def check_state(
    ledgers: FileLedgers, environ: Mapping[str, str], probe: Callable[[Path], str] | None = None
) -> Iterator[Finding]:
    """Yield why ledgers can't be kept in the state folder, or won't be found again there.

    Args:
        ledgers: Those in the state folder.
        environ: The environment.
        probe: Says why a folder can't hold a locked file, "" if it can; None = by trying.
    """
    usual = usual_folder()
    if not environ.get("VMHARNESS_STATE_DIR") and ledgers.state != usual:
        yield _state(
            Level.WARNING,
            f"ledgers are kept in {ledgers.state}, which may be emptied at any time: "
            + (f"{usual} can't be written" if usual else "there is no home folder"),
            f"make it writable, or {_ELSEWHERE}" if usual else _ELSEWHERE,
        )
    for folder in (ledgers.state, ledgers.folder):
        if os.path.lexists(folder):
            try:
                check_private(folder)
            except LedgerError as exc:
                yield _state(Level.ERROR, str(exc))
                return
    nearest = next(place for place in (ledgers.folder, *ledgers.folder.parents) if place.is_dir())
    why = (probe or _probe)(nearest)
    if why:
        yield _state(Level.ERROR, f"cannot keep a ledger in {ledgers.folder}: {why}", _ELSEWHERE)


def _probe(folder: Path) -> str:
    """Try whether a file there can be made and locked; it is gone on return."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} can't be written"
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".vmharness-doctor-") as file:
            os.write(file.fileno(), b"vmharness\n")
            os.fsync(file.fileno())
            if not lock(file.fileno()) or is_free(Path(file.name)):
                return f"the file system of {folder} has no working locks"
    except OSError as exc:
        return f"no file can be written in {folder}: {exc.strerror}"
    return ""


def check_ledgers(ledgers: FileLedgers) -> Iterator[Finding]:
    """Yield what dead runs left on the books, and what of the books can't be read."""
    try:
        paths = sorted(ledgers.folder.glob(f"*{SUFFIX}"))
        ProtectedList(ledgers.folder).read()
    except (OSError, LedgerError) as exc:
        yield _state(Level.ERROR, str(exc))
        return
    for path in paths:
        if path.name.startswith("."):
            continue
        try:
            yield from _check_ledger(ledgers, path)
        except LedgerError as exc:
            yield _state(Level.WARNING, str(exc), "make it readable; machines that it names stay until then")


def _check_ledger(ledgers: FileLedgers, path: Path) -> Iterator[Finding]:
    living = ledgers.living(path)
    contents = ledgers.read(path)
    if contents.damage:
        yield _state(
            Level.WARNING,
            f"the ledger {path}, of a {'living' if living else 'dead'} run, is damaged: "
            f"{'; '.join(contents.damage)}",
            "end that run: until then machines stay that have no label and might be its own"
            if living
            else "look for machines that it may name, then delete the file",
        )
    if living:
        return
    records = contents.records.values()
    for unsure, what in ((False, "machines"), (True, "what may still become machines")):
        names = [
            f"{record.name} ({record.backend})"
            for record in records
            if record.state not in (State.GONE, State.KEPT)
            and (record.state in (State.WANTED, State.MAYBE)) is unsure
        ]
        if names:
            yield _state(
                Level.WARNING,
                f"a dead run's ledger names {what}: {', '.join(names)}; it is {path}",
                "run `vmharness sweep`; the next test run does so by itself, unless its sweep is off",
            )


def check_orphans(ledgers: FileLedgers, engines: Sequence[Engine]) -> Iterator[Finding]:
    """Yield which of the engines' machines are of dead runs whose ledger is elsewhere, past their expiry."""
    try:
        owners = Owners(ledgers)
    except LedgerError:
        return  # it was said
    for engine in engines:
        expired = [
            info.name
            for info in engine.machines or ()
            if owners.of(info, endpoint=engine.endpoint) is Owner.UNKNOWN
            and (expires := expiry(info)) is not None
            and expires < time.time()
        ]
        if expired:
            yield _state(
                Level.WARNING,
                f"{engine.backend} has {count(len(expired))} of runs whose ledger isn't here, past their "
                f"expiry: {', '.join(expired)}",
                f"run `vmharness sweep --expired --backend {engine.backend}`",
            )
