"""The conformance kit's own tracker leaves no machine, whatever the backend does, and says what it left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from vmharness.errors import Busy, CreateTimeout, DeleteFailed, EngineUnavailable, NotOwned, PluginError
from vmharness.provider import MachineInfo, ShowsDelete, Spec
from vmharness.testing import ContractMachines, FakeClock, Level, checks
from vmharness_fake import FakeProvider, Fault, Faults, MemoryStore, UnlabelledFakeProvider, wait_for


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider(clock: FakeClock) -> FakeProvider:
    return FakeProvider(MemoryStore(), clock=clock.time, sleep=clock.sleep)


@pytest.fixture
def machines(provider: FakeProvider, clock: FakeClock) -> ContractMachines:
    return ContractMachines(provider, clock=clock)


# ---- what it refuses -------------------------------------------------------------------------------------


def test_an_engine_with_machines_of_the_kits_prefix_is_refused(
    provider: FakeProvider, machines: ContractMachines
) -> None:
    provider.create(Spec(name="conf-of-somebody"), timeout=1)

    with pytest.raises(NotOwned, match=r"refusing .* conf-of-somebody; delete them"):
        machines.begin()


def test_a_refusal_says_how_to_delete_them(clock: FakeClock) -> None:
    class Showing(FakeProvider, ShowsDelete):
        def delete_argv(self, name: str) -> Sequence[str]:
            return ["fakectl", "delete", name]

    provider = Showing(MemoryStore(), clock=clock.time, sleep=clock.sleep)
    provider.create(Spec(name="conf-old"), timeout=1)

    with pytest.raises(NotOwned, match="fakectl delete conf-old"):
        ContractMachines(provider, clock=clock).begin()


def test_machines_of_other_names_and_of_this_run_are_no_reason_to_refuse(
    provider: FakeProvider, machines: ContractMachines, clock: FakeClock
) -> None:
    provider.create(Spec(name="stranger"), timeout=1)
    name = machines.create().name

    ContractMachines(provider, clock=clock).begin()
    machines.delete_all()

    assert name.startswith("conf-")
    assert [info.name for info in provider.list()] == ["stranger"]


# ---- what it leaves --------------------------------------------------------------------------------------


def test_machines_are_deleted_the_last_one_first(provider: FakeProvider, machines: ContractMachines) -> None:
    names = [machines.create().name for _ in range(3)]

    machines.delete_all()

    deleted = wait_for(provider.store, "delete", "accepted", count=3)
    assert [event.name for event in deleted] == names[::-1]
    assert provider.list() == []


def test_machine_that_resists_keeps_no_other_alive(
    provider: FakeProvider, machines: ContractMachines
) -> None:
    names = [machines.create().name for _ in range(3)]
    provider.store.set_faults(Faults((Fault("delete", "fails", name=names[1]),)))

    with pytest.raises(ExceptionGroup, match="could not delete all of its machines") as caught:
        machines.delete_all()

    assert [type(error) for error in caught.value.exceptions] == [DeleteFailed]
    assert names[1] in caught.value.exceptions[0].__notes__[0]
    assert [info.name for info in provider.list()] == [names[1]]


def test_a_delete_that_fails_for_a_while_is_tried_again(
    provider: FakeProvider, machines: ContractMachines
) -> None:
    machines.create()
    provider.store.set_faults(Faults((Fault("delete", "fails", last=2),)))

    machines.delete_all()

    assert provider.list() == []


def test_a_delete_that_lies_is_found_out(provider: FakeProvider, machines: ContractMachines) -> None:
    name = machines.create().name
    provider.store.set_faults(Faults((Fault("delete", "lies"),)))

    with pytest.raises(ExceptionGroup) as caught:
        machines.delete_all()

    assert f"the delete of {name!r} returned, and it is still listed" in str(caught.value.exceptions[0])


def test_a_listing_that_lies_keeps_no_machine_alive(clock: FakeClock) -> None:
    class Empty(FakeProvider):
        def list(self) -> Sequence[MachineInfo]:
            return []

    store = MemoryStore()
    provider = Empty(store, clock=clock.time, sleep=clock.sleep)
    machines = ContractMachines(provider, clock=clock)
    name = machines.create().name

    machines.delete_all()

    assert provider.exists(name) is False


def test_a_listing_that_fails_leaves_a_doubt_that_is_told(
    provider: FakeProvider, machines: ContractMachines
) -> None:
    machines.create()
    provider.store.set_faults(Faults((Fault("list", "unavailable"),)))

    with pytest.raises(ExceptionGroup) as caught:
        machines.delete_all()

    assert [type(error) for error in caught.value.exceptions] == [EngineUnavailable]


class Renaming(UnlabelledFakeProvider):
    """Gives machines a name of its own, and says that it didn't."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        made = super().create(replace(spec, name=f"vm-{spec.name[-6:]}"), timeout=timeout)
        return replace(made, name=spec.name)


class RenamingLabelled(Renaming, FakeProvider):
    """The same, on an engine with labels."""


class Prefixing(UnlabelledFakeProvider):
    """Puts something in front of a name."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        made = super().create(replace(spec, name=f"vm-{spec.name}"), timeout=timeout)
        return replace(made, name=spec.name)


@pytest.mark.parametrize("kind", [RenamingLabelled, Prefixing])
def test_a_machine_of_another_name_is_deleted_and_told(
    kind: type[UnlabelledFakeProvider], clock: FakeClock
) -> None:
    provider = kind(MemoryStore(), clock=clock.time, sleep=clock.sleep)
    machines = ContractMachines(provider, clock=clock)
    machines.create()
    (made,) = provider.list()

    with pytest.raises(AssertionError, match=f"names that nobody asked for.* {made.name}"):
        machines.delete_all()

    assert made.name.startswith("vm-")
    assert provider.list() == []


def test_a_stranger_is_never_deleted(provider: FakeProvider, machines: ContractMachines) -> None:
    provider.create(Spec(name="stranger"), timeout=1)
    machines.begin()
    machines.adopt(MachineInfo(name="stranger", state=provider.list()[0].state))

    machines.delete_all()

    assert [info.name for info in provider.list()] == ["stranger"]


def test_an_interrupt_is_raised_when_all_are_deleted(clock: FakeClock) -> None:
    class Interrupted(FakeProvider):
        interrupts = 1

        def delete(self, name: str, *, timeout: float) -> None:
            if self.interrupts:
                self.interrupts -= 1
                raise KeyboardInterrupt
            super().delete(name, timeout=timeout)

    provider = Interrupted(MemoryStore(), clock=clock.time, sleep=clock.sleep)
    machines = ContractMachines(provider, clock=clock)
    for _ in range(3):
        machines.create()

    with pytest.raises(KeyboardInterrupt):
        machines.delete_all()

    assert provider.list() == []


def test_busy_engine_is_asked_again_until_the_deadline(
    provider: FakeProvider, machines: ContractMachines
) -> None:
    name = machines.create().name

    provider.store.set_faults(Faults((Fault("delete", "busy"),)))
    with pytest.raises(Busy):
        machines.delete(name)
    provider.store.set_faults(Faults((Fault("delete", "busy", last=3),)))
    machines.delete(name)

    assert provider.list() == []


def test_machine_that_appears_late_is_awaited_and_deleted(
    provider: FakeProvider, machines: ContractMachines, clock: FakeClock
) -> None:
    provider.store.set_faults(Faults((Fault("create", "late", seconds=1.5),)))
    with pytest.raises(CreateTimeout):
        machines.create()

    machines.delete_all()

    clock.sleep(3600)
    assert provider.list() == []


# ---- what is the provider's own mistake ------------------------------------------------------------------


class Listing(FakeProvider):
    """Lists whatever it is told to."""

    given: Any = None

    def list(self) -> Any:
        return self.given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"name": "a"}], r"list\(\) gave a dict, {'name': 'a'}; it must give MachineInfo"),
        (["a"], r"list\(\) gave a str, 'a'; it must give MachineInfo"),
        (None, r"list\(\) gave None; it must give a sequence of MachineInfo"),
    ],
)
def test_a_listing_of_something_else_is_told_and_nothing_else_is_checked(given: Any, message: str) -> None:
    provider = Listing(MemoryStore())
    provider.given = given
    machines = ContractMachines(provider)

    with pytest.raises(PluginError, match=message):
        machines.begin()

    assert "nothing else is checked" in machines.ended


def test_a_create_that_gives_something_else_is_told_and_its_machine_deleted(clock: FakeClock) -> None:
    class Silent(FakeProvider):
        def create(self, spec: Spec, *, timeout: float) -> Any:
            super().create(spec, timeout=timeout)

    provider = Silent(MemoryStore(), clock=clock.time, sleep=clock.sleep)
    machines = ContractMachines(provider, clock=clock)

    with pytest.raises(PluginError, match="a create gave None; it must give a MachineInfo"):
        machines.create()
    with pytest.raises(PluginError):
        machines.delete_all()

    assert provider.list() == []


@pytest.mark.parametrize("mistake", [TypeError, AttributeError, NotImplementedError])
def test_a_delete_that_is_broken_is_not_tried_again(mistake: type[Exception], clock: FakeClock) -> None:
    class Broken(FakeProvider):
        calls = 0

        def delete(self, name: str, *, timeout: float) -> None:
            self.calls += 1
            raise mistake("broken")

    provider = Broken(MemoryStore(), clock=clock.time, sleep=clock.sleep)
    machines = ContractMachines(provider, clock=clock)
    provider.store.set_faults(Faults((Fault("create", "late", seconds=0.0),)))
    with pytest.raises(CreateTimeout):
        machines.create(timeout=1)
    began = clock.time()

    with pytest.raises(ExceptionGroup) as caught:
        machines.delete_all()

    assert [type(error) for error in caught.value.exceptions] == [mistake]
    assert provider.calls == 1
    assert clock.time() - began < 1


# ---- what it says of itself ------------------------------------------------------------------------------


def test_each_check_says_a_sentence_under_a_heading() -> None:
    assert [check.name for check in checks() if not check.verb or not check.sentence.endswith(".")] == []
    assert {check.level for check in checks()} == set(Level)
