"""The conformance kit's checks of copying files; each docstring is the sentence that it proves."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import pytest

from vmharness.errors import ProviderError
from vmharness.provider import CopiesFiles, Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._levels import may
from vmharness.testing._machines import ContractMachines

__all__ = ["FileContract", "path_inside"]

_TIMEOUT_S: Final = 60.0
_LONG: Final = 2**13  # times 256 bytes: more than fits into one packet or argument


class FileContract(Contract):
    """What the capability CopiesFiles promises."""

    verb = "files"

    @pytest.fixture
    def copier(self, provider: Provider) -> CopiesFiles:
        """Return the provider as one that copies files."""
        if not isinstance(provider, CopiesFiles):
            pytest.skip("the provider copies no files")
        return provider

    @pytest.fixture
    def name(self, copier: CopiesFiles, machines: ContractMachines) -> str:
        """Return the name of a machine to copy files into."""
        name = machines.new_name()
        machines.create(name)
        return name

    @may
    def test_a_file_comes_back_as_it_went(self, copier: CopiesFiles, name: str, tmp_path: Path) -> None:
        """Files are copied byte by byte, empty and long ones, whatever they are called."""
        before, after, inside = tmp_path / "a b-ä", tmp_path / "after c", f"{path_inside()} d-ä"

        for content in (bytes(range(256)) + b"line\r\nline\n\n", b"", bytes(range(256)) * _LONG):
            before.write_bytes(content)
            copier.push(name, str(before), inside, timeout=_TIMEOUT_S)
            copier.pull(name, inside, str(after), timeout=_TIMEOUT_S)
            got = after.read_bytes()
            assert (len(got), got == content) == (len(content), True)

    @may
    def test_a_file_that_is_there_is_replaced(self, copier: CopiesFiles, name: str, tmp_path: Path) -> None:
        """A file that is there is replaced, in the machine and on the host."""
        before, after, inside = tmp_path / "before", tmp_path / "after", path_inside()

        for content in (b"long, and then replaced", b"short"):
            before.write_bytes(content)
            copier.push(name, str(before), inside, timeout=_TIMEOUT_S)
            copier.pull(name, inside, str(after), timeout=_TIMEOUT_S)

        assert after.read_bytes() == b"short"

    @may
    def test_push_into_an_absent_machine_fails(
        self, copier: CopiesFiles, machines: ContractMachines, tmp_path: Path
    ) -> None:
        """ProviderError: it was not copied, for there is no machine."""
        (tmp_path / "file").write_text("content")

        with pytest.raises(ProviderError):
            copier.push(machines.new_name(), str(tmp_path / "file"), path_inside(), timeout=_TIMEOUT_S)

    @may
    def test_push_of_a_missing_file_fails(self, copier: CopiesFiles, name: str, tmp_path: Path) -> None:
        """ProviderError: it was not copied, for the host has no such file."""
        with pytest.raises(ProviderError):
            copier.push(name, str(tmp_path / "missing"), path_inside(), timeout=_TIMEOUT_S)

    @may
    def test_pull_of_a_missing_file_fails(self, copier: CopiesFiles, name: str, tmp_path: Path) -> None:
        """ProviderError: it was not copied, for the machine has no such file."""
        with pytest.raises(ProviderError):
            copier.pull(name, path_inside(), str(tmp_path / "missing"), timeout=_TIMEOUT_S)

    @may
    def test_pull_into_a_missing_folder_is_no_silent_failure(
        self, copier: CopiesFiles, name: str, tmp_path: Path
    ) -> None:
        """A pull into a folder that isn't there is a ProviderError, or makes the folder."""
        inside = path_inside()
        (tmp_path / "file").write_text("content")
        copier.push(name, str(tmp_path / "file"), inside, timeout=_TIMEOUT_S)

        target = tmp_path / "missing" / "file"
        try:
            copier.pull(name, inside, str(target), timeout=_TIMEOUT_S)
        except ProviderError:
            return
        assert target.read_text() == "content"

    @may
    def test_a_file_is_in_its_machine_alone(
        self, copier: CopiesFiles, machines: ContractMachines, name: str, tmp_path: Path
    ) -> None:
        """A file is copied into the machine that is called so, and no other one, nor the host, has it."""
        other, inside = machines.create().name, path_inside()
        (tmp_path / "file").write_text("content")

        copier.push(name, str(tmp_path / "file"), inside, timeout=_TIMEOUT_S)

        assert not Path(inside).exists(), "it is on the host"
        with pytest.raises(ProviderError):
            copier.pull(other, inside, str(tmp_path / "again"), timeout=_TIMEOUT_S)


def path_inside(*, lasting: bool = False) -> str:
    """Return the path of a file that no machine has, in a folder that each has.

    Args:
        lasting: Whether it must be on the disk, for many machines have their /tmp in memory.
    """
    return f"{'/var/tmp' if lasting else '/tmp'}/{secrets.token_hex(6)}"  # noqa: S108 - in the machine
