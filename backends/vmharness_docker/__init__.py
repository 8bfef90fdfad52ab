"""Docker as a backend, through testcontainers' client; it knows nothing of sessions and ledgers.

A machine is a container that stays up. Which engine: as testcontainers finds it, so `tc.host` in
`~/.testcontainers.properties`, then `DOCKER_HOST`, then Docker's current context, then the default socket.
Neither testcontainers' configuration nor its reaper Ryuk is touched or started: what a user's own tests do
with testcontainers stays theirs.
"""

from __future__ import annotations

import importlib.util

from vmharness.errors import EngineUnavailable
from vmharness.provider import Provider
from vmharness_docker._endpoint import Endpoint
from vmharness_docker._open import Opener
from vmharness_docker._provider import DockerProvider

__all__ = ["DockerProvider", "connect"]


def connect(endpoint: str | None = None) -> Provider:
    """Open a Docker engine; nothing is asked, and its client isn't imported yet.

    Args:
        endpoint: None, or what an earlier provider's `endpoint` said.

    Returns:
        The provider.

    Raises:
        EngineUnavailable: The packages for Docker aren't installed, or the endpoint can't be used.
    """
    missing = [name for name in ("testcontainers", "docker") if importlib.util.find_spec(name) is None]
    if missing:
        raise EngineUnavailable(
            f"cannot use Docker: no package {missing[0]!r}; run pip install 'vmharness[docker]'",
            backend="docker",
        )
    try:
        where = None if endpoint is None else Endpoint.parse(endpoint)
    except ValueError as exc:
        raise EngineUnavailable(f"cannot open Docker: {exc}", backend="docker") from exc
    return DockerProvider(Opener(where))
