"""The conformance kit's checks of the small capabilities; each docstring is what it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest

from vmharness.errors import CreateFailed, NameTaken, ProviderError
from vmharness.provider import (
    LABEL_SESSION,
    Clones,
    CopiesFiles,
    Describes,
    Inspects,
    ListsImages,
    MachineState,
    Provider,
    RecognisesCreate,
    Settles,
    ShowsDelete,
    Spec,
    StartsAndStops,
    TakesLabels,
)
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["CapabilityContract"]


class CapabilityContract(Contract):
    """What all that is no verb promises, but run."""

    def test_inspect_agrees_with_the_listing(self, provider: Provider, machines: ContractMachines) -> None:
        """Inspect tells of a machine what the listing does, but more exactly when it was made."""
        if not isinstance(provider, Inspects):
            pytest.skip("the provider inspects no machines")
        name = machines.create().name

        info = provider.inspect(name)

        listed = machines.listed(name)
        assert info is not None
        assert listed is not None
        assert (info.name, info.state, info.labels) == (name, listed.state, listed.labels)
        if info.created_at is not None and listed.created_at is not None:
            assert abs(info.created_at - listed.created_at) <= listed.created_resolution + 0.001

    def test_inspect_of_absent_machines_is_none(self, provider: Provider, machines: ContractMachines) -> None:
        """None: the machine is surely absent, as one whose name the engine can't have."""
        if not isinstance(provider, Inspects):
            pytest.skip("the provider inspects no machines")
        name = machines.create().name

        assert provider.inspect(name[:-1]) is None
        assert [hostile for hostile in self.hostile_names if provider.inspect(hostile)] == []

    def test_engine_describes_itself(self, provider: Provider) -> None:
        """The engine's name and version are one line of text."""
        if not isinstance(provider, Describes):
            pytest.skip("the provider doesn't describe its engine")

        assert len(provider.describe().splitlines()) == 1

    def test_images_have_names(self, provider: Provider) -> None:
        """The images that the engine has at hand are given by name."""
        if not isinstance(provider, ListsImages):
            pytest.skip("the provider lists no images")

        assert all(provider.images())

    def test_settling_takes_a_while(self, provider: Provider) -> None:
        """Settling time is a number of seconds, 0 or more."""
        if not isinstance(provider, Settles):
            pytest.skip("the provider doesn't say how long a create may settle")

        assert provider.settle_s >= 0

    def test_shown_command_deletes_the_machine(self, provider: Provider, machines: ContractMachines) -> None:
        """The engine's own command that is shown to people deletes the machine, and asks nothing."""
        if not isinstance(provider, ShowsDelete):
            pytest.skip("the provider shows no command")
        name = machines.create().name

        argv = provider.delete_argv(name)

        assert machines.listed(name) is not None
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=self.delete_timeout_s)
        assert machines.listed(name) is None

    def test_a_file_comes_back_as_it_went(
        self, provider: Provider, machines: ContractMachines, tmp_path: Path
    ) -> None:
        """Files are copied byte by byte, and a file that is there is replaced."""
        if not isinstance(provider, CopiesFiles):
            pytest.skip("the provider copies no files")
        name = machines.create().name
        before, after = tmp_path / "before", tmp_path / "after"
        inside = f"/tmp/{secrets.token_hex(6)}"  # noqa: S108 - a folder of the machine

        for content in (b"long, and then replaced", bytes(range(16))):
            before.write_bytes(content)
            provider.push(name, str(before), inside, timeout=self.delete_timeout_s)
            provider.pull(name, inside, str(after), timeout=self.delete_timeout_s)

            assert after.read_bytes() == content

    def test_a_copy_that_cannot_be_made_fails(
        self, provider: Provider, machines: ContractMachines, tmp_path: Path
    ) -> None:
        """ProviderError: it was not copied."""
        if not isinstance(provider, CopiesFiles):
            pytest.skip("the provider copies no files")
        name, absent = machines.create().name, machines.new_name()
        file, missing = tmp_path / "file", str(tmp_path / "missing")
        file.write_text("content")
        inside = f"/tmp/{secrets.token_hex(6)}"  # noqa: S108 - a folder of the machine

        with pytest.raises(ProviderError):
            provider.push(absent, str(file), inside, timeout=self.delete_timeout_s)
        with pytest.raises(ProviderError):
            provider.push(name, missing, inside, timeout=self.delete_timeout_s)
        with pytest.raises(ProviderError):
            provider.pull(name, inside, missing, timeout=self.delete_timeout_s)

    def test_machine_stops_and_starts(self, provider: Provider, machines: ContractMachines) -> None:
        """On return the machine is stopped, or runs; to ask for it again changes nothing."""
        if not isinstance(provider, StartsAndStops):
            pytest.skip("the provider starts and stops no machines")
        name = machines.create().name
        states: list[MachineState | None] = []

        for verb in (provider.stop, provider.stop, provider.start, provider.start):
            verb(name, timeout=self.create_timeout_s)
            listed = machines.listed(name)
            states.append(listed.state if listed else None)

        assert states == [MachineState.STOPPED] * 2 + [MachineState.RUNNING] * 2
        for verb in (provider.stop, provider.start):
            with pytest.raises(ProviderError):
                verb(machines.new_name(), timeout=self.delete_timeout_s)

    def test_a_clone_runs_beside_its_source(
        self, provider: Provider, machines: ContractMachines, tmp_path: Path
    ) -> None:
        """A clone runs, has the source's files and labels of its own; the source is left as it was."""
        if not isinstance(provider, Clones):
            pytest.skip("the provider clones no machines")
        source, name = machines.create(labels={LABEL_SESSION: "old"}).name, machines.new_name()
        inside, file = f"/tmp/{secrets.token_hex(6)}", tmp_path / "file"  # noqa: S108 - a machine's folder
        if isinstance(provider, CopiesFiles):
            file.write_text("content")
            provider.push(source, str(file), inside, timeout=self.delete_timeout_s)
        before = machines.listed_but_address(source)

        info = provider.clone(
            source, Spec(name=name, labels={LABEL_SESSION: "new"}), timeout=self.create_timeout_s
        )

        assert (info.name, info.state) == (name, MachineState.RUNNING)
        assert machines.listed_but_address(source) == before
        if isinstance(provider, TakesLabels):
            assert info.labels is not None
            assert info.labels[LABEL_SESSION] == "new"
        if isinstance(provider, CopiesFiles):
            provider.pull(name, inside, str(tmp_path / "again"), timeout=self.delete_timeout_s)
            assert (tmp_path / "again").read_text() == "content"

    def test_a_clone_that_cannot_be_made_fails(self, provider: Provider, machines: ContractMachines) -> None:
        """NameTaken: a machine of that name was there. CreateFailed: surely none was made."""
        if not isinstance(provider, Clones):
            pytest.skip("the provider clones no machines")
        source, taken = machines.create().name, machines.create().name
        absent, name = machines.new_name(), machines.new_name()

        with pytest.raises(NameTaken):
            provider.clone(source, Spec(name=taken), timeout=self.create_timeout_s)
        with pytest.raises(CreateFailed):
            provider.clone(absent, Spec(name=name), timeout=self.create_timeout_s)
        assert machines.listed(name) is None

    def test_foreign_commands_are_no_creates(self, provider: Provider) -> None:
        """None: the command makes no machine, and what is no command at all makes none either."""
        if not isinstance(provider, RecognisesCreate):
            pytest.skip("the provider recognises no creates")

        assert provider.recognise([]) is None
        assert provider.recognise(["no-such-program", "create", "launch", "run", "--name", "x"]) is None
