"""The conformance kit's checks of run; each docstring is the sentence of the contract that it proves.

They use what every Unix has, busybox and Alpine included: echo, cat, false, sleep, pwd and whoami.
"""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets

import pytest

from vmharness.errors import ProviderError
from vmharness.provider import Provider, RunsCommands
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["RunContract"]

_TIMEOUT_S = 30.0


class RunContract(Contract):
    """What run promises."""

    @pytest.fixture
    def runner(self, provider: Provider) -> RunsCommands:
        """Return the provider as one that runs commands."""
        if not isinstance(provider, RunsCommands):
            pytest.skip("the provider runs no commands")
        return provider

    def test_run_gives_status_and_output_apart(
        self, runner: RunsCommands, machines: ContractMachines
    ) -> None:
        """A status other than 0 doesn't raise, and stdout and stderr are told apart."""
        name = machines.create().name

        good = runner.run(name, ["echo", "hello"], timeout=_TIMEOUT_S)
        bad = runner.run(name, ["cat", f"/no-such-{secrets.token_hex(6)}"], timeout=_TIMEOUT_S)

        assert (good.status, good.stdout, good.stderr) == (0, "hello\n", "")
        assert bad.status != 0
        assert bad.stdout == ""
        assert bad.stderr != ""

    def test_run_uses_no_shell(self, runner: RunsCommands, machines: ContractMachines) -> None:
        """Arguments reach the program unchanged."""
        name = machines.create().name
        words = ["a  b", "$HOME", "*", ";", "'", '"', "\\", "--", "-x", "&& false"]

        result = runner.run(name, ["echo", *words], timeout=_TIMEOUT_S)

        assert result.stdout == " ".join(words) + "\n"

    def test_run_hands_over_its_input(self, runner: RunsCommands, machines: ContractMachines) -> None:
        """The input is the program's standard input; None means an empty one."""
        name = machines.create().name

        given = runner.run(name, ["cat"], timeout=_TIMEOUT_S, input="ä\nb".encode())
        empty = runner.run(name, ["cat"], timeout=_TIMEOUT_S)

        assert (given.status, given.stdout) == (0, "ä\nb")
        assert (empty.status, empty.stdout) == (0, "")

    def test_run_of_an_unknown_program_fails(self, runner: RunsCommands, machines: ContractMachines) -> None:
        """A command that can't be started is a ProviderError, or a status other than 0."""
        name = machines.create().name

        try:
            result = runner.run(name, [f"no-such-program-{secrets.token_hex(6)}"], timeout=_TIMEOUT_S)
        except ProviderError:
            return
        assert result.status != 0

    def test_run_takes_user_and_folder(self, runner: RunsCommands, machines: ContractMachines) -> None:
        """The command runs as that user, in that working directory."""
        name = machines.create().name

        assert runner.run(name, ["whoami"], timeout=_TIMEOUT_S, user="root").stdout == "root\n"
        assert runner.run(name, ["pwd"], timeout=_TIMEOUT_S, cwd="/").stdout == "/\n"

    def test_run_ends_at_its_deadline(self, runner: RunsCommands, machines: ContractMachines) -> None:
        """TimeoutError: the deadline passed."""
        name = machines.create().name

        with pytest.raises(TimeoutError):
            runner.run(name, ["sleep", "60"], timeout=0.2)

    def test_run_in_an_absent_machine_fails(self, runner: RunsCommands, machines: ContractMachines) -> None:
        """ProviderError: the command could not be started."""
        with pytest.raises(ProviderError):
            runner.run(machines.new_name(), ["true"], timeout=_TIMEOUT_S)
