"""What only a real LXD and a real Incus show. What is left there is read by the engine's own command."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from vmharness.errors import CreateFailed, CreateTimeout, DeleteFailed, ProviderError
from vmharness.provider import CommandResult, MachineState, Spec
from vmharness_incus import connect_incus, connect_lxd
from vmharness_incus._provider import IncusProvider


@dataclass(frozen=True)
class Real:
    """A real engine: its own command, our image there, and our provider."""

    kind: str
    command: Callable[..., str]
    image: str
    provider: IncusProvider

    def there(self, name: str) -> list[str]:
        """Return the state of the instance of that name, if it is there."""
        return self.command("list", "--format", "csv", "--columns", "s", f"^{name}$").split()

    def settled(self, name: str) -> list[str]:
        """Return the state of the instance of that name once the engine does nothing more."""
        time.sleep(1.5)
        return self.there(name)

    def remove(self, name: str) -> None:
        if self.there(name):
            self.command("delete", "--force", name)


def ended(status: int, stdout: str, stderr: str = "") -> CommandResult:
    return CommandResult(status=status, stdout=stdout, stderr=stderr)


def connect(kind: str) -> IncusProvider:
    """Open the engine that the environment means."""
    provider = connect_incus() if kind == "incus" else connect_lxd()
    assert isinstance(provider, IncusProvider)
    return provider


@pytest.fixture(scope="module", params=["lxd", "incus"])
def real(request: pytest.FixtureRequest) -> Real:
    kind = request.param
    command = request.getfixturevalue(f"{kind}_engine")
    return Real(kind, command, request.getfixturevalue(f"{kind}_image"), connect(kind))


@pytest.fixture
def name(real: Real) -> Iterator[str]:
    """Return the name of an instance that is gone after the test."""
    name = f"engines-{secrets.token_hex(5)}"
    yield name
    real.remove(name)


@pytest.fixture(scope="module")
def box(real: Real) -> Iterator[str]:
    """Return the name of an instance in which the tests of commands run theirs."""
    name = f"engines-{secrets.token_hex(5)}"
    real.command("launch", "--quiet", real.image, name)
    yield name
    real.remove(name)


@pytest.mark.parametrize("seconds", [0.06, 0.1, 0.15])
def test_instance_of_a_launch_killed_at_its_deadline_is_listed_with_its_label(
    real: Real, name: str, seconds: float
) -> None:
    labels = {"vmharness.token": name}

    with pytest.raises((CreateTimeout, CreateFailed)):
        real.provider.create(Spec(name=name, image=real.image, labels=labels), timeout=seconds)

    left = real.settled(name)
    listed = [info.labels for info in real.provider.list() if info.name == name]
    assert listed == [labels for _ in left]
    real.provider.delete(name, timeout=30)
    assert real.there(name) == []


CREATE_WHEN_TOLD = """
import sys, vmharness_incus
from vmharness.provider import Spec
kind, name, image = sys.argv[1:]
provider = vmharness_incus.connect_incus() if kind == "incus" else vmharness_incus.connect_lxd()
print("ready", flush=True)
sys.stdin.readline()
provider.create(Spec(name=name, image=image, labels={"vmharness.token": name}), timeout=60)
"""


def test_instance_of_a_process_killed_in_mid_launch_appears_with_its_label(real: Real, name: str) -> None:
    """The command outlives us: it has a process group of its own, and goes on to start the instance."""
    with subprocess.Popen(
        [sys.executable, "-c", CREATE_WHEN_TOLD, real.kind, name, real.image],
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
        while not real.there(name) and time.monotonic() < deadline:
            pass
        client.kill()

    assert real.settled(name) != []
    [info] = [info for info in real.provider.list() if info.name == name]
    assert info.labels == {"vmharness.token": name}


def test_strangers_are_listed(real: Real, name: str) -> None:
    real.command("init", real.image, name, "--config", "user.theirs=1")

    [info] = [info for info in real.provider.list() if info.name == name]
    assert (info.state, info.labels) == (MachineState.STOPPED, {"theirs": "1"})


def test_half_made_instance_is_taken_away(real: Real, name: str) -> None:
    """Of one byte of memory the engine makes an instance that it can't start."""
    spec = Spec(name=name, image=real.image, memory=1, labels={"vmharness.token": name})

    with pytest.raises(CreateFailed, match="forkstart"):
        real.provider.create(spec, timeout=60)

    assert real.there(name) == []


def test_sizes_are_set(real: Real, name: str) -> None:
    real.provider.create(Spec(name=name, image=real.image, cpus=1, memory=2**26, disk=2**30), timeout=60)

    assert real.command("config", "get", name, "limits.cpu").strip() == "1"
    assert real.command("config", "get", name, "limits.memory").strip() == str(2**26)
    assert real.command("config", "device", "get", name, "root", "size").strip() == str(2**30)


def test_labels_are_kept_unchanged(real: Real, name: str) -> None:
    values = ["a,b=c \"d\" 'e'", "line\nline", "ä", "--", "=", "$(id)", " "]
    labels = {f"vmharness.test{number}": value for number, value in enumerate(values)}
    real.provider.create(Spec(name=name, image=real.image, labels=labels), timeout=60)

    [info] = [info for info in real.provider.list() if info.name == name]
    assert info.labels == labels


def test_protected_instance_stays(real: Real, name: str) -> None:
    real.provider.create(Spec(name=name, image=real.image), timeout=60)
    real.command("config", "set", name, "security.protection.delete=true")

    try:
        with pytest.raises(DeleteFailed, match=r"protected; unset security\.protection"):
            real.provider.delete(name, timeout=30)
        assert real.there(name) == ["STOPPED"]
    finally:
        real.command("config", "unset", name, "security.protection.delete")


def test_deletes_and_a_create_of_one_name_at_once_come_to_an_end(real: Real, name: str) -> None:
    spec = Spec(name=name, image=real.image, labels={"vmharness.token": name})

    with ThreadPoolExecutor(4) as pool:
        create = pool.submit(real.provider.create, spec, timeout=60)
        time.sleep(0.1)
        deletes = [pool.submit(real.provider.delete, name, timeout=60) for _ in range(3)]
        assert [delete.exception() for delete in deletes] == [None] * 3
        assert isinstance(create.exception(), ProviderError | None)

    real.provider.delete(name, timeout=60)
    assert real.there(name) == []


def test_users_aliases_do_not_count(
    real: Real, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alias of the engine's own documentation asks before it deletes."""
    monkeypatch.setenv(f"{real.kind.upper()}_CONF", str(tmp_path))
    real.command("alias", "add", "delete", "delete --interactive")
    real.command("alias", "add", "query", "version")
    provider = connect(real.kind)

    provider.create(Spec(name=name, image=real.image), timeout=60)
    provider.delete(name, timeout=30)

    assert name not in {info.name for info in provider.list()}


def test_commands_run_as_users_in_folders(real: Real, box: str) -> None:
    def output(user: str, cwd: str) -> list[str]:
        argv = ["sh", "-c", "id -un; id -gn; pwd; echo $HOME"]
        return real.provider.run(box, argv, timeout=30, user=user, cwd=cwd).stdout.split()

    assert output("", "") == ["root", "root", "/root", "/root"]
    assert output("tester", "") == ["tester", "tester", "/home/tester", "/home/tester"]
    assert output("1000", "/tmp") == ["tester", "tester", "/tmp", "/home/tester"]
    for folder in ("/nosuch", "/root"):
        with pytest.raises(ProviderError, match=f"no folder '{folder}'"):
            output("tester", folder)
    with pytest.raises(ProviderError, match="no user 'nobody'"):
        output("nobody", "")


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("echo '{\"metadata\": 1}'; echo '{}' >&2", ended(0, '{"metadata": 1}\n', "{}\n")),
        ("echo null", ended(0, "null\n")),
        ("exit 127", ended(127, "")),
        ("echo hi; nosuch", ended(127, "hi\n", "sh: nosuch: not found\n")),
        ("echo hi; /etc/passwd", ended(126, "hi\n", "sh: /etc/passwd: Permission denied\n")),
        ("kill -9 $$", ended(137, "")),
        ("printf '\\0\\033\\303\\244\\r\\n'", ended(0, "\0\x1bä\r\n")),
    ],
)
def test_status_and_output_are_the_commands_own(
    real: Real, box: str, script: str, result: CommandResult
) -> None:
    assert real.provider.run(box, ["sh", "-c", script], timeout=30) == result


def test_program_that_cannot_be_started_is_an_error(real: Real, box: str) -> None:
    for program, why in (("nosuch", "Command not found"), ("/etc/passwd", "Command not executable")):
        with pytest.raises(ProviderError, match=why):
            real.provider.run(box, [program], timeout=30, input=b"in")


def test_nothing_is_lost_when_many_commands_run_at_once(real: Real, box: str) -> None:
    """The engines' own `exec` loses output in some of a hundred such calls, with an input or without."""

    def run(number: int) -> CommandResult:
        data = f"{number}\n".encode() if number % 4 == 0 else None
        script = f"cat; echo out {number}; echo err {number} >&2; exit {number}"
        return real.provider.run(box, ["sh", "-c", script], timeout=60, input=data)

    with ThreadPoolExecutor(8) as pool:
        results = [*pool.map(run, range(64))]

    assert results == [
        ended(number, (f"{number}\n" if number % 4 == 0 else "") + f"out {number}\n", f"err {number}\n")
        for number in range(64)
    ]


def test_much_goes_in_and_out(real: Real, box: str) -> None:
    data = b"0123456789abcdef" * 2**17

    assert real.provider.run(box, ["cat"], timeout=60, input=data).stdout == data.decode()
    unread = real.provider.run(box, ["sh", "-c", "echo hi; exit 4"], timeout=60, input=data)
    assert unread == ended(4, "hi\n")


def processes(real: Real, name: str) -> str:
    # By our own hand, for the engine's `exec` might lose them.
    return real.provider.run(name, ["ps"], timeout=30).stdout


def test_command_ends_with_its_deadline(real: Real, box: str) -> None:
    with pytest.raises(TimeoutError):
        real.provider.run(box, ["sh", "-c", "sleep 4711 & sleep 4712; true"], timeout=1, input=b"in")

    deadline = time.monotonic() + 10
    while "sleep 471" in (left := processes(real, box)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "init" in left
    assert "sleep 471" not in left


def test_commands_leave_neither_records_nor_files(real: Real, box: str) -> None:
    def left() -> tuple[str, str]:
        logs = "logs/exec-output" if real.kind == "incus" else "logs"
        files = real.provider.run(box, ["ls", "-A", "/tmp"], timeout=30).stdout
        return real.command("query", f"/1.0/instances/{box}/{logs}"), files

    before = left()
    real.provider.run(box, ["cat"], timeout=30, input=b"in")
    with pytest.raises(ProviderError):
        real.provider.run(box, ["nosuch"], timeout=30, input=b"in")

    assert left() == before
    assert before[1] == ""


def test_command_in_a_machine_that_is_stopped_fails(real: Real, name: str) -> None:
    real.command("init", "--quiet", real.image, name)

    with pytest.raises(ProviderError, match="not running"):
        real.provider.run(name, ["true"], timeout=30, input=b"in")


def test_command_in_a_machine_that_is_stopped_meanwhile_ends(real: Real, name: str, tmp_path: Path) -> None:
    real.command("launch", "--quiet", real.image, name)

    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(real.provider.run, name, ["sleep", "4711"], timeout=60)
        while "sleep 4711" not in processes(real, name):
            pass
        real.command("stop", "--force", name)

        assert run.result().status == 137


@pytest.fixture
def far(real: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let another project, at an address of the engine's, be the default for this test."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    real.command("config", "set", "core.https_address", f"127.0.0.1:{port}")
    real.command(
        "project", "create", "far", "--config=features.images=false", "--config=features.profiles=false"
    )
    grant = ["config", "trust", "add", *(["far"] if real.kind == "incus" else ["--name=far"])]
    token = real.command(*grant, "--quiet").split()[-1]
    with monkeypatch.context() as patch:
        patch.setenv(f"{real.kind.upper()}_CONF", str(tmp_path))
        real.command("remote", "add", "far", token)
        real.command("project", "switch", "far:far")
        real.command("remote", "switch", "far")
        yield
    for left in real.command("list", "--project", "far", "--format", "csv", "--columns", "n").split():
        real.command("delete", "--force", "--project", "far", left)
    for certificate in json.loads(real.command("query", "/1.0/certificates?recursion=1")):
        if certificate["name"] == "far":
            real.command("config", "trust", "remove", certificate["fingerprint"])
    real.command("project", "delete", "far")
    real.command("config", "unset", "core.https_address")


@pytest.mark.usefixtures("far")
def test_everything_works_from_afar_and_in_another_project(real: Real, name: str) -> None:
    provider = connect(real.kind)
    assert provider.endpoint.startswith(f"{real.kind}:far/far?")

    provider.create(Spec(name=name, image=real.image), timeout=60)
    result = provider.run(
        name, ["sh", "-c", "cat; pwd"], timeout=60, input=b"in\n", user="tester", cwd="/tmp"
    )
    listed = [info.name for info in provider.list()]
    with pytest.raises(TimeoutError):
        provider.run(name, ["sleep", "4711"], timeout=2)
    left = provider.run(name, ["ps"], timeout=60).stdout
    provider.delete(name, timeout=60)

    assert result == ended(0, "in\n/tmp\n")
    assert listed == [name]
    assert "sleep 4711" not in left
    assert provider.list() == []
