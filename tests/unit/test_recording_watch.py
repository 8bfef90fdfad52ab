"""Calls past the front-ends: what is recorded of them, and what is only said."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from vmharness import State
from vmharness._fronts import CONFIG
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._model import Front
from vmharness._recording.folder import SCOPE_VARIABLE, Engine, Recording
from vmharness._recording.watch import Watch
from vmharness.errors import LedgerError

READER = """
def recognise_create(args):
    return args[1] if args[:1] == ["make"] and len(args) > 1 else "" if args == ["make"] else None
def elsewhere(args, endpoint):
    return "it is far" if "--far" in args else ""
def recognise_delete(args):
    return args[1:] if args[:1] == ["drop"] else []
def look_args():
    return ["look"]
def seen(output, words):
    return [word for word in words if word in output.split()]
"""


class Place:
    """A session's ledger with front-ends, and a watch that is told of calls."""

    def __init__(self, folder: Path) -> None:
        (folder / "real").mkdir()
        (folder / "reader.py").write_text(READER)
        self.there = folder / "there"
        self.there.touch()
        self.program = folder / "real" / "engine"
        self.program.write_text(f"#!/bin/sh\ncat {self.there}\n")
        self.program.chmod(0o755)
        self.environ = {"PATH": f"{folder / 'real'}{os.pathsep}{os.environ['PATH']}", "WHERE": "here"}
        self.ledger: FileLedger = FileLedgers(folder / "state", host="here").open("session")
        recording = Recording(self.ledger, prefix="vmh", expiry_s=60, began_at=1.0, environ=self.environ)
        front = Front(program="engine", reader=str(folder / "reader.py"), variables=("WHERE",))
        recording.begin(
            [
                Engine(
                    backend="some",
                    endpoint="e",
                    fronts=(front,),
                    label_length=10,
                    patience_s=100,
                    settle_s=5.0,
                )
            ]
        )
        self.watch = Watch(json.loads((self.ledger.bin / CONFIG).read_text()))

    def popen(self, *words: str, path: str | None = None, folder: str | None = None, **environ: str) -> None:
        executable = str(self.program) if path is None else path
        argv = [executable, *words]
        self.watch.note("subprocess.Popen", (executable, argv, folder, self.environ | environ))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_create_is_recorded_without_a_token(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCOPE_VARIABLE, "tests/a.py::test_long")
    began = time.time()

    place.popen("make", "web")

    ((record,), notes) = place.ledger.collect()
    assert notes == []
    assert (record.name, record.backend, record.endpoint) == ("web", "some", "e")
    assert (record.state, record.scope, record.token) == (State.WANTED, "tests/a.py::test_long", "")
    assert began <= record.wanted_at <= time.time()
    assert record.deadline == record.wanted_at + 100


@pytest.mark.parametrize(
    ("words", "environ", "why"),
    [
        (["make"], {}, "it names no machine, and is called by its path"),
        (["make", "web", "--far"], {}, "it is far"),
        (["make", "web"], {"WHERE": "there"}, "WHERE means another engine than its session's"),
    ],
)
def test_what_cannot_be_recorded_is_said(
    place: Place, words: list[str], environ: dict[str, str], why: str
) -> None:
    place.popen(*words, **environ)

    assert place.ledger.collect() == ([], [f"not recorded: engine {' '.join(words[:2])}: {why}"])


def test_calls_of_the_front_end_of_others_and_of_nothing_are_no_calls(place: Place, tmp_path: Path) -> None:
    front_end = str(place.ledger.bin / "engine")
    other = str(tmp_path / "real" / "other")

    place.popen("make", "web", path=front_end)
    place.popen("make", "web", path="engine", PATH=str(place.ledger.bin))
    place.popen("make", "web", path="engine", PATH=str(tmp_path))  # there is none
    place.popen("make", "web", path=other)

    assert place.ledger.collect() == ([], [])


def test_names_of_the_program_are_followed_as_the_call_would(place: Place, tmp_path: Path) -> None:
    place.popen("make", "by-path", path="engine", PATH=str(tmp_path / "real"))
    place.popen("make", "by-folder", path="./engine", folder=str(tmp_path / "real"))

    records, _ = place.ledger.collect()
    assert [record.name for record in records] == ["by-path", "by-folder"]


def test_one_call_by_two_events_is_recorded_once(place: Place) -> None:
    argv = [str(place.program), "make", "web"]

    place.popen("make", "web")
    place.watch.note("os.posix_spawn", (argv[0], argv, place.environ))
    place.watch.note("os.posix_spawn", (argv[0], [*argv[:2], "db"], place.environ))

    records, _ = place.ledger.collect()
    assert [record.name for record in records] == ["web", "db"]


def test_a_name_that_is_there_is_somebody_elses(place: Place) -> None:
    place.there.write_text("web")

    place.popen("make", "web")

    assert place.ledger.collect() == ([], [])


def test_what_is_seen_before_it_is_deleted_was_made(place: Place) -> None:
    place.popen("make", "web")
    place.there.write_text("web")
    place.popen("drop", "web")

    ((record,), _) = place.ledger.collect()
    assert record.state is State.RUNNING


def test_after_its_sessions_end_nothing_is_made(place: Place) -> None:
    place.ledger.close()

    with pytest.raises(LedgerError, match=r"nothing was asked of .*real/engine.*its session has ended"):
        place.popen("make", "web")
