"""Settings as a user makes them, and what is said of wrong ones."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vmharness.provider import Spec
from vmharness_fake import Fault, Faults, FolderFakeProvider, FolderStore

Run = Callable[..., pytest.RunResult]
Names = Callable[[], list[str]]

ONE = "def test_one(vm): assert vm.run(['true']).status == 0"


def test_an_option_wins_over_a_variable_and_that_over_a_file(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyprojecttoml(
        '[tool.vmharness]\nimage = "alpine:3.20"\nprefix = "file"\ncreate-timeout = 7\n'
    )
    monkeypatch.setenv("VMHARNESS_IMAGE", "debian:12")
    monkeypatch.setenv("VMHARNESS_PREFIX", "variable")

    result = run(
        """
        def test_one(vm, vm_session):
            assert vm.image == "debian:12"
            assert vm.name.startswith("option-")
            assert vm_session.settings.create_timeout == 7
        """,
        "--vm-prefix=option",
    )

    result.assert_outcomes(passed=1)


def test_ini_keys(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nvm_image = debian:12\nvm_sweep_prefix =\n    a-\n    b-\n")

    result = run("""
        def test_one(vm, vm_session):
            assert vm.image == "debian:12"
            assert vm_session.settings.sweep_prefix == ("a-", "b-")
    """)

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--vm-create-timeout=soon"], "*cannot use --vm-create-timeout = 'soon': not a duration*"),
        (["--vm-sweep=all"], "*cannot use --vm-sweep = 'all': not one of owned, prefix, off"),
        (["--vm-sweep=prefix"], "*cannot sweep by prefix: no prefix is set*"),
        (["--vm-sweep=prefix", "--vm-sweep-prefix="], "*cannot sweep by the empty prefix*"),
        (["--vm-prefix=-x"], "*cannot use '-x' as the prefix of names*"),
        (["--vm-leaks=never"], "*not one of warn, error"),
    ],
)
def test_malformed_settings_end_the_run_before_it_begins(run: Run, args: list[str], message: str) -> None:
    result = run(ONE, *args)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_an_unknown_backend_lists_what_is_installed(run: Run) -> None:
    result = run(ONE, "--vm-backend=fakee")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*UnknownBackend: unknown backend 'fakee'; installed: *fake*did you mean 'fake'*"]
    )


def add_backend(pytester: pytest.Pytester, module: str, entry: str, dist: str = "other-backend") -> None:
    """Install a backend into the test's folder."""
    pytester.makepyfile(their_backend=module)
    folder = pytester.path / f"{dist.replace('-', '_')}-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(f"[vmharness.backends]\n{entry}\n")
    pytester.syspathinsert()


def test_a_backend_that_fails_on_import_breaks_only_what_uses_it(run: Run, pytester: pytest.Pytester) -> None:
    add_backend(pytester, "import nosuchmodule", "broken = their_backend:connect")

    run(ONE).assert_outcomes(passed=1)
    result = run(ONE, "--vm-backend=broken")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*PluginError: cannot load plugin 'broken' (their_backend:connect): *nosuchmodule*"]
    )


def test_a_backend_whose_package_is_missing_says_what_to_install(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys\nsys.modules['testcontainers'] = None")

    result = run(ONE, "--vm-backend=docker")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["EngineUnavailable: *pip install 'vmharness*docker*'"])


def test_a_backend_that_gives_no_provider_is_told(run: Run, pytester: pytest.Pytester) -> None:
    add_backend(pytester, "def connect(endpoint=None): return 7", "seven = their_backend:connect")

    result = run(ONE, "--vm-backend=seven")

    result.stdout.fnmatch_lines(["*PluginError: cannot use backend 'seven': its entry point gives a int*"])


def test_two_backends_of_one_name_are_both_named(run: Run, pytester: pytest.Pytester) -> None:
    add_backend(pytester, "def connect(endpoint=None): return 7", "fake = their_backend:connect")

    result = run(ONE)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*PluginError: cannot choose backend 'fake': their_backend:connect (of other-*"]
    )


def test_no_engine_at_all_skips_with_the_reasons(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VMHARNESS_BACKEND")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    result = run(ONE, "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no engine answers, and no backend is set:*"])


def test_there_is_no_fall_back_to_the_fake(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VMHARNESS_BACKEND")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    assert "fake engine" not in run(ONE).stdout.str()


def test_a_configured_engine_that_does_not_answer_is_an_error(run: Run, store: FolderStore) -> None:
    store.set_faults(Faults((Fault("*", "unavailable"),)))

    result = run(ONE)

    result.assert_outcomes(errors=1)


class TestStateFolder:
    """Where the ledger can't be, nothing is created."""

    @pytest.fixture(autouse=True)
    def nothing_made(self, names: Names, store: FolderStore) -> object:
        yield
        assert not [event for event in store.events() if event.verb == "create"]
        assert names() == []

    def test_a_file_in_its_place(self, run: Run, state: Path) -> None:
        state.touch()

        result = run(ONE)

        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*LedgerError: cannot *state*VMHARNESS_STATE_DIR*"])

    def test_a_symlink_in_its_place(self, run: Run, state: Path, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        state.symlink_to(tmp_path / "elsewhere")

        result = run(ONE)

        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*LedgerError: cannot use the state folder *: it is a symbolic link*"])

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
    def test_another_users(self, run: Run, state: Path) -> None:
        state.mkdir()
        os.chown(state, 65534, 65534)

        result = run(ONE)

        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*LedgerError: cannot use the state folder *: user 65534 owns it*"])

    def test_a_full_disk(self, run: Run, state: Path) -> None:
        state.mkdir(mode=0o700)
        mount = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", str(state)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("no tmpfs can be mounted here")
        try:
            fill(state / "filler")
            result = run(ONE)
        finally:
            subprocess.run(["umount", state], check=True)

        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*LedgerError: cannot *No space left on device*VMHARNESS_STATE_DIR*"])


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def test_a_read_only_home_is_no_hindrance(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: Names
) -> None:
    monkeypatch.delenv("VMHARNESS_STATE_DIR")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))  # root may write to read-only folders
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    run(ONE).assert_outcomes(passed=1)

    assert names() == []
    assert stat.S_IMODE((tmp_path / "vmharness").stat().st_mode) == 0o700


def test_no_home_at_all(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: Names) -> None:
    monkeypatch.delenv("VMHARNESS_STATE_DIR")
    for variable in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    run(ONE).assert_outcomes(passed=1)

    assert names() == []


class TestLeaks:
    """A machine that could not be deleted."""

    @pytest.fixture(autouse=True)
    def cannot_delete(self, store: FolderStore) -> None:
        store.set_faults(Faults((Fault("delete", "fails"),)))

    def test_is_shown_with_its_test_and_the_command_that_removes_it(
        self, run: Run, names: Names, store: FolderStore
    ) -> None:
        result = run("""
            def test_one(vm): pass
            def test_two(vm, vm_factory): vm_factory("web")
        """)

        result.assert_outcomes(passed=2)
        assert result.ret == 0
        text = result.stdout.str()
        assert "machines: 3 created, 0 deleted, 0 swept, 3 left" in text
        assert text.count("left: ") == 3
        assert "left: web of " in text
        assert "::test_two (fake): " in text
        assert len(names()) == 3
        command = next(line for line in text.splitlines() if "remove it with:" in line and " web" in line)
        store.set_faults(Faults())
        subprocess.run(command.partition("with: ")[2].split(), check=True)
        assert "web" not in names()

    def test_is_an_error_of_its_test_if_so_set(self, run: Run) -> None:
        result = run("def test_one(vm): pass\ndef test_two(): pass", "--vm-leaks=error")

        result.assert_outcomes(passed=2, errors=1)
        result.stdout.fnmatch_lines(["*ERROR at teardown of test_one*", "*cannot delete machine 'vmh-one-*"])

    def test_fails_the_run_if_so_set_though_no_test_has_it(self, run: Run) -> None:
        result = run("def test_one(shared_vm): pass", "--vm-leaks=error")

        assert result.ret == pytest.ExitCode.TESTS_FAILED

    @pytest.mark.usefixtures("no_reaper")
    def test_the_next_run_sweeps_it(self, run: Run, store: FolderStore, names: Names, ledgers: Names) -> None:
        run(ONE).assert_outcomes(passed=1)
        assert len(names()) == len(ledgers()) == 1
        store.set_faults(Faults())

        result = run("def test_one(): pass")

        assert "1 swept, 0 left" in result.stdout.str()
        assert names() == ledgers() == []


class TestLifecycle:
    """Behaviours can be removed and replaced."""

    def test_without_teardown(self, run: Run, monkeypatch: pytest.MonkeyPatch, names: Names) -> None:
        monkeypatch.setenv("VMHARNESS_LIFECYCLE", "signals,sweep,tracking")

        result = run("""
            names = []

            def test_one(vm): names.append(vm.name)
            def test_two(vm_provider): assert vm_provider.exists(names[0])
        """)

        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["vmharness: lifecycle plugin teardown is off: machines stay until*"])
        assert names() == []

    def test_one_of_ones_own(
        self, run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, names: Names
    ) -> None:
        pytester.makepyfile(
            their_plugin="""
            from vmharness import Lifecycle

            class Lazy(Lifecycle):
                def scope_ended(self, session, scope):
                    for record in session.unfinished(scope):
                        session.report(f"lazy lets {record.name} live")
            """
        )
        folder = pytester.path / "their_plugin-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: their-plugin\nVersion: 1\n")
        (folder / "entry_points.txt").write_text("[vmharness.lifecycle]\nlazy = their_plugin:Lazy\n")
        pytester.syspathinsert()
        monkeypatch.setenv("VMHARNESS_LIFECYCLE", "signals,sweep,tracking,lazy")

        result = run("def test_one(vm_factory): vm_factory('web')")

        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["lazy lets web live", "machines: 1 created, 1 deleted, 0 swept, 0 left"])
        assert names() == []

    def test_an_unknown_one_is_told(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VMHARNESS_LIFECYCLE", "teardwn")

        result = run(ONE)

        result.stdout.fnmatch_lines(
            ["*PluginError: unknown lifecycle plugin 'teardwn'; installed: *teardown*"]
        )


@pytest.mark.usefixtures("no_reaper")
class TestSweep:
    """At the start of a run, also one that runs nothing."""

    @pytest.fixture
    def orphan(self, run: Run, names: Names, pytester: pytest.Pytester) -> str:
        run("import os\ndef test_one(vm): os.kill(os.getpid(), 9)")
        (name,) = names()
        return name

    @pytest.mark.parametrize("args", [["--collect-only"], ["-k", "nothing"], []])
    def test_orphans_go(self, run: Run, orphan: str, names: Names, ledgers: Names, args: list[str]) -> None:
        result = run("def test_two(): pass", *args)

        assert names() == ledgers() == []
        result.stdout.fnmatch_lines([f"vmharness: swept 1 of a dead session: {orphan}", "*1 swept, 0 left"])

    def test_off_they_stay(self, run: Run, orphan: str, names: Names) -> None:
        result = run("def test_two(vm): pass", "--vm-sweep=off")

        result.stdout.fnmatch_lines(["vmharness: sweep=off: machines of dead sessions stay"])
        assert names() == [orphan]

    def test_once_in_xdists_controller(self, run: Run, orphan: str, names: Names, store: FolderStore) -> None:
        result = run("def test_two(vm): pass\ndef test_three(vm): pass", "-n2", plugins=["xdist"])

        assert names() == []
        assert "1 swept" in result.stdout.str()
        deletes = [event for event in store.events() if event.verb == "delete" and event.name == orphan]
        assert len({event.pid for event in deletes}) == 1

    def test_by_prefix(self, run: Run, engine: FolderFakeProvider, names: Names) -> None:
        for name in ("ci-1", "tmp-1", "circa", "precious"):
            engine.create(Spec(name=name), timeout=5)

        result = run(
            "def test_one(): pass", "--vm-sweep=prefix", "--vm-sweep-prefix=ci-", "--vm-sweep-prefix=tmp-"
        )

        result.assert_outcomes(passed=1)
        assert names() == ["circa", "precious"]

    def test_a_garbage_ledger_is_kept_and_told(self, run: Run, state: Path, names: Names) -> None:
        run(ONE).assert_outcomes(passed=1)
        (folder,) = state.iterdir()
        (folder / "garbage.ledger").write_bytes(b"\x00garbage\n")

        result = run(ONE)

        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["*kept a damaged ledger, *garbage.ledger: line 1 can't be read*"])
        assert (folder / "garbage.ledger").read_bytes() == b"\x00garbage\n"
        assert names() == []

    def test_an_engine_that_does_not_answer_is_reported_and_the_run_goes_on(
        self, run: Run, orphan: str, store: FolderStore, names: Names
    ) -> None:
        store.set_faults(Faults((Fault("list", "unavailable"),)))

        result = run("def test_two(): pass")

        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines([f"*{orphan}*cannot list machines*"])
        store.set_faults(Faults())
        assert names() == [orphan]


def test_a_run_without_machines_opens_nothing(run: Run, state: Path, store: FolderStore) -> None:
    result = run("""
        import sys

        def test_one():
            heavy = {"stevedore", "rich", "typer", "vmharness._session", "docker"}
            assert heavy & set(sys.modules) == set()
    """)

    result.assert_outcomes(passed=1)
    assert "machines:" not in result.stdout.str()
    assert not state.exists()
    assert not store.events()


def test_the_plugin_can_be_asked_for_its_options() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True, check=True
    ).stdout

    for option in (
        "--vm-backend",
        "--vm-image",
        "--vm-create-timeout",
        "--vm-sweep",
        "--vm-prefix",
        "--vm-leaks",
    ):
        assert option in text
    assert "--vm-lifecycle" not in text
