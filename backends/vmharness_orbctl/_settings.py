"""The settings of the folder: how slow the simulator is, and what shall go wrong. It knows no command.

They are in `settings.json`, which a test or a person writes. Seconds that aren't given there are `scale`
times those of a Mac; `scale` is 0 by default, so that everything happens at once.

===================  ===============================================================================
`scale`              factor for the durations below; 1 = as slow as a Mac; 0
`create_s`           seconds in `creating`; 3
`download_s`         ... and so many more at an image's first use; 10
`provision_s`        seconds in `provisioning`; 5
`start_s` `stop_s`   seconds that a machine takes to start, to stop; 2, 2
`delete_s`           seconds in `deleting`; 1
`engine_start_s`     seconds that OrbStack itself takes to start; 2
`agent_s`            seconds for which a running machine doesn't take commands yet; 0
`release`            which OrbStack this is; "2.2.3". Columns, flags, texts and defects follow it
`hold`               points at which commands stop, as `["create:accepted"]`; see `vmharness_orbctl`
`errors`             by command, an error's text or its name in FAILURES, as `{"create": "missing-ip"}`
`times`              by command, how many of its calls the error strikes; all of them
`leftover`           creates that fail are not rolled back: the machine stays in `creating`
`delete_unready`     what a delete does to a machine that is being made: "refuse", or "cancel"
`no_address`         running machines have no address
`cannot_start`       OrbStack can't be started
`banner`             "stdout" or "stderr": where the news of an update is printed
`indent`             JSON is indented
`null_list`          an empty list is `null` in JSON
`images`             over another backend: its image for each of ours, as `{"ubuntu:24.04": "noble"}`;
                     the image for `"*"` stands for all others
`timeout_s`          over another backend: deadline of each call, in seconds; 600
===================  ===============================================================================
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmharness_orbctl._types import Settings

__all__ = ["FAILURES", "FILE", "KEYS", "failure", "read_settings", "release", "seconds"]

FILE = "settings.json"

_MAC = {
    "create_s": 3,
    "download_s": 10,
    "provision_s": 5,
    "start_s": 2,
    "stop_s": 2,
    "delete_s": 1,
    "engine_start_s": 2,
    "agent_s": 0,
}
KEYS = frozenset(_MAC) | {
    *("scale", "release", "hold", "errors", "times", "leftover", "delete_unready", "no_address"),
    *("cannot_start", "banner", "indent", "null_list", "images", "timeout_s"),
}
_INDEX = 'make rootfs: fetch index: get index: Get "https://cdn-images.orbstack.dev/streams/v1/images.json": '
_LOOKUP = "dial tcp: lookup cdn-images.orbstack.dev on 198.19.248.200:53"

# What OrbStack was seen to say, by a name of ours. Those marked (guess) nobody has seen.
FAILURES = {
    "index-timeout": f"{_INDEX}{_LOOKUP}: read udp 198.19.248.2:42412->198.19.248.200:53: i/o timeout",
    "index-refused": f"{_INDEX}{_LOOKUP}: connect: connection refused",
    "download-404": "make rootfs: download metadata: GET download status: 404 Not Found",
    "download-502": "make rootfs: download metadata: GET download status: 502 Bad Gateway",
    "download-cut": "make rootfs: unexpected EOF",
    "image-not-found": "make rootfs: image not found: {ubuntu focal arm64 default}",
    "missing-ip": "setup: machine didn't start in 30s (missing IP address)",
    "crashed": "setup: machine crashed on startup",
    "canceled": "setup: do initial setup: canceled by machine shutdown",
    "disk-full": "write: no space left on device",  # (guess)
    "rootfs-read-only": "delete rootfs: remove all: unlinkat /rootfs/etc: read-only file system",
    "rootfs-not-permitted": "delete rootfs: remove all: unlinkat x2: swapfile: operation not permitted",
    "rootfs-busy": "delete rootfs: remove all: unlinkat: EBUSY: Device or resource busy",
    "creating": "cannot transition from creating to deleting",
    "agent": "agent not running",
    "services": "timed out waiting for services to start",
    "passing": "rpc error: something that passes",  # (guess)
}


def read_settings(folder: str) -> Settings:
    """Return the folder's settings; none if there is no file.

    Raises:
        ValueError: The file can't be understood, or has a key that is no setting.
    """
    try:
        with open(f"{folder}/{FILE}", encoding="utf-8") as file:
            settings: Settings | None = json.load(file)
    except FileNotFoundError:
        return {}
    if not isinstance(settings, dict) or set(settings) - KEYS:
        raise ValueError(f"{folder}/{FILE} must be an object with some of the keys {', '.join(sorted(KEYS))}")
    return settings


def seconds(settings: Settings, key: str) -> float:
    """Return how long something takes."""
    return float(settings.get(key, _MAC[key] * settings.get("scale", 0)))


def release(settings: Settings) -> tuple[int, ...]:
    """Return which release of OrbStack it shall be."""
    return tuple(int(part) for part in settings.get("release", "2.2.3").split("."))


def failure(settings: Settings, verb: str) -> str:
    """Return the text of the error that a command's calls shall end with, or ""."""
    said: str = settings.get("errors", {}).get(verb, "")
    return FAILURES.get(said, said)
