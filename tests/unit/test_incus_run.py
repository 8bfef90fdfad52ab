"""Commands in an instance, on an engine that runs them for real: its instance is this host.

It records what they write, gives it back as `incus` and `lxc` do, and fails where it is told to.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from vmharness.command import CommandLine
from vmharness.errors import EngineUnavailable, ProviderError
from vmharness.provider import CommandResult
from vmharness_incus._cli import Client
from vmharness_incus._endpoint import Endpoint
from vmharness_incus._provider import IncusProvider

USERS = "root:x:0:0:root:/root:/bin/sh\ntester:x:1000:100:tester:/tmp:/bin/sh\n"
FAILURES = {126: "Command not executable", 127: "Command not found"}
NEEDS_PROC = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="this host, as an instance, has no /proc"
)

Fault = str | BaseException | Callable[[], None]


class HostEngine(CommandLine):
    """An engine and its command line.

    Attributes:
        faults: What a step does first, each used once: fail with a sentence, raise, or call a function. The
            steps are exec, wait, operation, read, delete, push, pull and remove.
        bodies: Each request to run a command.
        pushed: The arguments of each file that was put into the instance.
        records: What the commands wrote, by path, until that is deleted.
        passwd: The instance's file.
        nonsense: The step, exec or wait, that answers in another form than the engine's documentation says.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__("lxc" if kind == "lxd" else "incus", backend=kind)
        self.faults: dict[str, list[Fault]] = {}
        self.bodies: list[dict[str, Any]] = []
        self.pushed: list[list[str]] = []
        self.records: dict[str, Path] = {}
        self.passwd = USERS
        self.nonsense = ""
        self._folder = folder
        self._logs = "logs" if kind == "lxd" else "logs/exec-output"
        self._processes: list[subprocess.Popen[bytes]] = []
        # Each command inherits the second end; the first one reads an end when all of them are gone.
        self._living, self._life = os.pipe()

    def close(self) -> None:
        """Wait until neither a command nor anything that one started is left."""
        os.close(self._life)
        assert os.read(self._living, 1) == b""
        os.close(self._living)
        for process in self._processes:
            process.wait()

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        args = args[2:] if args[0] == "--project" else args
        flags, operands = args[1 : args.index("--")], args[args.index("--") + 1 :]
        try:
            if args[0] == "file":
                return answer(self.file(flags, operands, input))
            options = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
            path, _, query = operands[0].removeprefix("local:/1.0").partition("?")
            assert query == "project=default"
            method, data = options.get("request", "GET"), options.get("data", "")
            return answer(self.query(method, path, data, timeout))
        except Sentence as exc:
            return CommandResult(status=1, stdout="", stderr=f"Error: {exc}\n")

    def file(self, flags: Sequence[str], operands: Sequence[str], input: bytes | None) -> str:
        self.fail({"push": "push", "pull": "pull", "delete": "remove"}[flags[0]])
        if flags[0] == "pull":
            assert operands == ["local:vm-1/etc/passwd", "-"]
            return self.passwd
        path = Path(operands[-1].removeprefix("local:vm-1"))
        if flags[0] == "push":
            self.pushed.append([*flags[1:]])
            path.write_bytes(input or b"")
        else:
            path.unlink(missing_ok=True)
        return ""

    def query(self, method: str, path: str, data: str, timeout: float) -> str:
        if path == "/instances/vm-1/exec":
            assert method == "POST"
            self.fail("exec")
            if self.nonsense == "exec":
                return "{}"
            return json.dumps({"id": str(self.start(json.loads(data))), "status_code": 103})
        if path.startswith("/operations/"):
            id, _, waits = path.removeprefix("/operations/").partition("/")
            self.fail("wait" if waits else "operation")
            if self.nonsense == "wait":
                return "{}"
            operation = self.operation(int(id), timeout if waits else None)
            if waits and operation["err"] and self.backend == "incus":
                raise Sentence(operation["err"])
            return json.dumps(operation)
        if method == "DELETE":
            self.fail("delete")
            del self.records[path]
            return ""
        self.fail("read")
        return as_client_prints(self.records[path].read_bytes().decode())

    def start(self, body: dict[str, Any]) -> int:
        assert not body.get("wait-for-websocket")
        assert not body.get("interactive")
        self.bodies.append(body)
        id = len(self._processes)
        out, err = (self._folder / f"{id}.{stream}" for stream in ("stdout", "stderr"))
        if body.get("record-output"):
            self.records[f"/instances/vm-1/{self._logs}/exec_{id}.stdout"] = out
            self.records[f"/instances/vm-1/{self._logs}/exec_{id}.stderr"] = err
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                body["command"],
                env={"PATH": os.environ["PATH"], **body.get("environment", {})},
                cwd=body.get("cwd", "/"),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[self._life],
            )
        self._processes.append(process)
        return id

    def operation(self, id: int, timeout: float | None) -> Mapping[str, Any]:
        if timeout is None and self._processes[id].poll() is None:
            return {"status_code": 103, "err": "", "metadata": None}
        try:
            status = self._processes[id].wait(timeout)
        except subprocess.TimeoutExpired as exc:
            raise TimeoutError(f"no end after {timeout:g} s") from exc
        status = 128 - status if status < 0 else status
        failure = FAILURES.get(status, "")
        streams = {"1": "stdout", "2": "stderr"}
        output = {n: f"/1.0/instances/vm-1/{self._logs}/exec_{id}.{name}" for n, name in streams.items()}
        return {
            "status_code": 400 if failure else 200,
            "err": failure,
            "metadata": {"return": status, "output": output},
        }

    def fail(self, step: str) -> None:
        if self.faults.get(step):
            fault = self.faults[step].pop(0)
            if isinstance(fault, str):
                raise Sentence(fault)
            if isinstance(fault, BaseException):
                raise fault
            fault()


class Sentence(Exception):
    """What the command says as it fails."""


def answer(stdout: str) -> CommandResult:
    return CommandResult(status=0, stdout=stdout, stderr="")


def as_client_prints(content: str) -> str:
    """Return what both clients make of a file: they try to read it as an answer of the engine first."""
    if not content:
        raise Sentence("EOF")
    try:
        first, _ = json.JSONDecoder().raw_decode(content.lstrip())
    except ValueError:
        return content
    return content if isinstance(first, list | str | int | float) else ""


@pytest.fixture(params=["lxd", "incus"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HostEngine]:
    """Return an engine; at the end of the test neither a command nor a file is left in its instance."""
    before = {*Path("/tmp").glob(".vmharness-*")}
    engine = HostEngine(tmp_path, request.param)
    yield engine
    engine.close()
    assert {*Path("/tmp").glob(".vmharness-*")} <= before


@pytest.fixture
def provider(engine: HostEngine) -> IncusProvider:
    client = Client(engine, Endpoint.parse(f"{engine.backend}:local/default"))
    return IncusProvider(client, clock=lambda: 0.0)


def test_arguments_reach_the_program_unchanged(provider: IncusProvider, engine: HostEngine) -> None:
    result = provider.run("vm-1", ["printf", "[%s]", "--help", "a b", "", "$(id)", "'\"\\"], timeout=9)

    assert result == answer("[--help][a b][][$(id)]['\"\\]")
    assert engine.records == {}


@pytest.mark.parametrize("text", ["", "{}", '{"metadata": 1}\nx', "null", "[1]", " \n", ":", "é\0\x1b\r\n"])
def test_output_is_never_taken_for_an_answer_of_the_engine(
    provider: IncusProvider, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "text"
    file.write_bytes(text.encode())

    result = provider.run("vm-1", ["sh", "-c", 'cat "$0"; cat "$0" >&2', str(file)], timeout=9)

    assert result == CommandResult(status=0, stdout=text, stderr=text)


@pytest.mark.parametrize("status", [0, 1, 2, 126, 127, 137, 255])
def test_status_and_output_are_the_commands_own(
    provider: IncusProvider, engine: HostEngine, status: int
) -> None:
    result = provider.run("vm-1", ["sh", "-c", f"echo out; echo err >&2; exit {status}"], timeout=9)

    assert result == CommandResult(status=status, stdout="out\n", stderr="err\n")
    assert engine.records == {}


def test_command_that_a_signal_ended_has_its_number(provider: IncusProvider) -> None:
    assert provider.run("vm-1", ["sh", "-c", "kill -9 $$"], timeout=9).status == 137


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("vmharness-no-such", "Command not found"),
        ("/vmharness-no-such", "Command not found"),
        ("/etc/passwd", "Command not executable"),
    ],
)
def test_program_that_cannot_be_started_is_an_error(
    provider: IncusProvider, engine: HostEngine, program: str, why: str
) -> None:
    with pytest.raises(ProviderError, match=why):
        provider.run("vm-1", [program], timeout=9, input=b"in")

    assert engine.records == {}


def test_what_the_shell_says_of_its_own_is_not_the_commands(
    provider: IncusProvider, engine: HostEngine
) -> None:
    def complain() -> None:
        [record] = [path for name, path in engine.records.items() if name.endswith("stderr")]
        record.write_text(f"sh: warning: no such locale\n{record.read_text()}")

    engine.faults["read"] = [complain]

    assert provider.run("vm-1", ["sh", "-c", "echo err >&2"], timeout=9).stderr == "err\n"


def test_command_runs_as_the_user_in_his_home(provider: IncusProvider, engine: HostEngine) -> None:
    result = provider.run("vm-1", ["sh", "-c", "pwd; echo $HOME $USER"], timeout=9, user="tester")

    assert result.stdout == "/tmp\n/tmp tester\n"
    [body] = engine.bodies
    assert (body["user"], body["group"], body["record-output"]) == (1000, 100, True)


def test_command_runs_in_a_folder(provider: IncusProvider) -> None:
    assert provider.run("vm-1", ["pwd"], timeout=9, user="tester", cwd="/usr").stdout == "/usr\n"


def test_missing_folder_is_no_reason_to_run_elsewhere(provider: IncusProvider, tmp_path: Path) -> None:
    done = tmp_path / "done"

    with pytest.raises(ProviderError, match="no folder '/nosuch'"):
        provider.run("vm-1", ["touch", str(done)], timeout=9, cwd="/nosuch")

    assert not done.exists()


def test_unknown_user_is_refused(provider: IncusProvider, engine: HostEngine) -> None:
    with pytest.raises(ProviderError, match="no user 'nobody'"):
        provider.run("vm-1", ["true"], timeout=9, user="nobody")

    assert engine.bodies == []


@pytest.mark.parametrize("sentence", ["Not Found", "file does not exist"])
def test_machine_without_users_still_knows_numbers(
    provider: IncusProvider, engine: HostEngine, sentence: str
) -> None:
    engine.passwd = ""
    engine.faults["pull"] = [sentence]

    assert provider.run("vm-1", ["true"], timeout=9, user="4711").status == 0
    assert engine.bodies[0]["user"] == 4711


def test_input_is_a_file_that_only_its_reader_can_see(provider: IncusProvider, engine: HostEngine) -> None:
    data = bytes(range(128)) * 10_000

    result = provider.run("vm-1", ["cat"], timeout=9, input=data, user="tester")

    assert result.stdout.encode() == data
    assert engine.pushed == [["--uid=1000", "--gid=100", "--mode=0600"]]


@pytest.mark.parametrize("input", [None, b""])
def test_no_input_is_an_empty_one(provider: IncusProvider, engine: HostEngine, input: bytes | None) -> None:
    assert provider.run("vm-1", ["cat"], timeout=9, input=input) == answer("")
    assert engine.pushed == []


@pytest.mark.parametrize("step", ["push", "pull", "exec", "wait", "read"])
@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Instance not found", ProviderError),
        ("Instance is not running", ProviderError),
        ("VM agent isn't currently running", ProviderError),
        ("a sentence of next year's", ProviderError),
        ("unexpected EOF", ProviderError),
        ('Get "http://s/1.0": dial unix /s: connect: connection refused', EngineUnavailable),
        ("Missing event connection with target cluster member", EngineUnavailable),
    ],
)
def test_failure_of_the_engine_is_an_error(
    provider: IncusProvider, engine: HostEngine, step: str, sentence: str, kind: type[ProviderError]
) -> None:
    engine.faults = {step: [sentence], "operation": [sentence]}

    with pytest.raises(kind, match=r"cannot run \['true'\] in machine 'vm-1': ") as caught:
        provider.run("vm-1", ["true"], timeout=9, input=b"in", user="tester")

    assert type(caught.value) is kind
    assert sentence in str(caught.value)


@pytest.mark.parametrize("step", ["exec", "wait"])
def test_answer_of_another_form_is_an_error(provider: IncusProvider, engine: HostEngine, step: str) -> None:
    engine.nonsense = step

    with pytest.raises(ProviderError, match="no complete answer"):
        provider.run("vm-1", ["true"], timeout=9)


def test_interrupted_wait_goes_on(provider: IncusProvider, engine: HostEngine, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def release() -> None:
        fifo.write_text("go\n")

    engine.faults["wait"] = ["unexpected EOF", release]

    assert provider.run("vm-1", ["cat", str(fifo)], timeout=9) == answer("go\n")


def test_record_that_stays_does_no_harm(provider: IncusProvider, engine: HostEngine) -> None:
    engine.faults["delete"] = ["no such file or directory", TimeoutError("no end after 5 s")]

    assert provider.run("vm-1", ["echo", "hi"], timeout=9) == answer("hi\n")


def test_too_many_arguments_are_refused_with_what_to_do(provider: IncusProvider, engine: HostEngine) -> None:
    with pytest.raises(ProviderError, match="128 KiB is the most; give it an input instead") as caught:
        provider.run("vm-1", ["echo", "x" * 131_000], timeout=9)

    assert len(str(caught.value)) < 1000
    assert engine.bodies == []


@NEEDS_PROC
@pytest.mark.parametrize("end", [TimeoutError("no end after 9 s"), KeyboardInterrupt()])
def test_whatever_ends_the_wait_ends_the_command_and_what_it_started(
    provider: IncusProvider, engine: HostEngine, tmp_path: Path, end: BaseException
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def once_it_runs() -> None:
        assert fifo.read_text() == "running\n"
        raise end

    engine.faults["wait"] = [once_it_runs]

    with pytest.raises(type(end)):
        provider.run("vm-1", ["sh", "-c", 'sleep 1000 & echo running >"$0"; wait', str(fifo)], timeout=9)


def test_deadline_is_told(provider: IncusProvider, engine: HostEngine) -> None:
    engine.faults["exec"] = [TimeoutError("no end after 9 s"), "Instance is not running"]

    with pytest.raises(TimeoutError, match=r"cannot run \['sleep'\] in machine 'vm-1' within 9 s"):
        provider.run("vm-1", ["sleep"], timeout=9, input=b"in")
