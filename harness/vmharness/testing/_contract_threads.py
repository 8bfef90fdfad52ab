"""The conformance kit's checks that a provider may be called from several threads at once."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from vmharness._threads import run_parallel
from vmharness.errors import CreateFailed, CreateUnsettled, NameTaken
from vmharness.provider import LABEL_TOKEN, MachineInfo, Provider, TakesLabels
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["ThreadContract"]

R = TypeVar("R")

_THREADS: Final = 8
# With those of eight threads more machines than the ten that many an engine's answers have at most, by pages.
_MORE: Final = 4
_TOLD: Final = (NameTaken, CreateFailed, CreateUnsettled)


class ThreadContract(Contract):
    """What a provider promises to threads."""

    verb = "threads"

    def test_creates_at_once_make_what_each_asked_for(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """Create may be called from several threads at once; all that they made is listed, as asked for."""
        labelled = isinstance(provider, TakesLabels)
        asked = {
            machines.new_name(): {LABEL_TOKEN: secrets.token_hex(16)} if labelled else None
            for _ in range(_THREADS + _MORE)
        }
        first, rest = [*asked][:_THREADS], [*asked][_THREADS:]

        made = [
            result
            for names in (first, rest)
            for result in _at_once(lambda name: machines.create(name, labels=asked[name]), names)
        ]

        assert [_name_or_error(result) for result in made] == [*asked]
        listed = {info.name: info.labels for info in provider.list()}
        assert set(asked) <= set(listed)
        assert not labelled or {name: dict(listed[name] or {}) for name in asked} == {
            name: {**(listed[name] or {}), **(labels or {})} for name, labels in asked.items()
        }, "a machine has the labels of another one"

    def test_deletes_at_once_delete_what_each_asked_for(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """Delete may be called from several threads at once, also for one and the same machine."""
        names = [machines.new_name() for _ in range(3)]
        for name in names:
            machines.create(name)
        kept, asked = names[0], [names[1], names[2]] * (_THREADS // 2)

        errors = _at_once(machines.delete, asked)

        assert errors == [None] * len(asked)
        assert {info.name for info in provider.list()} & set(names) == {kept}

    def test_one_name_is_given_once(self, machines: ContractMachines) -> None:
        """Of creates of one name at once, at most one makes a machine; the others are told so."""
        name = machines.new_name()

        results = _at_once(machines.create, [name] * _THREADS)

        made = [result for result in results if isinstance(result, MachineInfo)]
        others = [result for result in results if not isinstance(result, MachineInfo)]
        assert len(made) <= 1, f"{len(made)} creates were told that the machine is theirs"
        assert [error for error in others if not isinstance(error, _TOLD)] == []
        assert not made or machines.listed(name) is not None

    def test_listings_beside_creates_and_deletes_are_complete(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """No listing is ever partial, whatever goes on beside it."""
        constant, over = machines.new_name(), threading.Event()
        machines.create(constant)
        names = [machines.new_name() for _ in range(_THREADS // 2)]

        def work(name: str) -> int:
            if name == constant:
                return self._listings_without(constant, provider, over)
            try:
                for _ in range(2):
                    machines.create(name)
                    machines.delete(name)
            finally:
                with lock:
                    working.discard(name)
                    if not working:
                        over.set()
            return 0

        working, lock = set(names), threading.Lock()
        results = _at_once(work, [constant, *names])

        assert results == [0] * (len(names) + 1)

    def _listings_without(self, name: str, provider: Provider, over: threading.Event) -> int:
        partial = 0
        while True:
            last = over.is_set()
            partial += name not in {info.name for info in provider.list()}
            if last:
                return partial


def _at_once(task: Callable[[str], R], names: Sequence[str]) -> Sequence[R | Exception]:
    """Call a task with each name, all of them at the same moment; give what it returned or raised."""
    barrier = threading.Barrier(len(names))

    def call(name: str) -> R | Exception:
        try:
            barrier.wait()
            return task(name)
        except Exception as exc:
            return exc

    return run_parallel(call, names)


def _name_or_error(result: MachineInfo | Exception) -> str:
    return result.name if isinstance(result, MachineInfo) else repr(result)
