"""A proxy on a Unix socket before an engine's own, which logs requests and lets them wait at held points.

It reads no more of HTTP than where a request begins and ends: the rest passes as it comes, so websockets
and hijacked streams do as well. It knows no engine: what its points mean is told to it.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

__all__ = ["Point", "Proxy", "Side"]

_CHUNK: Final = 65536
_POLL_S: Final = 0.01
_REQUEST: Final = re.compile(rb"[A-Z]+ \S+ HTTP/1\.1\r\n")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Side(Enum):
    """Where a request waits: before the engine has it, or before the client has the answer."""

    ASKED = auto()
    ANSWERED = auto()


@dataclass(frozen=True)
class Point:
    """Which requests come to a point, by a pattern of "METHOD PATH" and after a line break the body."""

    pattern: str
    side: Side

    def matches(self, request: str) -> bool:
        """Whether a request comes here."""
        return re.match(self.pattern, request, re.DOTALL) is not None


class Proxy:
    """Stands before one engine, in threads of this process.

    A client that hangs up while its request waits was never heard of by the engine, unless `make_late` was
    called. One that hangs up later changes nothing: the engine has the order.

    Args:
        path: Where clients connect.
        engine: The engine's own socket.
        points: By name.
        caller: Returns the process on whose behalf a client asks, from the client's process id.
    """

    def __init__(
        self, path: Path, engine: Path, points: Mapping[str, Point], caller: Callable[[int], int]
    ) -> None:
        self.path: Final = path
        self._engine = engine
        self._points = points
        self._caller = caller
        self._changed = threading.Condition()
        self._held: set[str] = set()
        self._late = ""
        self._asked: list[tuple[str, int]] = []
        self._stood: list[tuple[str, int]] = []
        self._open: set[socket.socket] = set()
        self._door: socket.socket | None = None
        # How often the engine has died so far.
        self._deaths = 0

    # -- for the test

    def listen(self) -> None:
        """Take clients from now on."""
        self.path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(self.path))
        door.listen(64)
        self._door = door
        threading.Thread(target=self._take, args=(door,), daemon=True).start()

    def refuse(self) -> None:
        """Take no clients until `listen`, as if the engine were dead: answers that wait are lost."""
        door, self._door = self._door, None
        self._deaths += 1
        if door is not None:
            door.shutdown(socket.SHUT_RDWR)  # wakes who waits for clients, who closes it

    def close(self) -> None:
        """Take no more clients, and hang up on those that are there."""
        self.refuse()
        with self._changed:
            self._held.clear()
            self._changed.notify_all()
            for connection in self._open:
                _hang_up(connection)
            self._changed.wait_for(lambda: not self._open, timeout=10)

    def hold(self, point: str) -> None:
        """Make each request that comes to the point wait there."""
        assert point in self._points
        with self._changed:
            self._held.add(point)

    def release(self, point: str) -> None:
        """Let the requests at the point go on."""
        with self._changed:
            self._held.discard(point)
            self._changed.notify_all()

    def is_held(self, point: str) -> bool:
        """Whether requests wait at the point."""
        return point in self._held

    def make_late(self, point: str) -> None:
        """Let requests at the point reach the engine only when their client has hung up; "" = none."""
        self._late = point

    def asked(self, point: str) -> Sequence[int]:
        """Return who asked what comes to the point, held or not, since the last `forget`."""
        with self._changed:
            return [pid for name, pid in self._asked if name == point]

    def stood(self, point: str) -> Sequence[int]:
        """Return who came to wait at the point, in order, since the last `forget`."""
        with self._changed:
            return [pid for name, pid in self._stood if name == point]

    def forget(self) -> None:
        """Forget who asked and who waited."""
        with self._changed:
            self._asked.clear()
            self._stood.clear()

    def is_busy(self) -> bool:
        """Whether any client is connected, or the engine is at an order whose client has hung up."""
        with self._changed:
            return bool(self._open)

    # -- for the clients

    def _take(self, door: socket.socket) -> None:
        with door:
            while True:
                try:
                    client, _ = door.accept()
                except OSError:
                    return
                with self._changed:
                    self._open.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX)
        try:
            self._pass(client, engine, self._caller(_peer(client)))
        except OSError:
            pass  # one of the two is gone, and the other one hears of it
        finally:
            client.close()
            engine.close()
            with self._changed:
                self._open.discard(client)
                self._changed.notify_all()

    def _pass(self, client: socket.socket, engine: socket.socket, pid: int) -> None:
        """Pass all that comes from the one to the other, until one of them is done."""
        # The engine hears of a client when there is something to hear: LXD takes no other one while it waits
        # for the first word of one.
        sources = [client]
        begins = True  # no client sends a request before it has the answer to the one before
        late = False  # whether the engine must hear of the request though its client is gone
        answers: list[str] = []  # the points of the answer that is awaited
        while True:
            ready, _, _ = select.select(sources, [], [])
            if engine in ready:
                data = engine.recv(_CHUNK)
                if not data:
                    return
                deaths = self._deaths
                while answers:
                    self._stand(answers.pop(), pid)
                # That it hung up says nothing: it does so after each answer if it is asked to.
                if self._deaths != deaths:
                    return
                begins = True
                _send(client, data)
                continue
            data = client.recv(_CHUNK)
            if not data:
                if engine not in sources:
                    return
                sources.remove(client)
                engine.shutdown(socket.SHUT_WR)
                continue
            if begins and _REQUEST.match(data):
                data, request = _complete(client, data)
                late = self._late in self._at(request, Side.ASKED)
                if not self._may_pass(request, client, pid):
                    return
                answers = [name for name in self._at(request, Side.ANSWERED) if name in self._held]
            begins = False
            if engine not in sources:
                engine.connect(str(self._engine))
                sources.append(engine)
            engine.sendall(data)
            if late and _hung_up(client):
                engine.recv(_CHUNK)  # as if it weren't: LXD gives up what nobody waits for the answer of
                return

    def _at(self, request: str, side: Side) -> Sequence[str]:
        return [name for name, point in self._points.items() if point.side is side and point.matches(request)]

    def _may_pass(self, request: str, client: socket.socket, pid: int) -> bool:
        """Let a request wait before the engine has it; False: its client has hung up, and it is dropped."""
        for point in self._at(request, Side.ASKED):
            with self._changed:
                self._asked.append((point, pid))
            if point == self._late:
                while not _hung_up(client) and point == self._late:
                    select.select([client], [], [], _POLL_S)
            elif self._stand(point, pid) and _hung_up(client):
                return False
        return True

    def _stand(self, point: str, pid: int) -> bool:
        """Wait while the point is held; say whether it was."""
        with self._changed:
            if point not in self._held:
                return False
            self._stood.append((point, pid))
            self._changed.notify_all()
            self._changed.wait_for(lambda: point not in self._held)
            return True


def _peer(client: socket.socket) -> int:
    """Return the process that connected."""
    pid, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


def _hung_up(other: socket.socket) -> bool:
    """Whether the other end is gone, with nothing left to read."""
    try:
        return not other.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send(client: socket.socket, data: bytes) -> None:
    """Send to a client that may be gone: the engine goes on with what it was asked all the same."""
    try:
        client.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def _complete(client: socket.socket, data: bytes) -> tuple[bytes, str]:
    """Read a request to its end; return it, and its first line and body as points' patterns see them."""
    while b"\r\n\r\n" not in data:
        data += client.recv(_CHUNK) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    while length and len(body) < int(length[1]) and (more := client.recv(_CHUNK)):
        body += more
    line = head.partition(b" HTTP/1.1")[0]
    return head + b"\r\n\r\n" + body, f"{line.decode()}\n{body.decode(errors='replace')}"


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other end was faster
