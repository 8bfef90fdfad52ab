"""The pytest plugin: fixtures, marker, options and summary. Knows pytest; asks no engine by itself.

A run that uses no machine imports no more than this module, the settings and the state folder's path.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import pytest

from vmharness._settings import (
    DEFAULT_LIFECYCLE,
    SETTINGS,
    Leaks,
    Settings,
    Source,
    SweepMode,
    environment,
    nearest_pyproject,
    parse_bytes,
    pyproject,
    read_settings,
)
from vmharness.errors import CleanupFailed, EngineUnavailable, SettingsError, VMHarnessError

if TYPE_CHECKING:
    from vmharness._machine import Machine
    from vmharness._session import Session
    from vmharness._summary import Part
    from vmharness.lifecycle.signals import Signals
    from vmharness.provider import Provider

__all__ = ["VMFactory"]

_KEY: Final[pytest.StashKey[Run]] = pytest.StashKey()

# Tells the commands that a test calls which session they are called from.
_SESSION_VARIABLE: Final = "VMHARNESS_SESSION"
# What falls when a plugin is switched off, for the header.
_FALLS: Final = {
    "signals": "SIGTERM and SIGHUP leave machines to the next session's sweep",
    "sweep": "machines of dead sessions stay",
    "tracking": "machines that tests make by other means stay",
    "teardown": "machines stay until the session's end",
}


class VMFactory(Protocol):
    """Makes machines that go after the test; what the fixture `vm_factory` gives."""

    def __call__(
        self,
        name: str | None = None,
        *,
        image: str | None = None,
        cpus: int | None = None,
        memory: int | str | None = None,
        disk: int | str | None = None,
        arch: str | None = None,
        user: str | None = None,
        user_data: str | None = None,
        kind: str | None = None,
        timeout: float | None = None,
    ) -> Machine:
        """Make a machine.

        Args:
            name: Its name; None = one that nobody has.
            image: Name of the image; None = the configured one.
            cpus: Number of processors.
            memory: Memory in bytes, or as "2G".
            disk: Root disk in bytes, or as "10G".
            arch: Processor architecture.
            user: User that commands run as by default.
            user_data: Text for cloud-init.
            kind: "any", "container" or "vm".
            timeout: Seconds until the deadline; None = the configured one.
        """
        ...


# -- configuration


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option and an ini key for each setting."""
    group = parser.getgroup("vmharness", "test machines (vmharness)")
    for setting in SETTINGS:
        if setting.option:
            group.addoption(
                f"--vm-{setting.name.replace('_', '-')}",
                dest=f"vm_{setting.name}",
                action="append" if setting.many else "store",
                metavar=setting.metavar,
                help=setting.help,
            )
        kind: Literal["linelist", "string"] = "linelist" if setting.many else "string"
        parser.addini(f"vm_{setting.name}", setting.help, type=kind)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, and register what watches the run."""
    pytest.register_assert_rewrite("vmharness.testing")
    config.addinivalue_line(
        "markers",
        "vm(image=…, cpus=…, memory=…, disk=…, arch=…, user=…, user_data=…, kind=…, timeout=…): "
        "what the fixture vm shall be",
    )
    option = Source(
        lambda name: f"--vm-{name.replace('_', '-')}", lambda name: config.getoption(f"vm_{name}", None)
    )
    ini = Source(lambda name: f"ini key vm_{name}", lambda name: config.getini(f"vm_{name}") or None)
    try:
        file = pyproject(nearest_pyproject(config.rootpath))
        settings = read_settings([option, environment(os.environ), ini, file])
    except SettingsError as exc:
        raise pytest.UsageError(str(exc)) from exc
    run = Run(config, settings)
    config.stash[_KEY] = run
    config.pluginmanager.register(run, "vmharness-run")


class Run:
    """Watches one pytest run in one process: opens the session when it is needed, ends scopes, sums up."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        worker = getattr(config, "workerinput", None)
        self._config = config
        self._worker: dict[str, Any] | None = worker
        self._settings = (
            settings if worker is None else replace(settings, sweep=_worker_sweep(worker, settings))
        )
        self._session: Session | None = None
        self._outer_id: str | None = None
        self._signals: Signals | None = None
        self._began_at = time.time()
        self._parts: list[Part] = []
        self._finished = False
        # pytest captures what is written while tests run; then the summary says it.
        self._live = False

    @property
    def session(self) -> Session:
        """The session of this process, opened when it is first asked for."""
        if self._session is None:
            if sys.platform == "win32":
                raise EngineUnavailable("vmharness has no machines on Windows; use WSL")
            from vmharness._ledger import FileLedgers
            from vmharness._plugins import load_lifecycle
            from vmharness._session import Session

            self._session = Session(
                self._settings,
                ledgers=FileLedgers.usual(),
                plugins=load_lifecycle(self._settings.lifecycle),
                id=self._worker["testrunuid"] if self._worker else self._run_id(),
                began_at=self._began_at,
                say=self._say,
            )
            self._session.open()
            self._outer_id = os.environ.get(_SESSION_VARIABLE)
            os.environ[_SESSION_VARIABLE] = self._session.id
        return self._session

    def _run_id(self) -> str:
        """The id that xdist gives its workers, so that the controller's session is the same one."""
        distributed = self._config.pluginmanager.getplugin("dsession")
        manager = getattr(distributed, "nodemanager", None)
        return str(getattr(manager, "testrunuid", ""))

    def _say(self, text: str) -> None:
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if self._live and terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(f"vmharness: {text}")

    def pytest_report_header(self) -> list[str]:
        """Name the backend without asking it, and the plugins that are switched off."""
        settings = self._settings
        lines = [f"vmharness: backend {settings.backend or 'the first whose engine answers'}"]
        if settings.sweep is SweepMode.OFF:
            lines.append(f"vmharness: sweep=off: {_FALLS['sweep']}")
        lines += [
            f"vmharness: lifecycle plugin {name} is off: {_FALLS[name]}"
            for name in DEFAULT_LIFECYCLE
            if name not in settings.lifecycle
        ]
        return lines

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Sweep, if there is anything to sweep, and outlive the workers: once a run, in the controller."""
        if self._worker is not None or sys.platform == "win32":
            return
        self._sweep()
        if self._session is None and self._distributes() and "signals" in self._settings.lifecycle:
            # The controller has no machines, and so no session; but it must not die before its workers.
            from vmharness.lifecycle.signals import Signals

            self._signals = Signals()
            self._signals.install()

    def _sweep(self) -> None:
        mode = self._settings.sweep
        self._live = True
        try:
            if mode is SweepMode.PREFIX or (mode is SweepMode.OWNED and self._abandoned()):
                _ = self.session
        except VMHarnessError as exc:
            warnings.warn(pytest.PytestWarning(f"vmharness: cannot sweep: {exc}"), stacklevel=1)
        finally:
            self._live = False

    def _distributes(self) -> bool:
        return self._config.pluginmanager.hasplugin("dsession")

    @staticmethod
    def _abandoned() -> bool:
        from vmharness._locks import is_abandoned
        from vmharness._places import host_id, state_folder

        return is_abandoned(state_folder(os.environ) / host_id())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """End the scopes that the next test doesn't share, after all fixtures are torn down."""
        name = getattr(getattr(item, "instance", None), "test_vm_name", None)
        if name:
            self._track(item, name)
        try:
            result = yield
        except BaseException:
            self._end_scopes(item, nextitem, failing=True)
            raise
        if self._session is not None:
            self._end_scopes(item, nextitem, failing=False)
        return result

    def _track(self, item: pytest.Item, name: object) -> None:
        """Track the machine that a test class names; what hinders it is reported, not the test's fault."""
        backend = getattr(item, "funcargs", {}).get("vm_backend", "")
        try:
            self.session.named(str(name), scope=item.nodeid, backend=backend)
        except VMHarnessError as exc:
            text = f"cannot track test_vm_name {name!r} of {item.nodeid}: {exc}"
            if self._session is not None:
                self._session.report(text)
            else:
                warnings.warn(pytest.PytestWarning(f"vmharness: {text}"), stacklevel=1)

    def _end_scopes(self, item: pytest.Item, nextitem: pytest.Item | None, *, failing: bool) -> None:
        session = self._session
        if session is None:
            return
        stays = set(nextitem.listchain()) if nextitem is not None else set[object]()
        errors: list[CleanupFailed] = []
        for node in reversed(item.listchain()):
            if node in stays or not node.nodeid or node is item.session:
                continue
            try:
                session.end_scope(node.nodeid)
            except CleanupFailed as exc:
                errors.append(exc)
        for error in errors:
            for reason in error.exceptions:
                session.report(str(reason))
        if errors and not failing and self._settings.leaks is Leaks.ERROR:
            raise errors[0]

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Clean up after the last fixture; a worker then sends its part to the controller."""
        try:
            return (yield)
        finally:
            self._finish(session)

    def _finish(self, session: pytest.Session) -> None:
        from contextlib import suppress

        self._live = self._worker is None
        if self._distributes() and self._session is None and self._abandoned():
            with suppress(VMHarnessError):
                _ = self.session  # a worker died and left its ledger
        if self._session is None:
            return
        from vmharness._summary import part_of

        try:
            self._session.drain(interrupted=int(session.exitstatus == pytest.ExitCode.INTERRUPTED))
        except KeyboardInterrupt:
            self._session.report("interrupted: what is left now is left to the next session's sweep")
        part = part_of(self._session)
        if self._worker is not None:
            self._config.workeroutput["vmharness"] = part.to_plain()  # type: ignore[attr-defined]
        self._parts.append(part)
        seen = any(left.seen for part in self._parts for left in part.left)
        if seen and self._settings.leaks is Leaks.ERROR and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take a worker's part; one that died has none, its ledger tells."""
        plain = getattr(node, "workeroutput", {}).get("vmharness")
        if plain:
            from vmharness._summary import Part

            self._parts.append(Part.from_plain(plain))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was created, deleted, swept and left, with the commands that remove what is left."""
        if not self._parts:
            return
        from vmharness._summary import lines

        text = lines(self._parts)
        if text:
            terminalreporter.section("vmharness")
            for line in text:
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Drop the lock and restore the signal handlers, when the reports are written."""
        if self._session is not None:
            sys.stdout.flush()
            try:
                self._session.close()
            except CleanupFailed:
                pass  # the summary named them
            if self._outer_id is None:
                os.environ.pop(_SESSION_VARIABLE, None)
            else:
                os.environ[_SESSION_VARIABLE] = self._outer_id
        if self._signals is not None:
            self._signals.restore()


def _worker_sweep(worker: dict[str, Any], settings: Settings) -> SweepMode:
    """The controller sweeps; what needs an engine at the first create is left to the first worker."""
    if worker["workerid"] != "gw0" or settings.sweep is SweepMode.OFF:
        return SweepMode.OFF
    return SweepMode.OWNED


# -- fixtures


@pytest.fixture(scope="session")
def vm_session(request: pytest.FixtureRequest) -> Session:
    """The session of this process: any machines, in any scope, of any backend."""
    return request.config.stash[_KEY].session


@pytest.fixture(scope="session")
def vm_backend(vm_session: Session) -> str:
    """The backend's name; override or parametrise it. Without an engine, tests are skipped."""
    try:
        return vm_session.backend()
    except EngineUnavailable as exc:
        pytest.skip(str(exc))


@pytest.fixture
def vm_provider(vm_session: Session, vm_backend: str) -> Provider:
    """The provider of the test's backend."""
    return vm_session.provider(vm_backend)


@pytest.fixture
def vm_factory(request: pytest.FixtureRequest, vm_session: Session, vm_backend: str) -> VMFactory:
    """Make any number of machines, gone after the test."""

    def factory(name: str | None = None, *, timeout: float | None = None, **fields: Any) -> Machine:
        asked = {key: value for key, value in fields.items() if value is not None}
        if name is not None:
            asked["name"] = check_name(name)
        for key, parse in (("memory", parse_bytes), ("disk", parse_bytes), ("kind", Kind)):
            if key in asked:
                try:
                    asked[key] = parse(asked[key])
                except ValueError as exc:
                    raise SettingsError(f"cannot use {key}={asked[key]!r} for a machine: {exc}") from exc
        return vm_session.create(scope=request.node.nodeid, backend=vm_backend, timeout=timeout, **asked)

    from vmharness._model import Kind
    from vmharness._naming import check_name

    return factory


_FIELDS: Final = ("arch", "cpus", "disk", "image", "kind", "memory", "timeout", "user", "user_data")


@pytest.fixture
def vm(request: pytest.FixtureRequest, vm_factory: VMFactory) -> Machine:
    """Make a fresh machine for this test, as the marker `vm` says."""
    fields: dict[str, Any] = {}
    for marker in request.node.iter_markers("vm"):
        wrong = [repr(arg) for arg in marker.args] + sorted(set(marker.kwargs) - set(_FIELDS))
        if wrong:
            raise SettingsError(
                f"cannot use {wrong[0]} in the marker vm of {request.node.nodeid}; "
                f"known are {', '.join(_FIELDS)}"
            )
        fields = {**marker.kwargs, **fields}
    return vm_factory(**fields)


@pytest.fixture(scope="session")
def shared_vm(vm_session: Session, vm_backend: str) -> Machine:
    """Make one machine for the whole run, one a worker under xdist."""
    return vm_session.create(backend=vm_backend)


@pytest.fixture
def track_test_vm(
    request: pytest.FixtureRequest, vm_session: Session, vm_backend: str
) -> Callable[[str], None]:
    """Clean up a machine made by other means after the test; named before or after it is made."""

    def track(name: str) -> None:
        vm_session.named(name, scope=request.node.nodeid, backend=vm_backend)

    return track
