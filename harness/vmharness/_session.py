"""One run: all that it can do with its machines, and the calls of its lifecycle plugins' hooks.

*How* is done by the floors below; *when* is the plugins' affair: the session knows none of them, nor any
engine, nor pytest.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, TypedDict, Unpack

from vmharness._books import Books, Tally
from vmharness._cleanup import Verdict
from vmharness._clock import Clock
from vmharness._door import Door
from vmharness._foreign import Foreign
from vmharness._hooking import PATIENCE_S, Hooks, labels_of
from vmharness._ledger import FileLedgers
from vmharness._machine import Machine
from vmharness._making import EXPIRY_S, Maker
from vmharness._maybes import Maybes
from vmharness._model import Kind, MachineInfo, Record, Spec, State
from vmharness._plugins import BACKENDS, installed
from vmharness._providers import Providers
from vmharness._recording.engines import find_engines
from vmharness._recording.folder import Recording
from vmharness._removal import removal, stuck
from vmharness._settings import Settings
from vmharness._threads import start_thread
from vmharness.errors import CleanupFailed, SettingsError
from vmharness.hooks import Ledger, Lifecycle
from vmharness.provider import Provider

__all__ = ["Session", "SpecFields", "Tally", "describe"]

_log = logging.getLogger("vmharness.session")

# How long a session's end waits for creates that other threads have under way, in seconds.
_LAST_CREATES_S: Final = 15.0


class SpecFields(TypedDict, total=False):
    """The fields of a spec, as keywords."""

    name: str
    image: str
    cpus: int
    memory: int
    disk: int
    arch: str
    user: str
    user_data: str
    kind: Kind


class Session:
    """One process's part of a run. Made by `open_session`, or by the pytest plugin.

    Its methods may be called from threads; `open`, `drain` and `close` from the thread that made it.

    Args:
        settings: The run's settings.
        ledgers: Where ledgers are.
        plugins: Lifecycle plugins and their names, in the order of their hooks.
        providers: Opens providers; None = as the settings say.
        id: The run's, if it has one already.
        began_at: When the run began, in seconds since the epoch; None = now.
        clock: Reads the time and waits.
        say: Shows a line to the user at once, where that is possible.
        alarm: Shows one at once, whatever is in the way: a plugin hangs, and so does all else.
        patience_s: For how long a plugin's hook may take before that is said, in seconds.
        start: Runs a task in the background, given a name for it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ledgers: FileLedgers,
        plugins: Sequence[tuple[str, Lifecycle]],
        providers: Providers | None = None,
        id: str = "",
        began_at: float | None = None,
        clock: Clock | None = None,
        say: Callable[[str], None] = _log.info,
        alarm: Callable[[str], None] = _log.warning,
        patience_s: float = PATIENCE_S,
        start: Callable[[str, Callable[[], None]], None] = start_thread,
    ) -> None:
        self._clock = clock or Clock()
        self.id: Final = id or uuid.uuid4().hex
        self.settings: Final = settings
        self.ledgers: Final = ledgers
        self.began_at: Final = self._clock.time() if began_at is None else began_at
        self._hooks = Hooks(plugins, report=self.report, alarm=alarm, patience_s=patience_s)
        self._providers = providers or Providers(settings.backend)
        self._drained = False
        self._door = Door()
        self._given_up = False
        self._recording: Recording | None = None
        self._books = Books(ledgers, self.id, self._providers, self._clock, changed=self._changed, say=say)
        self._foreign = Foreign(self.id, self.began_at, self._books, ledgers, self._providers, self._clock)
        self._maybes = Maybes(self._books, self._clock, say=say, start=start)
        self._maker = Maker(
            settings,
            self.id,
            self._books,
            self._providers,
            pass_gates=self._pass_gates,
            delete=self._delete_now,
        )

    # -- opening and closing

    def open(self) -> None:
        """Open the ledger, and tell the plugins.

        Raises:
            LedgerError: The ledger can't be opened; nothing can be created then.
        """
        _ = self._books.ledger
        self._observe("opened", lambda plugin: plugin.opened(self))

    def drain(self, interrupted: int = 0) -> None:
        """Delete all that is left, and look for maybes until they settle. May be repeated.

        Args:
            interrupted: How many interrupts have ended the run.

        Raises:
            KeyboardInterrupt: It was interrupted; the rest is in the ledger, for the next session's sweep.
        """
        if self._drained:
            self.collect()  # what was recorded since
        late = any(record.state in (State.WANTED, State.RUNNING) for record in self.unfinished())
        if self._given_up or not self._books.held or (self._drained and not late):
            return
        self._maybes.stop()
        self._door.shut(_LAST_CREATES_S)
        struck = self._hooks.observe(
            "closing", lambda plugin: plugin.closing(self, interrupted), backwards=True
        )
        self.delete(self.unfinished())
        self.settle(self.ledger)
        self._drained = True
        if struck is not None:
            raise struck

    def give_up(self) -> None:
        """Leave what is left to the reaper or the next session's sweep; `close` then only drops the lock."""
        self._given_up = True

    def close(self) -> None:
        """Drain, drop the lock, and tell the plugins. May be repeated.

        Raises:
            CleanupFailed: Machines are left; the ledger keeps them for the next session's sweep.
        """
        stuck: Sequence[Record] = ()
        try:
            self.drain()
        finally:
            if self._books.held:
                self._drained = True
                stuck = [record for record in self.unfinished() if record.state is not State.MAYBE]
                if self._recording:
                    self._recording.end()
                self._books.close()
                try:
                    self._observe("closed", lambda plugin: plugin.closed(self), backwards=True)
                finally:
                    self._hooks.end()
        self._raise_stuck(stuck)

    @contextmanager
    def scope(self, id: str, *, parent: str = "") -> Generator[str]:
        """Open a scope; on leaving, the plugins decide what becomes of its machines.

        Args:
            id: Names the scope, as a test's id does.
            parent: Id of the scope that it is part of.

        Raises:
            CleanupFailed: On leaving: machines of it could not be deleted. It doesn't replace an
                exception that leaves the block, but is reported.
        """
        id = f"{parent}/{id}" if parent else id
        try:
            yield id
        except BaseException:
            try:
                self.end_scope(id)
            except CleanupFailed as exc:
                self.report(describe(exc))
            raise
        self.end_scope(id)

    def end_scope(self, scope: str) -> None:
        """End a scope; see `scope`."""
        self._observe("scope_ended", lambda plugin: plugin.scope_ended(self, scope))
        self._raise_stuck([record for record in self.unfinished(scope) if record.state is State.STUCK])

    def _raise_stuck(self, records: Sequence[Record]) -> None:
        if records:
            errors = [stuck(record, self._providers) for record in records]
            raise CleanupFailed("machines could not be deleted", errors)

    # -- plugins and providers

    def _changed(self, before: Record | None, now: Record) -> None:
        self._observe("changed", lambda plugin: plugin.changed(self, before, now))

    def _observe(self, hook: str, call: Callable[[Lifecycle], None], *, backwards: bool = False) -> None:
        struck = self._hooks.observe(hook, call, backwards=backwards)
        if struck is not None:
            raise struck

    def named(self, name: str, *, scope: str = "", backend: str = "") -> None:
        """Tell the plugins that a machine of that name is or will be made by other means.

        Raises:
            SettingsError: The name is malformed, or no lifecycle plugin tracks machines.
            VMHarnessError: What the plugin that tracks raised.
        """
        if not self._hooks.has("named"):
            raise SettingsError(
                f"cannot track machine {name!r}: no lifecycle plugin that tracks is switched on"
            )
        for _ in self._hooks.pass_through("named", lambda plugin: plugin.named(self, name, scope, backend)):
            pass

    def backend(self, backend: str = "") -> str:
        """Return the backend's name; for "" the configured one, or the first whose engine answers."""
        return self._providers.backend(backend)

    def provider(self, backend: str = "", endpoint: str | None = None) -> Provider:
        """Return the provider of that backend and endpoint; see `vmharness.hooks.Session`."""
        return self._providers.get(backend, endpoint)

    @contextmanager
    def using(self, provider: Provider, *, backend: str = "") -> Generator[None]:
        """Take this provider for the backend in a block, as a test does that makes the engine go wrong.

        Args:
            provider: Of the same endpoint as the backend's own one, around which it is wrapped.
            backend: Name of the backend; "" = the configured one.
        """
        with self._providers.using(provider, self.backend(backend)):
            yield

    # -- records

    def report(self, text: str) -> None:
        """Say something to the user, now and in the summary."""
        self._books.report(text)

    @property
    def ledger(self) -> Ledger:
        """The ledger of this process."""
        return self._books.ledger

    @property
    def tally(self) -> Tally:
        """What this process did so far."""
        return self._books.tally

    def unfinished(self, scope: str | None = None) -> Sequence[Record]:
        """Return our records that are neither GONE nor KEPT, of one scope or of all."""
        return self._books.unfinished(scope)

    def move(
        self, record: Record, state: State | None = None, *, scope: str | None = None, error: str = ""
    ) -> Record:
        """Change a machine's state or scope; see `vmharness.hooks.Session`."""
        return self._books.move(record, state, scope=scope, error=error)

    def delete(
        self, records: Sequence[Record], *, timeout: float | None = None, ledger: Ledger | None = None
    ) -> Sequence[Record]:
        """Prove, delete in parallel, wait out Busy, verify by one listing; see `vmharness.hooks.Session`."""
        return self._books.delete(records, timeout=timeout, ledger=ledger)

    def settle(self, ledger: Ledger) -> None:
        """Look for a ledger's maybes until they settle; see `vmharness.hooks.Session`."""
        self._maybes.wait(ledger)

    def settle_later(self) -> None:
        """Look for our maybes in the background; see `vmharness.hooks.Session`."""
        self._maybes.look_later()

    def removal(self, record: Record) -> str:
        """Return the command that removes a machine, for a person to run."""
        return removal(record, self._providers)

    # -- create

    def create(
        self,
        spec: Spec | None = None,
        *,
        scope: str = "",
        backend: str = "",
        timeout: float | None = None,
        **fields: Unpack[SpecFields],
    ) -> Machine:
        """Make a machine: record the intent durably, ask the gates, then the engine.

        Args:
            spec: What is asked for; None = what the keywords say. A keyword wins over the spec.
            scope: At whose end the machine goes; "" = the session's.
            backend: Name of the backend; "" = the configured one, or the first whose engine answers.
            timeout: Seconds until the deadline; None = the setting `create_timeout`.
            **fields: Fields of `Spec`; without a name, one is made that nobody has.

        Returns:
            The running machine.

        Raises:
            SettingsError: The name is malformed; nothing was recorded.
            LedgerError: The intent could not be recorded; the engine was not asked.
            NameTaken: A stranger's machine has the name; it is untouched.
            CreateFailed: Surely nothing was made.
            CreateUnsettled: Nobody knows; the machine is looked for and deleted on sight.
            VMHarnessError: What a gate raised; the engine was not asked.
        """
        __tracebackhide__ = True  # in pytest's tracebacks: the user's call is what matters
        spec = replace(spec or Spec(name=""), **fields)
        with self._door.through():
            return self._maker.make(spec, scope=scope, backend=backend, timeout=timeout)

    def _pass_gates(self, record: Record) -> Mapping[str, str]:
        return labels_of(
            self._hooks.pass_through("before_create", lambda plugin: plugin.before_create(self, record))
        )

    # -- machines that others make

    def track(self, name: str, *, scope: str = "", backend: str = "") -> Record:
        """Record a machine that others make or made; see `vmharness.hooks.Session`."""
        patience_s = self.settings.create_timeout
        return self._foreign.track(name, scope=scope, backend=backend, patience_s=patience_s)

    def record_commands(self, *, by_path: bool = False) -> None:
        """Have machines recorded that engines' own commands make; see `vmharness.hooks.Session`."""
        engines = find_engines(
            self.settings.backend,
            [point.name for point in installed(BACKENDS)],
            self._providers,
            create_timeout=self.settings.create_timeout,
            report=self.report,
        )
        self._recording = Recording(
            self._books.own_ledger,
            prefix=self.settings.prefix,
            expiry_s=EXPIRY_S,
            began_at=self.began_at,
        )
        if not self._recording.begin(engines, by_path=by_path):
            self.report(
                "no engine's own command is recorded: none is on PATH that an installed backend knows"
            )

    def collect(self) -> Sequence[Record]:
        """Take up what front-ends recorded since the last call; see `vmharness.hooks.Session`."""
        return self._books.collect()

    def adopt(self, info: MachineInfo, *, prefix: str = "", backend: str = "") -> Record | None:
        """Record a machine that no ledger names, if it is an orphan; see `vmharness.hooks.Session`."""
        record = self.orphan(info, prefix=prefix, backend=backend)
        return record and self._books.adopt(record)

    def orphan(self, info: MachineInfo, *, prefix: str = "", backend: str = "") -> Record | None:
        """Return the record that `adopt` would write; nothing is recorded."""
        return self._foreign.orphan(info, prefix=prefix, backend=backend)

    def judge(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """Say what `delete` would do with records of dead owners; no lock is needed, nothing is changed."""
        return self._books.judge(records)

    def _delete_now(self, record: Record) -> None:
        after = self.delete([record])
        self._raise_stuck([record for record in after if record.state not in (State.GONE, State.KEPT)])


def describe(failed: CleanupFailed) -> str:
    """Return one line for each machine that is left."""
    return "\n".join(str(error) for error in failed.exceptions)
