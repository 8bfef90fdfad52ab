"""What is asked of an engine beside the verbs: who it is, what images it has, whether it is the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from vmharness.command import CommandLine
from vmharness.errors import EngineUnavailable
from vmharness.provider import CommandResult
from vmharness_incus._cli import Client
from vmharness_incus._endpoint import Endpoint
from vmharness_incus._provider import IncusProvider


class Recorder(CommandLine):
    """Remembers what it ran; a function says what it writes."""

    def __init__(self, answer: Callable[[Sequence[str]], str], backend: str = "lxd") -> None:
        super().__init__("lxc", backend=backend)
        self.ran: list[list[str]] = []
        self.answer = answer

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        self.ran.append([*args])
        return CommandResult(status=0, stdout=self.answer(args), stderr="")


@pytest.mark.parametrize(
    ("clustered", "stands_in", "text"),
    [
        (False, False, "LXD 5.0.2"),
        (True, False, "LXD 5.0.2, a cluster"),
        (False, True, "LXD 5.0.2 (in place of incus, which isn't here)"),
    ],
)
def test_engine_describes_itself(clustered: bool, stands_in: bool, text: str) -> None:
    server = {"environment": {"server_version": "5.0.2", "server_clustered": clustered}}
    command = Recorder(lambda args: json.dumps(server), backend="incus" if stands_in else "lxd")
    client = Client(command, Endpoint.parse("lxd:local/default"))

    assert IncusProvider(client, stands_in=stands_in).describe() == text


def test_images_are_the_aliases() -> None:
    command = Recorder(lambda args: '[{"name": "tiny"}, {"name": "big"}]')
    provider = IncusProvider(Client(command, Endpoint.parse("lxd:local/default")))

    assert provider.images() == ["big", "tiny"]
    assert command.ran == [["query", "--", "local:/1.0/images/aliases?recursion=1&project=default"]]


def test_far_remote_must_be_the_engine_that_it_was() -> None:
    def answer(args: Sequence[str]) -> str:
        return "[]" if args[-1].startswith("far:") else json.dumps({"far": {"Addr": "https://b:1"}})

    def provider_at(address: str) -> IncusProvider:
        endpoint = Endpoint.parse(f"lxd:far/default?address={address}")
        return IncusProvider(Client(Recorder(answer), endpoint))

    assert provider_at("https://b:1").list() == []
    with pytest.raises(EngineUnavailable, match="it was https://a:1, and now it is https://b:1"):
        provider_at("https://a:1").list()
