"""testcontainers' client as we open it, against a small server: deadlines, connections, no side effects."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("testcontainers")

from testcontainers.core import docker_client
from testcontainers.core.config import testcontainers_config

from vmharness_docker._client import Client, find_endpoint
from vmharness_docker._endpoint import Endpoint
from vmharness_docker._errors import is_timeout
from vmharness_docker._open import Opener

Serve = Callable[[socket.socket, str], None]


class Server:
    """Listens at a Unix socket; a function answers each request, given its connection and first line."""

    def __init__(self, path: Path) -> None:
        self.endpoint = Endpoint(url=f"unix://{path}")
        self.requests: list[str] = []
        self.closed = threading.Event()
        self.serve: Serve = lambda connection, line: None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        asked = False
        with connection, connection.makefile("rb") as lines:
            try:
                while line := lines.readline().decode().strip():
                    asked = True
                    self._answer(connection, line.removesuffix(" HTTP/1.1"), lines)
            except OSError:
                pass  # the client has closed it
        if asked:
            self.closed.set()

    def _answer(self, connection: socket.socket, line: str, lines: io.BufferedIOBase) -> None:
        length = 0
        while header := lines.readline().decode().strip():
            name, _, value = header.partition(": ")
            length = int(value) if name == "Content-Length" else length
        lines.read(length)
        self.requests.append(line)
        self.serve(connection, line)


def reply(connection: socket.socket, value: Any) -> None:
    body = json.dumps(value).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("d") / "s")
    yield server
    server.close()


def test_connection_is_closed_after_each_call(server: Server) -> None:
    server.serve = lambda connection, line: reply(connection, [])
    client = Client(server.endpoint, timeout=5, version="1.41")

    assert client.api.containers(all=True) == []
    client.close()

    assert server.closed.wait(5)
    assert [line.partition("?")[0] for line in server.requests] == ["GET /v1.41/containers/json"]


def test_version_is_asked_for_once(server: Server) -> None:
    def serve(connection: socket.socket, line: str) -> None:
        reply(connection, {"ApiVersion": "1.41"} if "version" in line else [])

    server.serve = serve
    opener = Opener(server.endpoint)

    for _ in range(3):
        with opener(5) as engine:
            engine.api.containers(all=True)

    assert [line.split("?")[0] for line in server.requests] == ["GET /version"] + 3 * [
        "GET /v1.41/containers/json"
    ]


def test_silent_engine_is_given_up_at_the_deadline(server: Server) -> None:
    client = Client(server.endpoint, timeout=0.2, version="1.41")
    before = time.monotonic()

    with pytest.raises(Exception, match="timed out") as caught:
        client.api.containers(all=True)

    assert is_timeout(caught.value)
    assert time.monotonic() - before < 2
    assert server.closed.wait(5)
    client.close()


def test_pull_has_a_deadline_too(server: Server) -> None:
    """docker-py gives a pull none."""

    def serve(connection: socket.socket, line: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.sendall(b'18\r\n{"status":"Downloading"}\r\n')
            time.sleep(0.02)

    server.serve = serve
    client = Client(server.endpoint, timeout=0.3, version="1.41")

    with pytest.raises(Exception, match=r"deadline|timed out") as caught:
        client.pull("some:1", None)

    assert is_timeout(caught.value)
    client.close()


def test_error_in_the_stream_of_a_pull_is_one(server: Server) -> None:
    def serve(connection: socket.socket, line: str) -> None:
        data = b'{"error":"toomanyrequests"}'
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))

    server.serve = serve
    client = Client(server.endpoint, timeout=5, version="1.41")

    with pytest.raises(Exception, match="toomanyrequests"):
        client.pull("some:1", None)
    client.close()


def test_deadline_is_the_whole_calls(server: Server) -> None:
    def serve(connection: socket.socket, line: str) -> None:
        time.sleep(0.1)
        reply(connection, [])

    server.serve = serve
    client = Client(server.endpoint, timeout=0.25, version="1.41")

    client.api.containers(all=True)
    client.api.containers(all=True)
    with pytest.raises(OSError) as caught:
        client.api.containers(all=True)

    assert is_timeout(caught.value)
    client.close()


def test_output_in_one_piece_with_the_answers_head_is_not_lost(server: Server) -> None:
    output = b"\x01\0\0\0\0\0\0\x03hi\n"

    def serve(connection: socket.socket, line: str) -> None:
        head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        connection.sendall(head + output)

    server.serve = serve
    client = Client(server.endpoint, timeout=5, version="1.41")

    _, early = client.attach("exec-1")

    assert early == output
    client.close()
    assert server.closed.wait(5)


@pytest.mark.parametrize("listening", [True, False])
def test_closed_door_leaves_no_socket_open(tmp_path_factory: pytest.TempPathFactory, listening: bool) -> None:
    """docker-py would; with warnings as errors that fails some later test."""
    path = tmp_path_factory.mktemp("d") / "s"
    if listening:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))

    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        Client(Endpoint(url=f"unix://{path}"), timeout=5)


def test_nothing_of_testcontainers_or_the_environment_is_changed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", '{"auths": {"r.example": {"auth": "bWU6c2VjcmV0"}}}')
    server.serve = lambda connection, line: reply(connection, [])
    environ, config = dict(os.environ), dict(vars(testcontainers_config))

    client = Client(server.endpoint, timeout=5, version="1.41")
    client.api.containers(all=True)
    client.close()

    assert dict(os.environ) == environ
    assert dict(vars(testcontainers_config)) == config
    assert len(server.requests) == 1  # no log-in


def test_default_engine_is_testcontainers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.5:2376")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/c")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")

    assert str(find_endpoint()) == "tcp://10.0.0.5:2376?cert=/c"


def test_default_engine_is_the_current_contexts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not hasattr(docker_client, "_get_docker_host_from_context"):
        pytest.skip("this release of testcontainers knows no contexts")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}))
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"far").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(
        json.dumps({"Name": "far", "Metadata": {}, "Endpoints": {"docker": {"Host": "tcp://far:2375"}}})
    )

    assert str(find_endpoint()) == "tcp://far:2375"
