"""OrbStack as a backend, driven through its own command `orbctl`; it knows nothing of sessions and ledgers.

One OrbStack serves one login user of a Mac, so the endpoint is `orbstack:` and the user's number.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from vmharness.command import CommandLine
from vmharness.errors import EngineUnavailable
from vmharness.provider import Provider
from vmharness_orbstack._cli import BACKEND
from vmharness_orbstack._provider import OrbStackProvider

__all__ = ["OrbStackProvider", "connect"]

# PATH first; then where OrbStack puts its command, for launchd's and IDEs' short PATHs.
PLACES: Final = (
    "orbctl",
    "/usr/local/bin/orbctl",
    "~/.orbstack/bin/orbctl",
    "/Applications/OrbStack.app/Contents/MacOS/bin/orbctl",
)
_GET_IT: Final = "install it with `brew install orbstack`, or from https://orbstack.dev"


def connect(endpoint: str | None = None) -> Provider:
    """Open the login user's OrbStack; nothing is asked and nothing is started.

    Args:
        endpoint: None, or what an earlier provider's `endpoint` said.

    Returns:
        The provider.

    Raises:
        EngineUnavailable: `orbctl` isn't installed, or the endpoint is another login user's OrbStack.
    """
    command = find_command()
    here = f"{BACKEND}:{os.getuid()}"
    if endpoint not in (None, here):
        raise EngineUnavailable(
            f"cannot open {endpoint!r} from here: this login user's OrbStack is {here!r}; run as that user",
            backend=BACKEND,
        )
    return OrbStackProvider(command, endpoint=here)


def find_command(places: Sequence[str] = PLACES) -> CommandLine:
    """Return orbctl from the first of the places that has it, or raise EngineUnavailable."""
    for place in places:
        program = os.path.expanduser(place)  # noqa: PTH111 - Path.expanduser raises where no home is known
        command = CommandLine(program, backend=BACKEND, hint=_GET_IT)
        if command.found():
            return command
    raise EngineUnavailable(
        f"cannot find OrbStack: no 'orbctl' on PATH, nor in OrbStack's own places; {_GET_IT}", backend=BACKEND
    )
