"""The conformance kit's checks of capabilities that tell something; each docstring is what it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path
from typing import Final

import pytest

from vmharness.provider import (
    AutoChosen,
    Describes,
    Fronts,
    Inspects,
    ListsImages,
    Provider,
    RecognisesCreate,
    Settles,
    ShowsDelete,
    TakesLabels,
)
from vmharness.testing._contract_base import Contract
from vmharness.testing._levels import may
from vmharness.testing._machines import ContractMachines

__all__ = ["FactContract", "InspectContract", "OwnCommandContract"]

_READER: Final = ("recognise_create", "elsewhere", "with_name", "recognise_delete", "look_args", "seen")


class InspectContract(Contract):
    """What the capability Inspects promises."""

    verb = "inspect"

    @pytest.fixture
    def inspector(self, provider: Provider) -> Inspects:
        """Return the provider as one that inspects machines."""
        if not isinstance(provider, Inspects):
            pytest.skip("the provider inspects no machines")
        return provider

    @may
    def test_inspect_agrees_with_the_listing(self, inspector: Inspects, machines: ContractMachines) -> None:
        """Inspect tells of a machine what the listing does, but more exactly when it was made."""
        name = machines.new_name()
        machines.create(name)

        info = inspector.inspect(name)

        listed = machines.listed(name)
        assert info is not None
        assert listed is not None
        assert (info.name, info.state, info.labels) == (name, listed.state, listed.labels)
        if info.created_at is not None and listed.created_at is not None:
            assert abs(info.created_at - listed.created_at) <= listed.created_resolution + 0.001

    @may
    def test_inspect_of_absent_machines_is_none(
        self, inspector: Inspects, machines: ContractMachines
    ) -> None:
        """None: the machine is surely absent, as one that never was, or a part of its name."""
        name = machines.new_name()
        machines.create(name)

        assert [inspector.inspect(absent) for absent in (machines.new_name(), name[:-1])] == [None, None]

    @may
    def test_inspect_of_hostile_names_is_none(self, inspector: Inspects, machines: ContractMachines) -> None:
        """None: a name that the engine can't have is absent, and never read as an option."""
        machines.create()

        assert [hostile for hostile in self.hostile_names if inspector.inspect(hostile)] == []


class OwnCommandContract(Contract):
    """What capabilities promise that know the engine's own command."""

    verb = "the engine's command"

    @may
    def test_shown_command_deletes_the_machine(self, provider: Provider, machines: ContractMachines) -> None:
        """The engine's own command that is shown to people deletes the machine, and asks nothing."""
        if not isinstance(provider, ShowsDelete):
            pytest.skip("the provider shows no command")
        name = machines.new_name()
        machines.create(name)

        argv = provider.delete_argv(name)

        assert provider.delete_argv(name) == argv
        assert machines.listed(name) is not None, "to show the command has run it"
        done = subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=self.delete_timeout_s,
        )
        assert done.returncode == 0, f"{argv} said: {done.stdout.decode('utf-8', 'replace')}"
        assert machines.listed(name) is None, f"{argv} succeeded, and the machine is still listed"

    @may
    def test_foreign_commands_are_no_creates(self, provider: Provider) -> None:
        """None: the command makes no machine, and what is no command at all makes none either."""
        if not isinstance(provider, RecognisesCreate):
            pytest.skip("the provider recognises no creates")

        assert provider.recognise([]) is None
        assert provider.recognise(["no-such-program", "create", "launch", "run", "--name", "x"]) is None

    @may
    def test_fronts_have_readers(self, provider: Provider) -> None:
        """Each of the engine's commands has a reader with the functions that are asked of it."""
        if not isinstance(provider, Fronts):
            pytest.skip("the provider has no commands to record")

        for front in provider.fronts():
            reader = runpy.run_path(front.reader)

            wanted = (*_READER, "with_labels") if isinstance(provider, TakesLabels) else _READER
            assert Path(front.program).name == front.program
            assert [name for name in wanted if not callable(reader.get(name))] == []
            assert reader["recognise_create"]([]) is None
            assert reader["recognise_create"](reader["look_args"]()) is None
            assert list(reader["recognise_delete"](reader["look_args"]())) == []


class FactContract(Contract):
    """What the small capabilities promise that only say something."""

    verb = "facts"

    @may
    def test_engine_describes_itself(self, provider: Provider) -> None:
        """The engine's name and version are one line of text."""
        if not isinstance(provider, Describes):
            pytest.skip("the provider doesn't describe its engine")

        assert len(provider.describe().splitlines()) == 1

    @may
    def test_images_have_names(self, provider: Provider) -> None:
        """The images that the engine has at hand are given by name."""
        if not isinstance(provider, ListsImages):
            pytest.skip("the provider lists no images")

        assert [image for image in provider.images() if not image or not isinstance(image, str)] == []

    @may
    def test_settling_takes_a_while(self, provider: Provider) -> None:
        """Settling time is a number of seconds, 0 or more."""
        if not isinstance(provider, Settles):
            pytest.skip("the provider doesn't say how long a create may settle")

        assert provider.settle_s >= 0

    @may
    def test_rank_is_a_number(self, provider: Provider) -> None:
        """The rank by which a backend is chosen is a whole number."""
        if not isinstance(provider, AutoChosen):
            pytest.skip("the backend is never chosen by itself")

        assert isinstance(provider.auto_rank, int)
