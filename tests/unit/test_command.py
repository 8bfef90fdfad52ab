"""Commands: words stay words, every outcome is told, and after a deadline nothing of them runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vmharness import CommandResult
from vmharness.command import CommandLine, describe_failure
from vmharness.errors import EngineUnavailable

Run = Callable[..., CommandResult]

# Longer than anything here waits for it.
FOREVER = "300"


def sh(script: str, *args: str, timeout: float = 60.0, input: bytes | None = None) -> CommandResult:
    """Run a small script: real processes, no shell but the one that is asked for."""
    return CommandLine("sh", backend="test").run(["-c", script, "sh", *args], timeout=timeout, input=input)


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a process has come so far; give up when it surely won't."""
    patience = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.005)


class Pids:
    """Processes that write their numbers into files, so that a test can see what became of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> int:
        text = (self.folder / name).read_text() if (self.folder / name).exists() else ""
        return int(text) if text.endswith("\n") else 0

    def are_there(self, *names: str) -> bool:
        return all(self.read(name) for name in names)


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Pids]:
    pids = Pids(tmp_path)
    yield pids
    for path in tmp_path.iterdir():
        if pid := pids.read(path.name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class TestOutcome:
    """What a command did."""

    def test_status_and_both_outputs(self) -> None:
        result = sh("echo out; echo err >&2; exit 7")

        assert result == CommandResult(status=7, stdout="out\n", stderr="err\n")

    def test_death_by_signal_is_a_negative_status(self) -> None:
        assert sh("kill -KILL $$").status == -signal.SIGKILL

    def test_without_input_it_is_empty_and_not_ours(self) -> None:
        program = """if True:
            import json, sys
            sys.path[:0] = json.loads(sys.argv[1])
            from vmharness.command import CommandLine
            print(repr(CommandLine("cat", backend="test").run([], timeout=60).stdout))
        """
        argv = [sys.executable, "-c", program, json.dumps(sys.path)]

        done = subprocess.run(argv, input="ours", capture_output=True, text=True, timeout=60, check=True)

        assert done.stdout == "''\n"

    def test_input_arrives_whole(self) -> None:
        blob = "äöü\n" * 100_000

        assert sh("cat", input=blob.encode()).stdout == blob

    def test_input_that_nobody_reads_is_no_error(self) -> None:
        assert sh("exit 3", input=b"x" * 1_000_000).status == 3

    def test_much_on_both_pipes_blocks_nothing(self) -> None:
        result = sh("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2")

        assert (len(result.stdout), len(result.stderr)) == (300_000, 300_000)

    def test_what_is_no_utf_8_is_replaced(self) -> None:
        assert sh(r"printf 'a\377b'").stdout == "a\ufffdb"

    def test_threads_get_each_their_own(self) -> None:
        results: dict[int, str] = {}

        def ask(number: int) -> None:
            results[number] = sh('echo "$1"', str(number)).stdout

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert results == {number: f"{number}\n" for number in range(8)}


class TestWords:
    """Arguments arrive as they are: there is no shell, and nothing is an option of ours."""

    @pytest.mark.parametrize(
        "word",
        [
            "; rm -rf /",
            "$(id)",
            "`id`",
            "a b",
            "*",
            "-rf",
            "--help",
            "",
            "'",
            '"',
            "a\nb",
            "ä",
            "| cat",
            "> x",
        ],
    )
    def test_a_hostile_word_is_a_word(self, word: str, tmp_path: Path) -> None:
        show = "import json, sys; print(json.dumps(sys.argv[1:]))"
        command = CommandLine(sys.executable, backend="test")

        result = command.run(["-c", show, "first", word, "last"], timeout=60)

        assert json.loads(result.stdout) == ["first", word, "last"]
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("program", ["sh -c true", "true; true", "-c", "$(true)", ""])
    def test_a_programs_name_is_not_a_line(self, program: str) -> None:
        command = CommandLine(program, backend="test")

        assert command.found() is None
        with pytest.raises(EngineUnavailable):
            command.run([], timeout=1)


class TestEnvironment:
    """The whole environment is the caller's to give."""

    def test_by_default_it_is_ours_at_the_time_of_the_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        command = CommandLine("sh", backend="test")
        monkeypatch.setenv("VMHARNESS_TEST_WORD", "hello")

        assert command.run(["-c", "echo $VMHARNESS_TEST_WORD"], timeout=60).stdout == "hello\n"

    def test_one_that_is_given_is_all_there_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VMHARNESS_TEST_WORD", "hello")
        environ = {"PATH": os.environ["PATH"], "OTHER": "x"}

        result = CommandLine("sh", backend="test", environ=environ).run(
            ["-c", 'echo "$VMHARNESS_TEST_WORD,$OTHER"'], timeout=60
        )

        assert result.stdout == ",x\n"

    def test_the_program_is_looked_for_on_its_path(self, tmp_path: Path) -> None:
        program = tmp_path / "engine"
        program.write_text("#!/bin/sh\necho mine\n")
        program.chmod(0o755)
        command = CommandLine("engine", backend="test", environ={"PATH": str(tmp_path)})

        assert command.found() == str(program)
        assert command.run([], timeout=60).stdout == "mine\n"
        assert CommandLine("engine", backend="test").found() is None


class TestNotThere:
    """A program that can't be started: the engine was asked nothing."""

    def test_one_that_is_not_found_is_told_with_what_to_do(self) -> None:
        command = CommandLine("no-such-engine", backend="test", hint="install it from example.org")

        with pytest.raises(EngineUnavailable) as raised:
            command.run(["list"], timeout=1)

        assert str(raised.value) == (
            "cannot run 'no-such-engine': not found on PATH; install it from example.org"
        )
        assert raised.value.backend == "test"

    def test_a_file_that_is_not_executable_is_not_found(self, tmp_path: Path) -> None:
        (tmp_path / "engine").write_text("#!/bin/sh\n")

        with pytest.raises(EngineUnavailable, match="not found"):
            CommandLine(str(tmp_path / "engine"), backend="test").run([], timeout=1)

    @pytest.mark.parametrize("content", ["#!/no/such/interpreter\n", "\x7fELF garbage"])
    def test_one_that_cannot_be_started_is_told_with_the_reason(self, tmp_path: Path, content: str) -> None:
        program = tmp_path / "engine"
        program.write_text(content)
        program.chmod(0o755)

        with pytest.raises(EngineUnavailable, match=r"cannot run .*engine.*; ask somebody") as raised:
            CommandLine(str(program), backend="test", hint="ask somebody").run([], timeout=1)
        assert isinstance(raised.value.__cause__, OSError)

    def test_a_folder_is_no_program(self, tmp_path: Path) -> None:
        with pytest.raises(EngineUnavailable):
            CommandLine(str(tmp_path), backend="test").run([], timeout=1)


class Patient(subprocess.Popen[bytes]):
    """Lets a deadline pass only once the processes of a test are up, so that no test depends on time."""

    condition: tuple[Callable[[], bool]]
    drain_s: float

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        if timeout == 0.0:
            wait_until(self.condition[0])
        elif timeout is not None:
            timeout = self.drain_s
        return super().communicate(input, timeout)


def patient(ready: Callable[[], bool], drain_s: float = 60.0) -> type[Patient]:
    return type("Patient", (Patient,), {"condition": (ready,), "drain_s": drain_s})


class TestDeadline:
    """After it, nothing of the command is left."""

    def run(self, popen: type[Patient], script: str, pids: Pids) -> None:
        command = CommandLine("sh", backend="test", popen=popen)
        with pytest.raises(TimeoutError, match=r"(?s)^sh -c .*: no end after 0 s$"):
            command.run(["-c", script, "sh", str(pids.folder)], timeout=0.0)

    def test_the_whole_group_is_killed_grandchildren_and_those_that_ignore_signals_included(
        self, pids: Pids
    ) -> None:
        script = f"""
            trap '' TERM INT HUP
            sh -c 'trap "" TERM INT HUP; echo $$ >"$1/grandchild"; sleep {FOREVER}; :' sh "$1" &
            echo $$ >"$1/child"
            wait
        """

        self.run(patient(lambda: pids.are_there("child", "grandchild")), script, pids)

        wait_until(lambda: not alive(pids.read("child")) and not alive(pids.read("grandchild")))

    def test_one_whose_leader_has_ended_but_not_its_children(self, pids: Pids) -> None:
        script = f'sleep {FOREVER} & echo $! >"$1/child"'

        self.run(patient(lambda: pids.are_there("child")), script, pids)

        wait_until(lambda: not alive(pids.read("child")))

    def test_a_descendant_that_left_the_group_holds_nobody_up(self, pids: Pids) -> None:
        script = f"""
            {sys.executable} -c 'import os, sys, time
os.setsid()
open(sys.argv[1] + "/escaped", "w").write(str(os.getpid()) + "\\n")
time.sleep({FOREVER})' "$1" &
            wait
        """

        self.run(patient(lambda: pids.are_there("escaped"), drain_s=0.05), script, pids)

        assert alive(pids.read("escaped")), "it is nobody's to kill"

    def test_the_processes_of_others_are_none_of_its_business(self, pids: Pids) -> None:
        other = subprocess.Popen(["sleep", FOREVER])

        self.run(patient(lambda: True), f"sleep {FOREVER}", pids)

        assert other.poll() is None
        other.kill()
        other.wait()


def test_an_interrupt_kills_the_whole_group_as_well(pids: Pids) -> None:
    script = f"""
        sh -c 'trap "" TERM INT HUP; echo $$ >"$1/grandchild"; sleep {FOREVER}; :' sh "$1" &
        trap '' INT
        echo $$ >"$1/child"
        wait
    """
    program = textwrap.dedent(
        """
        import json, sys
        sys.path[:0] = json.loads(sys.argv[1])
        from vmharness.command import CommandLine
        try:
            CommandLine("sh", backend="test").run(["-c", sys.argv[2], "sh", sys.argv[3]], timeout=300)
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(sys.path), script, str(pids.folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: pids.are_there("child", "grandchild"))

    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)

    assert out == "interrupted\n"
    wait_until(lambda: not alive(pids.read("child")) and not alive(pids.read("grandchild")))


def test_a_process_of_the_command_has_a_group_of_its_own() -> None:
    pid, group = sh("ps -o pid=,pgid= -p $$").stdout.split()

    assert pid == group
    assert int(group) != os.getpgrp()


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (CommandResult(status=1, stdout="", stderr="a\nb\n"), "and said: b"),
        (CommandResult(status=1, stdout="out\n", stderr=" \n"), "and said: out"),
        (CommandResult(status=-9, stdout="", stderr=""), "ended with -9 and said: nothing"),
    ],
)
def test_a_failure_is_told_in_one_line(result: CommandResult, said: str) -> None:
    text = describe_failure("orbctl", ["delete", "a b"], result)

    assert text.startswith("orbctl delete 'a b' ended with ")
    assert text.endswith(said)
    assert "\n" not in text


def test_an_interrupt_while_it_is_started_leaves_no_process(pids: Pids) -> None:
    def popen(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen[bytes](*args, **options)
        (pids.folder / "child").write_text(f"{process.pid}\n")
        os.kill(os.getpid(), signal.SIGINT)
        return process

    with pytest.raises(KeyboardInterrupt):
        CommandLine("sleep", backend="test", popen=popen).run([FOREVER], timeout=300)

    assert not alive(pids.read("child"))
