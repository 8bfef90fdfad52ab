"""A machine in a test's hands: commands, address, delete; what the backend can't is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from vmharness import CommandResult, Machine, MachineInfo, MachineState, Provider, Record, Spec, State
from vmharness.errors import CleanupFailed, EngineUnavailable, NotSupported
from vmharness_fake import FakeProvider

RECORD = Record(
    id="r1",
    name="web",
    backend="fake",
    endpoint="memory:1",
    token="t" * 32,
    deadline=200.0,
    scope="",
    state=State.RUNNING,
    wanted_at=100.0,
    at=100.0,
    image="ubuntu:24.04",
)
INFO = MachineInfo(name="web", state=MachineState.RUNNING)


class Plain(Provider):
    """The four verbs and nothing else."""

    @property
    def endpoint(self) -> str:
        return "memory:1"

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        raise NotImplementedError

    def list(self) -> Sequence[MachineInfo]:
        raise NotImplementedError

    def delete(self, name: str, *, timeout: float) -> None:
        raise NotImplementedError

    def exists(self, name: str) -> bool:
        raise NotImplementedError


class Running(Plain):
    """Notes what it is asked to run."""

    def __init__(self) -> None:
        self.ran: list[dict[str, object]] = []

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        timeout: float,
        input: bytes | None = None,
        user: str = "",
        cwd: str = "",
    ) -> CommandResult:
        self.ran.append(
            {"name": name, "argv": argv, "timeout": timeout, "input": input, "user": user, "cwd": cwd}
        )
        return CommandResult(status=3, stdout="out", stderr="err")


class Looking(Plain):
    """Knows the address a while after the create; notes how often it is asked."""

    def __init__(self, *answers: MachineInfo | Exception | None) -> None:
        self.answers = list(answers)

    def inspect(self, name: str) -> MachineInfo | None:
        assert name == "web"
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def make(provider: Provider, info: MachineInfo = INFO, *, user: str = "") -> Machine:
    return Machine(info, RECORD, provider, user=user, delete=lambda record: None)


def test_it_says_what_it_is() -> None:
    machine = make(Plain())

    assert (machine.name, machine.backend, machine.record) == ("web", "fake", RECORD)
    assert repr(machine) == "<Machine web of fake>"


@pytest.mark.parametrize(("said", "image"), [("sha256:1", "sha256:1"), ("", "ubuntu:24.04")])
def test_its_image_is_the_engines_word_or_what_was_asked_for(said: str, image: str) -> None:
    assert make(Plain(), replace(INFO, image=said)).image == image


class TestRun:
    """Commands in the machine."""

    def test_everything_reaches_the_backend_and_a_failing_command_does_not_raise(self) -> None:
        provider = Running()

        result = make(provider).run(["sh", "-c", "; rm"], timeout=7, input=b"x", user="u", cwd="/tmp")

        assert result == CommandResult(status=3, stdout="out", stderr="err")
        assert provider.ran == [
            {
                "name": "web",
                "argv": ["sh", "-c", "; rm"],
                "timeout": 7,
                "input": b"x",
                "user": "u",
                "cwd": "/tmp",
            }
        ]

    @pytest.mark.parametrize(("asked", "user"), [("", "alice"), ("root", "root")])
    def test_the_user_of_the_spec_is_the_default(self, asked: str, user: str) -> None:
        provider = Running()

        make(provider, user="alice").run(["id"], user=asked)

        assert provider.ran[0]["user"] == user

    def test_a_line_for_a_shell_is_refused(self) -> None:
        provider = Running()

        with pytest.raises(TypeError, match=r"'rm -rf /'.*there is no shell"):
            make(provider).run("rm -rf /")
        assert not provider.ran

    def test_a_backend_that_cannot_run_commands_is_named(self) -> None:
        with pytest.raises(NotSupported, match=r"'web'.*'fake'") as raised:
            make(Plain()).run(["true"])

        assert (raised.value.backend, raised.value.machine) == ("fake", "web")

    def test_on_the_fake_engine(self, engine: FakeProvider) -> None:
        machine = make(engine, engine.create(Spec(name="web"), timeout=1))

        assert machine.run(["cat"], input=b"hello").stdout == "hello"
        assert machine.run(["false"]).status == 1


class TestAddress:
    """Where the host reaches it."""

    def test_one_that_is_known_is_not_asked_for(self) -> None:
        assert make(Looking(), replace(INFO, address="10.0.0.1")).address == "10.0.0.1"

    def test_one_that_comes_later_is_asked_for_until_it_is_there(self) -> None:
        provider = Looking(INFO, replace(INFO, address="10.0.0.1"))
        machine = make(provider)

        assert [machine.address for _ in range(3)] == ["", "10.0.0.1", "10.0.0.1"]

    def test_a_machine_that_is_gone_has_none(self) -> None:
        assert make(Looking(None)).address == ""

    def test_a_backend_that_cannot_look_has_none(self) -> None:
        assert make(Plain()).address == ""

    def test_an_engine_that_does_not_answer_is_told(self) -> None:
        machine = make(Looking(EngineUnavailable("off"), replace(INFO, address="10.0.0.1")))

        with pytest.raises(EngineUnavailable, match="off"):
            _ = machine.address
        assert machine.address == "10.0.0.1"


def test_delete_hands_over_the_record_each_time_and_raises_what_that_raises() -> None:
    deleted: list[Record] = []

    def delete(record: Record) -> None:
        deleted.append(record)
        if len(deleted) == 2:
            raise CleanupFailed("left", [OSError()])

    machine = Machine(INFO, RECORD, Plain(), delete=delete)
    machine.delete()
    with pytest.raises(CleanupFailed):
        machine.delete()

    assert deleted == [RECORD, RECORD]
