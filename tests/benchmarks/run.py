"""What vmharness costs: a run that uses no machine, and each machine of one that does. Prints a table.

Nothing here is a test, for what a machine under load measures proves nothing. With and without are run in
turns, so that whatever else the machine does strikes both alike.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from vmharness import MachineInfo, Session, Settings, Spec
from vmharness._ledger import FileLedgers
from vmharness._places import state_folder
from vmharness._plugins import load_lifecycle
from vmharness._providers import Providers
from vmharness_fake import FakeProvider, MemoryStore

STARTUP_MS: Final = 10.0
CPU_RATIO: Final = 1.02
WATCHED_RATIO: Final = 1.10
MACHINE_MS: Final = 5.0
SCOPE_CALLS: Final = 1.0
MACHINES_A_SCOPE: Final = 3


@dataclass(frozen=True)
class Row:
    """A line of the table; `met` is None where there is no goal."""

    what: str
    without: str
    with_: str
    compared: str
    goal: str = ""
    met: bool | None = None


# -- a run that uses no machine


@dataclass(frozen=True)
class Used:
    """What a process took, in seconds."""

    wall: float
    cpu: float


def run_pytest(folder: Path, *args: str, variables: Mapping[str, str]) -> Used:
    """Run pytest on a folder, as a user without other settings of vmharness would."""
    unset = ("VMHARNESS_", "PYTHONDONTWRITEBYTECODE")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    environ.update(variables)
    environ["PYTHONPYCACHEPREFIX"] = str(
        folder.parent / "byte-code"
    )  # also where the sources can't be written
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    began = time.perf_counter()
    process = subprocess.Popen(argv, cwd=folder, env=environ, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"pytest ended with {process.returncode} in {folder}")
    return Used(wall, usage.ru_utime + usage.ru_stime)


def alternate(
    folder: Path, rounds: int, tick: Callable[[], None], variables: Mapping[str, str] | None = None
) -> tuple[list[Used], list[Used]]:
    """Run without and with the plugin in turns; every second time the other one goes first."""
    runs: dict[bool, list[Used]] = {False: [], True: []}
    run = partial(run_pytest, variables=variables or {})
    for plugin in (False, True):
        run(folder, *_switch(plugin=plugin))  # writes the byte code, fills the disk's cache
    for number in range(rounds):
        for plugin in (False, True) if number % 2 else (True, False):
            runs[plugin].append(run(folder, *_switch(plugin=plugin)))
            tick()
    return runs[False], runs[True]


def _switch(*, plugin: bool) -> Sequence[str]:
    return () if plugin else ("-p", "no:vmharness", "-p", "no:vmharness_orbctl")


def write_suite(folder: Path, *, files: int, tests: int) -> Path:
    """Write a project of empty tests."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "empty"\nversion = "1"\n')
    text = "\n\n".join(f"def test_{number}():\n    pass\n" for number in range(tests))
    for number in range(files):
        (folder / f"test_{number:03}.py").write_text(text)
    return folder


def compare_startup(folder: Path, rounds: int, tick: Callable[[], None]) -> Row:
    """Compare the wall clock of one empty test; beside it the CPU time, which other load strikes less."""
    without, with_ = alternate(write_suite(folder, files=1, tests=1), rounds, tick)
    a, b = (statistics.median(used.wall for used in runs) * 1e3 for runs in (without, with_))
    x, y = (statistics.median(used.cpu for used in runs) * 1e3 for runs in (without, with_))
    return Row(
        f"pytest on one empty test, wall clock, median of {rounds}",
        f"{a:.1f} ms",
        f"{b:.1f} ms",
        f"{b / a:.3f} ({b - a:+.1f} ms; CPU {y - x:+.1f} ms)",
        f"≤ +{STARTUP_MS:g} ms",
        b - a <= STARTUP_MS,
    )


def compare_suite(folder: Path, rounds: int, tick: Callable[[], None], *, watched: bool = False) -> Row:
    """Compare the CPU time of 10,000 empty tests, and say how much single rounds differ.

    Args:
        folder: Where to write them.
        rounds: How often each is run.
        tick: Is told of each run.
        watched: Whether calls of engines' commands are recorded, those by a path included.
    """
    variables = {}
    if watched:
        variables = {"VMHARNESS_RECORD": "paths", **put_engine_on_path(folder.with_name("engine"))}
    without, with_ = alternate(write_suite(folder, files=100, tests=100), rounds, tick, variables)
    goal = WATCHED_RATIO if watched else CPU_RATIO
    a, b = (statistics.median(used.cpu for used in runs) for runs in (without, with_))
    ratios = sorted(y.cpu / x.cpu for x, y in zip(without, with_, strict=True))
    ratio = statistics.median(ratios)
    return Row(
        f"pytest on 10,000 empty tests{', record=paths' * watched}, CPU time, median of {rounds}",
        f"{a:.2f} s",
        f"{b:.2f} s",
        f"{ratio:.3f} (rounds {ratios[0]:.2f} to {ratios[-1]:.2f})",
        f"≤ {goal:g}",
        ratio <= goal,
    )


def put_engine_on_path(folder: Path) -> Mapping[str, str]:
    """Write a fake engine's own command; return the variables with which it is used."""
    folder.mkdir()
    program = folder / "fakectl"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m vmharness_fake "$@"\n')
    program.chmod(0o755)
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "VMHARNESS_BACKEND": "fake",
        "VMHARNESS_FAKE_DIR": str(folder),
        "VMHARNESS_STATE_DIR": str(folder / "state"),
    }


# -- a run that uses machines


class TimedProvider(FakeProvider):
    """A fake engine without latency, which knows how long it was asked, and how often."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.seconds = 0.0
        self.calls: Counter[str] = Counter()
        self._inside = threading.local()

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Create a machine."""
        with self._timed("create"):
            return super().create(spec, timeout=timeout)

    def list(self) -> Sequence[MachineInfo]:
        """List all machines."""
        with self._timed("list"):
            return super().list()

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete a machine."""
        with self._timed("delete"):
            super().delete(name, timeout=timeout)

    def exists(self, name: str) -> bool:
        """Say whether a machine is there."""
        with self._timed("exists"):
            return super().exists(name)

    def inspect(self, name: str) -> MachineInfo | None:
        """Return a machine."""
        with self._timed("inspect"):
            return super().inspect(name)

    def describe(self) -> str:
        """Say what it is."""
        with self._timed("describe"):
            return super().describe()

    @contextmanager
    def _timed(self, verb: str) -> Generator[None]:
        if getattr(self._inside, "call", False):  # a verb that uses another one is one call
            yield
            return
        self._inside.call = True
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began
            self.calls[verb] += 1
            self._inside.call = False


@contextmanager
def open_timed(folder: Path) -> Generator[tuple[Session, TimedProvider]]:
    """Open a session with the usual lifecycle plugins on a timed engine."""
    provider = TimedProvider(MemoryStore())
    settings = Settings(backend="fake")
    session = Session(
        settings,
        ledgers=FileLedgers(folder),
        plugins=load_lifecycle(settings.lifecycle),
        providers=Providers("fake", connect=lambda backend, endpoint: provider),
    )
    session.open()
    try:
        yield session, provider
    finally:
        session.close()


def own_ms(provider: TimedProvider, work: Callable[[], object]) -> float:
    """Do something, and return how long it took, engine calls not counted."""
    before, began = provider.seconds, time.perf_counter()
    work()
    return (time.perf_counter() - began - (provider.seconds - before)) * 1e3


def measure_machines(folder: Path, machines: int, tick: Callable[[], None]) -> Row:
    """Measure what a machine in a scope of its own takes from its creation to its end."""
    creates: list[float] = []
    ends: list[float] = []
    with open_timed(folder / "machines") as (session, provider):
        session.create(scope="first")  # the first one sweeps, and asks the engine for its name
        session.end_scope("first")
        for number in range(machines):
            scope = f"tests/test_some.py::test_{number}"
            creates.append(own_ms(provider, partial(session.create, scope=scope)))
            ends.append(own_ms(provider, partial(session.end_scope, scope)))
            tick()
    total = statistics.median(map(sum, zip(creates, ends, strict=True)))
    fsync = measure_fsync(folder, machines)
    create, end = statistics.median(creates), statistics.median(ends)
    return Row(
        f"our own time a machine, engine's calls not counted, median of {machines}",
        f"fsync alone {fsync:.2f} ms",
        f"{total:.2f} ms",
        f"create {create:.2f}, end of scope {end:.2f} ms",
        f"≤ {MACHINE_MS:g} ms",
        total <= MACHINE_MS,
    )


def measure_fsync(folder: Path, times: int) -> float:
    """Measure what the disk takes for a line that must not be lost, in milliseconds."""
    took: list[float] = []
    with (folder / "fsync").open("ab", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(b"x" * 400)
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took)


def measure_session(folder: Path, rounds: int, tick: Callable[[], None]) -> Row:
    """Measure what opening and closing a session takes."""
    took: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        with open_timed(folder / "sessions"):
            pass
        took.append((time.perf_counter() - began) * 1e3)
        tick()
    return Row(f"open and close a session, median of {rounds}", "", f"{statistics.median(took):.2f} ms", "")


def count_calls(folder: Path, scopes: int, tick: Callable[[], None]) -> Sequence[Row]:
    """Count what the engine is asked besides creating and deleting."""
    with open_timed(folder / "calls") as (session, provider):
        session.create(scope="first")
        session.end_scope("first")
        first = _added(provider.calls)
        provider.calls.clear()
        for number in range(scopes):
            for _ in range(MACHINES_A_SCOPE):
                session.create(scope=str(number))
            session.end_scope(str(number))
            tick()
        calls = dict(provider.calls)
    added = sum(_added(calls).values()) / scopes
    base = (calls["create"] + calls["delete"]) / scopes
    return [
        Row(
            f"engine's calls a scope of {MACHINES_A_SCOPE} machines",
            f"{base:g}",
            f"{base + added:g}",
            f"+{added:g}: {_names(_added(calls))}",
            f"≤ +{SCOPE_CALLS:g}",
            added <= SCOPE_CALLS,
        ),
        Row(
            "engine's calls of the first machine",
            "2",
            f"{2 + sum(first.values())}",
            f"+{sum(first.values())}: {_names(first)}",
        ),
    ]


def _added(calls: Mapping[str, int]) -> Mapping[str, int]:
    return {verb: times for verb, times in sorted(calls.items()) if verb not in ("create", "delete")}


def _names(calls: Mapping[str, int]) -> str:
    return ", ".join(calls) or "none"


# -- the table


def draw(rows: Sequence[Row], where: Path) -> Table:
    """Draw the table."""
    table = Table(title=f"What vmharness costs; its state in {where}", title_justify="left")
    for title in ("what", "without", "with", "compared", "goal", "met"):
        table.add_column(title, justify="left" if title == "what" else "right")
    for row in rows:
        met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[row.met]
        table.add_row(row.what, row.without, row.with_, row.compared, row.goal, met)
    return table


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="runs of pytest, each way (default: 20)")
    parser.add_argument("--machines", type=int, default=300, help="machines (default: 300)")
    parser.add_argument(
        "--only", choices=("startup", "suite", "watched", "machines"), help="measure one thing (default: all)"
    )
    asked = parser.parse_args()
    console = Console()
    rows: list[Row] = []
    # On the disk that the user's ledgers are on: what an fsync takes differs by a factor of a hundred.
    disk = existing(state_folder(os.environ))
    with (
        console.status("") as status,
        tempfile.TemporaryDirectory(prefix="vmharness-benchmark-", dir=disk) as kept,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(kept)
        done = Counter[str]()

        def ticking(what: str) -> Callable[[], None]:
            def tick() -> None:
                done[what] += 1
                status.update(f"{what}: {done[what]}")

            return tick

        if asked.only in (None, "machines"):
            rows.append(measure_machines(folder, asked.machines, ticking("machines")))
            rows.append(measure_session(folder, asked.rounds, ticking("sessions")))
            rows += count_calls(folder, asked.rounds, ticking("scopes"))
        if asked.only in (None, "startup"):
            rows.append(compare_startup(Path(name, "startup"), asked.rounds, ticking("one empty test")))
        if asked.only in (None, "suite"):
            rows.append(compare_suite(Path(name, "suite"), asked.rounds, ticking("10,000 empty tests")))
        if asked.only in (None, "watched"):
            tick = ticking("10,000 empty tests, watched")
            rows.append(compare_suite(Path(name, "watched"), asked.rounds, tick, watched=True))
    console.print(draw(rows, disk))


if __name__ == "__main__":
    main()
