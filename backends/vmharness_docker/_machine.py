"""From the engine's JSON to our values; it asks nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final

from vmharness.provider import MachineInfo, MachineState
from vmharness_docker._open import Api, Json

__all__ = ["NAME", "find", "inspected", "listed", "stays_up"]

# What the engine takes, and so what can stand in the path of a request without meaning something else there.
NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

# `created` is a container that was never started, as by a client killed in mid-create: it is at rest.
_STATES: Final = {
    "created": MachineState.STOPPED,
    "exited": MachineState.STOPPED,
    "removing": MachineState.DELETING,
    "running": MachineState.RUNNING,
}
_SHELLS: Final = frozenset({"ash", "bash", "dash", "fish", "ksh", "sh", "zsh"})


def listed(entry: Json) -> MachineInfo:
    """Return a machine of the engine's list. Its time of creation is in whole seconds there."""
    return MachineInfo(
        name=_name(entry["Names"] or [], entry["Id"]),
        state=_STATES.get(entry["State"], MachineState.OTHER),
        image=entry["Image"],
        created_at=float(entry["Created"]),
        created_resolution=1.0,
        labels=dict(entry["Labels"] or {}),
        address=_address(entry),
    )


def inspected(entry: Json) -> MachineInfo:
    """Return a machine from the engine's description of one container."""
    return MachineInfo(
        name=entry["Name"].removeprefix("/"),
        state=_STATES.get(entry["State"]["Status"], MachineState.OTHER),
        image=entry["Config"]["Image"],
        created_at=datetime.fromisoformat(entry["Created"]).timestamp(),
        created_resolution=1e-6,  # the engine has nanoseconds; datetime cuts them off
        labels=dict(entry["Config"]["Labels"] or {}),
        address=_address(entry),
    )


def find(api: Api, name: str) -> Json | None:
    """Return the list's entry of that name, or None if it is surely absent.

    By the list, since where the API takes a name it takes the beginning of an ID as well: `cafe` would be
    a stranger's container.
    """
    if not NAME.fullmatch(name):
        return None
    entries = api.containers(all=True, filters={"name": name})  # the filter takes parts of names
    return next((entry for entry in entries if f"/{name}" in (entry["Names"] or [])), None)


def stays_up(config: Json) -> bool:
    """Say whether an image's own command would go on without a terminal: it has one, and no mere shell."""
    words: list[str] = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    if len(words) == 3 and words[:2] == ["/bin/sh", "-c"]:  # a Dockerfile's shell form
        words = words[2].split()
    if not words:
        return False
    is_shell = PurePosixPath(words[0]).name in _SHELLS
    return not (is_shell and all(word.startswith("-") for word in words[1:]))


def _name(names: Sequence[str], container_id: str) -> str:
    # With links, a container has further names, /other/alias. A half-removed one may have none.
    own = [name for name in names if name.count("/") == 1]
    return own[0].removeprefix("/") if own else container_id


def _address(entry: Json) -> str:
    networks: Json = entry.get("NetworkSettings", {}).get("Networks") or {}
    for key in ("IPAddress", "GlobalIPv6Address"):
        for network in networks.values():
            if network.get(key):
                return str(network[key])
    return ""
