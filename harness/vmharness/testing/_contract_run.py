"""The conformance kit's checks of run; each docstring is the sentence of the contract that it proves.

They use what every Unix has, busybox and Alpine included: echo, cat, sh, sleep, pwd and whoami.
"""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import secrets
from typing import Final

import pytest

from vmharness.errors import NotSupported, ProviderError
from vmharness.provider import Provider, RunsCommands
from vmharness.testing._contract_base import Contract
from vmharness.testing._levels import may
from vmharness.testing._machines import ContractMachines

__all__ = ["RunContract"]

_TIMEOUT_S: Final = 30.0
_LONG: Final = 2**20  # more than any pipe or packet holds, in bytes


class RunContract(Contract):
    """What the capability RunsCommands promises."""

    verb = "run"

    @pytest.fixture
    def runner(self, provider: Provider) -> RunsCommands:
        """Return the provider as one that runs commands."""
        if not isinstance(provider, RunsCommands):
            pytest.skip("the provider runs no commands")
        return provider

    @pytest.fixture
    def name(self, runner: RunsCommands, machines: ContractMachines) -> str:
        """Return the name of a machine to run commands in."""
        name = machines.new_name()
        machines.create(name)
        return name

    @may
    def test_run_gives_what_was_written(self, runner: RunsCommands, name: str) -> None:
        """A command can be run as soon as create has returned, and what it wrote to stdout comes back."""
        result = runner.run(name, ["echo", "hello"], timeout=_TIMEOUT_S)

        assert (result.status, result.stdout, result.stderr) == (0, "hello\n", "")

    @may
    def test_run_gives_the_exit_status(self, runner: RunsCommands, name: str) -> None:
        """A status other than 0 doesn't raise, and comes back, whatever it may mean to a client."""
        asked = [1, 2, 3, 124, 125, 126, 127, 255]

        got = [runner.run(name, ["sh", "-c", f"exit {n}"], timeout=_TIMEOUT_S).status for n in asked]

        assert got == asked

    @may
    def test_run_tells_stderr_from_stdout(self, runner: RunsCommands, name: str) -> None:
        """What a command wrote to stderr comes back, and not as its stdout."""
        result = runner.run(name, ["cat", f"/no-such-{secrets.token_hex(6)}"], timeout=_TIMEOUT_S)

        assert result.stdout == ""
        assert "no-such" in result.stderr

    @may
    def test_run_uses_no_shell(self, runner: RunsCommands, name: str) -> None:
        """Arguments reach the program unchanged."""
        words = ["", "a  b", "$HOME", "*", ";", "'", '"', "\\", "--", "-x", "&& false", "%s", "ä=b"]

        result = runner.run(name, ["echo", *words], timeout=_TIMEOUT_S)

        assert result.stdout == " ".join(words) + "\n"

    @may
    def test_run_hands_over_its_input(self, runner: RunsCommands, name: str) -> None:
        """The input is the program's standard input; None means an empty one."""
        given = runner.run(name, ["cat"], timeout=_TIMEOUT_S, input="ä\nb".encode())
        empty = runner.run(name, ["cat"], timeout=_TIMEOUT_S)

        assert (given.status, given.stdout) == (0, "ä\nb")
        assert (empty.status, empty.stdout) == (0, "")

    @may
    def test_run_hands_over_much(self, runner: RunsCommands, name: str) -> None:
        """Input and output may be long, and their lines end as they end."""
        text = "  a\r\nb\n\n" * (_LONG // 8)

        try:
            result = runner.run(name, ["cat"], timeout=_TIMEOUT_S, input=text.encode())
        except NotSupported:
            pytest.skip("the provider takes no long input, and says so")

        assert (len(result.stdout), result.stdout == text) == (len(text), True)

    @may
    def test_run_of_an_unknown_program_fails(self, runner: RunsCommands, name: str) -> None:
        """A command that can't be started is a ProviderError, or a status other than 0."""
        try:
            result = runner.run(name, [f"no-such-program-{secrets.token_hex(6)}"], timeout=_TIMEOUT_S)
        except ProviderError:
            return
        assert result.status != 0

    @may
    def test_run_takes_a_user(self, runner: RunsCommands, name: str) -> None:
        """The command runs as that user."""
        assert runner.run(name, ["whoami"], timeout=_TIMEOUT_S, user="root").stdout == "root\n"

    @may
    def test_run_takes_a_folder(self, runner: RunsCommands, name: str) -> None:
        """The command runs in that working directory."""
        assert runner.run(name, ["pwd"], timeout=_TIMEOUT_S, cwd="/").stdout == "/\n"

    @may
    def test_run_ends_at_its_deadline(self, runner: RunsCommands, name: str) -> None:
        """TimeoutError: the deadline passed."""
        with pytest.raises(TimeoutError):
            runner.run(name, ["sleep", "60"], timeout=0.2)

    @may
    def test_run_in_an_absent_machine_fails(self, runner: RunsCommands, machines: ContractMachines) -> None:
        """ProviderError: the command could not be started."""
        with pytest.raises(ProviderError):
            runner.run(machines.new_name(), ["true"], timeout=_TIMEOUT_S)
