"""`orbctl config`: OrbStack's settings, which are remembered; of them only a machine's user changes anything.

Which keys there are, and what OrbStack answers, is known from the documentation and from tools that use it;
the values are (guesses).
"""

from __future__ import annotations

import os

from vmharness_orbctl._failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from vmharness_orbctl._types import Engine, Memory

__all__ = ["config"]

_DEFAULTS = {
    "app.start_at_login": "false",
    "cpu": str(os.cpu_count() or 1),
    "docker.expose_ports_to_lan": "true",
    "docker.set_context": "true",
    "k8s.enable": "false",
    "machines.expose_ports_to_lan": "true",
    "machines.forward_ports": "true",
    "memory_mib": "8192",
    "network.https": "true",
    "network.subnet4": "192.168.138.0/23",
    "network_bridge": "true",
    "network_proxy": "auto",
    "rosetta": "true",
    "setup.use_admin": "true",
}
# What a machine's keys are in its record.
_MACHINE = {
    "cpu": "cpu_limit",
    "disk_bytes": "disk_limit_bytes",
    "forward_ssh_agent": "forward_ssh_agent",
    "isolate_network": "isolate_network",
    "isolated": "isolated",
    "memory_mib": "memory_limit_mib",
    "mounts": "mounts",
    "username": "default_username",
}
_WORDS = {"get": 1, "set": 2, "show": 0, "reset": 0}
# It takes effect when OrbStack starts the next time.
_AT_START = "setup.use_admin"


def config(engine: Engine, words: Sequence[str]) -> Sequence[str]:
    """Do as `orbctl config WORDS` would.

    Args:
        engine: Knows the machines; its memory keeps what is set.
        words: What to do, and the key and value for it.

    Returns:
        The lines that it prints.

    Raises:
        Failure: There is no such key, no such machine, or too few or too many words.
    """
    what, *rest = words
    if what not in _WORDS:
        raise Failure(f'Error: unknown command "{what}" for "orbctl config"')
    if len(rest) != _WORDS[what]:
        raise Failure(f"Error: accepts {_WORDS[what]} arg(s), received {len(rest)}")
    if what == "get":
        return [_get(engine, rest[0])]
    if what == "set":
        return _set(engine, *rest)
    if what == "reset":
        with engine.memory as memory:
            memory.state["config"] = {}
        return []
    users = {
        f"machine.{details['record']['name']}.username": _of(details, "username")
        for details in engine.records()
    }
    return [
        f"{key}: {value}" for key, value in sorted({**_DEFAULTS, **_kept(engine.memory), **users}.items())
    ]


def _get(engine: Engine, key: str) -> str:
    if key in _DEFAULTS:
        return _kept(engine.memory).get(key, _DEFAULTS[key])
    name, own = _split(key)
    details = engine.details(name)
    return _kept(engine.memory, details["record"]["id"]).get(own, _of(details, own))


def _set(engine: Engine, key: str, value: str) -> Sequence[str]:
    if key in _DEFAULTS:
        kept = key
    else:
        name, own = _split(key)
        details = engine.details(name)
        if own == "username":
            engine.set_user(name, value)
            return []
        kept = f"machine.{details['record']['id']}.{own}"
    with engine.memory as memory:
        memory.state.setdefault("config", {})[kept] = value
    return ['Restart OrbStack with "orb stop" to apply changes.'] if key == _AT_START else []


def _split(key: str) -> tuple[str, str]:
    """Return the machine of a key, and what of it the key means."""
    kind, _, rest = key.partition(".")
    name, _, own = rest.rpartition(".")
    if kind != "machine" or not name or own not in _MACHINE:
        raise Failure(f"Error: unknown key: {key}")
    return name, own


def _kept(memory: Memory, id: str = "") -> Mapping[str, str]:
    """Return what was set: of OrbStack, or of the machine with an ID, under its keys."""
    prefix = f"machine.{id}." if id else ""
    with memory:
        kept = memory.state.get("config", {})
    return {
        key.removeprefix(prefix): value
        for key, value in kept.items()
        if (key.startswith(prefix) if id else key in _DEFAULTS)
    }


def _of(details: Mapping[str, Any], own: str) -> str:
    """Return what a machine's record says, as Go prints it."""
    value = details["record"]["config"].get(_MACHINE[own], "")
    return str(value).lower() if isinstance(value, bool) else str(value)
