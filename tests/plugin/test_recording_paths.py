"""Machines that tests make by a path past the front-ends, where calls of the process itself are watched."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness.provider import Spec
from vmharness_fake import FolderFakeProvider, FolderStore, wait_for

Run = Callable[..., pytest.RunResult]
Start = Callable[..., subprocess.Popen[str]]
Names = Callable[[], list[str]]

HELPERS = """
import os
import subprocess

FAKECTL = {program!r}

def names():
    done = subprocess.run(["fakectl", "list"], check=True, capture_output=True, text=True)
    return sorted(line.split("\\t")[0] for line in done.stdout.splitlines())
"""


@pytest.fixture(params=["1", "0"], ids=["labels", "no labels"], autouse=True)
def recording(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester, fakectl: Path
) -> None:
    monkeypatch.setenv("VMHARNESS_FAKE_LABELS", request.param)
    monkeypatch.setenv("VMHARNESS_RECORD", "paths")
    pytester.makepyfile(helpers=HELPERS.format(program=str(fakectl)))
    pytester.syspathinsert()


def nothing_stays(state: Path, names: Names) -> None:
    assert names() == []
    assert [path.name for path in state.glob("*/*") if path.name != "reaper.log"] == []


WAYS = {
    "path": "subprocess.run([FAKECTL, 'create', 'web'], check=True)",
    "executable": "subprocess.run(['whatever', 'create', 'web'], executable=FAKECTL, check=True)",
    "relative": "subprocess.run(['./fakectl', 'create', 'web'], cwd=os.path.dirname(FAKECTL), check=True)",
    "own PATH": "subprocess.run(['fakectl', 'create', 'web'], check=True, "
    "env={**os.environ, 'PATH': os.path.dirname(FAKECTL) + os.pathsep + '/usr/bin:/bin'})",
    "spawn by subprocess": "subprocess.run([FAKECTL, 'create', 'web'], check=True, close_fds=False)",
    "posix_spawn": "os.waitpid(os.posix_spawn(FAKECTL, [FAKECTL, 'create', 'web'], os.environ), 0)",
    "bytes": "subprocess.run([os.fsencode(FAKECTL), b'create', b'web'], check=True)",
    "front-end": "subprocess.run(['fakectl', 'create', 'web'], check=True)",
    "fork and exec": "pid = os.fork() or os.execv(FAKECTL, [FAKECTL, 'create', 'web']); os.waitpid(pid, 0)",
    "thread": "thread = threading.Thread(target=subprocess.run, args=[[FAKECTL, 'create', 'web']]); "
    "thread.start(); thread.join()",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_a_test_makes_goes_with_it(run: Run, state: Path, names: Names, way: str) -> None:
    result = run(f"""
        import os
        import subprocess
        import threading
        from helpers import FAKECTL, names

        def test_one():
            {way}
            assert names() == ["web"]

        def test_two():
            assert names() == []
        """)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["machines: 1 created, 1 deleted, 0 swept, 0 left"])
    nothing_stays(state, names)


def test_without_watching_a_path_bypasses(run: Run, names: Names) -> None:
    result = run(
        """
        import subprocess
        from helpers import FAKECTL

        def test_one():
            subprocess.run([FAKECTL, "create", "web"], check=True)
        """,
        "--vm-record=commands",
    )

    result.assert_outcomes(passed=1)
    assert names() == ["web"]


def test_a_run_that_is_killed_while_its_client_creates(
    start: Start, store: FolderStore, state: Path, names: Names
) -> None:
    store.hold("create:accepted")
    process = start("""
        import subprocess
        from helpers import FAKECTL

        def test_one():
            subprocess.run([FAKECTL, "create", "web"])
    """)
    wait_for(store, "create", "waits", detail="create:accepted")

    process.kill()
    process.wait()
    store.release("create:accepted")

    deadline = time.monotonic() + 60
    while names() or any(state.glob("*/*.ledger")):
        assert time.monotonic() < deadline, [*names(), *state.glob("*/*")]
        time.sleep(0.01)
    assert [path.suffix for path in state.glob("*/*") if path.name != "reaper.log"] == [".report"]


def test_a_strangers_machine_of_the_same_name_stays(
    run: Run, engine: FolderFakeProvider, names: Names, ledgers: Names
) -> None:
    engine.create(Spec(name="web"), timeout=5)

    result = run("""
        import subprocess
        from helpers import FAKECTL

        def test_one():
            assert subprocess.run([FAKECTL, "create", "web"]).returncode
        """)

    result.assert_outcomes(passed=1)
    assert names() == ["web"]
    assert ledgers() == []


def test_what_cannot_be_recorded_is_not_made(run: Run, names: Names) -> None:
    result = run("""
        import os
        import pathlib
        import subprocess
        import pytest
        from helpers import FAKECTL
        from vmharness.errors import LedgerError

        def test_one():
            (inbox,) = pathlib.Path(os.environ["VMHARNESS_STATE_DIR"]).glob("*/*.inbox")
            inbox.unlink()
            with pytest.raises(LedgerError, match="nothing was asked of .*fakectl.*its session has ended"):
                subprocess.run([FAKECTL, "create", "web"])
        """)

    result.assert_outcomes(passed=1)
    assert names() == []


def test_what_vmharness_makes_itself_is_on_its_books_once(run: Run, state: Path, names: Names) -> None:
    result = run("""
        import subprocess
        from helpers import FAKECTL
        from vmharness.command import CommandLine

        def test_one(vm, vm_session):
            CommandLine(FAKECTL, backend="fake").run(["create", "by-a-backend"], timeout=60)
            subprocess.run([FAKECTL, "delete", "by-a-backend"], check=True)

            vm_session.collect()

            assert [record.name for record in vm_session.unfinished()] == [vm.name]
        """)

    result.assert_outcomes(passed=1)
    nothing_stays(state, names)
