"""The conformance kit's checks of create; each docstring is the sentence of the contract that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import pytest

from vmharness._clock import Clock
from vmharness.errors import CreateFailed, NameTaken
from vmharness.provider import (
    LABEL_TOKEN,
    Inspects,
    MachineInfo,
    MachineState,
    Provider,
    TakesLabels,
)
from vmharness.testing._contract_base import Contract
from vmharness.testing._levels import should
from vmharness.testing._machines import ContractMachines

__all__ = ["CreateContract"]

_LONGEST_NAME: Final = 40  # of those that vmharness makes up


class CreateContract(Contract):
    """What create promises."""

    verb = "create"

    def test_create_returns_what_it_made(self, machines: ContractMachines) -> None:
        """The name is used unchanged, and what create returns is a running machine of that name."""
        name = machines.new_name()

        info = machines.create(name)

        listed = machines.listed(name)
        assert info.name == name
        assert info.state is MachineState.RUNNING
        assert listed is None or info.labels == listed.labels, "create and list give different labels"

    def test_machine_runs_when_create_returns(self, machines: ContractMachines) -> None:
        """The machine is listed, and runs, when create returns."""
        name = machines.new_name()

        machines.create(name)

        listed = machines.listed(name)
        assert listed is not None, "it isn't listed by its name"
        assert listed.state is MachineState.RUNNING

    def test_made_up_names_fit(self, machines: ContractMachines) -> None:
        """A name of 40 lower-case letters, digits and hyphens, as vmharness makes them up, is taken."""
        name = machines.new_name(_LONGEST_NAME)

        machines.create(name)

        assert machines.listed(name) is not None

    def test_time_of_creation_is_that_of_the_create_call(
        self,
        provider: Provider,
        machines: ContractMachines,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A known `created_at` is when the machine was made, in seconds since the epoch, in any time zone."""
        before = clock.time()

        with _far_away(monkeypatch):
            info = _made(provider, machines)

        after = clock.time()
        if info.created_at is None:
            pytest.skip("the engine doesn't know when a machine was made")
        early = before - (info.created_at + info.created_resolution)
        late = info.created_at - after
        assert info.created_resolution >= 0, "a resolution is how coarse the time is, in seconds"
        assert late <= self.clock_skew_s, f"created_at is {late:.0f} s after create had returned"
        assert early <= self.clock_skew_s, f"created_at is {early:.0f} s before create was called"

    def test_unlabelled_engines_know_the_time_of_creation(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """Engines without labels know when a machine was made: nothing else proves whose it is."""
        if isinstance(provider, TakesLabels):
            pytest.skip("the provider takes labels")

        assert _made(provider, machines).created_at is not None

    @should
    def test_labelled_engines_know_the_time_of_creation(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """Engines with labels know when a machine was made, too: a sweep by prefix asks how old it is."""
        if not isinstance(provider, TakesLabels):
            pytest.skip("the provider takes no labels")

        assert _made(provider, machines).created_at is not None

    def test_create_of_a_taken_name_leaves_the_other_machine_alone(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """NameTaken: a machine of that name was there before, and it is untouched, also the second time."""
        labels = {LABEL_TOKEN: secrets.token_hex(16)} if isinstance(provider, TakesLabels) else {}
        name = machines.create(labels=labels).name
        before = machines.listed_but_address(name)

        for asked in (labels, None):
            with pytest.raises(NameTaken):
                machines.create(name, labels=asked)

        assert machines.listed_but_address(name) == before

    def test_create_of_a_stopped_machines_name_leaves_it_alone(
        self, machines: ContractMachines, stop: Callable[[str], None] | None
    ) -> None:
        """NameTaken: a machine of that name was there before, running or not; it is untouched."""
        if stop is None:
            pytest.skip("the provider stops no machines, and the test gives no fixture 'stop'")
        name = machines.create().name
        stop(name)
        before = machines.listed_but_address(name)

        with pytest.raises(NameTaken):
            machines.create(name)

        assert machines.listed_but_address(name) == before

    def test_create_of_an_unknown_image_makes_nothing(
        self, provider: Provider, machines: ContractMachines
    ) -> None:
        """CreateFailed: surely no machine was or will be made."""
        name = machines.new_name()

        with pytest.raises(CreateFailed):
            machines.create(name, image=f"no-such-image-{secrets.token_hex(6)}:1")

        assert machines.listed(name) is None, "what the failed create left is listed"

    def test_hostile_names_make_nothing(self, provider: Provider, machines: ContractMachines) -> None:
        """A name that the engine can't have is CreateFailed: never mended, nor read as an option."""
        token = secrets.token_hex(16)
        labels = {LABEL_TOKEN: token} if isinstance(provider, TakesLabels) else {}
        taken: list[str] = []
        wrong: list[str] = []

        for name in self.hostile_names:
            try:
                machines.create(name, labels=labels)
            except CreateFailed:
                continue
            except Exception as exc:
                wrong.append(f"{name!r}: {type(exc).__name__}: {exc}")
            else:
                taken.append(name)

        for info in provider.list():
            if token in (info.labels or {}).values():
                machines.adopt(info)
                taken.append(info.name)
        assert taken == [], "made, mended or not"
        assert wrong == [], "refused by another error than CreateFailed"

    def test_name_of_a_deleted_machine_is_free(self, machines: ContractMachines) -> None:
        """Once delete has returned, the name can be used again."""
        name = machines.create().name
        machines.delete(name)

        machines.create(name)

        assert machines.listed(name) is not None, "create returned, and it isn't listed"


@contextmanager
def _far_away(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Be in a time zone that is off by no whole number of hours."""
    try:
        with monkeypatch.context() as there:
            there.setenv("TZ", "Asia/Kathmandu")
            time.tzset()
            yield
    finally:
        time.tzset()


def _made(provider: Provider, machines: ContractMachines) -> MachineInfo:
    """Make a machine, and return what is best known of it."""
    name = machines.new_name()
    machines.create(name)
    info = provider.inspect(name) if isinstance(provider, Inspects) else machines.listed(name)
    assert info is not None
    return info
