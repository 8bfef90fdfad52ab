"""The proxy by which real engines' calls are made to wait: before an engine of a few lines."""

from __future__ import annotations

import os
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faultlab.proxy import Point, Proxy, Side

POINTS = {
    "make:before": Point(r"POST /things\n.*big", Side.ASKED),
    "make:after": Point(r"POST /things\n", Side.ANSWERED),
}
MAKE = b"POST /things HTTP/1.1\r\nContent-Length: 3\r\n\r\nbig"
OTHER = b"POST /things HTTP/1.1\r\nContent-Length: 5\r\n\r\nsmall"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Engine:
    """Answers each request, all of which come in one piece; a stream of its client's it echoes.

    For some seconds it looks whether its client hangs up before it answers: then it does nothing.
    """

    def __init__(self, path: Path) -> None:
        self.looks_s = 0.0
        self.heard: list[bytes] = []
        self.done: list[bytes] = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._spawn(self._take)

    def _spawn(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _take(self) -> None:
        with self._door:
            while True:
                try:
                    connection, _ = self._door.accept()
                except OSError:
                    return
                self._connections.append(connection)
                self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                self.heard.append(data)
                if select.select([connection], [], [], self.looks_s)[0]:
                    return
                self.done.append(data)
                try:
                    connection.sendall(ANSWER if b"HTTP/1.1" in data else data)
                except BrokenPipeError:
                    return

    def die(self) -> None:
        for connection in (self._door, *self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vmh-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    engine = Engine(folder / "engine")
    yield engine
    engine.die()


@pytest.fixture
def proxy(folder: Path, engine: Engine) -> Iterator[Proxy]:
    proxy = Proxy(folder / "proxy", folder / "engine", POINTS, caller=lambda pid: pid)
    proxy.listen()
    yield proxy
    proxy.close()
    assert not proxy.is_busy()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(proxy.path))
        yield client


def test_it_passes_requests_and_tells_whose_they_were(
    proxy: Proxy, engine: Engine, client: socket.socket
) -> None:
    for request in (MAKE, OTHER):
        client.sendall(request[:-2])
        client.sendall(request[-2:])
        assert client.recv(1000) == ANSWER

    assert engine.heard == [MAKE, OTHER]
    assert proxy.asked("make:before") == [os.getpid()]
    assert proxy.stood("make:before") == []
    proxy.forget()
    assert proxy.asked("make:before") == []


def test_the_engine_doesnt_hear_of_a_request_that_waits(
    proxy: Proxy, engine: Engine, client: socket.socket
) -> None:
    proxy.hold("make:before")
    client.sendall(MAKE)
    eventually(lambda: proxy.stood("make:before") == [os.getpid()])

    assert engine.heard == []
    assert proxy.is_busy()
    proxy.release("make:before")
    assert client.recv(1000) == ANSWER


def test_it_never_hears_of_one_whose_client_hung_up(
    proxy: Proxy, engine: Engine, client: socket.socket
) -> None:
    proxy.hold("make:before")
    client.sendall(MAKE)
    eventually(lambda: proxy.stood("make:before"))

    client.close()
    proxy.release("make:before")

    eventually(lambda: not proxy.is_busy())
    assert engine.heard == []


def test_other_requests_dont_wait(proxy: Proxy, client: socket.socket) -> None:
    proxy.hold("make:before")

    client.sendall(OTHER)

    assert client.recv(1000) == ANSWER


def test_the_client_doesnt_hear_of_an_answer_that_waits(
    proxy: Proxy, engine: Engine, client: socket.socket
) -> None:
    proxy.hold("make:after")
    client.sendall(MAKE)
    eventually(lambda: proxy.stood("make:after"))

    assert engine.heard == [MAKE]
    client.settimeout(0)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    client.settimeout(30)
    proxy.release("make:after")
    assert client.recv(1000) == ANSWER


def test_an_answer_that_waits_is_lost_if_the_engine_dies(
    proxy: Proxy, engine: Engine, client: socket.socket
) -> None:
    proxy.hold("make:after")
    client.sendall(MAKE)
    eventually(lambda: proxy.stood("make:after"))

    proxy.refuse()
    engine.die()
    proxy.release("make:after")

    assert client.recv(1000) == b""


def test_an_answer_that_waits_is_kept_if_the_engine_hangs_up(
    proxy: Proxy, engine: Engine, client: socket.socket
) -> None:
    proxy.hold("make:after")
    client.sendall(MAKE)
    eventually(lambda: proxy.stood("make:after"))

    engine.die()
    proxy.release("make:after")

    assert client.recv(1000) == ANSWER
    assert client.recv(1000) == b""


def test_a_late_request_comes_to_the_engine_when_its_client_is_gone(
    proxy: Proxy, engine: Engine, client: socket.socket
) -> None:
    proxy.make_late("make:before")
    client.sendall(MAKE)
    eventually(lambda: proxy.asked("make:before"))

    assert engine.heard == []
    client.close()

    eventually(lambda: engine.heard == [MAKE])


def test_the_engine_doesnt_see_that_a_late_requests_client_is_gone(
    proxy: Proxy, engine: Engine, client: socket.socket
) -> None:
    engine.looks_s = 0.5
    proxy.make_late("make:before")
    client.sendall(MAKE)
    eventually(lambda: proxy.asked("make:before"))

    client.close()

    eventually(lambda: not proxy.is_busy())
    assert engine.done == [MAKE]


def test_a_stream_passes_both_ways(proxy: Proxy, engine: Engine, client: socket.socket) -> None:
    client.sendall(OTHER)
    client.recv(1000)
    client.sendall(b"\x00a frame")
    assert client.recv(1000) == b"\x00a frame"
    client.sendall(b"\x01another")
    assert client.recv(1000) == b"\x01another"

    client.shutdown(socket.SHUT_WR)

    assert client.recv(1000) == b""


def test_who_knocks_while_it_refuses_is_refused(proxy: Proxy) -> None:
    proxy.refuse()

    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(proxy.path))
    proxy.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(proxy.path))
        client.sendall(MAKE)
        assert client.recv(1000) == ANSWER
