"""Machines that tests make by other means: `track_test_vm` and a class's `test_vm_name`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmharness.provider import Spec
from vmharness_fake import FolderFakeProvider

Run = Callable[..., pytest.RunResult]
Names = Callable[[], list[str]]

MAKE = """
import subprocess
import sys

def make(name):
    import os
    folder = os.environ["VMHARNESS_FAKE_DIR"]
    subprocess.run([sys.executable, "-m", "vmharness_fake", "create", "--dir", folder, name], check=True)
"""


@pytest.fixture(autouse=True)
def helper(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(maker=MAKE)
    pytester.syspathinsert()


@pytest.mark.parametrize("order", ["named before", "named after"])
def test_track_test_vm(run: Run, names: Names, ledgers: Names, order: str) -> None:
    before, after = (
        ("track_test_vm('web')", "pass") if order == "named before" else ("pass", "track_test_vm('web')")
    )

    result = run(f"""
        from maker import make

        def test_one(track_test_vm):
            {before}
            make("web")
            {after}

        def test_two(vm_provider):
            assert not vm_provider.exists("web")
    """)

    result.assert_outcomes(passed=2)
    assert names() == []
    assert ledgers() == []


def test_a_machine_that_was_there_before_is_not_ours(
    run: Run, engine: FolderFakeProvider, names: Names
) -> None:
    engine.create(Spec(name="web"), timeout=5)

    result = run("""
        def test_one(track_test_vm):
            track_test_vm("web")

        class TestA:
            test_vm_name = "web"

            def test_two(self):
                pass
    """)

    result.assert_outcomes(passed=2)
    assert names() == ["web"]


@pytest.mark.parametrize("base", ["object", "unittest.TestCase"])
@pytest.mark.parametrize("where", ["class", "setup", "body"])
def test_test_vm_name(run: Run, names: Names, ledgers: Names, base: str, where: str) -> None:
    in_class = "test_vm_name = 'web'" if where == "class" else ""
    in_setup = "self.test_vm_name = 'web'" if where == "setup" else "pass"
    in_body = "self.test_vm_name = 'web'" if where == "body" else "pass"
    setup = "setUp" if base != "object" else "setup_method"

    result = run(f"""
        import unittest
        from maker import make

        class TestA({base}):
            {in_class}

            def {setup}(self):
                {in_setup}

            def test_one(self):
                {in_body}
                make("web")
                make("web-clone")
                make("webber")

        def test_two(vm_provider):
            there = [info.name for info in vm_provider.list()]
            assert there == ["webber"]
    """)

    result.assert_outcomes(passed=2)
    assert names() == ["webber"]
    assert ledgers() == []


def test_test_vm_name_is_a_name_like_others_when_nothing_is_recorded(run: Run, names: Names) -> None:
    result = run(
        """
        from maker import make

        class TestA:
            test_vm_name = "web"

            def test_one(self, track_test_vm):
                make("web")
                make("told")
                track_test_vm("told")
        """,
        "--vm-record=off",
    )

    result.assert_outcomes(passed=1)
    assert names() == ["web"]


@pytest.mark.parametrize("base", ["object", "unittest.TestCase"])
@pytest.mark.parametrize("error", ["RuntimeError", "KeyboardInterrupt"])
def test_test_vm_name_of_a_test_whose_setup_fails(run: Run, names: Names, base: str, error: str) -> None:
    run(f"""
        import unittest
        from maker import make

        class TestA({base}):
            test_vm_name = "web"

            def {"setUp" if base != "object" else "setup_method"}(self):
                make("web")
                raise {error}

            def test_one(self):
                pass
    """)

    assert names() == []


@pytest.mark.parametrize("base", ["object", "unittest.TestCase"])
@pytest.mark.parametrize("end", ["KeyboardInterrupt", "pytest.exit"])
def test_test_vm_name_of_a_test_that_ends_the_run(run: Run, names: Names, base: str, end: str) -> None:
    run(f"""
        import unittest
        import pytest
        from maker import make

        class TestA({base}):
            def test_one(self):
                self.test_vm_name = "web"
                make("web")
                make("web-clone")
                {"raise KeyboardInterrupt" if end == "KeyboardInterrupt" else "pytest.exit('on purpose')"}
    """)

    assert names() == []


def test_a_failing_test_is_cleaned_up_after(run: Run, names: Names) -> None:
    result = run("""
        from maker import make

        class TestA:
            def test_one(self):
                self.test_vm_name = "web"
                make("web")
                assert 0
    """)

    result.assert_outcomes(failed=1)
    assert names() == []


def test_a_name_that_no_machine_can_have_is_reported(run: Run) -> None:
    result = run("""
        class TestA:
            test_vm_name = "--all"

            def test_one(self):
                pass
    """)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["cannot track test_vm_name of *: cannot track a machine named*"])


def test_switched_off_it_says_so(run: Run, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMHARNESS_LIFECYCLE", "signals,sweep,teardown")

    result = run("""
        from maker import make

        def test_one(track_test_vm):
            make("web")
            track_test_vm("web")
    """)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "vmharness: lifecycle plugin tracking is off: machines that tests make by other means stay",
            "*no lifecycle plugin that tracks is switched on*",
        ]
    )
    assert names() == ["web"]
