"""What watches one pytest run in one process: it opens the session, ends scopes and sums up."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from vmharness._settings import DEFAULT_LIFECYCLE, FALLS, Leaks, Settings, SweepMode
from vmharness.errors import CleanupFailed, EngineUnavailable, VMHarnessError
from vmharness.pytest_plugin._interrupts import Interrupts
from vmharness.pytest_plugin._names import Names

if TYPE_CHECKING:
    from vmharness._session import Session
    from vmharness._summary import Part
    from vmharness.lifecycle.signals import Signals

__all__ = ["RUN", "Run"]

# Tells the commands that a test calls which session they are called from.
_SESSION_VARIABLE: Final = "VMHARNESS_SESSION"


class Run:
    """Watches one pytest run in one process: opens the session when it is needed, ends scopes, sums up."""

    def __init__(self, config: pytest.Config, settings: Settings, state: Path) -> None:
        worker = getattr(config, "workerinput", None)
        self._config = config
        self._worker: dict[str, Any] | None = worker
        self._settings = (
            settings if worker is None else replace(settings, sweep=_worker_sweep(worker, settings))
        )
        self._session: Session | None = None
        self._outer_id: str | None = None
        self._signals: Signals | None = None
        # Tests may change folder, environment and clock: what is meant is what was there before them.
        self._state = state
        self._began_at = time.time()
        self._id = worker["testrunuid"] if worker else uuid.uuid4().hex
        self._parts: list[Part] = []
        self._notes: list[str] = []
        self._names = Names(lambda: self.session, self._note)
        self._interrupts = Interrupts()
        self._finished = False
        self._summed_up = False
        # pytest captures what is written while tests run; then the summary says it.
        self._live = False
        # What is said while all hangs must not wait for the summary, nor be captured.
        self._stderr: int | None = _duplicate(2)

    @property
    def session(self) -> Session:
        """The session of this process, opened when it is first asked for."""
        if self._session is None:
            if sys.platform == "win32":
                raise EngineUnavailable("vmharness has no machines on Windows; use WSL")
            from vmharness._ledger import FileLedgers
            from vmharness._plugins import load_lifecycle
            from vmharness._session import Session

            session = Session(
                self._settings,
                ledgers=FileLedgers(self._state),
                plugins=load_lifecycle(self._settings.lifecycle),
                id=self._run_id(),
                began_at=self._began_at,
                say=self._say,
                alarm=self._alarm,
            )
            _ = session.ledger  # without one there is no session
            self._session = session
            self._session.open()
            self._outer_id = os.environ.get(_SESSION_VARIABLE)
            os.environ[_SESSION_VARIABLE] = self._session.id
        return self._session

    @property
    def has_tests(self) -> bool:
        """Whether this process runs tests: the controller of xdist's workers runs none."""
        return self._worker is not None or not self._distributes()

    def _run_id(self) -> str:
        """The id that xdist gives its workers, so that the controller's session is the same one."""
        distributed = self._config.pluginmanager.getplugin("dsession")
        manager = getattr(distributed, "nodemanager", None)
        return str(getattr(manager, "testrunuid", self._id))

    def _say(self, text: str) -> None:
        terminal: Any = self._config.pluginmanager.getplugin("terminalreporter")
        if self._live and terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(f"vmharness: {text}")

    def _alarm(self, text: str) -> None:
        """Say something where all else hangs, past what captures."""
        terminal: Any = self._config.pluginmanager.getplugin("terminalreporter")
        if self._live and terminal is not None:
            terminal.flush()  # it was said
        elif self._stderr is not None:
            os.write(self._stderr, f"\nvmharness: {text}\n".encode())

    def pytest_report_header(self) -> list[str]:
        """Name the backend without asking it, and the plugins that are switched off."""
        settings = self._settings
        lines = [f"vmharness: backend {settings.backend or 'the first whose engine answers'}"]
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            lines.append(
                "vmharness: interrupts are ignored, as by what a script or nohup starts in the background: "
                "Ctrl+C and SIGINT end nothing; SIGTERM ends the run in good order"
            )
        if settings.sweep is SweepMode.OFF:
            lines.append(f"vmharness: sweep=off: {FALLS['sweep']}")
        lines += [
            f"vmharness: lifecycle plugin {name} is off: {FALLS[name]}"
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
        self._live = True
        try:
            abandoned = self._abandoned()
            mode = self._settings.sweep
            if mode is SweepMode.PREFIX or (mode is SweepMode.OWNED and abandoned):
                _ = self.session
        except VMHarnessError as exc:
            self._note(f"cannot sweep: {exc}")
        finally:
            self._live = False

    def _distributes(self) -> bool:
        return self._config.pluginmanager.hasplugin("dsession")

    def _abandoned(self, since: float = 0.0) -> bool:
        """Say what reapers did, and whether there is a ledger without an owner that was opened since then."""
        from vmharness._locks import is_abandoned, look
        from vmharness._places import host_id

        found = look(self._state / host_id())
        if found.reports:
            from vmharness._reports import take_reports

            for line in take_reports(found.reports):
                self._note(line)
        return is_abandoned(found.ledgers, since=since)

    def _note(self, text: str) -> None:
        """Say something in the summary that no session is there to say."""
        self._notes.append(text)
        self._say(text)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look out for machines that tests' classes name, if there are classes."""
        if self._settings.record.takes_names and any(
            isinstance(item.parent, pytest.Class) for item in session.items
        ):
            self._config.pluginmanager.register(self._names, "vmharness-names")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """End the scopes that the next test doesn't share, after all fixtures are torn down."""
        self._names.end()
        try:
            result = yield
        except BaseException:
            self._end_scopes(item, nextitem, failing=True)
            raise
        if self._session is not None:
            self._end_scopes(item, nextitem, failing=False)
        return result

    def _end_scopes(self, item: pytest.Item, nextitem: pytest.Item | None, *, failing: bool) -> None:
        session = self._session
        if session is None:
            return
        from vmharness._session import describe

        errors: list[CleanupFailed] = []
        for scope in _ending(item, nextitem):
            try:
                session.end_scope(scope)
            except CleanupFailed as exc:
                errors.append(exc)
        for error in errors:
            for reason in error.exceptions:
                session.report(str(reason))
        if errors and not failing and self._settings.leaks is Leaks.ERROR:
            pytest.fail("\n".join(describe(error) for error in errors), pytrace=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Count what ended the run."""
        self._interrupts.note(excinfo.value)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Clean up after the last fixture; a worker then sends its part to the controller."""
        self._names.end()  # of a test that was interrupted
        try:
            return (yield)
        except KeyboardInterrupt as exc:
            self._interrupts.note(exc)
            raise
        finally:
            self._finish(session)

    def _finish(self, session: pytest.Session) -> None:
        self._live = self._worker is None
        self._finished = True
        try:
            self._clean_up()
        except KeyboardInterrupt:
            self._hand_over()
        if self._session is not None:
            self._parts.append(self._part(self._session))
        if self._notes:
            from vmharness._summary import Part

            self._parts.append(Part(reports=self._notes))
        if self._worker is not None:
            self._config.workeroutput["vmharness"] = [part.to_plain() for part in self._parts]  # type: ignore[attr-defined]
        seen = any(left.seen for part in self._parts for left in part.left)
        if seen and self._settings.leaks is Leaks.ERROR and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _clean_up(self) -> None:
        """Delete what is left; after a second interrupt, nothing is waited for."""
        interrupts = self._interrupts.count()
        if interrupts > 1:
            self._hand_over()
            return
        try:
            # A worker or a forked child may have died and left its ledger.
            if self._worker is None and self._abandoned(since=self._began_at) and self._session is None:
                _ = self.session
            if self._session is not None:
                self._session.drain(interrupted=interrupts)
        except VMHarnessError as exc:
            self._note(f"cannot clean up: {exc}")

    def _hand_over(self) -> None:
        """Leave what is left to who comes after us; they get it when the ledger's lock is dropped."""
        if self._session is None:
            return
        self._session.give_up()
        if self._session.unfinished():
            heir = "its reaper" if "reaper" in self._settings.lifecycle else "the next session's sweep"
            self._session.report(f"interrupted while cleaning up: what is left is for {heir}")

    def _part(self, session: Session) -> Part:
        from vmharness._summary import part_of

        return part_of(session)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take a worker's part; one that died has none, its ledger tells."""
        plain = getattr(node, "workeroutput", {}).get("vmharness")
        if plain:
            from vmharness._summary import Part

            self._parts += [Part.from_plain(part) for part in plain]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was created, deleted, swept and left, with the commands that remove what is left."""
        text = self._lines()
        if text:
            terminalreporter.section("vmharness")
            for line in text:
                terminalreporter.write_line(line)
        self._summed_up = True

    def _lines(self) -> Sequence[str]:
        if not self._parts:
            return ()
        from vmharness._summary import lines

        return lines(self._parts)

    def pytest_unconfigure(self) -> None:
        """Drop the lock and restore the signal handlers, when the reports are written."""
        if self._session is not None:
            try:
                if not self._finished:  # it ended before its first test, or in somebody else's clean-up
                    self._clean_up()
            except KeyboardInterrupt:
                self._hand_over()
            self._say_what_is_left(self._session)
            sys.stdout.flush()  # a signal that ended the run is sent once more now
            try:
                self._session.close()
            except CleanupFailed:
                pass  # they were said
            if self._outer_id is None:
                os.environ.pop(_SESSION_VARIABLE, None)
            else:
                os.environ[_SESSION_VARIABLE] = self._outer_id
        if self._signals is not None:
            self._signals.restore()
        descriptor, self._stderr = self._stderr, None
        if descriptor is not None:
            os.close(descriptor)

    def _say_what_is_left(self, session: Session) -> None:
        """Say it where there was no summary: there is no terminal, or the run ended before or within it."""
        if self._worker is None and not self._summed_up and session.unfinished():
            self._parts = self._parts or [self._part(session)]
            sys.stderr.write("".join(f"vmharness: {line}\n" for line in self._lines()))
            sys.stderr.flush()


def _duplicate(descriptor: int) -> int | None:
    """Return another descriptor of the same file; None if there is none."""
    try:
        return os.dup(descriptor)
    except OSError:
        return None


def _worker_sweep(worker: dict[str, Any], settings: Settings) -> SweepMode:
    """The controller sweeps; what needs an engine at the first create is left to the first worker."""
    if worker["workerid"] != "gw0" or settings.sweep is SweepMode.OFF:
        return SweepMode.OFF
    return SweepMode.OWNED


# Where a run's watcher is found from a fixture.
RUN: Final[pytest.StashKey[Run]] = pytest.StashKey()


def _ending(item: pytest.Item, nextitem: pytest.Item | None) -> Sequence[str]:
    """Return the scopes that end with a test, inner ones first."""
    if nextitem is not None and nextitem.parent is item.parent:  # as most do, and each test comes by here
        return (item.nodeid,)
    stays = set(nextitem.listchain()) if nextitem is not None else set[object]()
    return [
        node.nodeid
        for node in reversed(item.listchain())
        if node not in stays and node.nodeid and node is not item.session
    ]
