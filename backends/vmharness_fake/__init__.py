"""A backend without an engine: machines that exist in memory only, or in a folder that processes share.

For trying vmharness, and for tests of whatever must hold when an engine misbehaves. Written as a third
party's backend would be: it knows vmharness's public interface, and no other part of the framework.

=========================  ============================================================================
`VMHARNESS_FAKE_DIR`       folder where the machines are; without it `connect()` makes an engine in memory
`VMHARNESS_FAKE_CREATE_S`  how long a create takes, in seconds; 0
`VMHARNESS_FAKE_DELETE_S`  how long a delete takes, in seconds; 0
`VMHARNESS_FAKE_SETTLE_S`  how long after its deadline a create may still bring a machine, in seconds; 2
`VMHARNESS_FAKE_LABELS`    0: an engine without labels
=========================  ============================================================================

A test steers the engine through its store, from any process if that is a folder::

    store = FolderStore(path)
    store.set_faults(Faults((Fault("delete", "fails", last=2), Fault("create", "late", seconds=0.5))))
    store.hold("create:accepted")  # the next create stops once the engine has the order
    wait_for(store, "create", "waits")  # ... and now one stands there: kill it, or
    store.release("create:accepted")
"""

from __future__ import annotations

import os
from pathlib import Path

from vmharness.errors import EngineUnavailable
from vmharness_fake._events import Event, wait_for
from vmharness_fake._faults import Fault, Faults
from vmharness_fake._folder import FolderStore
from vmharness_fake._provider import (
    FakeProvider,
    FolderFakeProvider,
    UnlabelledFakeProvider,
    UnlabelledFolderFakeProvider,
)
from vmharness_fake._settings import FOLDER, Latencies, takes_labels
from vmharness_fake._store import POINTS, MemoryStore, Store

__all__ = [
    "POINTS",
    "Event",
    "FakeProvider",
    "Fault",
    "Faults",
    "FolderFakeProvider",
    "FolderStore",
    "Latencies",
    "MemoryStore",
    "Store",
    "UnlabelledFakeProvider",
    "UnlabelledFolderFakeProvider",
    "connect",
    "wait_for",
]


def connect(endpoint: str | None = None) -> UnlabelledFakeProvider:
    """Open the engine at that endpoint, or the environment's default one.

    Args:
        endpoint: `folder:PATH`: the machines in that folder, which outlive this process. `memory:…`: an
            engine in this process's memory, which lives as long as one of its providers. None: the folder
            that `VMHARNESS_FAKE_DIR` names, or a new, private engine in memory.

    Raises:
        EngineUnavailable: This process has no such engine in memory.
        SettingsError: A variable of the environment is malformed.
    """
    latencies = Latencies.from_environ(os.environ)
    labels = takes_labels(os.environ)
    if endpoint is None and os.environ.get(FOLDER):
        endpoint = f"folder:{os.environ[FOLDER]}"
    kind, _, place = (endpoint or "").partition(":")
    if kind == "folder" and place:
        in_folder = FolderFakeProvider if labels else UnlabelledFolderFakeProvider
        return in_folder(FolderStore(Path(place)), latencies=latencies)
    store = MemoryStore() if endpoint is None else MemoryStore.find(endpoint)
    if store is None:
        raise EngineUnavailable(
            f"cannot open the fake engine {endpoint!r}: this process has none of that name, and an engine in "
            f"memory ends with its process; set {FOLDER} for machines that several processes share",
            backend="fake",
        )
    return (FakeProvider if labels else UnlabelledFakeProvider)(store, latencies=latencies)
