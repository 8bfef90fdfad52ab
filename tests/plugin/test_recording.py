"""Machines that tests make by the engine's own command: recorded first, gone with their test."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness.provider import Spec
from vmharness_fake import Fault, Faults, FolderFakeProvider, FolderStore, wait_for

Run = Callable[..., pytest.RunResult]
Start = Callable[..., subprocess.Popen[str]]
Names = Callable[[], list[str]]

HELPERS = """
import os
import subprocess

def create(name, *args):
    subprocess.run(["fakectl", "create", *args, name], check=True)

def names():
    done = subprocess.run(["fakectl", "list"], check=True, capture_output=True, text=True)
    return sorted(line.split("\\t")[0] for line in done.stdout.splitlines())
"""


@pytest.fixture(autouse=True)
def helpers(pytester: pytest.Pytester, fakectl: Path) -> None:
    pytester.makepyfile(helpers=HELPERS)
    pytester.syspathinsert()


@pytest.fixture(params=["1", "0"], ids=["labels", "no labels"], autouse=True)
def recording(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMHARNESS_FAKE_LABELS", request.param)
    monkeypatch.setenv("VMHARNESS_RECORD", "commands")


def nothing_stays(state: Path, names: Names) -> None:
    assert names() == []
    assert [path.name for path in state.glob("*/*") if path.name != "reaper.log"] == []


@pytest.mark.parametrize("runner", [[], ["-n2"]], ids=["plain", "xdist"])
def test_what_a_test_makes_goes_with_it(run: Run, state: Path, names: Names, runner: list[str]) -> None:
    result = run(
        """
        import os
        import pytest
        from helpers import create, names

        @pytest.mark.parametrize("n", range(3))
        def test_one(n):
            worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
            mine = f"{worker}-{n}"
            create(mine)
            assert [name for name in names() if name.startswith(worker)] == [mine]
        """,
        *runner,
        plugins=["xdist"],
    )

    result.assert_outcomes(passed=3)
    nothing_stays(state, names)
    result.stdout.fnmatch_lines(["machines: 3 created, 3 deleted, 0 swept, 0 left"])


def test_what_a_fixture_makes_goes_with_the_fixture(run: Run, state: Path, names: Names) -> None:
    result = run("""
        import unittest
        import pytest
        from helpers import create, names

        create("imported")

        @pytest.fixture(scope="session")
        def of_session():
            create("session")

        @pytest.fixture(scope="module")
        def of_module(of_session):
            create("module")

        class TestOne:
            @pytest.fixture(scope="class")
            @classmethod
            def of_class(cls, of_module):
                create("class")

            def test_one(self, of_class):
                create("test")
                assert names() == ["class", "imported", "module", "session", "test"]

            def test_two(self, of_class):
                assert names() == ["class", "imported", "module", "session"]

        class TestUnittest(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                create("setup")

            def test_three(self):
                assert names() == ["imported", "module", "session", "setup"]

        def test_four():
            assert names() == ["imported", "module", "session"]
        """)

    result.assert_outcomes(passed=4)
    nothing_stays(state, names)


def test_threads_and_grandchildren(run: Run, pytester: pytest.Pytester, state: Path, names: Names) -> None:
    pytester.path.joinpath("Makefile").write_text("all: ; @sh -c 'fakectl create by-make'\n")

    result = run("""
        import os
        import subprocess
        import sys
        import threading
        from helpers import create, names

        def test_one():
            threads = [threading.Thread(target=create, args=[f"thread-{n}"]) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            subprocess.run(["make"], check=True)
            os.system("fakectl create by-system")
            by_python = "from helpers import create; create('by-python')"
            subprocess.run([sys.executable, "-c", by_python], check=True)
            pid = os.fork()
            if not pid:
                create("by-fork")
                os._exit(0)
            os.waitpid(pid, 0)
            assert len(names()) == 8

        def test_two():
            assert names() == []
        """)

    result.assert_outcomes(passed=2)
    nothing_stays(state, names)


def test_a_create_whose_client_is_killed_and_whose_machine_comes_late(
    run: Run, store: FolderStore, state: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMHARNESS_FAKE_SETTLE_S", "20")
    store.set_faults(Faults((Fault("create", "late", seconds=5),)))
    store.hold("create:accepted")

    result = run("""
        import os
        import pathlib
        import subprocess
        import pytest
        from vmharness_fake import FolderStore, wait_for

        def test_one():
            store = FolderStore(pathlib.Path(os.environ["VMHARNESS_FAKE_DIR"]))
            client = subprocess.Popen(["fakectl", "create", "--timeout=1", "web"])
            wait_for(store, "create", "waits", detail="create:accepted")
            with pytest.raises(subprocess.TimeoutExpired):
                client.wait(timeout=0.01)
            client.kill()
            client.wait()
            subprocess.run(["fakectl", "delete", "web"], check=True)  # as if that were enough
        """)

    result.assert_outcomes(passed=1)
    store.release("create:accepted")
    nothing_stays(state, names)
    result.stdout.fnmatch_lines(["machines: 1 created, 1 deleted, 0 swept, 0 left"])


def test_a_run_that_is_killed_while_its_client_creates(
    start: Start, store: FolderStore, state: Path, names: Names
) -> None:
    store.hold("create:accepted")
    process = start("from helpers import create\n\ndef test_one():\n    create('web')\n")
    wait_for(store, "create", "waits", detail="create:accepted")
    (inbox,) = state.glob("*/*.inbox")
    assert '"web"' in inbox.read_text(), "only the inbox names it: the test isn't over"

    process.kill()
    process.wait()
    store.release("create:accepted")

    deadline = time.monotonic() + 60
    while names() or any(state.glob("*/*.ledger")):
        assert time.monotonic() < deadline, [*names(), *state.glob("*/*")]
        time.sleep(0.01)
    assert [path.suffix for path in state.glob("*/*") if path.name != "reaper.log"] == [".report"]


@pytest.mark.usefixtures("no_reaper")
def test_without_a_reaper_the_next_run_sweeps_what_only_the_inbox_names(
    start: Start, store: FolderStore, state: Path, names: Names
) -> None:
    process = start("""
        import time
        from helpers import create

        def test_one():
            create("web")
            time.sleep(60)
    """)
    wait_for(store, "create", "end")
    process.kill()
    process.wait()
    assert names() == ["web"]

    text, _ = start("def test_nothing(): pass").communicate(timeout=60)

    assert "1 swept, 0 left" in text
    nothing_stays(state, names)


def test_a_strangers_machine_of_the_same_name_stays(
    run: Run, engine: FolderFakeProvider, names: Names, ledgers: Names
) -> None:
    engine.create(Spec(name="web"), timeout=5)

    result = run("""
        import pytest
        import subprocess
        from helpers import create

        def test_one():
            with pytest.raises(subprocess.CalledProcessError):
                create("web")
        """)

    result.assert_outcomes(passed=1)
    assert names() == ["web"]
    assert ledgers() == []


def test_what_a_test_deletes_itself_is_not_looked_for(run: Run, state: Path, names: Names) -> None:
    result = run("""
        import subprocess
        from helpers import create

        def test_one():
            create("web")
            subprocess.run(["fakectl", "delete", "web"], check=True)
        """)

    result.assert_outcomes(passed=1)
    nothing_stays(state, names)
    assert "looking" not in result.stdout.str()
    assert "unsettled" not in result.stdout.str()


def test_what_a_test_left_running_makes_later_goes_with_a_later_one(
    run: Run, state: Path, names: Names
) -> None:
    result = run("""
        import os
        import subprocess
        from helpers import names

        started = []

        def test_one():
            os.mkfifo("go")
            started.append(subprocess.Popen(["sh", "-c", "read x < go; fakectl create web"]))

        def test_two():
            with open("go", "w") as go:
                go.write("go\\n")
            started[0].wait()
            assert names() == ["web"]

        def test_three():
            assert names() == []
        """)

    result.assert_outcomes(passed=3)
    nothing_stays(state, names)


def test_another_engines_machine_is_not_ours_and_is_said(
    run: Run, tmp_path: Path, state: Path, names: Names
) -> None:
    other = FolderFakeProvider(FolderStore(tmp_path / "other"))

    result = run(f"""
        import os
        import subprocess
        from helpers import create

        def test_option():
            create("one", "--dir={tmp_path / "other"}")

        def test_variable(monkeypatch):
            monkeypatch.setenv("VMHARNESS_FAKE_DIR", {str(tmp_path / "other")!r})
            create("two")
        """)

    result.assert_outcomes(passed=2)
    assert sorted(info.name for info in other.list()) == ["one", "two"]
    result.stdout.fnmatch_lines(
        [
            "not recorded: fakectl create one: it is of the engine in *",
            "not recorded: fakectl create two: VMH*",
        ]
    )
    nothing_stays(state, names)


def test_path_is_restored_and_off_means_off(run: Run, state: Path) -> None:
    suite = """
        import atexit
        import shutil

        atexit.register(lambda: print("restored:", shutil.which("fakectl")))

        def test_one():
            print("in use:", shutil.which("fakectl"))
        """
    on = run(suite, "-s")
    off = run(suite, "-s", "--vm-record=off")

    on.stdout.fnmatch_lines(["*in use: *.bin/fakectl*", "restored: */own commands/fakectl"])
    off.stdout.fnmatch_lines(["*in use: */own commands/fakectl*"])
    assert not list(state.glob("*/*.bin"))


def test_our_own_engine_calls_use_the_command_behind_the_front_end(run: Run) -> None:
    result = run("""
        from vmharness.command import CommandLine

        def test_one(vm_session):
            found = CommandLine("fakectl", backend="fake").found()
            assert found.endswith("own commands/fakectl")
        """)

    result.assert_outcomes(passed=1)


def test_a_run_without_a_place_for_records_does_not_begin(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VMHARNESS_STATE_DIR", str(tmp_path / "file" / "state"))

    result = run("def test_one(): pass")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot record what commands make: cannot make the state folder*"])
