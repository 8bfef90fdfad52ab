"""The conformance kit finds what breaks the contract, and leaves no machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from vmharness.errors import Busy, CreateTimeout, DeleteFailed, NameTaken
from vmharness.provider import MachineInfo, Spec
from vmharness.testing import ContractMachines, ProviderContract
from vmharness.testing._fake_clock import FakeClock
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore, wait_for

KIT = ProviderContract()


# ---- what it finds ---------------------------------------------------------------------------------------


class Careless(FakeProvider):
    """Takes any spec, by dropping what it doesn't like."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        return super().create(Spec(name=spec.name.strip("-") or "a"), timeout=timeout)


class Forgetful(FakeProvider):
    """Lists the first machine only."""

    def list(self) -> Sequence[MachineInfo]:
        return super().list()[:1]


class Fussy(FakeProvider):
    """Deletes only what is there."""

    def delete(self, name: str, *, timeout: float) -> None:
        if not self.exists(name):
            raise DeleteFailed(f"no machine {name!r}")
        super().delete(name, timeout=timeout)


class Fuzzy(FakeProvider):
    """Takes the beginning of a name for the name."""

    def exists(self, name: str) -> bool:
        return any(info.name.startswith(name) for info in self.list())


class Overwriting(FakeProvider):
    """Replaces a machine whose name is taken."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        if self.exists(spec.name):
            self.delete(spec.name, timeout=timeout)
            super().create(replace(spec, labels={}), timeout=timeout)
            raise NameTaken(f"{spec.name!r} was there")
        return super().create(spec, timeout=timeout)


def test_kit_finds_dropped_labels() -> None:
    provider = Careless(MemoryStore())

    with pytest.raises(AssertionError):
        KIT.test_labels_are_listed_with_the_machine(provider, ContractMachines(provider))


def test_kit_finds_dropped_images() -> None:
    provider = Careless(MemoryStore())

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        KIT.test_create_of_an_unknown_image_makes_nothing(provider, ContractMachines(provider))


def test_kit_finds_mended_names() -> None:
    provider = Careless(MemoryStore())

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        KIT.test_hostile_names_make_nothing(provider, ContractMachines(provider))


def test_kit_finds_machines_that_were_overwritten() -> None:
    provider = Overwriting(MemoryStore())

    with pytest.raises(AssertionError):
        KIT.test_create_of_a_taken_name_leaves_the_other_machine_alone(provider, ContractMachines(provider))


def test_kit_finds_partial_listings() -> None:
    provider = Forgetful(MemoryStore())
    provider.create(Spec(name="stranger"), timeout=60)

    with pytest.raises(AssertionError):
        KIT.test_list_has_machines_without_labels_of_ours(ContractMachines(provider))


def test_kit_finds_deletes_that_lie() -> None:
    provider = FakeProvider(MemoryStore(), faults=Faults((Fault("delete", "lies"),)))

    with pytest.raises(AssertionError):
        KIT.test_deleted_machine_is_gone(provider, ContractMachines(provider))


def test_kit_finds_deletes_that_want_a_machine() -> None:
    provider = Fussy(MemoryStore())

    with pytest.raises(DeleteFailed):
        KIT.test_delete_of_absent_machine_is_silent(provider, ContractMachines(provider))


def test_kit_finds_names_that_are_taken_for_others() -> None:
    provider = Fuzzy(MemoryStore())

    with pytest.raises(AssertionError):
        KIT.test_part_of_a_name_is_absent(provider, ContractMachines(provider))


# ---- what it leaves --------------------------------------------------------------------------------------


def test_machines_are_deleted_the_last_one_first() -> None:
    provider = FakeProvider(MemoryStore())
    machines = ContractMachines(provider)
    names = [machines.create().name for _ in range(3)]

    machines.delete_all()

    deleted = wait_for(provider.store, "delete", "accepted", count=3)
    assert [event.name for event in deleted] == names[::-1]
    assert provider.list() == []


def test_machine_that_resists_keeps_no_other_alive() -> None:
    provider = FakeProvider(MemoryStore())
    machines = ContractMachines(provider)
    names = [machines.create().name for _ in range(3)]
    provider.store.set_faults(Faults((Fault("delete", "fails", name=names[1]),)))

    with pytest.raises(ExceptionGroup, match="could not delete all of its machines") as caught:
        machines.delete_all()

    assert [type(error) for error in caught.value.exceptions] == [DeleteFailed]
    assert [info.name for info in provider.list()] == [names[1]]


def test_busy_engine_is_asked_again_until_the_deadline() -> None:
    clock = FakeClock()
    provider = FakeProvider(MemoryStore(), clock=clock.time, sleep=clock.sleep)
    machines = ContractMachines(provider, delete_timeout_s=60, clock=clock.monotonic, sleep=clock.sleep)
    name = machines.create().name

    provider.store.set_faults(Faults((Fault("delete", "busy"),)))
    with pytest.raises(Busy):
        machines.delete(name)
    provider.store.set_faults(Faults((Fault("delete", "busy", last=3),)))
    machines.delete(name)

    assert provider.list() == []


def test_machine_that_appears_late_is_awaited_and_deleted() -> None:
    clock = FakeClock()
    faults = Faults((Fault("create", "late", seconds=1.5),))
    provider = FakeProvider(MemoryStore(), faults=faults, clock=clock.time, sleep=clock.sleep)
    machines = ContractMachines(provider, clock=clock.monotonic, sleep=clock.sleep)
    with pytest.raises(CreateTimeout):
        machines.create()

    machines.delete_all()

    clock.sleep(3600)
    assert provider.list() == []
