"""`vmharness verify`, as its user sees it: a process, its report, its exit status, and no machine left."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from select import select
from typing import Any

import pytest

from processes import Processes, processes
from vmharness.cli._verify_run import Result, run_kit
from vmharness.provider import Spec
from vmharness.testing import checks
from vmharness_fake import Fault, Faults, FolderFakeProvider, FolderStore, wait_for

BACKENDS = """
import os, threading
from dataclasses import replace
from pathlib import Path
from vmharness.errors import DeleteFailed
from vmharness.provider import Spec
from vmharness_fake import FolderFakeProvider, FolderStore


class Opens(FolderFakeProvider):
    @classmethod
    def connect(cls, endpoint=None):
        place = endpoint.removeprefix("folder:") if endpoint else os.environ["VMHARNESS_FAKE_DIR"]
        return cls(FolderStore(Path(place)))


class Fussy(Opens):
    _one = threading.Lock() # or two deletes at once might both see the machine, and neither complain

    def delete(self, name, *, timeout):
        with self._one:
            if not self.exists(name):
                raise DeleteFailed(f"no machine {name!r}", backend="fussy", machine=name)
            super().delete(name, timeout=timeout)


class Timeless(Opens):
    def _shown(self, info):
        return replace(info, created_at=None)


class Dying(Opens):
    def inspect(self, name):
        os._exit(7)


class Hanging(Opens):
    def describe(self):
        if threading.current_thread() is threading.main_thread() and "PYTEST_CURRENT_TEST" in os.environ:
            threading.Event().wait()
        return "hangs"


class Misnamed(Opens):
    def delete(self, name, timeout_s=5):
        super().delete(name, timeout=timeout_s)


class Dicts(Opens):
    def list(self):
        return [{"name": info.name} for info in super().list()]


class Invaded(Opens):
    def exists(self, name):
        if not super().exists("conf-of-somebody"):
            self.create(Spec(name="conf-of-somebody"), timeout=1)
        return super().exists(name)
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    """The engine of all backends here."""
    store = FolderStore(tmp_path / "engine")
    store.prepare()
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(store.path))
    return store


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install wrong backends, for the processes that a test starts."""
    info = tmp_path / "site" / "wrongs-1.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "wrongs.py").write_text(BACKENDS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrongs\nVersion: 1\n")
    names = ("Fussy", "Timeless", "Dying", "Hanging", "Misnamed", "Dicts", "Invaded")
    lines = [f"{name.lower()} = wrongs:{name}.connect" for name in names]
    (info / "entry_points.txt").write_text("[vmharness.backends]\n" + "\n".join(lines) + "\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def started() -> Iterator[Processes]:
    with processes() as started:
        yield started


@pytest.fixture
def verify(started: Processes, tmp_path: Path) -> Verify:
    return Verify(started, tmp_path)


class Verify:
    """Runs the command to its end, and gives its exit status and what it wrote."""

    def __init__(self, started: Processes, folder: Path) -> None:
        self._started = started
        self._folder = folder

    def __call__(self, *args: str) -> tuple[int, str]:
        process = self._started.start(
            [str(Path(sys.executable).with_name("vmharness")), "verify", *args], cwd=self._folder
        )
        said, _ = process.communicate(timeout=240)
        return process.returncode, said


def outcomes(said: str) -> dict[str, str]:
    report: dict[str, Any] = json.loads(said)
    return {check["name"]: check["outcome"] for check in report["checks"]}


def test_a_right_backend_keeps_the_contract(verify: Verify, store: FolderStore) -> None:
    status, said = verify("fake", "--image", "fake:tiny", "--json")

    report = json.loads(said)
    assert status == 0, said
    assert report["keeps"] is True
    assert list(outcomes(said)) == [check.name for check in checks()]
    assert "failed" not in outcomes(said).values()
    assert report["counts"]["must"]["passed"] > 30
    assert FolderFakeProvider(store).list() == []


def test_a_wrong_backend_is_told_what_it_breaks_and_why(verify: Verify, store: FolderStore) -> None:
    status, said = verify("fussy")

    assert status == 1
    assert "✗ A machine that was deleted is absent, and deleting it again is a success." in said
    assert "DeleteFailed: no machine 'conf-" in said
    assert "check: test_delete_may_be_repeated" in said
    assert "fussy breaks the contract: 5 checks failed." in said
    assert "✓ A running machine is gone when delete returns." in said
    assert "- The rank by which a backend is chosen is a whole number. [may]" in said
    assert FolderFakeProvider(store).list() == []


def test_what_a_backend_should_do_changes_no_exit_status(verify: Verify, store: FolderStore) -> None:
    status, said = verify("timeless", "--json")

    failed = [name for name, outcome in outcomes(said).items() if outcome == "failed"]
    assert failed == ["test_labelled_engines_know_the_time_of_creation"]
    assert status == 0
    assert json.loads(said)["keeps"] is True


def test_an_engine_with_machines_of_the_kits_names_is_refused(verify: Verify, store: FolderStore) -> None:
    FolderFakeProvider(store).create(Spec(name="conf-of-somebody"), timeout=1)

    status, said = verify("fake")

    assert status == 1
    assert "refusing to check the backend" in said
    assert "conf-of-somebody" in said
    assert [info.name for info in FolderFakeProvider(store).list()] == ["conf-of-somebody"]


def test_a_backend_that_cannot_be_called_is_told_so_before_a_machine_is_made(
    verify: Verify, store: FolderStore
) -> None:
    status, said = verify("misnamed")

    assert status == 1
    assert "✗ The entry point gives an object with the endpoint, and verbs to be called" in said
    assert "delete(name, timeout_s=5) can't be called as delete(name, *, timeout): " in said
    assert "The checks didn't come to an end: without the interface nothing else is checked" in said
    assert "must   1 failed\n" in said
    assert not [event for event in store.events() if event.verb == "create"]


def test_a_listing_of_something_else_ends_the_checks(verify: Verify, store: FolderStore) -> None:
    status, said = verify("dicts")

    assert status == 1
    assert "PluginError: list() gave a dict, {" in said
    assert "it must give MachineInfo, one for each machine; nothing else is checked" in said
    assert "must   1 passed, 1 failed\n" in said
    assert FolderFakeProvider(store).list() == []


def test_a_listing_of_something_else_is_refused_where_machines_are(
    verify: Verify, store: FolderStore
) -> None:
    FolderFakeProvider(store).create(Spec(name="stranger"), timeout=1)

    status, said = verify("dicts")

    assert status == 1
    assert "vmharness: list() gave a dict, {" in said
    assert "✗" not in said


def test_machines_of_the_kits_names_that_turn_up_end_the_checks(verify: Verify, store: FolderStore) -> None:
    status, said = verify("invaded")

    assert status == 1
    assert said.count("refusing to check the backend") == 1
    assert "The checks didn't come to an end: refusing to check the backend" in said
    assert "✓ Exists is True" in said
    assert "✗" not in said
    assert [info.name for info in FolderFakeProvider(store).list()] == ["conf-of-somebody"]


def test_each_check_is_told_at_its_end(started: Processes, store: FolderStore, tmp_path: Path) -> None:
    store.hold("create:accepted")
    command = str(Path(sys.executable).with_name("vmharness"))
    process = started.start([command, "verify", "fake"], cwd=tmp_path)
    assert process.stdout is not None

    try:
        wait_for(store, "create", "waits")

        said = b""
        while "✓ The entry point".encode() not in said:
            assert select([process.stdout], [], [], 30)[0], said.decode()
            said += os.read(process.stdout.fileno(), 4096)
    finally:
        store.release("create:accepted")


def test_what_needs_a_fixture_is_not_said_to_be_kept(verify: Verify, store: FolderStore) -> None:
    status, said = verify("fake")

    assert status == 0
    assert "fake keeps what could be checked: 11 musts need a fixture (slow, unreachable)." in said
    assert "keeps the contract" not in said


def test_strangers_are_left_alone(verify: Verify, store: FolderStore) -> None:
    FolderFakeProvider(store).create(Spec(name="stranger"), timeout=1)

    assert verify("fake")[0] == 0
    assert [info.name for info in FolderFakeProvider(store).list()] == ["stranger"]


def test_an_engine_that_does_not_answer_is_said_to(verify: Verify, store: FolderStore) -> None:
    store.set_faults(Faults((Fault("*", "unavailable"),)))

    status, said = verify("fake")

    assert status == 1
    assert "the fake engine is unavailable" in said


def test_an_unknown_backend_is_told_the_known_ones(verify: Verify) -> None:
    status, said = verify("fussi")

    assert status == 1
    assert "unknown backend 'fussi'" in said
    assert "did you mean 'fussy'?" in said


def test_what_the_user_has_for_pytest_has_no_part_in_it(
    verify: Verify, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('loaded')\n")
    (tmp_path / "pytest.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")

    status, said = verify("fake", "--json")

    assert status == 0, said
    assert len(outcomes(said)) == len(checks())


def test_a_backend_that_ends_the_process_is_found_out(verify: Verify, store: FolderStore) -> None:
    status, said = verify("dying")

    assert status == 1
    assert "The checks didn't come to an end: the process ended with status 7" in said


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_leaves_no_machine(
    started: Processes, store: FolderStore, tmp_path: Path, number: int, status: int
) -> None:
    store.hold("create:accepted")
    command = str(Path(sys.executable).with_name("vmharness"))
    process = started.start([command, "verify", "fake"], cwd=tmp_path)
    (waiting,) = wait_for(store, "create", "waits")

    os.kill(process.pid, number)
    said, _ = process.communicate(timeout=120)

    store.release("create:accepted")
    assert process.returncode == status, said
    assert waiting.name.startswith("conf-")
    assert FolderFakeProvider(store).list() == []


def test_a_check_that_hangs_is_given_up(store: FolderStore) -> None:
    shown: list[Result] = []
    wanted = {
        "backend": "hanging",
        "value": "wrongs:Hanging.connect",
        "image": "",
        "check_s": 2.0,
        "create_timeout_s": 30.0,
        "delete_timeout_s": 30.0,
    }

    results, error = run_kit(wanted, shown.append)

    failed = {result.check.name: result.reason for result in results if result.outcome == "failed"}
    assert error == ""
    assert list(failed) == ["test_engine_describes_itself"]
    assert "it hangs" in failed["test_engine_describes_itself"]
    assert shown == list(results)
    assert len(shown) == len(checks())
