"""The front-ends of one process's session: a folder beside its ledger that comes first on PATH.

It knows no engine; a backend says which commands there are, and what reads their arguments.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vmharness._calls import CALL_SUFFIX, RECEIPT_SUFFIX
from vmharness._fronts import CONFIG, without_fronts
from vmharness._ledger import FileLedger
from vmharness._model import (
    LABEL_EXPIRES,
    LABEL_HOST,
    LABEL_NAME,
    LABEL_SESSION,
    LABEL_TEST,
    LABEL_TOKEN,
    Front,
)
from vmharness._places import boot_id, host_id
from vmharness._recording.watch import Watch
from vmharness.errors import LedgerError

__all__ = ["SCOPE_VARIABLE", "Engine", "Recording"]

# Says to front-ends in which scope they are called.
SCOPE_VARIABLE: Final = "VMHARNESS_SCOPE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine, for its front-ends.

    Attributes:
        backend: Name of its backend.
        endpoint: Which engine.
        fronts: Its commands.
        label_length: The longest value of a label; 0 = it has no labels.
        patience_s: Seconds after which a create is surely over.
        settle_s: For how long after its command's end it may still bring a machine, in seconds.
    """

    backend: str
    endpoint: str
    fronts: tuple[Front, ...]
    label_length: int
    patience_s: float
    settle_s: float


class Recording:
    """Front-ends that are there until they are taken away.

    Args:
        ledger: What they record for; this process holds it.
        prefix: How names begin that they make up.
        expiry_s: After how many seconds a machine whose ledger is gone may be swept.
        began_at: When the session began, in seconds since the epoch.
        environ: The process's environment, which is changed.
    """

    def __init__(
        self,
        ledger: FileLedger,
        *,
        prefix: str,
        expiry_s: float,
        began_at: float,
        environ: MutableMapping[str, str] = os.environ,
    ) -> None:
        self._ledger = ledger
        self._prefix = prefix
        self._expiry_s = expiry_s
        self._began_at = began_at
        self._environ = environ
        self._pid = os.getpid()
        self._outer_scope: str | None = None
        self._watch: Watch | None = None

    def begin(self, engines: Iterable[Engine], *, by_path: bool = False) -> list[str]:
        """Put front-ends before the engines' commands that are on PATH, and return those commands' names.

        The first engine that has a command gets it.

        Args:
            engines: Whose commands.
            by_path: Whether calls by this process that go past the front-ends are recorded, too.

        Raises:
            LedgerError: They can't be written; nothing is changed then.
        """
        path = self._environ.get("PATH", os.defpath)
        programs: dict[str, Any] = {}
        for engine in engines:
            for front in engine.fronts:
                found = shutil.which(front.program, path=without_fronts(path))
                if found and front.program not in programs:
                    programs[front.program] = self._program(engine, front, found)
        if programs:
            config = self._config(programs)
            try:
                self._write(config)
            except OSError as exc:
                shutil.rmtree(self._ledger.bin, ignore_errors=True)
                raise LedgerError(
                    f"cannot record what commands make in {self._ledger.bin}: {exc.strerror}"
                ) from exc
            self._environ["PATH"] = f"{self._ledger.bin}{os.pathsep}{path}"
            self._outer_scope = self._environ.pop(SCOPE_VARIABLE, None)  # of a run around this one
            if by_path:
                self._watch = Watch(config)
                self._watch.begin()
        return sorted(programs)

    def end(self) -> None:
        """Take the folder off PATH, whatever else was put there since; the files go with the ledger."""
        if os.getpid() != self._pid:
            return
        if self._watch:
            self._watch.end()
        entries = self._environ.get("PATH", "").split(os.pathsep)
        self._environ["PATH"] = os.pathsep.join(entry for entry in entries if entry != str(self._ledger.bin))
        if self._outer_scope is not None:
            self._environ[SCOPE_VARIABLE] = self._outer_scope

    def _program(self, engine: Engine, front: Front, found: str) -> Mapping[str, Any]:
        return {
            "path": str(Path(found).absolute()),
            "reader": front.reader,
            "backend": engine.backend,
            "endpoint": engine.endpoint,
            "environ": {name: self._environ.get(name) for name in front.variables},
            "labels": engine.label_length > 0,
            "label_length": engine.label_length,
            "patience_s": engine.patience_s,
            "settle_s": engine.settle_s,
        }

    def _config(self, programs: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "ledger": str(self._ledger.path),
            "inbox": str(self._ledger.inbox.path),
            "call": str(self._ledger.bin / f"%s{CALL_SUFFIX}"),
            "receipt": str(self._ledger.bin / f"%s{RECEIPT_SUFFIX}"),
            "scope_variable": SCOPE_VARIABLE,
            "prefix": self._prefix,
            "began_at": self._began_at,
            "labels": {
                "expiry_s": self._expiry_s,
                "keys": {
                    "token": LABEL_TOKEN,
                    "expires": LABEL_EXPIRES,
                    "test": LABEL_TEST,
                    "name": LABEL_NAME,
                },
                "same": {
                    LABEL_SESSION: self._ledger.session_id,
                    LABEL_HOST: f"{host_id()}-{boot_id()}",
                },
            },
            "programs": programs,
        }

    def _write(self, config: Mapping[str, Any]) -> None:
        folder = self._ledger.bin
        folder.mkdir(mode=0o700)
        where = folder / CONFIG
        where.write_text(json.dumps(config, indent=1), encoding="utf-8")
        front = Path(__file__).with_name("front.py")
        for program in config["programs"]:
            # By way of sh, for the first line of a script breaks on long paths, and on blanks in them.
            argv = shlex.join([sys.executable, "-I", "-S", str(front), str(where), program])
            launcher = folder / program
            launcher.write_text(f'#!/bin/sh\nexec {argv} "$@"\n', encoding="utf-8")
            launcher.chmod(0o700)
        self._ledger.inbox.make()
