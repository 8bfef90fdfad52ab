"""From the engine's JSON to our values, and what names it takes; it asks nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from vmharness.provider import MachineInfo, MachineState

__all__ = ["CLOUD_INIT", "LABEL", "NAME", "to_machine"]

Json = Mapping[str, Any]

# What the engine takes: a host name. None of them could be an option, another remote or another path.
NAME: Final = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
# The configuration keys that are free for all.
LABEL: Final = "user."
# But these are read by cloud-init in the machine (LXD's and Incus' documentation, "cloud-init").
CLOUD_INIT: Final = frozenset({"meta-data", "network-config", "user-data", "vendor-data"})

_STATES: Final = {
    "Running": MachineState.RUNNING,
    "Ready": MachineState.RUNNING,  # running, and the machine said so itself
    "Stopped": MachineState.STOPPED,
}


def to_machine(entry: Json) -> MachineInfo:
    """Return a machine; one of a listing has no address, for the engine would have to ask each machine."""
    config: Mapping[str, str] | None = entry["config"]
    if config is None:
        # It is on a member of the cluster that is down: the others know its name and no more.
        return MachineInfo(name=entry["name"], state=MachineState.OTHER, labels=None)
    return MachineInfo(
        name=entry["name"],
        state=_STATES.get(entry["status"], MachineState.OTHER),
        image=config.get("image.description", ""),
        created_at=datetime.fromisoformat(entry["created_at"]).timestamp(),
        created_resolution=1e-6,  # the engine has nanoseconds; datetime cuts them off
        labels={key.removeprefix(LABEL): value for key, value in config.items() if key.startswith(LABEL)},
        address=_address(entry.get("state") or {}),
    )


def _address(state: Json) -> str:
    networks: Mapping[str, Json] = state.get("network") or {}
    addresses: list[Json] = []
    for network in networks.values():
        addresses += network.get("addresses") or ()
    for family in ("inet", "inet6"):
        for address in addresses:
            if (address.get("family"), address.get("scope")) == (family, "global"):
                return str(address["address"])
    return ""
