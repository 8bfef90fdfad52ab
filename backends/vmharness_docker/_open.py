"""Opening the engine for one call; the one place that loads the client, when it is first needed.

Each call has a client of its own: it costs 0.04 ms, gives the call its own deadline, closes the connection
whatever happens, and neither threads nor forked children ever share a connection.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from socket import socket
from typing import Any, Protocol

from vmharness_docker._endpoint import Endpoint

__all__ = ["Api", "Engine", "Json", "Open", "Opener"]

Json = dict[str, Any]


class Api(Protocol):
    """What is used of docker-py's low-level client."""

    def version(self) -> Json: ...
    def containers(self, *, all: bool, filters: Json | None = None) -> list[Json]: ...
    def create_host_config(self, *, nano_cpus: int | None, mem_limit: int | None) -> Json: ...
    def create_container(self, image: str, **options: Any) -> Json: ...
    def start(self, container: str) -> None: ...
    def stop(self, container: str, *, timeout: int) -> None: ...
    def rename(self, container: str, name: str) -> None: ...
    def inspect_container(self, container: str) -> Json: ...
    def remove_container(self, container: str, *, v: bool, force: bool) -> None: ...
    def inspect_image(self, image: str) -> Json: ...
    def pull(
        self, repository: str, /, *, platform: str | None, stream: bool, decode: bool
    ) -> Iterable[Json]: ...
    def images(self) -> list[Json]: ...
    def exec_create(
        self, container: str, cmd: Sequence[str], *, stdin: bool, user: str, workdir: str | None
    ) -> Json: ...
    def exec_inspect(self, exec_id: str) -> Json: ...


class Engine(Protocol):
    """The engine, open for one call; each request ends at the call's deadline."""

    @property
    def api(self) -> Api:
        """docker-py's low-level client."""
        ...

    @property
    def half_closes(self) -> bool:
        """Whether a stream's one direction can be closed: not over TLS."""
        ...

    def left(self) -> float:
        """Return the seconds to the deadline, not below 0."""
        ...

    def pull(self, image: str, platform: str | None, /) -> None:
        """Get an image from its registry."""
        ...

    def attach(self, exec_id: str) -> tuple[socket, bytes]:
        """Start a command; return its stream, and what was already read of it."""
        ...


Open = Callable[[float], AbstractContextManager[Engine]]


class Opener:
    """Opens one engine, again and again.

    Args:
        where: The engine; None = the one that testcontainers finds.
    """

    def __init__(self, where: Endpoint | None) -> None:
        self._where = where
        self._version = ""

    @functools.cached_property
    def endpoint(self) -> Endpoint:
        """Which engine; raises ValueError if what the environment says is malformed."""
        if self._where is not None:
            return self._where
        from vmharness_docker._client import find_endpoint

        return find_endpoint()

    @property
    def is_commands(self) -> bool:
        """Whether Docker's own command asks the same engine."""
        from vmharness_docker._client import find_endpoint

        return self.endpoint == find_endpoint(for_command=True)

    @contextmanager
    def __call__(self, timeout: float) -> Generator[Engine, None, None]:
        """Open the engine for one call.

        Args:
            timeout: Seconds until the call's deadline.
        """
        from vmharness_docker._client import Client  # 0.2 s

        # Asking for the version takes 7 ms, and it is one fact about the engine, not about a machine.
        client = Client(self.endpoint, timeout=timeout, version=self._version)
        try:
            self._version = client.version
            yield client
        finally:
            client.close()
