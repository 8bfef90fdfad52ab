"""`vmharness demo` as users run it: a process, on the fake engine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vmharness import Spec
from vmharness_fake import Fault, Faults, FolderFakeProvider, FolderStore

Start = Callable[..., "subprocess.Popen[str]"]
PATIENCE_S = 60


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Return where the demo makes its folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def start(temporary: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(*args: str, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; from vmharness.cli import main; sys.exit(main())",
                "demo",
                *args,
            ],
            env={**os.environ, "TMPDIR": str(temporary), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.01)
    raise TimeoutError("it never came")


def machines(temporary: Path) -> list[str]:
    """Return the names of the machines of the demo's engine."""
    engines = [FolderFakeProvider(FolderStore(path)) for path in temporary.glob("*/engine")]
    return [info.name for engine in engines for info in engine.list()]


def test_demo_ends_with_nothing_left(start: Start, temporary: Path, state: Path) -> None:
    process = start("--json")
    out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0, err
    said = json.loads(out)
    assert (said["backend"], said["left_behind"], said["left"], said["problems"]) == ("fake", 0, [], [])
    assert [(machine["made"], machine["removed_by"]) for machine in said["machines"]] == [
        ("test_passes", "its test's teardown"),
        ("test_fails", "its test's teardown"),
        ("test_fails", "its test's teardown"),
        ("test_times_out, too late", "the session's end"),
        ("test_is_killed, killed", "the next run's sweep"),
        ("test_passes", "its test's teardown"),
    ]
    assert "Killed while it was creating demo-" in err
    assert not state.exists()
    assert [*temporary.iterdir()] == []


def test_demo_tells_what_it_does_and_shows_the_suite(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VMHARNESS_BACKEND")
    nowhere = str(tmp_path / "nowhere")

    process = start(
        PATH=nowhere,
        DOCKER_HOST=f"unix://{nowhere}",
        LXD_DIR=nowhere,
        INCUS_DIR=nowhere,
        PYTEST_ADDOPTS="--nope",
    )
    out, err = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, err) == (0, "")
    for text in (
        "No engine of yours can be used:\n",
        "The machines are made up; pytest, its processes and their deaths are real.\n",
        "Engine:  fake engine, folder:",
        "def test_times_out(vm: Machine) -> None:\n",
        "$ pytest test_machines.py\n",
        "│ E   Failed: on purpose: both machines must go all the same\n",
        "As planned: the failure and the error above belong to the play.\n",
        "│ vmharness: swept 1 of a dead session: demo-",
        "\nleft behind: 0\n",
    ):
        assert text in out
    assert out.index("Act 1 of 3") < out.index("Act 2 of 3") < out.index("Act 3 of 3")


@pytest.fixture
def prefix(temporary: Path) -> Callable[[], str]:
    """Return how the names of the demo's machines begin, once it has written that down."""

    def prefix() -> str:
        (settings,) = wait_for(lambda: [*temporary.glob("*/suite/pyproject.toml")])
        return str(wait_for(lambda: re.search(r'^prefix = "(.*)"$', settings.read_text(), re.MULTILINE))[1])

    return prefix


def test_demo_fails_if_a_machine_cannot_be_deleted(
    start: Start, temporary: Path, prefix: Callable[[], str]
) -> None:
    process = start("--json")
    begins = f"{prefix()}-is-killed"
    (folder,) = temporary.glob("*/engine")
    store = FolderStore(folder)
    store.set_faults(Faults((Fault("delete", "fails", name=begins),)))
    out, err = process.communicate(timeout=2 * PATIENCE_S)

    said = json.loads(out)
    (left,) = said["left"]
    assert (process.returncode, said["left_behind"]) == (1, 1)
    assert left.startswith(begins)
    assert f"-m vmharness_fake delete --dir {folder} -- {left}\n" in err
    assert f"VMHARNESS_STATE_DIR={folder.parent / 'state'} vmharness sweep --backend fake\n" in err
    assert folder.is_dir()


def test_demo_believes_the_engine_alone(start: Start, temporary: Path, prefix: Callable[[], str]) -> None:
    process = start("--json")
    name = f"{prefix()}-planted"
    wait_for(lambda: any("-is-killed-" in name for name in machines(temporary)))
    (folder,) = temporary.glob("*/engine")
    FolderFakeProvider(FolderStore(folder)).create(Spec(name=name), timeout=5)
    out, _ = process.communicate(timeout=PATIENCE_S)

    said = json.loads(out)
    assert process.returncode == 1
    assert (said["left_behind"], said["left"], said["problems"]) == (1, [name], [])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", ["creating", "killed"])
def test_demo_that_is_interrupted_cleans_up(
    start: Start, temporary: Path, number: signal.Signals, status: int, moment: str
) -> None:
    process = start()
    if moment == "creating":
        wait_for(lambda: any("-passes-" in name for name in machines(temporary)))
    else:  # the next run has begun, and hasn't come to sweeping
        assert process.stdout is not None
        assert any(line.startswith("Killed while") for line in process.stdout)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == status, err
    assert "\nThe demo was broken off; left behind: 0\n" in out
    assert "Traceback" not in err
    assert [*temporary.iterdir()] == []
