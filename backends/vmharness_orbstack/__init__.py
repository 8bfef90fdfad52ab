"""OrbStack as a backend, driven through its own command `orbctl`; it knows nothing of sessions and ledgers.

One OrbStack serves one login user of a Mac, so the endpoint is `orbstack:` and the user's number. A script in
orbctl's place, as a simulator's, may have machines of its own, so it is an engine of its own, known by its
path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
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
_USER: Final = f"{BACKEND}:"
_GET_IT: Final = "install it with `brew install orbstack`, or from https://orbstack.dev"


def connect(endpoint: str | None = None) -> Provider:
    """Open the login user's OrbStack; nothing is asked and nothing is started.

    Args:
        endpoint: None, or what an earlier provider's `endpoint` said.

    Returns:
        The provider.

    Raises:
        EngineUnavailable: `orbctl` isn't installed, or what is there isn't that of the endpoint.
    """
    here = f"{_USER}{os.getuid()}"
    user, _, script = (endpoint or here).removeprefix(_USER).partition(":")
    if user != str(os.getuid()):
        raise EngineUnavailable(
            f"cannot open {endpoint!r} from here: this login user's OrbStack is {here!r}; run as that user",
            backend=BACKEND,
        )
    for command in find_commands([script] if script else PLACES):
        path, found = os.path.realpath(command.found() or ""), here
        if _is_script(path):
            # By its path, so that the command which removes a machine does so in any shell.
            command, found = CommandLine(path, backend=BACKEND, hint=_GET_IT), f"{here}:{path}"
        if endpoint in (None, found):
            return OrbStackProvider(command, endpoint=found)
    where = f"{script!r} isn't there" if script else "no 'orbctl' on PATH, nor in OrbStack's own places"
    raise EngineUnavailable(f"cannot find OrbStack: {where}; {_GET_IT}", backend=BACKEND)


def find_commands(places: Sequence[str] = PLACES) -> Iterator[CommandLine]:
    """Yield orbctl from each of the places that has it."""
    for place in places:
        program = os.path.expanduser(place)  # noqa: PTH111 - Path.expanduser raises where no home is known
        command = CommandLine(program, backend=BACKEND, hint=_GET_IT)
        if command.found():
            yield command


def _is_script(path: str) -> bool:
    """Whether what is called orbctl is a script, and not OrbStack's own program."""
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False
