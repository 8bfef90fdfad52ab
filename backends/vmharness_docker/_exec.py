"""Running a command in a container: its streams taken apart, and one deadline for all of it."""

from __future__ import annotations

import selectors
import ssl
import struct
import time
from collections.abc import Sequence
from socket import SHUT_WR, socket
from typing import Final

from vmharness.errors import NotSupported, ProviderError
from vmharness.provider import CommandResult
from vmharness_docker._errors import BACKEND
from vmharness_docker._open import Engine

__all__ = ["Streams", "run"]

_CHUNK: Final = 65536
_PAUSE_S: Final = 0.01
_AGAIN: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def run(
    engine: Engine,
    container: str,
    argv: Sequence[str],
    *,
    machine: str = "",
    input: bytes | None = None,
    user: str = "",
    cwd: str = "",
) -> CommandResult:
    """Run a command in a container, by its ID; the machine's name is for errors.

    Raises:
        ProviderError: It could not be started.
        TimeoutError: The engine's deadline passed; the command may go on, for Docker can't end it.
    """
    if input is not None and not engine.half_closes:
        raise NotSupported(
            "cannot give a command an input over TLS: its end can't be told; leave the input out, or use "
            "the engine's own socket",
            backend=BACKEND,
            machine=machine,
        )
    made = engine.api.exec_create(container, [*argv], stdin=input is not None, user=user, workdir=cwd or None)
    connection, early = engine.attach(made["Id"])
    streams = Streams()
    streams.feed(early)
    _exchange(engine, connection, streams, input)
    while (ended := engine.api.exec_inspect(made["Id"]))["Running"]:
        if not engine.left():
            raise TimeoutError("the command has closed its output, but not ended")
        time.sleep(_PAUSE_S)
    if not ended["Pid"]:
        # Never started. The engine gives its reason as if the command had written it.
        said = streams.text(1).strip() or streams.text(2).strip()
        raise ProviderError(
            f"cannot start {[*argv]!r} in machine {machine!r}: {said}", backend=BACKEND, machine=machine
        )
    return CommandResult(status=ended["ExitCode"], stdout=streams.text(1), stderr=streams.text(2))


class Streams:
    """Takes apart what the engine sends in frames: a stream's number, a length, and so many bytes."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._parts: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}

    def feed(self, data: bytes) -> None:
        """Take what was received, cut anywhere."""
        self._pending += data
        while len(self._pending) >= 8:
            number, length = struct.unpack_from(">BxxxL", self._pending)
            if len(self._pending) < 8 + length:
                return
            self._parts[2 if number == 2 else 1] += self._pending[8 : 8 + length]
            del self._pending[: 8 + length]

    def text(self, number: int) -> str:
        """Return what came on stdout (1) or stderr (2)."""
        return self._parts[number].decode("utf-8", "replace")


def _exchange(engine: Engine, connection: socket, streams: Streams, input: bytes | None) -> None:
    """Send the input and take the output, side by side: each may wait for the other."""
    unsent = memoryview(input or b"")
    sending = input is not None
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        while True:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if unsent else 0)
            selector.modify(connection, events)
            if sending and not unsent:
                _end_input(connection)
                sending = False
            ready = selector.select(engine.left())
            if not ready and not engine.left():
                raise TimeoutError("the command has not ended")
            for _, mask in ready:
                if mask & selectors.EVENT_WRITE:
                    unsent = _send(connection, unsent)
                if mask & selectors.EVENT_READ and _receive(connection, streams, unread=input is not None):
                    return


def _send(connection: socket, unsent: memoryview) -> memoryview:
    try:
        return unsent[connection.send(unsent[:_CHUNK]) :]
    except _AGAIN:
        return unsent
    except (BrokenPipeError, ConnectionResetError):
        return unsent[:0]  # the command doesn't read its input to the end


def _end_input(connection: socket) -> None:
    try:
        connection.shutdown(SHUT_WR)
    except OSError:
        pass  # the engine has closed it first


def _receive(connection: socket, streams: Streams, *, unread: bool) -> bool:
    """Take all that is there; return whether the stream has ended.

    Args:
        connection: The stream.
        streams: Takes it apart.
        unread: Whether there may be input that the command hasn't read: then the end comes as a reset.
    """
    while True:
        try:
            data = connection.recv(_CHUNK)
        except _AGAIN:
            return False
        except ConnectionResetError:
            if unread:
                return True
            raise
        if not data:
            return True
        streams.feed(data)
