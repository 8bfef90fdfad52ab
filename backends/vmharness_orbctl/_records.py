"""What `list` and `info` say of a simulated machine, in JSON's values; it changes nothing."""

from __future__ import annotations

from vmharness_orbctl._daemon import state_of
from vmharness_orbctl._settings import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmharness_orbctl._types import Machine, Settings

__all__ = ["details"]


def details(machine: Machine, settings: Settings, now: float) -> dict[str, Any]:
    """Return what `info` then says of a machine: its record, its size, and its addresses while it runs."""
    config: dict[str, Any] = {"isolated": machine["isolated"], "default_username": machine["user"]}
    if release(settings) >= (2, 1):
        more = {"forward_ssh_agent": True, "isolate_network": False, "http_port": 0, "https_port": 0}
        config |= {**more, **machine["limits"]}
    state = state_of(machine, now)
    found: dict[str, Any] = {
        "record": {
            "id": machine["id"],
            "name": machine["name"],
            "image": machine["image"],
            "config": config,
            "builtin": False,
            "state": state,
        },
        "disk_size": 683962368,
    }
    if state == "running" and not settings.get("no_address"):
        number = machine["number"]
        found["ip4"] = f"192.168.139.{2 + number % 250}"
        found["ip6"] = f"fd07:b51a:cc66:0:ac8c:31ff:fe6b:{number:x}"
    return found
