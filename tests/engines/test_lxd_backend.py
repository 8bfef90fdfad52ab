"""What only a real LXD shows. What is left there is read by LXD's own command."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vmharness.errors import CreateFailed, CreateTimeout, DeleteFailed, ProviderError
from vmharness.provider import CommandResult, MachineState, Spec
from vmharness_incus import connect_lxd, open_engine
from vmharness_incus._endpoint import INCUS, LXD
from vmharness_incus._provider import IncusProvider

Lxc = Callable[..., str]


@pytest.fixture
def name(lxd_engine: Lxc) -> Iterator[str]:
    """Return the name of an instance that is gone after the test."""
    name = f"engines-{secrets.token_hex(5)}"
    yield name
    if there(lxd_engine, name):
        lxd_engine("delete", "--force", name)


@pytest.fixture
def provider(lxd_engine: Lxc) -> IncusProvider:
    return open_engine("lxd", (LXD, INCUS), None, os.environ)


def there(lxd_engine: Lxc, name: str) -> list[str]:
    """Return the state of the instance of that name, if it is there."""
    return lxd_engine("list", "--format", "csv", "--columns", "s", f"^{name}$").split()


def settled(lxd_engine: Lxc, name: str) -> list[str]:
    """Return the state of the instance of that name once the engine does nothing more."""
    time.sleep(1.5)
    return there(lxd_engine, name)


@pytest.mark.parametrize("seconds", [0.06, 0.1, 0.15])
def test_instance_of_a_launch_killed_at_its_deadline_is_listed_with_its_label(
    provider: IncusProvider, lxd_engine: Lxc, lxd_image: str, name: str, seconds: float
) -> None:
    labels = {"vmharness.token": name}

    with pytest.raises((CreateTimeout, CreateFailed)):
        provider.create(Spec(name=name, image=lxd_image, labels=labels), timeout=seconds)

    left = settled(lxd_engine, name)
    listed = [info.labels for info in provider.list() if info.name == name]
    assert listed == [labels for _ in left]
    provider.delete(name, timeout=30)
    assert there(lxd_engine, name) == []


CREATE_WHEN_TOLD = """
import sys, vmharness_incus
from vmharness.provider import Spec
provider = vmharness_incus.connect_lxd()
print("ready", flush=True)
sys.stdin.readline()
name, image = sys.argv[1:]
provider.create(Spec(name=name, image=image, labels={"vmharness.token": name}), timeout=60)
"""


def test_instance_of_a_process_killed_in_mid_launch_appears_with_its_label(
    provider: IncusProvider, lxd_engine: Lxc, lxd_image: str, name: str
) -> None:
    """The command outlives us: it has a process group of its own, and goes on to start the instance."""
    with subprocess.Popen(
        [sys.executable, "-c", CREATE_WHEN_TOLD, name, lxd_image],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdout is not None
        assert client.stdin is not None
        client.stdout.readline()
        client.stdin.write("go\n")
        client.stdin.flush()
        deadline = time.monotonic() + 30
        while not there(lxd_engine, name) and time.monotonic() < deadline:
            pass
        client.kill()

    assert settled(lxd_engine, name) != []
    [info] = [info for info in provider.list() if info.name == name]
    assert info.labels == {"vmharness.token": name}


def test_strangers_are_listed(provider: IncusProvider, lxd_engine: Lxc, lxd_image: str, name: str) -> None:
    lxd_engine("init", lxd_image, name, "--config", "user.theirs=1")

    [info] = [info for info in provider.list() if info.name == name]
    assert (info.state, info.labels) == (MachineState.STOPPED, {"theirs": "1"})


def test_half_made_instance_is_taken_away(
    provider: IncusProvider, lxd_engine: Lxc, lxd_image: str, name: str
) -> None:
    """Of one byte of memory the engine makes an instance that it can't start."""
    spec = Spec(name=name, image=lxd_image, memory=1, labels={"vmharness.token": name})

    with pytest.raises(CreateFailed, match="forkstart"):
        provider.create(spec, timeout=60)

    assert there(lxd_engine, name) == []


def test_sizes_are_set(provider: IncusProvider, lxd_engine: Lxc, lxd_image: str, name: str) -> None:
    provider.create(Spec(name=name, image=lxd_image, cpus=1, memory=2**26, disk=2**30), timeout=60)

    assert lxd_engine("config", "get", name, "limits.cpu").strip() == "1"
    assert lxd_engine("config", "get", name, "limits.memory").strip() == str(2**26)
    assert lxd_engine("config", "device", "get", name, "root", "size").strip() == str(2**30)


@pytest.mark.parametrize("value", ["a,b=c \"d\" 'e'", "line\nline", "ä", "--", "=", "$(id)", " "])
def test_labels_are_kept_unchanged(provider: IncusProvider, lxd_image: str, name: str, value: str) -> None:
    provider.create(Spec(name=name, image=lxd_image, labels={"vmharness.test": value}), timeout=60)

    [info] = [info for info in provider.list() if info.name == name]
    assert info.labels == {"vmharness.test": value}


def test_protected_instance_stays(
    provider: IncusProvider, lxd_engine: Lxc, lxd_image: str, name: str
) -> None:
    provider.create(Spec(name=name, image=lxd_image), timeout=60)
    lxd_engine("config", "set", name, "security.protection.delete=true")

    try:
        with pytest.raises(DeleteFailed, match=r"protected; unset security\.protection"):
            provider.delete(name, timeout=30)
        assert there(lxd_engine, name) == ["STOPPED"]
    finally:
        lxd_engine("config", "unset", name, "security.protection.delete")


def test_deletes_and_a_create_of_one_name_at_once_come_to_an_end(
    provider: IncusProvider, lxd_engine: Lxc, lxd_image: str, name: str
) -> None:
    spec = Spec(name=name, image=lxd_image, labels={"vmharness.token": name})

    with ThreadPoolExecutor(4) as pool:
        create = pool.submit(provider.create, spec, timeout=60)
        time.sleep(0.1)
        deletes = [pool.submit(provider.delete, name, timeout=60) for _ in range(3)]
        assert [delete.exception() for delete in deletes] == [None] * 3
        assert isinstance(create.exception(), ProviderError | None)

    provider.delete(name, timeout=60)
    assert there(lxd_engine, name) == []


def test_users_aliases_do_not_count(
    lxd_engine: Lxc, lxd_image: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alias of LXD's own documentation asks before it deletes."""
    monkeypatch.setenv("LXD_CONF", str(tmp_path))
    lxd_engine("alias", "add", "delete", "delete --interactive")
    lxd_engine("alias", "add", "query", "version")
    provider = connect_lxd()

    provider.create(Spec(name=name, image=lxd_image), timeout=60)
    provider.delete(name, timeout=30)

    assert name not in {info.name for info in provider.list()}


def test_commands_run_as_users_in_folders(provider: IncusProvider, lxd_image: str, name: str) -> None:
    provider.create(Spec(name=name, image=lxd_image), timeout=60)

    def output(user: str, cwd: str) -> list[str]:
        argv = ["sh", "-c", "id -un; id -gn; pwd; echo $HOME"]
        return provider.run(name, argv, timeout=30, user=user, cwd=cwd).stdout.split()

    assert output("", "") == ["root", "root", "/root", "/root"]
    assert output("tester", "") == ["tester", "tester", "/home/tester", "/home/tester"]
    assert output("1000", "/tmp") == ["tester", "tester", "/tmp", "/home/tester"]
    with pytest.raises(ProviderError, match="no folder '/nosuch'"):
        output("tester", "/nosuch")
    with pytest.raises(ProviderError, match="no user 'nobody'"):
        output("nobody", "")
    with pytest.raises(ProviderError, match="Command not found"):
        provider.run(name, ["nosuch"], timeout=30)


def test_command_ends_with_its_deadline(
    provider: IncusProvider, lxd_engine: Lxc, lxd_image: str, name: str
) -> None:
    provider.create(Spec(name=name, image=lxd_image), timeout=60)

    with pytest.raises(TimeoutError):
        provider.run(name, ["sleep", "4711"], timeout=1)

    deadline = time.monotonic() + 10
    while "sleep 4711" in (left := lxd_engine("exec", name, "--", "ps")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "sleep 4711" not in left


def test_much_goes_in_and_out(provider: IncusProvider, lxd_image: str, name: str) -> None:
    provider.create(Spec(name=name, image=lxd_image), timeout=60)
    data = b"0123456789abcdef" * 2**17

    assert provider.run(name, ["cat"], timeout=60, input=data).stdout == data.decode()
    unread = provider.run(name, ["sh", "-c", "echo hi; exit 4"], timeout=60, input=data)
    assert unread == CommandResult(status=4, stdout="hi\n", stderr="")


def test_incus_is_driven_by_its_own_command(
    lxd_engine: Lxc, lxd_image: str, name: str, tmp_path: Path
) -> None:
    """A stand-in for `incus`: LXD's command and engine, by Incus' names of command and variables."""
    shim = tmp_path / "incus"
    shim.write_text(f'#!/bin/sh\nLXD_DIR=$INCUS_DIR exec {shutil.which("lxc")} "$@"\n')
    shim.chmod(0o755)
    environ = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "INCUS_DIR": os.environ.get("LXD_DIR", ""),
        "LXD_CONF": str(tmp_path),
    }

    provider = open_engine("incus", (INCUS, LXD), None, environ)
    info = provider.create(Spec(name=name, image=lxd_image, labels={"a": "b"}), timeout=60)

    assert provider.endpoint.startswith("incus:local/default")
    assert (provider.auto_rank, info.labels) == (20, {"a": "b"})
    assert there(lxd_engine, name) == ["RUNNING"]
    provider.delete(name, timeout=30)
    assert there(lxd_engine, name) == []
