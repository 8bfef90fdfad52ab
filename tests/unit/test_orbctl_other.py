"""orbctl over another backend: the fake engine in a folder, whose machines others can see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orbctls import Commands
from vmharness.provider import MachineState, Spec
from vmharness_fake import FakeProvider, Fault, Faults, FolderStore, UnlabelledFakeProvider
from vmharness_orbctl._images import numbered


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "engine")


@pytest.fixture
def engine(store: FolderStore) -> FakeProvider:
    return FakeProvider(store)


@pytest.fixture
def orbctl(tmp_path: Path, store: FolderStore) -> Commands:
    return Commands(tmp_path / "bin", "fake", {"VMHARNESS_FAKE_DIR": str(store.path)})


def test_a_machine_lives_and_dies(orbctl: Commands, engine: FakeProvider) -> None:
    assert orbctl.says("create", "-a", "amd64", "ubuntu:24.04", "vm-1") == ""
    (info,) = engine.list()
    (row,) = json.loads(orbctl("list", "-f", "json").stdout)

    assert (info.name, info.image, info.state) == ("vm-1", "ubuntu:24.04", MachineState.RUNNING)
    assert row["image"] == {"distro": "ubuntu", "version": "noble", "arch": "amd64", "variant": "default"}
    assert (row["name"], row["state"], row["builtin"]) == ("vm-1", "running", False)
    assert json.loads(orbctl("info", row["id"], "-f", "json").stdout)["record"] == row
    assert orbctl.says("create", "ubuntu:24.04", "vm-1", status=1) == (
        "[-32098] create 'vm-1': machine already exists: 'vm-1'\n"
    )
    assert orbctl.says("create", "ubuntu:24.04", "docker", status=1) == (
        "[-32098] create 'docker': machine already exists: 'docker'\n"
    )
    assert orbctl.says("create", "-a", "amd64", "ubuntu:99.04", "vm-2", status=1) == (
        "[-32098] create 'vm-2': make rootfs: image not found: {ubuntu 99.04 amd64 default}\n"
    )
    assert orbctl.says("delete", "-f", "vm-1") == ""
    assert engine.list() == []
    assert orbctl.says("info", "vm-1", status=1) == "[-32098] machine not found: 'vm-1'\n"


def test_strangers_machines_are_not_shown_and_not_deleted(orbctl: Commands, engine: FakeProvider) -> None:
    engine.create(Spec(name="stranger"), timeout=10)
    orbctl("create", "ubuntu:24.04", "vm-1")

    assert orbctl.says("list", "-q") == "vm-1\n"
    assert orbctl.says("delete", "-f", "stranger", status=1) == "[-32098] machine not found: 'stranger'\n"
    assert orbctl.says("delete", "--all", "-f") == ""
    assert [info.name for info in engine.list()] == ["stranger"]
    assert orbctl.says("create", "ubuntu:24.04", "stranger", status=1) == (
        "[-32098] create 'stranger': machine already exists: 'stranger'\n"
    )


def test_without_labels_all_machines_are_shown(tmp_path: Path, store: FolderStore) -> None:
    environ = {"VMHARNESS_FAKE_DIR": str(store.path), "VMHARNESS_FAKE_LABELS": "0"}
    orbctl = Commands(tmp_path / "bin", "fake", environ)
    UnlabelledFakeProvider(store).create(Spec(name="stranger"), timeout=10)

    rows = json.loads(orbctl("list", "-f", "json").stdout)

    assert [row["name"] for row in rows] == ["stranger"]
    assert rows == json.loads(orbctl("list", "-f", "json").stdout)
    assert len(rows[0]["id"]) == 26


def test_commands_run_and_files_are_copied(orbctl: Commands, tmp_path: Path) -> None:
    orbctl("create", "ubuntu:24.04", "vm-1")
    content = bytes(range(256))
    (tmp_path / "in").write_bytes(content)

    assert orbctl.orb("echo", "a  b").stdout == "a  b\n"
    assert orbctl("run", "-m", "vm-1", "cat", input=b"in").stdout == "in"
    assert orbctl("run", "-m", "vm-1", "false").status == 1
    assert orbctl("run", "-u", "root", "-w", "/srv", "pwd").stdout == "/srv\n"
    assert orbctl.says("push", str(tmp_path / "in"), "/etc/in") == ""
    assert orbctl.says("pull", "/etc/in", str(tmp_path / "out")) == ""
    assert (tmp_path / "out").read_bytes() == content


def test_start_stop_and_clone(orbctl: Commands, engine: FakeProvider) -> None:
    orbctl("create", "ubuntu:24.04", "vm-1")

    orbctl.says("stop", "vm-1")
    stopped = orbctl.state("vm-1")
    orbctl.says("run", "-m", "vm-1", "true")
    orbctl.says("clone", "vm-1", "vm-2")
    rows = json.loads(orbctl("list", "-f", "json").stdout)

    assert stopped == "stopped"
    assert [(row["name"], row["state"]) for row in rows] == [("vm-1", "running"), ("vm-2", "stopped")]
    assert rows[0]["id"] != rows[1]["id"]
    assert rows[0]["image"] == rows[1]["image"]


def test_a_renamed_machine_keeps_its_id(orbctl: Commands) -> None:
    orbctl("create", "ubuntu:24.04", "vm-1")
    orbctl("create", "ubuntu:24.04", "vm-3")
    (before, _) = json.loads(orbctl("list", "-f", "json").stdout)

    assert orbctl.says("rename", "vm-1", "vm-2") == ""
    taken = orbctl.says("rename", "vm-2", "vm-3", status=1)

    (after, _) = json.loads(orbctl("list", "-f", "json").stdout)
    assert (after["name"], after["id"], after["state"]) == ("vm-2", before["id"], "running")
    assert "machine already exists: 'vm-3'" in taken


def test_what_no_backend_can_says_so(orbctl: Commands) -> None:
    orbctl("create", "ubuntu:24.04", "vm-1")

    assert "is not OrbStack's to stop" in orbctl.says("stop", status=1)
    said = orbctl.says("ssh", status=1)
    assert said == "Error: 'orbctl ssh' is not there: this orbctl is vmharness's, not OrbStack's own\n"


def test_the_default_machine_is_the_oldest_or_the_one_that_was_set(orbctl: Commands) -> None:
    orbctl("create", "ubuntu:24.04", "vm-1")
    orbctl("create", "ubuntu:24.04", "vm-2")

    assert orbctl.says("default") == "vm-1\n"
    assert orbctl.says("default", "vm-2") == ""
    assert orbctl.says("default") == "vm-2\n"
    orbctl.says("rename", "vm-2", "vm-3")
    assert orbctl.says("default") == "vm-3\n"
    orbctl.says("delete", "-f", "vm-3")
    assert orbctl.says("default") == "vm-1\n"
    assert orbctl.says("default", "none") == ""
    assert orbctl.says("default") == "none\n"
    assert orbctl.says("default", "vm-3", status=1) == "[-32098] machine not found: 'vm-3'\n"


def test_images_can_be_others(orbctl: Commands, engine: FakeProvider) -> None:
    orbctl.set(images={"ubuntu:24.04": "fake:tiny", "*": "debian:12"})

    orbctl("create", "ubuntu:24.04", "a")
    orbctl("create", "fedora", "b")

    assert {info.name: info.image for info in engine.list()} == {"a": "fake:tiny", "b": "debian:12"}


def test_limits_are_handed_on(orbctl: Commands, store: FolderStore) -> None:
    orbctl.says("create", "ubuntu:24.04", "a", "--cpus=2", "--memory=2G", "--disk=20G")

    with store.locked() as engine:
        spec = engine.machines["a"].spec
    assert (spec.cpus, spec.memory, spec.disk) == (2, 2 << 30, 20 << 30)
    orbctl("clone", "a", "b")
    for name in ("a", "b"):
        config = json.loads(orbctl("info", name, "-f", "json").stdout)["record"]["config"]
        assert (config["cpu_limit"], config["memory_limit_mib"]) == (2, 2048)
        assert config["disk_limit_bytes"] == 20 << 30


def test_an_engine_that_does_not_answer(orbctl: Commands, engine: FakeProvider) -> None:
    orbctl("create", "ubuntu:24.04", "a")
    assert orbctl.says("status") == "Running\n"
    engine.store.set_faults(Faults((Fault("list", "unavailable"), Fault("create", "lost"))))

    assert orbctl.says("status", status=1) == "Stopped\n"
    assert orbctl.says("list", status=1).startswith("[-32098] cannot list")
    assert orbctl.says("create", "ubuntu:24.04", "b", status=1).startswith("[-32098] create 'b': setup: ")


def test_a_backend_that_is_not_there(tmp_path: Path) -> None:
    said = Commands(tmp_path / "bin", "nonsense").says("list", status=1)

    assert said.startswith("orbctl of vmharness: no backend 'nonsense' is installed; there are docker, fake,")


@pytest.mark.parametrize(
    ("distro", "version", "image"),
    [
        ("ubuntu", "24.04", "ubuntu:24.04"),
        ("ubuntu", "noble", "ubuntu:24.04"),
        ("debian", "bookworm", "debian:12"),
        ("debian", "", "debian:13"),
        ("alpine", "", "alpine"),
        ("alpine", "3.20", "alpine:3.20"),
    ],
)
def test_other_engines_know_versions_by_their_numbers(distro: str, version: str, image: str) -> None:
    assert numbered(distro, version) == image
