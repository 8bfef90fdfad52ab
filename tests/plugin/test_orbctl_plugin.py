"""The fixture `orbctl_on_path`: the commands are there for a test, and its machines are gone after it."""

from __future__ import annotations

from pathlib import Path

import pytest

SUITE = """
    import shutil
    import subprocess

    import pytest

    def orb(*words):
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    @pytest.fixture(params=["simulator", "fake"])
    def orbctl_engine(request):
        return request.param

    def test_it(orbctl_on_path, orbctl_engine):
        orb("orbctl", "create", "ubuntu:24.04", "vm-1")
        assert orb("orb", "echo", "hello") == "hello\\n"
        (event,) = orbctl_on_path.wait_for("create", "end")
        assert event.name == "vm-1"

    def test_next(orbctl_on_path):
        assert orb("orbctl", "list", "-q") == ""

    def test_without():
        assert "orbctl0" not in (shutil.which("orbctl") or "")
"""


def test_commands_are_there_and_machines_go(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tmp_path / "engine"
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(engine))
    pytester.makepyfile(SUITE)

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=5)
    from vmharness_fake import FakeProvider, FolderStore

    assert FakeProvider(FolderStore(engine)).list() == []


def test_what_a_test_leaves_on_an_engine_is_deleted(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMHARNESS_FAKE_DIR", str(tmp_path / "engine"))
    pytester.makepyfile(
        """
        import os
        import subprocess
        from pathlib import Path

        import pytest
        from vmharness_fake import connect

        @pytest.fixture
        def orbctl_engine():
            return "fake"

        def test_fails(orbctl_on_path):
            subprocess.run(["orbctl", "create", "ubuntu:24.04", "vm-1"], check=True)
            raise RuntimeError

        def test_gone():
            events = (Path(os.environ["VMHARNESS_FAKE_DIR"]) / "events.jsonl").read_text()
            assert '"create", "phase": "accepted", "name": "vm-1"' in events
            assert connect().list() == []
        """
    )

    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1, failed=1)
