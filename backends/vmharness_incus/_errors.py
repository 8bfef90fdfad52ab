"""The one place that turns what `incus` and `lxc` say into our errors. It runs nothing.

Both say `Error: ` and a sentence on stderr; the sentences are the daemon's, and differ from release to
release. They are English, for the command is run so.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)

__all__ = ["KNOWN", "Doing", "Means", "means", "said", "translate"]


class Doing(Enum):
    """What was under way. PREPARE: a create, before anything was asked that makes a machine."""

    ASK = auto()
    PREPARE = auto()
    CREATE = auto()
    DELETE = auto()
    RUN = auto()


class Means(Enum):
    """What a sentence of the engine means. OTHER: it refused, for a reason that needs no name here."""

    ABSENT = auto()
    TAKEN = auto()
    CREATING = auto()
    BUSY = auto()
    NO_IMAGE = auto()
    NOT_RUNNING = auto()
    NO_AGENT = auto()
    NOT_STARTED = auto()
    NO_FILE = auto()
    UNREACHED = auto()
    LOST = auto()
    OTHER = auto()


_START: Final = "start the engine, or say with LXD_DIR or INCUS_DIR where it is"
# The first that matches counts.
KNOWN: Final = tuple(
    (re.compile(pattern), meaning, hint)
    for pattern, meaning, hint in (
        (r"^not found$|\b[Ii]nstance not found\b|\b[Cc]ontainer not found\b", Means.ABSENT, ""),
        (r'"instances" entry already exists', Means.TAKEN, ""),
        (r"UNIQUE constraint failed: instances\.", Means.TAKEN, ""),
        (r'\b[Ii]nstance "[^"]*" already exists|^The instance already exists', Means.TAKEN, ""),
        (r'\b[Ii]nstance is busy running a "?create\b', Means.CREATING, "try again when that has ended"),
        (r"\b[Ii]nstance is busy\b", Means.BUSY, "try again when that has ended"),
        # Others started, stopped or deleted it between two steps of a delete.
        (r"\bmatching non-reusable operation has now\b", Means.BUSY, "try again"),
        (r"\b[Ii]nstance is (running|currently running|already stopped)", Means.BUSY, "try again"),
        (
            r"[Ii]mage not found|[Gg]etting (remote )?image|[Nn]o image alias|image is of type",
            Means.NO_IMAGE,
            "",
        ),
        (r"[Ff]ingerprint.*not found|Requested image|[Rr]emote \"[^\"]*\" doesn't exist", Means.NO_IMAGE, ""),
        (r"^(The )?[Ii]nstance is not running", Means.NOT_RUNNING, ""),
        (
            r"^VM agent isn't currently running",
            Means.NO_AGENT,
            "the virtual machine boots, or lacks the agent",
        ),
        (r"^Command not (found|executable)$", Means.NOT_STARTED, ""),
        (r"^Not Found$|\bfile does not exist$", Means.NO_FILE, ""),
        (r"dial unix .*permission denied", Means.UNREACHED, "let this user use the engine: see its group"),
        (r"dial unix .*(no such file|connection refused)", Means.UNREACHED, _START),
        (r"hasn't been configured to use a remote server", Means.UNREACHED, "add a remote, and switch to it"),
        (r"x509|[Uu]nauthorized|not authorized|^Forbidden", Means.UNREACHED, "see the remote's certificates"),
        (r"dial (tcp|unix)|no such host|no route to host", Means.UNREACHED, ""),
        (r"[Mm]issing event connection|is offline", Means.UNREACHED, "bring the cluster's member back"),
        (r"websocket|\bEOF\b|connection (refused|reset)|broken pipe|i/o timeout", Means.LOST, ""),
        (r"deadline exceeded|unexpected end of JSON|shutting down|[Oo]peration not found", Means.LOST, ""),
        (r"protected", Means.OTHER, "unset security.protection.delete on it"),
    )
)


def translate(
    text: str, doing: Doing, what: str, *, backend: str, machine: str = "", retryable: bool = False
) -> ProviderError:
    """Return our error for a failure of the command.

    Args:
        text: What the engine said, from `said`.
        doing: What was under way.
        what: The same in words, as `delete machine 'x'`.
        backend: Name of the backend.
        machine: Name of the machine, or "".
        retryable: Whether the same may succeed later, whatever the engine said.
    """
    meaning, hint = means(text)
    retryable = retryable or meaning in (Means.CREATING, Means.BUSY, Means.LOST)
    kind = ProviderError
    if doing is Doing.ASK:
        kind = EngineUnavailable
    elif doing is Doing.PREPARE:
        kind = CreateFailed
    elif doing is Doing.CREATE:
        kind = _CREATE.get(meaning, CreateFailed)
    elif doing is Doing.DELETE:
        kind = _DELETE.get(meaning, DeleteFailed)
    elif meaning is Means.UNREACHED:
        kind = EngineUnavailable
    message = f"cannot {what}: {text}" + (f"; {hint}" if hint else "")
    return kind(message, backend=backend, machine=machine, retryable=retryable)


# A daemon that can't be reached any more after it had answered was perhaps asked.
_CREATE: Final[dict[Means, type[ProviderError]]] = {
    Means.TAKEN: NameTaken,
    Means.UNREACHED: CreateUnsettled,
    Means.LOST: CreateUnsettled,
}
_DELETE: Final[dict[Means, type[ProviderError]]] = {
    Means.CREATING: Busy,
    Means.BUSY: Busy,
    Means.UNREACHED: EngineUnavailable,
}


def means(text: str) -> tuple[Means, str]:
    """Return what a sentence of the engine means, and what to do about it."""
    for pattern, meaning, hint in KNOWN:
        if pattern.search(text):
            return meaning, hint
    return Means.OTHER, ""


def said(stderr: str) -> str:
    """Return the sentence that the command ended with, without what it wrote before and advised after."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("Error:").strip() for line in lines if line.startswith("Error:")]
    # On a terminal's half-written progress line, the error stands behind it.
    inline = [line.rpartition("Error:")[2].strip() for line in lines if "Error:" in line]
    return (errors or inline or lines or ["nothing"])[-1]
