"""A machine whose create timed out is looked for while the other tests run, and holds none of them up."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from vmharness_fake import Fault, Faults, FolderStore, wait_for

Names = Callable[[], list[str]]
Start = Callable[..., subprocess.Popen[str]]

SUITE = """
def test_late(vm):
    pass

def test_next():
    from vmharness_fake import connect
    connect().exists("nobody")
"""


def test_it_goes_on_sight_while_another_test_runs(
    start: Start, store: FolderStore, names: Names, ledgers: Names
) -> None:
    store.set_faults(Faults((Fault("create", "late", seconds=0.3),)))
    store.hold("exists:after")
    process = start(SUITE, "--vm-create-timeout=0.2")
    wait_for(store, "exists", "waits")

    wait_for(store, "delete", "end")
    assert names() == []

    store.release("exists:after")
    text, _ = process.communicate(timeout=60)
    assert "machines: 1 created, 1 deleted, 0 swept, 0 left" in text, text
    assert ledgers() == []


def test_a_listing_that_hangs_holds_up_no_test(start: Start, store: FolderStore, names: Names) -> None:
    store.set_faults(Faults((Fault("create", "lost"),)))
    process = start(SUITE)
    wait_for(store, "create", "begin")
    store.hold("list:before")
    wait_for(store, "list", "waits")

    wait_for(store, "exists", "end")

    store.release("list:before")
    text, _ = process.communicate(timeout=60)
    assert "1 passed, 1 error" in text
    assert names() == []
