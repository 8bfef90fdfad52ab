"""Commands in a container: frames, input and output side by side, and the deadline."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from socket import SHUT_WR, socket, socketpair
from typing import Any, cast

import pytest

from vmharness.errors import NotSupported, ProviderError
from vmharness.provider import CommandResult
from vmharness_docker._exec import Streams, run
from vmharness_docker._open import Api, Json


def frame(number: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", number, len(data)) + data


class OneCommand:
    """An engine that runs one command: a function over the engine's end of the stream."""

    def __init__(
        self,
        command: Callable[[socket], object],
        *,
        status: int = 0,
        pid: int = 7,
        seconds: float = 5.0,
        early: bytes = b"",
        half_closes: bool = True,
    ) -> None:
        self.half_closes = half_closes
        self.ended = {"Running": False, "ExitCode": status, "Pid": pid}
        self.created: Json = {}
        self._command = command
        self._early = early
        self._ends = time.monotonic() + seconds
        self.ours, self.theirs = socketpair()

    @property
    def api(self) -> Api:
        return cast("Api", self)

    def left(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    def pull(self, image: str, platform: str | None) -> None:
        raise NotImplementedError

    def exec_create(
        self, container: str, cmd: Sequence[str], *, stdin: bool, user: str, workdir: str | None
    ) -> Json:
        self.created = {"cmd": cmd, "stdin": stdin, "user": user, "workdir": workdir}
        return {"Id": "exec-1"}

    def attach(self, exec_id: str) -> tuple[socket, bytes]:
        def serve() -> None:
            self._command(self.theirs)
            self.theirs.close()

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        self.ours.settimeout(0)
        return self.ours, self._early

    def exec_inspect(self, exec_id: str) -> Json:
        return self.ended


@contextmanager
def one_command(command: Callable[[socket], object], **options: Any) -> Generator[OneCommand, None, None]:
    engine = OneCommand(command, **options)
    try:
        yield engine
    finally:
        engine.ours.close()
        engine.theirs.close()


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 1000])
def test_frames_may_be_cut_anywhere(size: int) -> None:
    data = frame(1, b"out") + frame(2, b"err") + frame(1, b"") + frame(1, b"put")
    streams = Streams()

    for start in range(0, len(data), size):
        streams.feed(data[start : start + size])

    assert (streams.text(1), streams.text(2)) == ("output", "err")


def test_status_and_output_are_the_commands() -> None:
    with one_command(lambda end: end.sendall(frame(1, b"o") + frame(2, b"e")), status=3) as engine:
        result = run(engine, "0" * 64, ["sh", "-c", "…"], user="me", cwd="/tmp")

    assert result == CommandResult(status=3, stdout="o", stderr="e")
    assert engine.created == {"cmd": ["sh", "-c", "…"], "stdin": False, "user": "me", "workdir": "/tmp"}


def test_output_that_came_with_the_answers_head_is_kept() -> None:
    with one_command(
        lambda end: end.sendall(frame(1, b"late")[3:]), early=frame(1, b"early ") + frame(1, b"late")[:3]
    ) as engine:
        assert run(engine, "0" * 64, ["true"]).stdout == "early late"


def test_input_and_output_go_side_by_side() -> None:
    """More of each than any buffer holds: a client that sends all first would wait for ever."""
    data = b"0123456789abcdef" * 2**18

    def cat(end: socket) -> None:
        while chunk := end.recv(65536):
            end.sendall(frame(1, chunk))
        end.shutdown(SHUT_WR)

    with one_command(cat) as engine:
        result = run(engine, "0" * 64, ["cat"], input=data)

    assert result.stdout == data.decode()
    assert engine.created["stdin"] is True


def test_end_of_the_input_is_told() -> None:
    def count(end: socket) -> None:
        total = 0
        while chunk := end.recv(65536):
            total += len(chunk)
        end.sendall(frame(1, b"%d" % total))

    with one_command(count) as engine:
        assert run(engine, "0" * 64, ["wc", "-c"], input=b"").stdout == "0"
    with one_command(count) as engine:
        assert run(engine, "0" * 64, ["wc", "-c"], input=b"abc").stdout == "3"


def test_command_need_not_read_its_input() -> None:
    with one_command(lambda end: end.sendall(frame(1, b"done"))) as engine:
        assert run(engine, "0" * 64, ["true"], input=b"x" * 2**22).stdout == "done"


def test_deadline_ends_the_wait_for_a_silent_command() -> None:
    with one_command(lambda end: end.recv(1), seconds=0.1) as engine:
        before = time.monotonic()
        with pytest.raises(TimeoutError, match="has not ended"):
            run(engine, "0" * 64, ["sleep", "60"])
        assert time.monotonic() - before < 2


def test_deadline_ends_the_wait_for_a_talkative_command() -> None:
    def talk(end: socket) -> None:
        try:
            while True:
                end.sendall(frame(1, b"y\n"))
                time.sleep(0.005)
        except OSError:
            pass

    with one_command(talk, seconds=0.2) as engine:
        before = time.monotonic()
        with pytest.raises(TimeoutError):
            run(engine, "0" * 64, ["yes"])
        assert time.monotonic() - before < 2


def test_deadline_ends_the_wait_for_a_status() -> None:
    with one_command(lambda end: None, seconds=0.1) as engine:
        engine.ended["Running"] = True
        with pytest.raises(TimeoutError, match="not ended"):
            run(engine, "0" * 64, ["daemon"])


def test_command_that_cannot_be_started_is_told_from_one_that_fails() -> None:
    said = frame(1, b'OCI runtime exec failed: exec: "nosuch": executable file not found in $PATH\r\n')
    with (
        one_command(lambda end: end.sendall(said), status=126, pid=0) as engine,
        pytest.raises(ProviderError, match=r"cannot start \['nosuch'\] in machine 'vm-1': OCI runtime"),
    ):
        run(engine, "0" * 64, ["nosuch"], machine="vm-1")

    with one_command(lambda end: end.sendall(said), status=126, pid=7) as engine:
        assert run(engine, "0" * 64, ["sh", "-c", "exit 126"]).status == 126


def test_input_over_tls_is_not_supported() -> None:
    with (
        one_command(lambda end: None, half_closes=False) as engine,
        pytest.raises(NotSupported, match="over TLS"),
    ):
        run(engine, "0" * 64, ["cat"], input=b"x")

    assert engine.created == {}
