"""`vmharness doctor`: what is wrong, with what, what to do; its exit status says whether it prevents use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from vmharness import CommandResult, MachineInfo
from vmharness._ledger import FileLedgers
from vmharness._meeting import Meeting
from vmharness._plugins import BACKENDS, cache_folder
from vmharness._settings import DEFAULT_LIFECYCLE, Settings, SweepMode
from vmharness.cli._engines import Engine, survey
from vmharness.cli._findings import (
    Finding,
    Level,
    check_packages,
    check_pytest,
    check_settings,
    check_signals,
)
from vmharness.cli._plugin_checks import (
    Plugin,
    check_backends,
    check_cache,
    check_lifecycle,
    lifecycle_plugins,
)
from vmharness.cli._state_checks import check_ledgers, check_orphans, check_state
from vmharness.errors import EngineUnavailable
from vmharness_fake import FolderFakeProvider

Call = Callable[..., tuple[int, str, str]]
Make = Callable[..., None]

DOCTOR = "import sys; from vmharness.cli import main; sys.exit(main(['doctor', '--json']))"
PLUGINS = """
import threading
from vmharness import Lifecycle
from vmharness_fake import FakeProvider, MemoryStore

class Late(Lifecycle):
    pass

def fine(endpoint=None):
    return FakeProvider(MemoryStore(endpoint or ""))

def hanging(endpoint=None):
    threading.Event().wait()

def number(endpoint=None):
    return 7
"""


def only(findings: Sequence[Finding]) -> Finding:
    (finding,) = findings
    return finding


def pytest_says(stdout: str = "", stderr: str = "", status: int = 0) -> Callable[[], CommandResult]:
    return lambda: CommandResult(status=status, stdout=stdout, stderr=stderr)


class Site:
    """A folder of distributions, in which processes find them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def install(self, name: str, code: str, **points: str) -> None:
        """Install a distribution with a module; a namespace's entry points are `name=attribute …`."""
        (self.folder / f"{name}.py").write_text(code)
        info = self.folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines: list[str] = []
        for namespace, pairs in points.items():
            lines.append(f"[vmharness.{namespace}]")
            lines += [pair.replace("=", f" = {name}:") for pair in pairs.split()]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")

    def doctor(self, **variables: str) -> tuple[int, dict[str, Any]]:
        done = self._start(DOCTOR, **variables)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def run(self, code: str) -> str:
        """Return what the code writes."""
        done = self._start(code)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _start(self, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(self.folder), **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Site(tmp_path / "site")


class TestTheCommand:
    """All of it, in a process of its own or in this one."""

    def test_where_nothing_is_wrong_it_says_so(self, call: Call, tmp_path: Path) -> None:
        status, out, _ = call("doctor")

        assert (status, out.splitlines()[-1]) == (0, "Nothing is wrong.")
        for number, name in enumerate(DEFAULT_LIFECYCLE, start=1):
            assert any(
                line.split()[:1] == [name] and line.split()[-1] == str(number) for line in out.splitlines()
            )
        assert [path.name for path in tmp_path.iterdir()] == ["engine"]  # no state is made

    def test_each_finding_says_what_to_do_and_an_error_is_status_1(
        self, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VMHARNESS_BACKEND", "nope")
        monkeypatch.setenv("VMHARNESS_CREATE_TIMEOUT", "soon")

        status, out, _ = call("doctor")

        assert status == 1
        assert "error: settings: cannot use VMHARNESS_CREATE_TIMEOUT = 'soon'" in out
        assert "error: backends: the configured backend 'nope' isn't installed; installed: docker, " in out
        assert "    what to do: install it, or set another one" in out
        assert out.splitlines()[-1] == "2 errors, 0 warnings"

    def test_a_warning_alone_is_status_0(self, call: Call, machine: Make) -> None:
        machine("left", "dead")

        status, out, _ = call("doctor", "--json")

        finding = json.loads(out)["findings"]
        assert status == 0
        assert [(one["level"], one["about"]) for one in finding] == [("warning", "state")]
        assert "left (fake)" in finding[0]["what"]
        assert "vmharness sweep" in finding[0]["remedy"]

    def test_a_plugin_that_is_off_is_shown_with_what_falls(
        self, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VMHARNESS_LIFECYCLE", "-sweep")

        _, out, _ = call("doctor", "--json")

        shown = {row["name"]: row for row in json.loads(out)["lifecycle"]}
        assert shown["sweep"]["place"] is None
        assert shown["sweep"]["falls"] == "machines of dead sessions stay"
        assert [name for name, row in shown.items() if row["place"]] == [
            "reaper",
            "signals",
            "tracking",
            "teardown",
        ]

    def test_broken_plugins_are_named_with_their_distributions(self, site: Site) -> None:
        site.install("plug", PLUGINS, backends="sound=fine seven=number", lifecycle="late=Late")
        site.install("broken", "import nothing_of_that_name", backends="absent=x", lifecycle="gone=X")
        site.install("twin", PLUGINS, backends="sound=fine", lifecycle="late=Late")

        status, said = site.doctor(VMHARNESS_LIFECYCLE="-sweep,+gone")

        backends = {row["name"]: row for row in said["backends"]}
        lifecycle = {row["name"]: row for row in said["lifecycle"]}
        found = [(one["level"], one["what"]) for one in said["findings"]]
        assert status == 1
        assert backends["sound"]["distribution"] == "plug 1.0, twin 1.0"
        assert not backends["sound"]["loads"]
        assert (lifecycle["gone"]["place"], lifecycle["gone"]["loads"]) == (5, False)
        assert sorted(level for level, _ in found) == ["error"] + ["warning"] * 4
        for level, what, remedy in (
            ("error", "cannot load plugin 'gone' (broken:X): ModuleNotFoundError", "uninstall broken 1.0"),
            ("warning", "absent: cannot load plugin 'absent' (broken:x)", "uninstall broken 1.0"),
            ("warning", "seven: cannot use backend 'seven'", "uninstall plug 1.0"),
            ("warning", "sound: cannot choose backend 'sound': plug:fine (of plug) and twin", "all but one"),
            ("warning", "cannot choose lifecycle plugin 'late'", "all but one"),
        ):
            assert any(
                one == level and text.startswith(what) and text.endswith(remedy) for one, text in found
            ), (what, found)


class TestBackends:
    """Which are broken, and why no machine could be had."""

    def engine(self, name: str, **more: Any) -> Engine:
        return replace(Engine(backend=name, distribution="plug 1.0", loads=True), **more)

    def test_one_that_is_broken_is_an_error_only_if_it_is_the_configured_one(self) -> None:
        engines = [
            self.engine("bad", loads=False, error="oops"),
            self.engine("good", answers=True, rank=1, machines=()),
        ]

        assert [finding.level for finding in check_backends(engines, "")] == [Level.WARNING]
        assert [finding.level for finding in check_backends(engines, "good")] == [Level.WARNING]
        assert [finding.level for finding in check_backends(engines, "bad")] == [Level.ERROR]

    def test_the_configured_engine_must_answer(self) -> None:
        engines = [self.engine("off", error="no socket; start it"), self.engine("on", answers=True, rank=1)]

        assert only(list(check_backends(engines, "off"))).what.endswith("doesn't answer: no socket; start it")
        assert not list(check_backends(engines, ""))
        assert not list(check_backends(engines, "on"))

    def test_where_none_answers_that_is_an_error(self) -> None:
        engines = [self.engine("off", error="no socket"), self.engine("unranked", answers=True)]

        assert only(list(check_backends(engines, ""))).level is Level.ERROR

    def test_a_backend_that_hangs_holds_nobody_up(self, site: Site) -> None:
        site.install("plug", PLUGINS, backends="stuck=hanging sound=fine")
        code = (
            "from vmharness.cli._engines import survey\n"
            "for e in survey(patience_s=5): print(e.backend, e.loads, e.answers, e.error)"
        )

        said = site.run(code)

        assert "stuck False False no answer in 5 s" in said
        assert "sound True True" in said

    def test_all_that_are_installed_are_asked(self) -> None:
        assert {"docker", "fake", "incus", "lxd", "orbstack"} <= {engine.backend for engine in survey()}


class TestPlugins:
    """Lifecycle plugins, and what stevedore remembers."""

    def test_one_that_hangs_holds_nobody_up(self, site: Site) -> None:
        site.install("plug", PLUGINS, lifecycle="sound=Late")
        site.install("stuck", "import threading\nthreading.Event().wait()", lifecycle="stuck=Any")
        code = (
            "from vmharness._settings import Settings\n"
            "from vmharness.cli._plugin_checks import lifecycle_plugins\n"
            "for p in lifecycle_plugins(Settings(), patience_s=5): print(p.name, p.loads, p.error)"
        )

        said = site.run(code)

        assert (
            "stuck False lifecycle plugin 'stuck' of stuck 1.0 hangs: not loaded after 5 s; update it" in said
        )
        assert "sound True \n" in said
        assert "teardown True \n" in said

    def test_an_unknown_one_that_is_on_prevents_use(self) -> None:
        plugins = lifecycle_plugins(Settings(lifecycle=("+swep",)))

        finding = only(list(check_lifecycle(plugins)))
        assert finding.level is Level.ERROR
        assert "did you mean 'sweep'?" in finding.what
        assert finding.remedy == "or take swep out of the setting lifecycle"

    def test_one_of_ours_that_is_broken_can_be_switched_off(self) -> None:
        broken = Plugin(name="sweep", distribution="plug 1.0", place=3, loads=False, error="oops")

        assert (
            only(list(check_lifecycle([broken]))).remedy
            == "or switch it off by -sweep in the setting lifecycle"
        )
        assert not list(check_lifecycle([replace(broken, loads=True)]))

    def test_a_stale_cache_is_named_with_what_it_concerns_and_where_it_is(self) -> None:
        finding = only(list(check_cache(lambda namespace: ["new"] if namespace == BACKENDS else [])))

        assert "what it says of new isn't what is installed" in finding.what
        assert str(cache_folder()) in finding.remedy


class TestSettings:
    """What is malformed, all at once."""

    def test_each_malformed_one_is_found_and_the_others_count(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text('[tool.vmharness]\nimage = "debian:12"\nleaks = "maybe"\n')
        environ = {
            "VMHARNESS_CREATE_TIMEOUT": "soon",
            "VMHARNESS_SWEEP": "prefix",
            "VMHARNESS_BACKEND": "incus",
        }

        settings, findings = check_settings(environ, tmp_path)

        assert (settings.image, settings.backend, settings.sweep) == ("debian:12", "incus", SweepMode.OWNED)
        assert [finding.level for finding in findings] == [Level.ERROR] * 3
        for finding, said in zip(
            findings, ("CREATE_TIMEOUT = 'soon'", "leaks in", "sweep by prefix"), strict=True
        ):
            assert said in finding.what

    def test_a_malformed_prefix_is_found_once(self, tmp_path: Path) -> None:
        _, findings = check_settings({"VMHARNESS_SWEEP": "prefix", "VMHARNESS_SWEEP_PREFIX": "*"}, tmp_path)

        assert "VMHARNESS_SWEEP_PREFIX" in only(findings).what

    def test_an_unknown_key_is_found_and_variables_count_all_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text('[tool.vmharness]\nbakend = "incus"\n')

        settings, findings = check_settings({"VMHARNESS_IMAGE": "debian:12"}, tmp_path)

        assert settings.image == "debian:12"
        assert "cannot use 'bakend' of [tool.vmharness]" in only(findings).what

    @pytest.mark.parametrize("name", ["VMHARNESS_BACKED", "VM_HARNESS_BACKEND", "vmharness_backend"])
    def test_a_misspelt_variable_is_found(self, tmp_path: Path, name: str) -> None:
        finding = only(check_settings({name: "incus"}, tmp_path)[1])

        assert (finding.level, finding.remedy) == (
            Level.WARNING,
            "if VMHARNESS_BACKEND is meant, rename it",
        )

    @pytest.mark.parametrize(
        "name", ["VMHARNESS_FAKE_DIR", "VMHARNESS_STATE_DIR", "VMHARNESS_SESSION", "HOME"]
    )
    def test_a_variable_of_something_else_is_none_of_it(self, tmp_path: Path, name: str) -> None:
        assert not check_settings({name: "x"}, tmp_path)[1]


class TestSignals:
    """What a run that is started from here wouldn't hear."""

    def test_ignored_ones_are_named(self) -> None:
        ignored = {signal.SIGINT, signal.SIGHUP}

        def handler(number: int) -> object:
            return signal.SIG_IGN if number in ignored else signal.SIG_DFL

        finding = only(list(check_signals(handler)))
        assert finding.level is Level.WARNING
        assert "from here ignore SIGINT and SIGHUP, as" in finding.what
        assert finding.remedy == "to end one in good order, send it SIGTERM"

    def test_none_is_nothing(self) -> None:
        assert not list(check_signals(lambda number: signal.SIG_DFL))


class TestPackages:
    """What vmharness needs, and what is there."""

    @staticmethod
    def there(**versions: str) -> Callable[[str], str]:
        def version(name: str) -> str:
            if name not in versions:
                raise PackageNotFoundError(name)
            return versions[name]

        return version

    def test_one_that_is_too_old_or_missing_is_found(self) -> None:
        needs = ["pytest>=8.3", "rich>=13", "typer", "docker>=7; extra == 'docker'"]

        found = list(check_packages(needs, self.there(pytest="7.4", rich="13.7")))

        assert [finding.what for finding in found] == [
            "vmharness needs pytest>=8.3, and 7.4 is installed",
            "vmharness needs typer, and it isn't installed",
        ]
        assert found[0].remedy == "pip install 'pytest>=8.3'"

    def test_our_own_are_met_here(self) -> None:
        assert not list(check_packages())


class TestPytest:
    """Whether the pytest that is run here knows us."""

    def test_one_that_knows_our_options_is_well(self) -> None:
        assert not list(check_pytest({}, pytest_says("  --vm-backend=NAME")))

    @pytest.mark.parametrize(
        ("environ", "where", "remedy"),
        [
            ({}, "switched off: its", "out of addopts"),
            ({"PYTEST_ADDOPTS": "-q -p no:vmharness"}, "off by PYTEST_ADDOPTS", "out of it"),
            ({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, "AUTOLOAD", "-p vmharness.pytest_plugin"),
        ],
    )
    def test_one_that_does_not_is_an_error_with_the_cause(
        self, environ: Mapping[str, str], where: str, remedy: str
    ) -> None:
        finding = only(list(check_pytest(environ, pytest_says("usage: pytest"))))

        assert finding.level is Level.ERROR
        assert where in finding.what
        assert remedy in finding.remedy

    def test_one_that_fails_is_told_with_its_last_words(self) -> None:
        finding = only(
            list(check_pytest({}, pytest_says(stderr="warm words\nERROR: last words\n", status=4)))
        )

        assert finding.what == "pytest doesn't run here: ERROR: last words"

    @pytest.mark.parametrize("error", [EngineUnavailable("no python"), TimeoutError("no end after 60 s")])
    def test_one_that_cannot_be_asked_is_an_error(self, error: Exception) -> None:
        def ask() -> CommandResult:
            raise error

        assert str(error) in only(list(check_pytest({}, ask))).what

    @pytest.mark.parametrize(
        "content",
        ['addopts = "-p no:vmharness"', 'vm_sweep = "sometimes"'],
        ids=["switched off", "malformed"],
    )
    def test_the_real_one_is_asked_in_this_folder(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{content}\n")

        found = list(check_pytest(os.environ))

        assert ("switched off" if "addopts" in content else "ini key vm_sweep") in only(found).what


class TestState:
    """Where ledgers are kept."""

    def test_a_folder_that_is_not_there_yet_is_well_and_none_is_made(self, tmp_path: Path) -> None:
        ledgers = FileLedgers(tmp_path / "some" / "state")

        assert not list(check_state(ledgers, {"VMHARNESS_STATE_DIR": str(ledgers.state)}))
        assert not ledgers.state.parent.exists()

    def test_a_folder_that_others_can_write_to_is_an_error(self, tmp_path: Path) -> None:
        state = tmp_path / "state"
        state.mkdir()
        state.chmod(0o777)

        finding = only(list(check_state(FileLedgers(state), {"VMHARNESS_STATE_DIR": str(state)})))

        assert finding.level is Level.ERROR
        assert "others can write to it; set VMHARNESS_STATE_DIR" in finding.what

    def test_one_that_holds_no_locked_file_is_an_error(self, tmp_path: Path) -> None:
        asked: list[Path] = []

        def probe(folder: Path) -> str:
            asked.append(folder)
            return "its file system has no working locks"

        ledgers = FileLedgers(tmp_path / "state")
        finding = only(list(check_state(ledgers, {"VMHARNESS_STATE_DIR": str(ledgers.state)}, probe)))

        assert asked == [tmp_path]  # the nearest that is there
        assert (
            finding.what == f"cannot keep a ledger in {ledgers.folder}: its file system has no working locks"
        )
        assert "VMHARNESS_STATE_DIR" in finding.remedy

    def test_one_that_takes_no_file_is_found_by_trying(self) -> None:
        ledgers = FileLedgers(Path("/proc/self"))  # nobody can make a file there

        findings = list(check_state(ledgers, {"VMHARNESS_STATE_DIR": "/proc/self"}))

        assert Level.ERROR in [finding.level for finding in findings]

    def test_a_way_out_of_no_home_is_a_warning(self, tmp_path: Path) -> None:
        finding = only(list(check_state(FileLedgers(tmp_path), {})))

        assert finding.level is Level.WARNING
        assert f"ledgers are kept in {tmp_path}, which may be emptied at any time" in finding.what

    def test_living_and_settled_ledgers_are_no_finding(self, ledgers: FileLedgers, machine: Make) -> None:
        machine("mine", "living")
        ledgers.open("settled").abandon()

        assert not list(check_ledgers(ledgers))

    def test_what_a_dead_run_left_is_named_and_nothing_is_changed(
        self, ledgers: FileLedgers, machine: Make
    ) -> None:
        machine("left", "dead")
        (path,) = ledgers.paths()
        before = path.read_bytes()

        finding = only(list(check_ledgers(ledgers)))

        assert finding.what == f"a dead run's ledger names machines: left (fake); it is {path}"
        assert path.read_bytes() == before

    @pytest.mark.parametrize("state", ["wanted", "maybe"])
    def test_what_may_still_come_is_told_apart(self, ledgers: FileLedgers, machine: Make, state: str) -> None:
        machine("unsure", "dead")
        (path,) = ledgers.paths()
        path.write_text(path.read_text().replace('"running"', f'"{state}"'))

        assert "what may still become machines: unsure (fake)" in only(list(check_ledgers(ledgers))).what

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("no JSON\n", "line 2 can't be read"),
            ("", "it has no header"),
            ('{"vmharness": 99}\n', "format 99"),
        ],
    )
    def test_a_damaged_ledger_is_named_with_its_damage(
        self, ledgers: FileLedgers, line: str, said: str
    ) -> None:
        ledgers.open("s").abandon()
        (path,) = ledgers.paths()
        path.write_text(path.read_text() + line if said.startswith("line") else line)

        finding = only(list(check_ledgers(ledgers)))

        assert str(path) in finding.what
        assert said in finding.what
        assert "delete the file" in finding.remedy

    def test_a_damaged_ledger_of_a_living_run_is_named_and_that_of_another_state_folder_is_not(
        self, tmp_path: Path
    ) -> None:
        meeting = Meeting(tmp_path)
        here = FileLedgers(tmp_path / "here", meeting=meeting)
        there = FileLedgers(tmp_path / "there", meeting=meeting)
        living, other = here.open("living"), there.open("other")
        for ledger in (living, other):
            ledger.path.write_text(ledger.path.read_text() + "no JSON\n")

        finding = only(list(check_ledgers(here)))

        assert f"the ledger {living.path}, of a living run, is damaged" in finding.what
        assert finding.remedy.startswith("end that run")
        living.close()
        other.close()

    def test_a_list_of_protected_machines_that_cannot_be_read_is_an_error(self, ledgers: FileLedgers) -> None:
        ledgers.open("s").abandon()
        (ledgers.folder / "protected.json").write_text("no JSON")

        assert only(list(check_ledgers(ledgers))).level is Level.ERROR

    def test_expired_machines_of_unknown_runs_are_named(
        self, ledgers: FileLedgers, machine: Make, engine: FolderFakeProvider
    ) -> None:
        machine("expired", "unknown", expires_s=-60)
        machine("fresh", "unknown", expires_s=60)
        machine("strange", "stranger")
        machine("living", "living", expires_s=-60)

        def asked(machines: Sequence[MachineInfo] | None) -> Engine:
            return Engine(
                backend="fake", distribution="x 1", loads=True, endpoint=engine.endpoint, machines=machines
            )

        finding = only(list(check_orphans(ledgers, [asked(engine.list()), asked(None)])))

        assert (
            "fake has 1 machine of runs whose ledger isn't here, past their expiry: expired" in finding.what
        )
        assert finding.remedy == "run `vmharness sweep --expired --backend fake`"
