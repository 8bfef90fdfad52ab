"""Front-ends as their callers meet them: what they write, what they refuse, and what becomes of it."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vmharness import State
from vmharness._calls import CALL_SUFFIX, RECEIPT_SUFFIX
from vmharness._fronts import without_fronts
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._model import Front
from vmharness._recording.folder import SCOPE_VARIABLE, Engine, Recording

BEGAN_AT = 1.5
READER = """
def recognise_create(args):
    if args[:1] == ["rename"]:
        return args[2]
    return args[1] if args[:1] == ["make"] and len(args) > 1 else "" if args == ["make"] else None
def follows(args):
    return args[0] == "rename"
def elsewhere(args, endpoint):
    return "it is far" if "--far" in args else ""
def with_name(args, name):
    return [*args, name], "named " + name + chr(10)
def with_labels(args, labels):
    return [*args, *(key + "=" + value for key, value in sorted(labels.items()))]
def recognise_delete(args):
    return args[1:] if args[:1] == ["drop"] else args[1:2] if args[:1] == ["rename"] else []
def look_args():
    return ["look"]
def seen(output, words):
    return [word for word in words if word in output.split()]
"""
RECEIPT = """
def with_receipt(args, path):
    return [*args, path], "--own" not in args
"""
# Says what it was asked; what it lists is in a file.
ENGINE = '#!/bin/sh\n[ "$1" = look ] && exec cat "$THERE"\necho "$@"\n'


class Place:
    """A session's ledger, an engine's command on PATH, and the front-end before it."""

    def __init__(self, folder: Path, ledgers: FileLedgers, *, labels: bool) -> None:
        (folder / "real").mkdir()
        self.reader = folder / "reader.py"
        self.reader.write_text(READER)
        self.there = folder / "there"
        self.there.touch()
        program = folder / "real" / "engine"
        program.write_text(ENGINE)
        program.chmod(0o755)
        self.environ = {
            "PATH": f"{folder / 'real'}{os.pathsep}{os.environ['PATH']}",
            "THERE": str(self.there),
            "WHERE": "here",
        }
        self.before = dict(self.environ)
        self.ledgers = ledgers
        self.ledger: FileLedger = ledgers.open("session")
        self.recording = Recording(
            self.ledger, prefix="vmh", expiry_s=60, began_at=BEGAN_AT, environ=self.environ
        )
        engine = Engine(
            backend="some",
            endpoint="some:1",
            fronts=(
                Front(program="engine", reader=str(self.reader), variables=("WHERE",)),
                Front(program="no-such-program", reader="", variables=()),
            ),
            label_length=10 if labels else 0,
            patience_s=100,
            settle_s=5.0,
        )
        self.programs = self.recording.begin([engine, engine])

    def call(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["engine", *args],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def ledgers(tmp_path: Path) -> FileLedgers:
    return FileLedgers(tmp_path / "a state" / "it's", host="here")


@pytest.fixture
def place(tmp_path: Path, ledgers: FileLedgers) -> Iterator[Place]:
    place = Place(tmp_path, ledgers, labels=True)
    yield place
    place.ledger.close()


def test_a_create_is_recorded_and_then_run(place: Place) -> None:
    began = time.time()

    done = place.call("make", "web", **{SCOPE_VARIABLE: "tests/a.py::test_long"})

    assert (done.returncode, done.stderr) == (0, "")
    (record,), notes = place.ledger.collect()
    assert notes == []
    assert (record.name, record.backend, record.endpoint) == ("web", "some", "some:1")
    assert (record.state, record.scope, record.tracked) == (State.WANTED, "tests/a.py::test_long", False)
    assert began <= record.wanted_at <= time.time()
    assert record.deadline == record.wanted_at + 100
    said = done.stdout.split()
    assert said[:2] == ["make", "web"]
    labels = dict(word.split("=") for word in said if "=" in word)
    assert labels.pop("vmharness.host")
    assert labels == {
        "vmharness.token": record.token,
        "vmharness.session": "session",
        "vmharness.expires": str(int(record.wanted_at + 60)),
        "vmharness.name": "web",
        "vmharness.test": "::test_long",
    } | {"vmharness.test": "tests/a.py::test_long"[-10:]}


def test_a_name_is_made_up_where_none_is_given(place: Place) -> None:
    done = place.call("make")

    ((record,), _) = place.ledger.collect()
    assert record.name.startswith("vmh-")
    assert len(record.name) == len("vmh-") + 10
    assert done.stdout.startswith(f"named {record.name}\nmake {record.name} ")


def test_what_is_no_create_is_run_as_it_is(place: Place) -> None:
    done = place.call("other", "it's  two", "")

    assert done.stdout == "other it's  two \n"
    assert place.ledger.collect() == ([], [])


@pytest.mark.parametrize("far", [["--far"], []])
def test_another_engines_create_is_run_as_it_is_and_said(place: Place, far: list[str]) -> None:
    done = place.call("make", "web", *far, **({} if far else {"WHERE": "there"}))

    assert done.stdout == " ".join(["make", "web", *far]) + "\n"
    records, (note,) = place.ledger.collect()
    assert records == []
    assert note.startswith("not recorded: engine make web: ")


def test_what_is_seen_before_it_is_deleted_was_made(place: Place) -> None:
    place.call("make", "web")
    place.call("make", "db")
    place.there.write_text("web\n")
    place.call("drop", "web", "db")

    records, _ = place.ledger.collect()

    assert {record.name: record.state for record in records} == {"web": State.RUNNING, "db": State.WANTED}


def test_without_labels_a_name_that_is_there_is_somebody_elses(tmp_path: Path, ledgers: FileLedgers) -> None:
    place = Place(tmp_path, ledgers, labels=False)
    place.there.write_text("web\n")

    place.call("make", "web")
    done = place.call("make", "db")

    ((record,), _) = place.ledger.collect()
    assert (record.name, record.token) == ("db", "")
    assert "vmharness" not in done.stdout.replace(str(place.ledger.bin), "")
    place.ledger.close()


def test_without_labels_a_machine_that_is_renamed_is_followed(tmp_path: Path, ledgers: FileLedgers) -> None:
    place = Place(tmp_path, ledgers, labels=False)
    place.call("make", "web")
    place.there.write_text("web\n")

    place.call("rename", "web", "db")

    records = {record.name: record for record in place.ledger.collect()[0]}
    assert (records["web"].state, records["web"].tracked) == (State.RUNNING, False)
    assert (records["db"].state, records["db"].tracked) == (State.WANTED, True)
    assert records["db"].wanted_at == BEGAN_AT, "it was made before its new name was asked for"
    place.ledger.close()


def test_without_labels_an_engine_that_says_nothing_is_asked_nothing(
    tmp_path: Path, ledgers: FileLedgers
) -> None:
    place = Place(tmp_path, ledgers, labels=False)

    done = place.call("make", "web", THERE="/no such file")

    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing was asked of engine" in done.stderr
    assert place.ledger.collect() == ([], [])
    place.ledger.close()


@pytest.mark.parametrize("end", ["dead", "closed"])
def test_of_a_session_that_has_ended_nothing_is_created(place: Place, end: str) -> None:
    front = place.ledger.bin / "engine"
    text = front.read_text()
    config = next(place.ledger.bin.glob("*.json"))
    kept = config.read_text()
    if end == "dead":
        place.ledger.abandon()
    else:
        place.ledger.close()
        front.parent.mkdir()  # as for somebody who was about to call it
        front.write_text(text)
        front.chmod(0o700)
        config.write_text(kept)

    done = place.call("make", "web")

    assert (done.returncode, done.stdout) == (1, "")
    assert "its session has ended" in done.stderr
    for path in place.ledger.path.parent.glob("*.inbox"):
        assert path.read_bytes() == b""


def test_what_cannot_be_recorded_is_not_created(place: Place) -> None:
    done = subprocess.run(
        ["engine", "make", "web"],
        env=place.environ,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5, 5)),
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "File too large" in done.stderr
    assert place.ledger.collect() == ([], [])
    assert place.ledger.inbox.path.read_bytes() == b""


def test_a_line_that_was_cut_off_is_taken_back_by_the_next(place: Place) -> None:
    place.call("make", "web")
    with place.ledger.inbox.path.open("ab") as inbox:
        inbox.write(b'{"id": "cut o')
    assert [record.name for record in place.ledger.collect()[0]] == ["web"]

    place.call("make", "db")

    assert [record.name for record in place.ledger.collect()[0]] == ["db"]
    assert place.ledger.damage == []


def test_whoever_takes_over_finds_what_only_the_inbox_names(place: Place, ledgers: FileLedgers) -> None:
    place.call("make", "web")
    (there,) = ledgers.read(place.ledger.path).records.values()
    place.ledger.abandon()

    claimed = ledgers.claim(place.ledger.path)

    assert claimed is not None
    (record,) = claimed.records.values()
    assert record == replace(there, deadline=record.deadline)
    assert record.deadline < there.deadline  # for the call has ended
    assert not place.ledger.inbox.path.exists(), "nobody records any more"
    claimed.close()
    assert [record.name for record in ledgers.read(place.ledger.path).records.values()] == ["web"]
    assert not place.ledger.bin.exists()


def test_what_came_last_is_on_the_books_when_the_ledger_is_closed(place: Place, ledgers: FileLedgers) -> None:
    place.call("make", "web")

    place.ledger.close()

    assert [record.name for record in ledgers.read(place.ledger.path).records.values()] == ["web"]


def test_a_settled_ledger_takes_everything_along(place: Place) -> None:
    place.ledger.close()

    assert list(place.ledger.path.parent.iterdir()) == []


def test_an_unreadable_line_is_damage(place: Place) -> None:
    place.ledger.inbox.path.write_text('{"id": 5}\nnonsense\n[]\n')

    records, notes = place.ledger.collect()

    assert records == []
    assert len(notes) == len(place.ledger.damage) == 3


@pytest.mark.parametrize(
    ("receipt", "running", "state"),
    [
        ("id\n", True, State.RUNNING),
        ("id\n", False, State.RUNNING),
        ("", True, State.WANTED),
        ("", False, State.WANTED),
        (None, True, State.WANTED),
        (None, False, State.DOOMED),
    ],
)
def test_a_receipt_says_how_a_call_ended(
    place: Place, receipt: str | None, running: bool, state: State
) -> None:
    place.reader.write_text(READER + RECEIPT)
    place.call("make", "web")
    (call,) = place.ledger.bin.glob(f"*{CALL_SUFFIX}")
    if receipt is not None:
        call.with_suffix(RECEIPT_SUFFIX).write_text(receipt)
    with call.open() as held:
        if running:
            fcntl.flock(held, fcntl.LOCK_EX)
        records, _ = place.ledger.collect()

    assert [record.state for record in records] == [state]


def test_the_commands_process_holds_the_lock_of_its_call(place: Place, tmp_path: Path) -> None:
    program = tmp_path / "real" / "engine"
    started = tmp_path / "started"
    program.write_text(f"#!/bin/sh\n: > {started}\nread x\n")
    place.reader.write_text(READER + RECEIPT)
    with subprocess.Popen(["engine", "make", "web"], env=place.environ, stdin=subprocess.PIPE) as client:
        while not started.exists():
            assert client.poll() is None
        assert [record.state for record in place.ledger.collect()[0]] == [State.WANTED]
        client.kill()

    assert [record.state for record in place.ledger.collect()[0]] == [State.DOOMED]


def test_without_a_receipt_nothing_is_concluded(place: Place) -> None:
    place.reader.write_text(READER + RECEIPT)
    place.call("make", "web", "--own")

    assert [record.state for record in place.ledger.collect()[0]] == [State.WANTED]


def test_only_commands_that_are_there_are_fronted_once(place: Place) -> None:
    assert place.programs == ["engine"]
    assert (place.ledger.bin / "engine").stat().st_mode & 0o077 == 0
    assert place.ledger.bin.stat().st_mode & 0o077 == 0
    config = json.loads(next(place.ledger.bin.glob("*.json")).read_text())
    assert config["programs"]["engine"]["environ"] == {"WHERE": "here"}


def test_path_is_as_before_at_the_end_whatever_was_put_first_since(place: Place) -> None:
    place.environ["PATH"] = f"/first{os.pathsep}{place.environ['PATH']}"

    place.recording.end()

    assert place.environ == {**place.before, "PATH": f"/first{os.pathsep}{place.before['PATH']}"}


def test_what_a_forked_child_calls_is_its_parents_to_record_to_the_end(place: Place) -> None:
    before = place.environ["PATH"]
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            place.recording.end()
            os._exit(0 if place.environ["PATH"] == before else 1)
        finally:
            os._exit(2)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_our_own_look_past_all_front_ends(place: Place) -> None:
    assert without_fronts(place.environ["PATH"]) == place.before["PATH"]


def test_the_command_gets_signals_as_without_a_front_end(place: Place, tmp_path: Path) -> None:
    program = tmp_path / "real" / "engine"
    program.write_text("#!/bin/sh\ngrep SigIgn /proc/self/status\n")

    direct = subprocess.run([program], capture_output=True, check=True)
    behind = place.call("other")

    assert behind.stdout == direct.stdout.decode()
