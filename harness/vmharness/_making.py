"""How a machine is made: its intent on the disk, then the gates, then the engine; it knows no plugin.

Whatever ends the call, the record says what is known of the machine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from vmharness._books import Books
from vmharness._machine import Machine
from vmharness._model import (
    LABEL_EXPIRES,
    LABEL_HOST,
    LABEL_NAME,
    LABEL_SESSION,
    LABEL_TEST,
    LABEL_TOKEN,
    Record,
    Spec,
    State,
)
from vmharness._naming import check_name, make_name, new_token
from vmharness._places import boot_id, host_id
from vmharness._providers import Providers
from vmharness._settings import Settings
from vmharness.errors import CreateFailed, NameTaken, PluginError, VMHarnessError
from vmharness.provider import Describes, Provider, TakesLabels

__all__ = ["EXPIRY_S", "Maker"]

_log = logging.getLogger("vmharness.session")

# After this a machine whose ledger is gone may be swept by anybody, in seconds.
EXPIRY_S: Final = 12 * 3600.0


class Maker:
    """Makes the machines of one session. Its methods may be called from threads.

    Args:
        settings: The session's.
        session_id: For the labels.
        books: Keeps the records.
        providers: Opens providers.
        pass_gates: Asks the plugins; returns labels to add, or raises.
        delete: Deletes a machine when the test asks for it.
    """

    def __init__(
        self,
        settings: Settings,
        session_id: str,
        books: Books,
        providers: Providers,
        *,
        pass_gates: Callable[[Record], Mapping[str, str]],
        delete: Callable[[Record], None],
    ) -> None:
        self._settings = settings
        self._session_id = session_id
        self._books = books
        self._providers = providers
        self._pass_gates = pass_gates
        self._delete = delete

    def make(self, spec: Spec, *, scope: str, backend: str, timeout: float | None) -> Machine:
        """Make a machine; see `vmharness.Session.create`."""
        __tracebackhide__ = True
        made_up = not spec.name
        name = make_name(self._settings.prefix, scope) if made_up else check_name(spec.name)
        spec = replace(spec, name=name, image=spec.image or self._settings.image)
        timeout = self._settings.create_timeout if timeout is None else timeout
        provider, backend = self._providers.get(backend), self._providers.backend(backend)
        self._meet(provider, backend)
        self._clear(provider, name)
        token = new_token() if isinstance(provider, TakesLabels) else ""
        record = self._books.new(name, backend, deadline=timeout, token=token, scope=scope, image=spec.image)
        self._books.add(record)
        labels = self._ask_gates(record)
        if isinstance(provider, TakesLabels):
            spec = replace(
                spec, labels={**spec.labels, **labels, **self._labels(record, provider.label_length)}
            )
        try:
            info = provider.create(spec, timeout=timeout)
            if info.name != name:
                raise PluginError(f"backend {backend!r} made {info.name!r} where {name!r} was asked for")
            record = self._books.made(record, made_up=made_up)
        except (NameTaken, CreateFailed) as exc:
            self._books.move(record, State.GONE, error=str(exc))
            raise
        except BaseException as exc:
            self._books.move(record, State.MAYBE, error=str(exc) or type(exc).__name__)
            raise
        return Machine(info, record, provider, user=spec.user, delete=self._delete)

    def _clear(self, provider: Provider, name: str) -> None:
        """Delete what is left of an earlier machine of ours by that name, so that a rerun can have it."""
        earlier = [
            record
            for record in self._books.unfinished()
            if (record.name, record.endpoint) == (name, provider.endpoint)
            and record.state in (State.MAYBE, State.STUCK, State.DOOMED)
        ]
        if earlier:
            self._books.delete(earlier)

    def _ask_gates(self, record: Record) -> Mapping[str, str]:
        try:
            return self._pass_gates(record)
        except BaseException as exc:
            self._books.move(record, State.GONE, error=f"the engine was not asked: {exc}")
            raise

    def _labels(self, record: Record, longest: int) -> Mapping[str, str]:
        return {
            LABEL_TOKEN: record.token,
            LABEL_SESSION: self._session_id,
            LABEL_HOST: f"{host_id()}-{boot_id()}",
            LABEL_EXPIRES: str(int(record.wanted_at + EXPIRY_S)),
            LABEL_TEST: record.scope[-longest:],
            LABEL_NAME: record.name,
        }

    def _meet(self, provider: Provider, backend: str) -> None:
        """Note the engine's name and version for the summary, when it is first used."""
        if provider.endpoint not in self._books.tally.engines and isinstance(provider, Describes):
            try:
                said = f"{backend}: {provider.describe()} at {provider.endpoint}"
            except VMHarnessError as exc:
                said = f"{backend}: {exc}"
            self._books.tally.engines[provider.endpoint] = said
            _log.info("%s", said)
