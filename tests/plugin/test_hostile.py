"""Tests that change what we stand on: clock, folders, threads, descriptors. Nothing may be left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness_fake import Fault, Faults, FolderStore

Run = Callable[..., pytest.RunResult]
Names = Callable[[], list[str]]


@pytest.mark.parametrize("days", [2, -2])
def test_a_clock_that_a_test_sets_expires_no_living_machine(
    run: Run, names: Names, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, days: int
) -> None:
    result = run(
        f"""
        import os
        import subprocess
        import sys
        import time

        def test_one(vm_factory, vm_provider, monkeypatch):
            real = time.time
            monkeypatch.setattr(time, "time", lambda: real() + {days} * 86400)
            vm = vm_factory()
            other = dict(os.environ, VMHARNESS_STATE_DIR={str(tmp_path / "other")!r})
            open("test_inner.py", "w").write(
                "import time; real = time.time; time.time = lambda: real() - {days} * 86400\\n"
                "def test_inner(vm): pass"
            )
            subprocess.run([sys.executable, "-m", "pytest", "test_inner.py"], env=other, check=True)
            assert vm_provider.exists(vm.name)
        """.replace("open(", "__import__('pathlib').Path(").replace(', "w").write(', ").write_text(")
    )

    result.assert_outcomes(passed=1)
    assert names() == []


def test_without_its_state_folder_nothing_is_created(run: Run, names: Names, state: Path) -> None:
    result = run("""
        import os
        import shutil
        import pytest
        from vmharness.errors import LedgerError

        def test_one(vm, vm_factory):
            shutil.rmtree(os.environ["VMHARNESS_STATE_DIR"])
            with pytest.raises(LedgerError, match="was deleted"):
                vm_factory()
    """)

    result.assert_outcomes(passed=1)
    assert names() == []


def test_a_relative_state_folder_is_where_the_run_began(
    run: Run, names: Names, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMHARNESS_STATE_DIR", "state")

    run("""
        import os

        def test_one(monkeypatch, tmp_path, vm_factory):
            pass

        def test_two(monkeypatch, tmp_path, request):
            monkeypatch.chdir(tmp_path)
            request.getfixturevalue("vm")
            os.kill(os.getpid(), 9)
    """)
    assert len(names()) == 1
    assert len(list((pytester.path / "state").glob("*/*.ledger"))) == 1
    run("def test_three(): pass")

    assert names() == []


def test_threads_that_create_while_the_run_ends(run: Run, names: Names, ledgers: Names) -> None:
    result = run("""
        import threading

        def create_for_ever(session, begun):
            try:
                while True:
                    session.create()
                    begun.release()
            except Exception:
                pass

        def test_one(vm_session):
            begun = threading.Semaphore(0)
            for _ in range(3):
                threading.Thread(target=create_for_ever, args=(vm_session, begun), daemon=True).start()
            for _ in range(5):
                begun.acquire()
    """)

    result.assert_outcomes(passed=1)
    assert names() == [], result.stdout.str()
    assert ledgers() == []
    assert " 0 left" in result.stdout.str()


def test_a_test_that_closes_all_descriptors_gets_no_line_of_ours_in_its_file(run: Run, names: Names) -> None:
    result = run("""
        import os

        def test_one(vm, tmp_path):
            ledgers = [int(fd) for fd in os.listdir("/proc/self/fd")
                       if os.path.exists(f"/proc/self/fd/{fd}")
                       and os.readlink(f"/proc/self/fd/{fd}").endswith(".ledger")]
            (descriptor,) = ledgers
            os.close(descriptor)
            mine = os.open(tmp_path / "precious", os.O_RDWR | os.O_CREAT)
            os.dup2(mine, descriptor)
            os.write(mine, b"precious")

        def test_two(tmp_path):
            pass
    """)

    result.assert_outcomes(passed=2)
    assert names() == []
    (precious,) = find(result, "precious")
    assert precious.read_bytes() == b"precious"


def find(result: pytest.RunResult, name: str) -> list[Path]:
    """Return the files of that name under the run's temporary folder."""
    base = next(line for line in result.outlines if line.startswith("rootdir: ")).removeprefix("rootdir: ")
    return [path for path in Path(base).rglob(name) if not path.parent.is_symlink()]


@pytest.mark.parametrize(
    "attribute", ["property(lambda self: 1 / 0)", "'--all'"], ids=["a property that raises", "a bad name"]
)
def test_a_test_vm_name_that_goes_wrong_breaks_no_teardown(run: Run, attribute: str) -> None:
    result = run(
        f"""
        import pytest

        @pytest.fixture
        def fixture():
            yield
            print("torn down")

        class TestA:
            test_vm_name = {attribute}

            def test_one(self, fixture): pass
            def test_two(self, fixture): pass
        """,
        "-s",
    )

    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("torn down") == 2
    assert "cannot track test_vm_name" in result.stdout.str()


@pytest.mark.parametrize("runner", [[], ["-n2"]], ids=["plain", "xdist"])
def test_an_unusable_state_folder_hurts_no_run_without_machines(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runner: list[str]
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.setenv("VMHARNESS_STATE_DIR", str(tmp_path / "loop"))

    result = run("def test_one(): pass", *runner, plugins=["xdist"])

    result.assert_outcomes(passed=1)
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.usefixtures("no_reaper")
def test_a_run_that_forks_for_each_test(run: Run, names: Names, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import os
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            child = os.fork()
            if child == 0:
                runtestprotocol(item, nextitem=None, log=False)
                os._exit(0)
            os.waitpid(child, 0)
            return True
    """)

    result = run("def test_one(shared_vm): pass")

    assert result.ret in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert names() == []
    assert "1 swept, 0 left" in result.stdout.str()


@pytest.mark.usefixtures("no_reaper")
def test_an_engine_that_is_gone_costs_the_next_runs_little(
    run: Run, store: FolderStore, names: Names, ledgers: Names
) -> None:
    for _ in range(3):
        run("import os\ndef test_one(vm): os.kill(os.getpid(), 9)", "--vm-sweep=off")
    store.set_faults(Faults((Fault("list", "unavailable"),)))

    result = run("def test_two(): pass")

    result.assert_outcomes(passed=1)
    assert len(ledgers()) == 3
    assert "delete that file if their engine is gone for good" in result.stdout.str()
    asked = [event for event in store.events() if event.verb == "list" and event.phase == "begin"]
    assert len({event.pid for event in asked}) == 1
