"""An OrbStack in memory, answering as orbctl would, for tests that need no process."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vmharness.command import CommandLine
from vmharness.provider import (
    CommandResult,
)
from vmharness_orbstack import OrbStackProvider

__all__ = ["BORN", "ULID", "FakeOrbStack", "failed", "ok", "provider_of", "record"]

ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
BORN = 1469922850.259


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeOrbStack(CommandLine):
    """An OrbStack in memory. For each verb, `next` has the answers that come before the usual one."""

    def __init__(self, **machines: str) -> None:
        super().__init__("orbctl", backend="orbstack")
        self.machines = {name.replace("_", "-"): state for name, state in machines.items()}
        self.next: dict[str, list[CommandResult | BaseException]] = {}
        self.calls: list[str] = []

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        verb = args[0]
        self.calls.append(" ".join(args))
        queue = self.next.get(verb, [])
        answer = queue.pop(0) if queue else getattr(self, f"_{verb}")(args)
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, CommandResult)
        return answer

    def _status(self, args: Sequence[str]) -> CommandResult:
        return ok("Running\n")

    def _version(self, args: Sequence[str]) -> CommandResult:
        return ok("Version: 2.2.3 (2020300)\nCommit: c83556b0 (v2.2.3)\n")

    def _list(self, args: Sequence[str]) -> CommandResult:
        return ok(json.dumps([record(name, state) for name, state in self.machines.items()]))

    def _info(self, args: Sequence[str]) -> CommandResult:
        # As orbctl does, it takes an ID for a name; here all machines have the same one.
        name = next(iter(self.machines), "") if args[1] == ULID else args[1]
        if name not in self.machines:
            return failed(f"[-32098] machine not found: '{args[1]}'")
        return ok(json.dumps({"record": record(name, self.machines[name]), "ip4": "192.168.139.10"}))

    def _create(self, args: Sequence[str]) -> CommandResult:
        self.machines[args[-1]] = "running"
        return ok()

    def _delete(self, args: Sequence[str]) -> CommandResult:
        del self.machines[args[-1]]
        return ok()

    def _run(self, args: Sequence[str]) -> CommandResult:
        return ok()


def record(name: str, state: str) -> dict[str, object]:
    image = {"distro": "ubuntu", "version": "noble"}
    return {"id": ULID, "name": name, "state": state, "image": image, "builtin": name in ("docker", "k8s")}


def ok(stdout: str = "") -> CommandResult:
    return CommandResult(status=0, stdout=stdout, stderr="")


def failed(stderr: str, status: int = 1) -> CommandResult:
    return CommandResult(status=status, stdout="", stderr=stderr)


def provider_of(orbstack: FakeOrbStack, *, now: float = BORN - 1) -> OrbStackProvider:
    """Return a provider whose calls begin at that time, seconds since the epoch."""
    clock = Clock()
    return OrbStackProvider(
        orbstack, endpoint="orbstack:501", clock=clock, sleep=clock.sleep, now=lambda: now
    )
