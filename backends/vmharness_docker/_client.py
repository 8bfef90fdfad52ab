"""testcontainers' Docker client, opened on a named engine with one deadline; it knows no machine.

The one module that imports testcontainers and docker-py, which takes 0.2 s.
"""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Any, cast

import docker
import requests
from docker.errors import DockerException
from docker.tls import TLSConfig
from testcontainers.core.auth import parse_docker_auth_config
from testcontainers.core.config import testcontainers_config
from testcontainers.core.docker_client import DockerClient, get_docker_auth_config, get_docker_host

from vmharness_docker._endpoint import Endpoint
from vmharness_docker._open import Api

__all__ = ["Client", "find_endpoint"]


def find_endpoint(*, for_command: bool = False) -> Endpoint:
    """Return the engine that testcontainers would use, or raise ValueError.

    Args:
        for_command: Return the one that Docker's command would use, which doesn't know `tc.host`.
    """
    host = get_docker_host()
    if for_command and testcontainers_config.tc_properties_get_tc_host():
        host = os.environ.get("DOCKER_HOST")
    return Endpoint.of_environ(host, os.environ)


class Client(DockerClient):
    """testcontainers' client of one engine, for one call.

    Theirs asks the environment which engine is meant, writes DOCKER_HOST into it, and logs in to a registry
    whenever it is made. None of that is wanted here, so their `__init__` isn't called.

    Args:
        endpoint: Which engine.
        timeout: Seconds until the deadline of all that is asked.
        version: The version of the API to speak; "" = ask for the engine's own.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float, version: str = "") -> None:
        self._ends = time.monotonic() + timeout
        _knock(endpoint, timeout)
        self._attached: tuple[Any, ...] = ()
        self.half_closes = not endpoint.certs
        self.client = _Docker(self._ends, endpoint, version)
        self.api = cast("Api", self.client.api)

    @property
    def version(self) -> str:
        """The version of the API that is spoken."""
        return self.client.api.api_version

    def close(self) -> None:
        """Close the connection, whatever is under way on it."""
        for part in (*self._attached, self.client):  # a stream isn't in the client's pool any more
            try:
                part.close()
            except OSError:
                pass  # the other end was faster

    def left(self) -> float:
        """Return the seconds to the deadline, not below 0."""
        return max(0.0, self._ends - time.monotonic())

    def pull(self, image: str, platform: str | None) -> None:
        """Get an image from its registry, logging in first if testcontainers is told how to."""
        found = get_docker_auth_config()
        accounts = parse_docker_auth_config(found) if found else None
        if accounts:
            self.login(accounts[0])
        for line in self.api.pull(image, platform=platform, stream=True, decode=True):
            # Between two lines only the connection's own time-out runs, from the start of the pull.
            if not self.left():
                raise TimeoutError("the deadline passed while the image was being pulled")
            if "error" in line:
                raise DockerException(line["error"])

    def attach(self, exec_id: str) -> tuple[socket, bytes]:
        """Start a command; return its stream, not blocking, and what was already read of it."""
        stream: Any = self.client.api.exec_start(exec_id, socket=True)
        connection: socket = getattr(stream, "_sock", stream)
        # With the answer, which would close the connection when it is dropped.
        self._attached = (stream._response, stream, connection)
        connection.settimeout(0)
        try:
            # What came in one piece with the answer's head is in the reader's buffer; docker-py loses it.
            early: bytes = stream._response.raw._fp.fp.peek()
        except ssl.SSLWantReadError:
            early = b""
        return connection, early


class _Docker(docker.DockerClient):
    """docker-py's client, all of whose requests have one deadline."""

    def __init__(self, ends: float, endpoint: Endpoint, version: str) -> None:
        # `pull` gives no time-out at all, the rest one for the whole client; `send` is the one way out.
        self.api = _Api(
            ends,
            base_url=endpoint.url,
            version=version or "auto",
            tls=_tls(endpoint) if endpoint.certs else False,
        )


class _Api(docker.APIClient):
    def __init__(self, ends: float, **options: Any) -> None:
        self._ends = ends
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise requests.exceptions.ConnectTimeout("the deadline passed before the engine was asked")
        options["timeout"] = left
        options["verify"] = self.verify  # which REQUESTS_CA_BUNDLE would override
        return super().send(request, **options)


def _knock(endpoint: Endpoint, timeout: float) -> None:
    """Raise OSError if nobody listens at the engine's socket; docker-py would leave one open then."""
    scheme, _, path = endpoint.url.partition("://")
    if scheme == "unix":
        with socket(AF_UNIX) as door:
            door.settimeout(timeout)
            door.connect(path)


def _tls(endpoint: Endpoint) -> TLSConfig:
    folder = Path(endpoint.certs)
    return TLSConfig(
        client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
        ca_cert=str(folder / "ca.pem"),
        verify=endpoint.verify,
    )
