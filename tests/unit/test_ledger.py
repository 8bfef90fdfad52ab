"""The ledger: what is written is there, what is held is held, what is damaged is kept."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from vmharness import Record, State
from vmharness._ledger import FileLedger, FileLedgers
from vmharness._locks import is_abandoned, look
from vmharness.errors import LedgerError

RECORD = Record(
    id="r1",
    name="vmh-x",
    backend="fake",
    endpoint="memory:1",
    token="t" * 32,
    deadline=200.0,
    scope="tests/a.py::test_x",
    state=State.WANTED,
    wanted_at=100.0,
    at=100.0,
    image="ubuntu:24.04",
)


def die(ledger: FileLedger) -> Path:
    """Let go of the lock as the kernel does for a dead process."""
    ledger.abandon()
    return ledger.path


def claim(ledgers: FileLedgers, path: Path) -> FileLedger:
    ledger = ledgers.claim(path)
    assert ledger is not None
    return ledger


def test_a_new_ledger_is_in_sight_and_held(ledgers: FileLedgers) -> None:
    ledger = ledgers.open("s")

    assert list(ledgers.paths()) == [ledger.path]
    assert ledgers.claim(ledger.path) is None
    assert ledgers.living(ledger.path)
    assert not is_abandoned(look(ledgers.folder).ledgers)
    ledger.close()


def test_files_are_private(ledgers: FileLedgers) -> None:
    ledger = ledgers.open("s")

    assert ledger.path.stat().st_mode & 0o777 == 0o600
    assert ledgers.folder.stat().st_mode & 0o777 == 0o700
    assert ledgers.state.stat().st_mode & 0o777 == 0o700
    ledger.close()


def test_a_dead_ledger_can_be_claimed_with_all_it_says(ledgers: FileLedgers) -> None:
    ledger = ledgers.open("session-1")
    ledger.write(RECORD)
    ledger.write(replace(RECORD, id="r2", name="other"))
    ledger.write(replace(RECORD, state=State.RUNNING))
    path = die(ledger)
    assert is_abandoned(look(ledgers.folder).ledgers)

    claimed = claim(ledgers, path)

    assert claimed.session_id == "session-1"
    assert claimed.records == {
        "r1": replace(RECORD, state=State.RUNNING),
        "r2": replace(RECORD, id="r2", name="other"),
    }
    assert not claimed.damage
    assert ledgers.claim(path) is None, "only one can hold it"
    claimed.close()


def test_a_settled_ledger_is_unlinked(ledgers: FileLedgers) -> None:
    ledger = ledgers.open("s")
    ledger.write(RECORD)
    ledger.write(replace(RECORD, state=State.GONE))

    ledger.close()
    ledger.close()

    assert not list(ledgers.paths())


@pytest.mark.parametrize("state", [state for state in State if state is not State.GONE])
def test_a_ledger_that_names_a_machine_stays(ledgers: FileLedgers, state: State) -> None:
    ledger = ledgers.open("s")
    ledger.write(replace(RECORD, state=state))

    ledger.close()

    assert claim(ledgers, ledger.path).records["r1"].state is state


def test_beside_a_sweep_no_living_ledger_is_claimed_nor_one_that_is_gone(ledgers: FileLedgers) -> None:
    wrong: list[str] = []
    over = threading.Event()
    living: set[Path] = set()

    def sweep() -> None:
        while not over.is_set():
            for path in ledgers.paths():
                claimed = ledgers.claim(path)
                if claimed is not None:
                    wrong.append(f"{path.name}: living {path in living}, there {path.exists()}")
                    claimed.close()

    sweepers = [threading.Thread(target=sweep) for _ in range(3)]
    for thread in sweepers:
        thread.start()
    for _ in range(300):
        ledger = ledgers.open("s")
        living.add(ledger.path)
        ledger.close()
    over.set()
    for thread in sweepers:
        thread.join()

    assert not wrong


def test_a_torn_last_line_is_no_damage_and_is_overwritten(ledgers: FileLedgers) -> None:
    ledger = ledgers.open("s")
    ledger.write(RECORD)
    path = die(ledger)
    with path.open("ab") as file:
        file.write(b'{"id": "r2", "na')

    claimed = claim(ledgers, path)
    assert not claimed.damage
    assert set(claimed.records) == {"r1"}
    claimed.write(replace(RECORD, state=State.GONE))
    assert path.read_bytes().endswith(b"\n")
    claimed.close()

    assert not path.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"\x00\xff\x00",
        b"[]",
        b"{}",
        b'"text"',
        json.dumps({"id": "r9", "name": 7}).encode(),
        json.dumps({"id": "r9", "state": "flying"}).encode(),
    ],
)
def test_a_garbled_line_is_reported_and_the_ledger_kept(ledgers: FileLedgers, line: bytes) -> None:
    ledger = ledgers.open("s")
    ledger.write(RECORD)
    path = die(ledger)
    with path.open("ab") as file:
        file.write(line + b"\n")
    content = path.read_bytes()

    claimed = claim(ledgers, path)
    assert len(claimed.damage) == 1
    assert claimed.damage[0].startswith("line 3 can't be read")
    claimed.write(replace(RECORD, state=State.GONE))
    claimed.close()

    assert path.read_bytes().startswith(content)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"garbage\n", b"\x00" * 4096, b'{"vmharness": 2}\n{"x": 1}\n']
)
def test_a_ledger_that_is_no_ledger_is_kept_and_says_nothing(ledgers: FileLedgers, content: bytes) -> None:
    ledgers.open("s").close()
    path = ledgers.folder / "x.ledger"
    path.write_bytes(content)

    claimed = claim(ledgers, path)
    assert claimed.damage
    assert not claimed.records
    claimed.close()

    assert path.read_bytes() == content


def test_a_newer_format_names_what_reads_it(ledgers: FileLedgers) -> None:
    ledgers.open("s").close()
    path = ledgers.folder / "x.ledger"
    path.write_bytes(b'{"vmharness": 2}\n')

    assert "use the version that wrote it" in claim(ledgers, path).damage[0]


def test_unknown_keys_of_a_record_are_ignored(ledgers: FileLedgers) -> None:
    ledger = ledgers.open("s")
    ledger.write(RECORD)
    path = die(ledger)
    text = path.read_text().replace('"id": "r1"', '"id": "r1", "colour": "red"')
    path.write_text(text)

    claimed = claim(ledgers, path)

    assert claimed.records == {"r1": RECORD}
    assert not claimed.damage


def test_a_full_disk_is_an_error_and_leaves_the_ledger_as_it_was(ledgers: FileLedgers) -> None:
    script = """
import dataclasses, json, resource, signal, sys
sys.path[:0] = json.loads(sys.argv[3])
from pathlib import Path
from vmharness._ledger import FileLedgers
from vmharness._model import Record, State
from vmharness.errors import LedgerError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = FileLedgers(Path(sys.argv[1]), host="host").open("s")
values = json.loads(sys.argv[2])
record = Record(**{**values, "state": State(values["state"])})
ledger.write(record)
before = ledger.path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, resource.RLIM_INFINITY))
try:
    ledger.write(dataclasses.replace(record, id="r2"))
except LedgerError as exc:
    print(exc)
print(ledger.path.read_bytes() == before, sorted(ledger.records))
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(ledgers.state), json.dumps(vars_of(RECORD)), json.dumps(sys.path)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "cannot record machine 'vmh-x'" in result.stdout
    assert "VMHARNESS_STATE_DIR" in result.stdout
    assert result.stdout.endswith("True ['r1']\n")


def test_an_intent_is_on_the_disk_or_an_error_and_nothing_else_waits_for_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)  # takes all that is written, and can put none of it on a disk
    ledger = FileLedger(path, os.open(path, os.O_RDWR | os.O_CLOEXEC), b"")

    ledger.write(replace(RECORD, state=State.RUNNING))
    with pytest.raises(LedgerError, match="cannot record machine 'vmh-x'"):
        ledger.write(replace(RECORD, id="r2"))

    assert list(ledger.records) == ["r1"]
    ledger.abandon()


def vars_of(record: Record) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(record)


def test_no_interrupt_tears_a_line_or_loses_one(ledgers: FileLedgers) -> None:
    class Struck(BaseException):
        """Raised by the handler, as KeyboardInterrupt is."""

    armed: list[bool] = []  # so that it strikes a write, and not the test itself

    def strike(number: int, frame: FrameType | None) -> None:
        # Coverage's tracer takes a lock of its own, and would keep it for ever.
        traces = frame is not None and "coverage" in Path(frame.f_code.co_filename).parts
        if armed and not traces:
            armed.clear()
            raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    ledger, struck, number = ledgers.open("s"), 0, 0
    gc.disable()  # what is raised in what a collection calls back goes nowhere
    limit = signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)  # keep pytest-timeout's
    try:
        while struck < 300 or number < 300:
            number += 1
            assert number < 100_000, f"struck {struck} times only"
            try:
                armed.append(True)
                ledger.write(replace(RECORD, id=f"r{number}", state=State.RUNNING))
                armed.clear()
            except Struck:
                struck += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *limit)
        gc.enable()

    contents = ledgers.read(ledger.path)
    assert contents.damage == []
    assert contents.records == ledger.records
    ledger.abandon()


def test_a_closed_ledger_takes_no_more(ledgers: FileLedgers) -> None:
    ledger = ledgers.open("s")
    ledger.close()

    with pytest.raises(LedgerError, match="closed"):
        ledger.write(RECORD)


def test_a_forked_child_neither_keeps_the_lock_nor_the_records(ledgers: FileLedgers) -> None:
    ledger = ledgers.open("s")
    ledger.write(RECORD)
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        os.close(done[1])  # so that it ends with its parent, whatever becomes of the test
        ok = not ledger.held and not ledger.records
        os.write(ready[1], b"1" if ok else b"0")
        os.read(done[0], 1)
        os._exit(0)

    assert os.read(ready[0], 1) == b"1"
    assert ledgers.claim(ledger.path) is None, "the parent still holds it"
    path = die(ledger)
    claimed = ledgers.claim(path)
    os.write(done[1], b"x")
    os.waitpid(child, 0)

    assert claimed is not None, "the child kept its dead parent's lock"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(LedgerError, match="VMHARNESS_STATE_DIR"):
        FileLedgers(tmp_path / "file" / "state").open("s")


def test_a_symlink_in_the_state_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "real")
    ledgers = FileLedgers(tmp_path / "state")

    with pytest.raises(LedgerError, match="symbolic link"):
        ledgers.open("s")
    assert not list((tmp_path / "real").iterdir())


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)

    with pytest.raises(LedgerError, match="others can write"):
        FileLedgers(tmp_path / "state").open("s")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 65534, 65534)

    with pytest.raises(LedgerError, match="user 65534 owns it"):
        FileLedgers(tmp_path / "state").open("s")


def test_a_symlink_among_the_ledgers_is_not_followed(ledgers: FileLedgers, tmp_path: Path) -> None:
    ledgers.open("s").close()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (ledgers.folder / "x.ledger").symlink_to(victim)

    with pytest.raises(LedgerError):
        ledgers.claim(ledgers.folder / "x.ledger")
    assert victim.read_text() == "precious"


def test_leftovers_of_a_process_that_died_while_opening_go(ledgers: FileLedgers) -> None:
    ledgers.open("s").close()
    old, new = ledgers.folder / ".old", ledgers.folder / ".new"
    old.touch()
    new.touch()
    os.utime(old, (1, 1))

    assert not list(ledgers.paths())

    assert not old.exists()
    assert new.exists()


def test_no_folder_is_no_ledgers(tmp_path: Path) -> None:
    assert not list(FileLedgers(tmp_path / "none").paths())
    assert not is_abandoned(look(tmp_path / "none").ledgers)
