from __future__ import annotations

import gc
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vmharness.errors import CreateFailed, EngineUnavailable, ProviderError, SettingsError
from vmharness.provider import Settles, ShowsDelete, Spec, TakesLabels
from vmharness_fake import (
    FakeProvider,
    Fault,
    Faults,
    FolderStore,
    MemoryStore,
    Store,
    connect,
    wait_for,
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("VMHARNESS_FAKE_")]:
        monkeypatch.delenv(variable)


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else FolderStore(tmp_path / "engine")


def names(provider: FakeProvider) -> list[str]:
    return [info.name for info in provider.list()]


# ---- both ------------------------------------------------------------------------------------------------


def test_providers_on_one_store_see_the_same_machines(store: Store) -> None:
    spec = Spec(name="a", image="debian:12", cpus=2, labels={"k": "v"})

    made = FakeProvider(store).create(spec, timeout=60)

    assert list(FakeProvider(store).list()) == [made]
    assert made.labels == {"k": "v"}


def test_held_call_goes_on_when_it_is_released(store: Store) -> None:
    provider = FakeProvider(store)
    store.hold("create:accepted")
    creating = threading.Thread(target=provider.create, args=(Spec(name="a"),), kwargs={"timeout": 60})
    creating.start()

    waits = wait_for(store, "create", "waits", name="a", detail="create:accepted")

    assert [event.pid for event in waits] == [os.getpid()]
    assert store.events()[-2].phase == "accepted"
    store.release("create:accepted")
    creating.join(60)
    assert store.events()[-1].phase == "end"


def test_waiting_for_what_does_not_happen_shows_the_log(store: Store) -> None:
    with pytest.raises(CreateFailed):
        FakeProvider(store).create(Spec(name="-"), timeout=60)

    with pytest.raises(TimeoutError, match="0 instead of 1 events create accepted") as caught:
        wait_for(store, "create", "accepted", timeout=0)

    assert "CreateFailed" in str(caught.value)


def test_faults_are_the_engines_and_not_one_providers(store: Store) -> None:
    FakeProvider(store, faults=Faults((Fault("list", "unavailable", last=2),)))

    for _ in range(2):
        with pytest.raises(EngineUnavailable):
            FakeProvider(store).list()
    FakeProvider(store).list()


def test_counting_starts_anew_when_faults_are_set(store: Store) -> None:
    provider = FakeProvider(store)

    for _ in range(2):
        store.set_faults(Faults((Fault("list", "unavailable", last=1),)))
        with pytest.raises(EngineUnavailable):
            provider.list()
        provider.list()


def test_engine_serves_one_caller_at_a_time(store: Store) -> None:
    provider = FakeProvider(store)
    provider.create(Spec(name="a"), timeout=60)
    deleting = threading.Thread(target=provider.delete, args=("a",), kwargs={"timeout": 60})

    with store.locked() as engine:
        deleting.start()
        deleting.join(0.005)
        assert deleting.is_alive()
        assert engine.machines["a"].gone_at is None

    deleting.join(60)
    assert names(provider) == []


def test_threads_lose_no_machine(store: Store) -> None:
    provider = FakeProvider(store)
    threads = [
        threading.Thread(target=provider.create, args=(Spec(name=f"m{n}"),), kwargs={"timeout": 60})
        for n in range(16)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(names(provider)) == sorted(f"m{n}" for n in range(16))
    assert len(wait_for(store, "create", "end", count=16)) == 16


# ---- memory ----------------------------------------------------------------------------------------------


def test_connect_makes_a_private_engine_in_memory() -> None:
    provider = connect()

    assert provider.endpoint.startswith(f"memory:{os.getpid()}:")
    assert connect().endpoint != provider.endpoint
    assert not isinstance(provider, ShowsDelete)


def test_endpoint_opens_an_engine_in_memory_while_it_lives() -> None:
    provider = connect()
    provider.create(Spec(name="a"), timeout=60)

    assert [info.name for info in connect(provider.endpoint).list()] == ["a"]


def test_an_engine_in_memory_that_has_ended_is_empty() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(f'memory:{os.getpid()}:abc')"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    provider = connect()
    provider.create(Spec(name="a"), timeout=60)
    here = provider.endpoint
    del provider
    gc.collect()

    for endpoint in (ended, here):
        assert connect(endpoint).endpoint == endpoint
        assert not connect(endpoint).list()


def test_another_living_processes_engine_in_memory_is_unavailable() -> None:
    with pytest.raises(EngineUnavailable, match="set VMHARNESS_FAKE_DIR for machines"):
        connect(f"memory:{os.getppid()}:abc")


def test_endpoint_that_is_no_engine_is_unavailable() -> None:
    for endpoint in ("", "memory:1:abc", "folder:", "unix:///socket"):
        with pytest.raises(EngineUnavailable, match="cannot open the fake engine"):
            connect(endpoint)


# ---- folder ----------------------------------------------------------------------------------------------


def test_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(tmp_path))
    connect().create(Spec(name="a"), timeout=60)
    monkeypatch.delenv("VMHARNESS_FAKE_DIR")

    again = connect(f"folder:{tmp_path}")

    assert again.endpoint == f"folder:{tmp_path.resolve()}"
    assert [info.name for info in again.list()] == ["a"]
    assert isinstance(again, ShowsDelete)


def test_endpoint_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(tmp_path / "other"))

    assert connect(f"folder:{tmp_path / 'this'}").endpoint.endswith("/this")


def test_same_folder_by_another_path_is_the_same_endpoint(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    assert FolderStore(tmp_path / "link").endpoint == FolderStore(tmp_path / "real").endpoint


def test_missing_folder_is_an_engine_without_machines_and_stays_missing(tmp_path: Path) -> None:
    provider = FakeProvider(FolderStore(tmp_path / "engine"))

    assert names(provider) == []
    assert not provider.exists("a")
    provider.delete("a", timeout=60)
    with pytest.raises(ProviderError, match="isn't there"):
        provider.stop("a", timeout=60)

    assert not (tmp_path / "engine").exists()


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "engine")
    store.set_faults(Faults())
    store.hold("list:before")
    store.release("list:before")
    FakeProvider(store).create(Spec(name="a"), timeout=60)

    paths = [store.path, *store.path.rglob("*")]

    assert {path.name for path in paths} == {
        "engine",
        "barriers",
        "events.jsonl",
        "faults.json",
        "lock",
        "machines.json",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}


def test_faults_and_points_may_be_written_by_hand(tmp_path: Path) -> None:
    provider = FakeProvider(FolderStore(tmp_path))
    provider.create(Spec(name="a"), timeout=60)
    faults = [{"verb": "delete", "kind": "busy"}, {"verb": "create", "kind": "fails", "last": 1}]
    (tmp_path / "faults.json").write_text(json.dumps(faults))
    (tmp_path / "barriers").mkdir()
    (tmp_path / "barriers" / "list:before").touch()

    with pytest.raises(CreateFailed):
        provider.create(Spec(name="b"), timeout=60)
    assert provider.store.is_held("list:before")


def test_malformed_faults_are_told(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text('[{"verb": "list", "sort": "fails"}]')

    with pytest.raises(SettingsError, match=r"cannot read the fake engine's faults: .*'sort'"):
        FakeProvider(FolderStore(tmp_path)).list()


def test_unreadable_folder_is_an_engine_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "machines.json").write_text("{")
    (tmp_path / "file").touch()

    for path in (tmp_path, tmp_path / "file"):
        provider = FakeProvider(FolderStore(path))
        with pytest.raises(EngineUnavailable, match="cannot use the fake engine"):
            provider.list()
        with pytest.raises(CreateFailed, match="cannot use the fake engine"):
            provider.create(Spec(name="a"), timeout=60)


def test_create_that_cannot_be_logged_makes_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.hold("create:before")

    def break_the_log(_: float) -> None:
        (tmp_path / "events.jsonl").rename(tmp_path / "old")
        (tmp_path / "events.jsonl").mkdir()
        store.release("create:before")

    with pytest.raises(CreateFailed, match="cannot use the fake engine"):
        FakeProvider(store, sleep=break_the_log).create(Spec(name="a"), timeout=60)

    (tmp_path / "events.jsonl").rmdir()
    assert names(FakeProvider(store)) == []


# ---- environment -----------------------------------------------------------------------------------------


def test_environment_sets_settling_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect().settle_s == 2
    assert isinstance(connect(), TakesLabels)
    monkeypatch.setenv("VMHARNESS_FAKE_SETTLE_S", "0.5")
    monkeypatch.setenv("VMHARNESS_FAKE_LABELS", "0")

    provider = connect()

    assert isinstance(provider, Settles)
    assert provider.settle_s == 0.5
    assert not isinstance(provider, TakesLabels)


def test_environment_makes_the_engine_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMHARNESS_FAKE_CREATE_S", "3600")
    monkeypatch.setenv("VMHARNESS_FAKE_DELETE_S", "3600")
    provider = connect()

    with pytest.raises(TimeoutError):
        provider.create(Spec(name="a"), timeout=0)
    assert [info.state.value for info in provider.list()] == ["creating"]
    with pytest.raises(Exception, match="still at it"):
        provider.delete("a", timeout=0)
    assert [info.state.value for info in provider.list()] == ["deleting"]


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("VMHARNESS_FAKE_CREATE_S", "soon"),
        ("VMHARNESS_FAKE_DELETE_S", "-1"),
        ("VMHARNESS_FAKE_SETTLE_S", "nan"),
        ("VMHARNESS_FAKE_LABELS", "maybe"),
    ],
)
def test_malformed_settings_are_told(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)

    with pytest.raises(SettingsError, match=f"cannot read {variable}='{text}': set it to"):
        connect()
