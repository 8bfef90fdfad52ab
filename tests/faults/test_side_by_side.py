"""Many at once: sweeps and a reaper over the same dead, and sweeps beside sessions that are just starting."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter

from faultlab import starter
from faultlab.fake import FakeStage
from faultlab.stage import eventually, reapers
from vmharness._reaper.spawn import spawn
from vmharness._settings import DEFAULT_LIFECYCLE
from vmharness.provider import Spec
from vmharness_fake import FakeProvider, wait_for

PATIENCE_S = 120.0
NO_REAPER = tuple(name for name in DEFAULT_LIFECYCLE if name != "reaper")

LEDGERS = 20
MACHINES = 3
SWEEPS = 4

# One process that dies takes many owners with it.
CROWD = f"""
import os
import signal
from contextlib import ExitStack
from vmharness import open_session

with ExitStack() as stack:
    for _ in range({LEDGERS}):
        session = stack.enter_context(open_session())
        for _ in range({MACHINES}):
            session.create()
    os.kill(os.getpid(), signal.SIGKILL)
"""

# How long sessions start beside sweeps, in seconds.
BESIDE_S = 8.0


def test_sweeps_and_a_reaper_at_once_delete_each_machine_of_the_dead_once(stage: FakeStage) -> None:
    environ = {
        **os.environ,
        "VMHARNESS_BACKEND": "fake",
        "VMHARNESS_FAKE_DIR": str(stage.store.path),
        "VMHARNESS_STATE_DIR": str(stage.state),
    }
    crowd = subprocess.run(
        [sys.executable, "-c", CROWD], env={**environ, "VMHARNESS_LIFECYCLE": "teardown"}, check=False
    )
    assert crowd.returncode == -signal.SIGKILL
    orphans = stage.names()
    assert len(orphans) == LEDGERS * MACHINES
    assert len(stage.ledgers()) == LEDGERS
    FakeProvider(stage.store).create(Spec(name="vmh-aaaaaaaaaa"), timeout=5)

    stage.store.hold("list:before")
    reaper = spawn(stage.ledgers()[-1], environ)
    runs = [stage.start("def test_one(): pass", "-pno:xdist", lifecycle=NO_REAPER) for _ in range(SWEEPS)]
    wait_for(stage.store, "list", "waits", count=SWEEPS + 1)
    stage.store.release("list:before")

    for run in runs:
        assert run.end(PATIENCE_S) == 0, run.text
        assert "cannot" not in run.text
        assert "left alone" not in run.text
    eventually(lambda: not reapers(stage.state), PATIENCE_S, lambda: "the reaper stays")
    reaper.forget()
    assert stage.names() == {"vmh-aaaaaaaaaa"}
    assert stage.ledgers() == []
    deleted = Counter(
        event.name for event in stage.store.events() if (event.verb, event.phase) == ("delete", "accepted")
    )
    assert deleted == Counter(dict.fromkeys(orphans, 1))
    counted = sum(int(number) for run in runs for number in re.findall(r"(\d+) swept", run.text))
    assert counted + MACHINES == len(orphans), "the reaper's are not in the runs' summaries"


def test_sweeps_take_nothing_from_sessions_that_are_just_starting(stage: FakeStage) -> None:
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                str(starter.__file__),
                what,
                str(stage.store.path),
                str(stage.state),
                f"{BESIDE_S}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for what in ("live", "live", "sweep", "sweep")
    ]

    said = [process.communicate(timeout=PATIENCE_S) for process in processes]

    assert [error for _, error in said] == [""] * len(processes)
    assert all(int(number) > 0 for number, _ in said)
    assert stage.names() == set()
    assert stage.ledgers() == []
