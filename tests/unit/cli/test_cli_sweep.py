"""`vmharness sweep`: what it would delete, what it deletes, and above all what it leaves alone."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmharness import Record, Session, Settings, Spec, State
from vmharness._ledger import FileLedgers
from vmharness._naming import make_name
from vmharness.cli._plan import Wanted, make_plan
from vmharness.cli._sweeping import Swept, carry_out
from vmharness.provider import LABEL_TOKEN
from vmharness_fake import Fault, Faults, FolderFakeProvider, FolderStore

Call = Callable[..., tuple[int, str, str]]
Make = Callable[..., None]
Names = Callable[[], list[str]]

OWNERS = ("living", "dead", "unknown", "stranger")


def swept(call: Call, *args: str, status: int = 0) -> tuple[list[str], dict[str, str]]:
    """Return what was deleted, and why the rest was left."""
    found, out, _ = call("sweep", "--yes", "--json", *args)
    assert found == status
    said: dict[str, Any] = json.loads(out)
    return sorted(item["name"] for item in said["deleted"]), {
        item["name"]: item["reason"] for item in said["left"]
    }


def state_of(*folders: Path) -> dict[str, bytes]:
    """Return all files with their contents, but an engine's lock and log."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files if path.name not in ("lock", "events.jsonl")}


@pytest.fixture
def one_of_each(machine: Make) -> None:
    for owner in OWNERS:
        machine(f"ci-{owner}", owner)


@pytest.mark.usefixtures("one_of_each")
def test_by_default_only_what_dead_owners_have_goes(call: Call, names: Names, ledgers: FileLedgers) -> None:
    assert swept(call) == (["ci-dead"], {})

    assert names() == ["ci-living", "ci-stranger", "ci-unknown"]
    assert len(list(ledgers.paths())) == 1


@pytest.mark.usefixtures("one_of_each")
def test_dry_run_shows_what_would_go_and_changes_nothing(
    call: Call, store: FolderStore, ledgers: FileLedgers
) -> None:
    before = state_of(store.path, ledgers.state)

    status, out, _ = call("sweep", "--dry-run", "--prefix", "ci-", "--expired")

    assert status == 0
    assert state_of(store.path, ledgers.state) == before
    asked, heading, _, *rows, last = out.splitlines()
    assert asked == f"Asked for what no ledger names: fake at {store.endpoint}"
    assert (heading, last) == ("Would delete: 2 machines", "Nothing was deleted.")
    assert [row.rstrip().split(maxsplit=4) for row in rows] == [
        ["ci-dead", "fake", "running", "1m", "its run is dead (test_a.py::test_it)"],
        ["ci-stranger", "fake", "running", "1m", "its name starts with 'ci-'"],
    ]


@pytest.mark.usefixtures("one_of_each")
def test_what_dry_run_shows_is_what_goes(call: Call) -> None:
    said = json.loads(call("sweep", "--dry-run", "--json", "--prefix", "ci-")[1])

    assert said["dry_run"] is True
    assert said["deleted"] == []
    assert sorted(item["name"] for item in said["orphans"]) == swept(call, "--prefix", "ci-")[0]


def test_prefix_takes_strangers_by_the_start_of_their_names_only(
    call: Call, machine: Make, names: Names
) -> None:
    for name in ("ci-a", "ci-b", "cia", "my-ci-a", "ci"):
        machine(name, "stranger")
    for owner in ("living", "unknown"):
        machine(f"ci-{owner}", owner, expires_s=-60)

    assert swept(call, "--prefix", "ci-") == (["ci-a", "ci-b"], {})
    assert names() == ["ci", "ci-living", "ci-unknown", "cia", "my-ci-a"]


def test_prefix_may_be_repeated(call: Call, machine: Make) -> None:
    for name in ("a-1", "b-1", "c-1"):
        machine(name, "stranger")

    assert swept(call, "--prefix", "a-", "--prefix", "b-") == (["a-1", "b-1"], {})


def test_without_labels_prefix_leaves_for_a_while_what_vmharness_named_and_no_ledger_here_names(
    call: Call, machine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMHARNESS_FAKE_LABELS", "0")
    young, old = make_name("ci", "test_boots"), make_name("ci", "test_boots")
    for name, age_s in ((young, 60.0), (old, 13 * 3600.0), ("ci-boots-abcdefghij", 60.0)):
        machine(name, "stranger", age_s=age_s)

    deleted, left = swept(call, "--prefix", "ci-")

    assert deleted == sorted([old, "ci-boots-abcdefghij"])
    assert left == {
        young: "vmharness made its name, and its ledger isn't here: its owner may live for up to 12 h"
    }


def test_prefix_leaves_what_was_created_after_the_command_began(ledgers: FileLedgers, machine: Make) -> None:
    machine("ci-new", "stranger", age_s=60)
    began_at = time.time() - 120
    session = Session(Settings(backend="fake"), ledgers=ledgers, plugins=(), began_at=began_at)

    plan = make_plan(session, Wanted(prefixes=("ci-",)))
    session.close()

    assert plan.doomed == []
    assert [(left.name, left.reason) for left in plan.left] == [
        ("ci-new", "it was created after this command began")
    ]


@pytest.mark.parametrize(
    ("option", "value"), [("--prefix", ""), ("--prefix", "-x"), ("--older-than", "0"), ("--older-than", "x")]
)
@pytest.mark.usefixtures("one_of_each")
def test_malformed_filters_delete_nothing(call: Call, names: Names, option: str, value: str) -> None:
    status, out, err = call("sweep", "--yes", option, value)

    assert (status, out) == (2, "")
    assert option in err
    assert len(names()) == len(OWNERS)


def test_older_than_narrows_everything(call: Call, machine: Make, names: Names) -> None:
    for age, age_s in (("old", 15 * 3600), ("new", 13 * 3600)):
        machine(f"dead-{age}", "dead", age_s=age_s)
        machine(f"ci-{age}", "stranger", age_s=age_s)
        machine(f"unknown-{age}", "unknown", age_s=age_s, expires_s=-1)

    deleted, left = swept(call, "--older-than", "14h", "--prefix", "ci-", "--expired")

    assert deleted == ["ci-old", "dead-old", "unknown-old"]
    assert left == dict.fromkeys(["ci-new", "dead-new", "unknown-new"], "it is only 13h old")
    assert names() == ["ci-new", "dead-new", "unknown-new"]


def test_what_older_than_left_is_still_on_the_books(call: Call, machine: Make) -> None:
    machine("new", "dead")
    swept(call, "--older-than", "1h")

    assert swept(call)[0] == ["new"]


def test_expired_takes_what_is_expired_and_whose_ledger_is_not_here(call: Call, machine: Make) -> None:
    machine("expired", "unknown", age_s=13 * 3600, expires_s=-1)
    machine("young", "unknown", age_s=3600, expires_s=-1)  # its owner's clock was wrong
    machine("valid", "unknown", expires_s=60)
    machine("living", "living", age_s=13 * 3600, expires_s=-1)

    assert swept(call) == ([], {})
    assert swept(call, "--expired") == (["expired"], {})


def test_backend_narrows(call: Call, machine: Make, names: Names) -> None:
    machine("dead", "dead")

    others = [row["name"] for row in json.loads(call("backends", "--json")[1]) if row["name"] != "fake"]
    for other in others:
        call("sweep", "--yes", "--backend", other)

    assert others
    assert names() == ["dead"]
    assert swept(call, "--backend", "fake")[0] == ["dead"]


def test_dead_ledgers_of_another_engine_are_swept_there(
    call: Call, machine: Make, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("dead", "dead")
    machine("ci-1", "stranger")
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(tmp_path / "other"))

    assert swept(call, "--prefix", "ci-") == (["dead"], {})
    assert names() == ["ci-1"]


def test_without_a_terminal_nothing_is_deleted_unless_told_so(
    call: Call, machine: Make, names: Names
) -> None:
    machine("dead", "dead")

    status, out, err = call("sweep")

    assert (status, out, names()) == (2, "", ["dead"])
    assert "--yes" in err


@pytest.mark.parametrize(
    ("typed", "status", "left"), [("y\n", 0, []), ("n\n", 1, ["dead"]), ("\n", 1, ["dead"])]
)
def test_at_a_terminal_it_asks(
    call: Call, machine: Make, names: Names, typed: str, status: int, left: list[str]
) -> None:
    machine("dead", "dead")

    found, out, err = call("sweep", typed=typed)

    assert (found, names()) == (status, left)
    assert "To delete: 1 machine" in out
    assert "Delete 1 machine?" in err


def test_at_a_terminal_it_does_not_ask_for_nothing(call: Call, machine: Make) -> None:
    machine("mine", "living")

    assert call("sweep", typed="") == (0, "No orphans to delete.\n", "")


def test_what_cannot_be_deleted_is_said_with_the_command(
    call: Call, machine: Make, store: FolderStore, names: Names
) -> None:
    machine("dead", "dead")
    machine("ci-1", "stranger")
    store.set_faults(Faults((Fault("delete", "fails"),)))

    status, out, _ = call("sweep", "--yes", "--prefix", "ci-")

    assert status == 1
    assert "Deleted" not in out
    for name in ("dead", "ci-1"):
        assert f"Left: {name} (fake): cannot delete" in out
        assert f"-m vmharness_fake delete --dir {store.path} -- {name}\n" in out
    store.set_faults(Faults())
    # The dead owner's is on the books still; the stranger's needs its prefix again.
    assert swept(call) == (["dead"], {})
    assert names() == ["ci-1"]


def test_one_that_fails_does_not_keep_the_others(call: Call, machine: Make, store: FolderStore) -> None:
    for name in ("ci-1", "ci-2", "ci-3"):
        machine(name, "stranger")
    store.set_faults(Faults((Fault("delete", "fails", name="ci-2"),)))

    deleted, left = swept(call, "--prefix", "ci-", status=1)

    assert deleted == ["ci-1", "ci-3"]
    assert [*left] == ["ci-2"]


def test_an_engine_that_does_not_answer(call: Call, machine: Make, store: FolderStore, names: Names) -> None:
    machine("dead", "dead")
    store.set_faults(Faults((Fault("list", "unavailable"),)))

    deleted, left = swept(call, status=1)
    assert deleted == []
    assert left["dead"].startswith("cannot list machines: ")
    status, _, err = call("sweep", "--yes", "--prefix", "ci-")
    assert status == 1
    assert err.startswith("vmharness: ")

    store.set_faults(Faults())
    assert swept(call)[0] == ["dead"]


def test_a_damaged_ledger_is_kept_and_is_a_failure(call: Call, machine: Make, ledgers: FileLedgers) -> None:
    machine("dead", "dead")
    (path,) = ledgers.paths()
    path.write_bytes(path.read_bytes() + b"garbage\n")

    deleted, left = swept(call, status=1)

    assert deleted == ["dead"]
    assert left[""].startswith(f"damaged ledger {path}: line 3 can't be read")
    assert path.exists()


@pytest.fixture
def session(ledgers: FileLedgers) -> Session:
    return Session(Settings(backend="fake"), ledgers=ledgers, plugins=())


def test_what_was_replaced_since_it_was_shown_is_left_alone(
    session: Session, machine: Make, store: FolderStore, names: Names
) -> None:
    for name in ("ci-1", "ci-2", "ci-3"):
        machine(name, "stranger")
    plan = make_plan(session, Wanted(prefixes=("ci-",)))
    # By an engine whose clock lies behind: the new ci-1 seems to be older than the command.
    behind = FolderFakeProvider(store, clock=lambda: time.time() - 40)
    for name in ("ci-1", "ci-2"):
        behind.delete(name, timeout=5)
    machine("ci-1", "stranger", age_s=30)
    machine("ci-2", "living")
    done = Swept()

    carry_out(session, plan, done, lambda _: None)
    session.close()

    assert [item.record.name for item in done.deleted] == ["ci-3"]
    assert [left.name for left in done.left] == ["ci-1", "ci-2"]
    assert names() == ["ci-1", "ci-2"]


def test_what_an_owner_has_taken_over_since_it_was_shown_is_left_alone(
    session: Session, machine: Make, ledgers: FileLedgers, names: Names
) -> None:
    machine("dead", "dead")
    plan = make_plan(session, Wanted())
    (path,) = set(ledgers.paths()) - {session.ledger.path}
    other = ledgers.claim(path)
    done = Swept()

    carry_out(session, plan, done, lambda _: None)

    assert other is not None
    assert [(left.name, left.failed) for left in done.left] == [("dead", False)]
    assert names() == ["dead"]
    other.close()
    session.close()


def test_an_interrupted_sweep_keeps_no_stranger_on_its_books(
    call: Call, machine: Make, store: FolderStore, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("ci-1", "stranger")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "delete", interrupted)
    status, _, _ = call("sweep", "--yes", "--prefix", "ci-")
    monkeypatch.undo()
    monkeypatch.setenv("VMHARNESS_STATE_DIR", str(store.path.parent / "state"))

    assert status == 130
    assert swept(call, "--backend", "fake") == ([], {})
    assert names() == ["ci-1"]


@pytest.fixture
def maybe(ledgers: FileLedgers, store: FolderStore) -> Record:
    """Return what a dead owner's ledger says of a create that ended without an answer."""
    now = time.time()
    maybe = Record(
        id="1",
        name="late",
        backend="fake",
        endpoint=store.endpoint,
        token=secrets.token_hex(16),
        deadline=now + 60,
        scope="",
        state=State.MAYBE,
        wanted_at=now,
        at=now,
    )
    ledger = ledgers.open("s")
    ledger.write(maybe)
    ledger.abandon()
    return maybe


@pytest.mark.usefixtures("maybe")
def test_a_maybe_that_is_not_there_is_said_and_no_failure(call: Call, ledgers: FileLedgers) -> None:
    assert swept(call) == ([], {"late": "not there now; it may still appear, so later runs look again"})
    assert swept(call, "--older-than", "1h") == ([], {})
    assert len(list(ledgers.paths())) == 1


def test_a_maybe_that_appears_after_the_plan_was_shown_is_left_to_the_next_sweep(
    call: Call, session: Session, maybe: Record, engine: FolderFakeProvider, names: Names
) -> None:
    plan = make_plan(session, Wanted())
    engine.create(Spec(name="late", labels={LABEL_TOKEN: maybe.token}), timeout=5)

    carry_out(session, plan, Swept(), lambda _: None)
    session.close()

    assert names() == ["late"]
    assert swept(call) == (["late"], {})
