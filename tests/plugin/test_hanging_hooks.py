"""A lifecycle plugin's hook that never returns is told of at once, and leaves no machine in the end."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from vmharness_fake import FolderStore, wait_for

Names = Callable[[], list[str]]
Start = Callable[..., subprocess.Popen[str]]

# One machine goes at the test's end, the other at the session's.
SUITE = "def test_one(vm, shared_vm): pass\n"

# The plugin, and what makes the watch impatient: there is no setting for that.
PLUGIN = """
import threading, time
import vmharness._hooking
from vmharness import Lifecycle

def hang():
    threading.Event().wait()

def never_give_up():
    while True:
        try:
            threading.Event().wait()
        except BaseException:
            pass

class Hanging(Lifecycle):
    def {hook}(self, session, *args):
        {how}()
"""
CONFTEST = """
import vmharness._session
from vmharness._hooking import Hooks

def impatient(*args, patience_s, **more):
    return Hooks(*args, patience_s=0.01, **more)

vmharness._session.Hooks = impatient
"""


@pytest.fixture
def install(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install the plugin, and switch it on."""

    def install(hook: str, how: str) -> None:
        pytester.makepyfile(hanging_plugin=PLUGIN.format(hook=hook, how=how))
        pytester.makeconftest(CONFTEST)
        info = pytester.mkdir("hanging_plugin-1.0.dist-info")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[vmharness.lifecycle]\nhanging = hanging_plugin:Hanging\n")
        monkeypatch.setenv("PYTHONPATH", str(pytester.path))
        # Before those that delete.
        monkeypatch.setenv("VMHARNESS_LIFECYCLE", "reaper,signals,hanging,sweep,tracking,teardown")

    return install


def alarms(process: subprocess.Popen[str], said: list[str]) -> Iterator[str]:
    """Yield each line that says that the plugin hangs, as soon as it is said; all lines are kept."""
    assert process.stdout is not None
    for line in process.stdout:  # they end with the process
        said.append(line)
        if line.startswith("vmharness: lifecycle plugin 'hanging' is in its hook "):
            yield line


@pytest.mark.parametrize("hook", ["opened", "before_create", "changed", "scope_ended", "closing"])
def test_an_interrupt_ends_it_and_all_machines_are_gone(
    start: Start, install: Callable[..., None], names: Names, hook: str, pytester: pytest.Pytester
) -> None:
    install(hook, "hang")
    said: list[str] = []
    process = start(SUITE)

    # It may hang again while the run ends: the second interrupt leaves the rest to the reaper.
    for alarm in alarms(process, said):
        assert f"is in its hook {hook} for 0 s, at {pytester.path}/hanging_plugin.py:6; " in alarm
        process.send_signal(signal.SIGINT)

    # In the clean-up after its last test a run is over, and its status is that of its tests.
    assert process.wait(timeout=60) == (0 if hook == "closing" else 2), "".join(said)
    assert any(line.startswith(f"lifecycle plugin 'hanging' is in its hook {hook}") for line in said), said
    eventually_gone(names)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_one_that_ignores_interrupts_is_killed_and_the_reaper_deletes(
    start: Start, install: Callable[..., None], store: FolderStore, names: Names, number: int
) -> None:
    install("scope_ended", "never_give_up")
    process = start(SUITE)
    next(alarms(process, []))
    there = names()
    assert len(there) == 2

    process.send_signal(number)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)

    deleted = wait_for(store, "delete", "end", count=2)
    assert sorted(event.name for event in deleted) == there
    assert process.pid not in {event.pid for event in deleted}
    eventually_gone(names)


def eventually_gone(names: Names) -> None:
    """Wait for the reaper, if there is anything left for it."""
    deadline = time.monotonic() + 60
    while names():
        assert time.monotonic() < deadline, "it is still there after a minute"
        time.sleep(0.01)
