"""Runs of one user with different state folders, on an engine without labels: none touches the other's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness_fake import FolderStore, wait_for

Start = Callable[..., subprocess.Popen[str]]
Names = Callable[[], list[str]]

LIVES = """
def test_lives(vm_factory, vm_provider, track_test_vm):
    from vmharness import Spec
    vm_factory("ci-web")
    track_test_vm("ci-told")
    track_test_vm("never-made")
    vm_provider.create(Spec(name="ci-told"), timeout=5)
    vm_provider.run("ci-web", ["true"], timeout=60)
"""


@pytest.fixture(autouse=True)
def engine_without_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMHARNESS_FAKE_LABELS", "0")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Let what is started from now on have another state folder."""
    return lambda: monkeypatch.setenv("VMHARNESS_STATE_DIR", str(tmp_path / "elsewhere"))


def test_a_sweep_by_prefix_leaves_a_living_runs_chosen_names(
    start: Start, store: FolderStore, names: Names, elsewhere: Callable[[], None]
) -> None:
    store.hold("run:before")
    living = start(LIVES, "-pno:xdist")
    wait_for(store, "run", "waits", detail="run:before")
    elsewhere()

    text, _ = start("def test(): pass", "--vm-sweep=prefix", "--vm-sweep-prefix=ci-").communicate(timeout=60)

    assert names() == ["ci-told", "ci-web"], text
    store.release("run:before")
    assert "1 passed" in living.communicate(timeout=60)[0]
    assert names() == []


@pytest.mark.usefixtures("no_reaper")
def test_what_a_dead_run_asked_for_is_not_what_a_living_one_got(
    start: Start,
    store: FolderStore,
    state: Path,
    names: Names,
    elsewhere: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.hold("create:before")
    dead = start("def test(vm_factory): vm_factory('ci-web')", "-pno:xdist")
    wait_for(store, "create", "waits", detail="create:before")
    dead.kill()
    dead.wait()
    store.hold("run:before")
    store.release("create:before")
    elsewhere()
    living = start(LIVES, "-pno:xdist")
    wait_for(store, "run", "waits", detail="run:before")
    monkeypatch.setenv("VMHARNESS_STATE_DIR", str(state))

    text, _ = start("def test(): pass").communicate(timeout=60)

    assert "left alone: a living owner has a machine of that name on its books" in text
    assert names() == ["ci-told", "ci-web"]
    store.release("run:before")
    assert "1 passed" in living.communicate(timeout=60)[0]


def test_a_name_that_a_living_run_only_tracks_does_not_hold_up_who_made_the_machine(
    start: Start, store: FolderStore, names: Names, elsewhere: Callable[[], None]
) -> None:
    store.hold("run:before")
    living = start(LIVES, "-pno:xdist")
    wait_for(store, "run", "waits", detail="run:before")
    elsewhere()

    text, _ = start("def test(vm_factory): vm_factory('never-made')").communicate(timeout=60)

    assert "1 created, 1 deleted, 0 swept, 0 left" in text
    assert names() == ["ci-told", "ci-web"]
    store.release("run:before")
    living.communicate(timeout=60)
