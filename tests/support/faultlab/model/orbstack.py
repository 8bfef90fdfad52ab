"""A simulated OrbStack in this process: the simulator's own state machine, by the world's clock.

Between the backend and it is what orbctl reads and writes, but no process: a command is a call, and one that
is killed is a call that ends early. It judges nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final

from faultlab.model.clock import WorldClock
from faultlab.model.place import Client, Place, Seen, Told
from vmharness import Provider
from vmharness.command import CommandLine
from vmharness.provider import CommandResult, MachineInfo, Spec
from vmharness_fake import Fault
from vmharness_orbctl._daemon import Daemon, new_state
from vmharness_orbctl._flags import command, parse
from vmharness_orbctl._front import perform
from vmharness_orbctl._guest import Guest
from vmharness_orbctl._log import Call
from vmharness_orbctl._settings import FAILURES, release
from vmharness_orbctl._simulator import Simulator
from vmharness_orbctl._types import Machine, Settings, State
from vmharness_orbstack import OrbStackProvider

__all__ = ["orbstack_places"]

# How long a command takes at least: IDs have milliseconds, and processes are slower than that.
_COMMAND_S: Final = 0.002
# How often a waiting command looks, in seconds of the world's.
_LOOK_S: Final = 0.25
_USUAL: Final[Mapping[str, Any]] = {"create_s": 1.0, "provision_s": 0.5, "stop_s": 0.2, "delete_s": 0.3}
_SETTLE_S: Final = 120.0
_AT_WORK: Final = threading.Lock()
_UNMADE: Final = ("creating", "provisioning")
# The fake engine's faults, as OrbStack has them: which command says what.
_ERRORS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("list", "unavailable"): ("list", "passing"),
    ("*", "unavailable"): ("status", "services"),
    ("create", "unavailable"): ("status", "services"),
    ("delete", "fails"): ("delete", "rootfs-read-only"),
    ("delete", "unavailable"): ("delete", "services"),
    ("delete", "lies"): ("delete", "rootfs-not-permitted"),
    ("delete", "busy"): ("delete", "rootfs-busy"),
    ("delete", "busy-creating"): ("delete", "creating"),
}


def orbstack_places(clock: WorldClock, told: Told) -> Sequence[Place]:
    """Make three of them; as the backend sees it, each is the engine of a script in orbctl's place."""
    return [_OrbStackPlace(f"orbstack:{os.getuid()}:/{number}", clock, told) for number in range(3)]


class _OrbStackPlace:
    """One OrbStack.

    Args:
        endpoint: Its endpoint.
        clock: The world's.
        told: Who is told what happens in it.
    """

    def __init__(self, endpoint: str, clock: WorldClock, told: Told) -> None:
        self.endpoint: Final = endpoint
        self._clock = clock
        self._told = told
        self._state = new_state()
        self._settings = dict(_USUAL)
        self._errors: dict[str, tuple[str, int]] = {}
        # Of the creates to come, how each goes wrong.
        self._mishaps: list[Mapping[str, Any]] = []

    @property
    def settle_s(self) -> float:
        """As its provider says."""
        return _SETTLE_S

    def connect(self, client: Client) -> Provider:
        """Return a process's way to it."""
        return _Provider(self, self._clock, client)

    def hand(self) -> Provider:
        """Return the way of somebody who has nothing to do with vmharness."""
        return _Provider(self, self._clock, _Somebody())

    # -- what goes wrong

    def trouble(self, fault: Fault) -> None:
        """Let it go wrong as OrbStack does."""
        kind = (fault.verb, fault.kind)
        if kind in _ERRORS:
            verb, name = _ERRORS[kind]
            self._errors[verb] = (FAILURES[name], fault.last or 1)
            self._state["struck"].clear()
        elif kind == ("delete", "slow"):
            self._settings["delete_s"] = fault.seconds
        elif kind == ("create", "late"):
            self._mishaps.append({"create_s": 30.0 + fault.seconds})
        elif kind == ("create", "slow"):
            self._mishaps.append({"create_s": fault.seconds})
        else:
            # Of two creates that fail one is tried again by the backend.
            error = "crashed" if fault.kind == "lost" or self._state["made"] % 2 else "missing-ip"
            self._mishaps.append({"errors": {"create": error}, "leftover": fault.kind == "lost"})

    def heal(self) -> None:
        """Let it do as it is told, and have made what it was making."""
        self._settings = dict(_USUAL)
        self._errors.clear()
        self._mishaps.clear()
        with self.daemon(self._clock.sleep) as daemon:
            for machine in daemon.state["machines"].values():
                if daemon.state_of(machine) in _UNMADE:
                    error = "" if machine["leftover"] else machine["error"]
                    machine.update({"create_s": 0.0, "setup_s": 0.0, "error": error, "error_s": 0.0})

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong, and nothing is unfinished: that can't be deleted yet."""
        struck = self._state["struck"]
        striking = any(struck.get(f"{verb}: {text}", 0) < n for verb, (text, n) in self._errors.items())
        with self.daemon(self._clock.sleep) as daemon:
            unmade = any(daemon.state_of(machine) in _UNMADE for machine in daemon.state["machines"].values())
        return not (striking or self._mishaps or unmade) and self._settings == _USUAL

    def pass_time(self) -> None:
        """Tell of machines that it has given up meanwhile."""
        with self.daemon(self._clock.sleep):
            pass

    # -- its daemon

    def daemon(self, sleep: Callable[[float], None]) -> Daemon:
        """Return the daemon, for one command that waits by `sleep`."""
        return _Memory(self, self._clock, sleep)

    def load(self) -> State:
        """Return a copy of what it remembers."""
        state = self._state
        machines = {name: machine.copy() for name, machine in state["machines"].items()}
        copied: State = {
            **state,
            "struck": {**state["struck"]},
            "images": [*state["images"]],
            "machines": machines,
        }
        return copied

    def store(self, state: State) -> None:
        """Remember that, and tell what is new in it."""
        before = {machine["id"]: machine for machine in self._state["machines"].values()}
        after = {machine["id"]: machine for machine in state["machines"].values()}
        self._state = state
        for uid, machine in after.items():
            if uid not in before:
                self._told.born(self.endpoint, _seen(machine))
            gone_at = machine["gone_at"]
            if gone_at is not None and (uid not in before or before[uid]["gone_at"] is None):
                self._told.doomed(self.endpoint, uid, gone_at)
        for uid, machine in before.items():
            if uid not in after and machine["gone_at"] is None:
                self._told.vanished(uid)

    # -- its command

    def perform(self, argv: Sequence[str], timeout: float, client: Client) -> CommandResult:
        """Do as `orbctl ARGV` would; TimeoutError when it is killed at its deadline."""
        ends = self._clock.monotonic() + timeout

        def sleep(seconds: float) -> None:
            left = ends - self._clock.monotonic()
            if left <= 0:
                raise TimeoutError(f"{' '.join(argv)}: no end after {timeout:g} s")
            self._clock.sleep(min(left, max(seconds, _LOOK_S)))

        verb, args = command("orbctl", argv)
        settings = self._settings_for(verb)
        options, words = parse(verb, args, release(settings))
        call = _Call(verb, words[-1] if words else "", client)
        client.comes_to(f"{verb}:before")  # where threads wait for their turn: a process has one stdout
        self._clock.sleep(_COMMAND_S)
        out, err = io.StringIO(), io.StringIO()
        with _alone(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = perform(
                call,
                settings,
                lambda call: _Simulator("", settings, call, self.daemon(sleep)),
                options,
                words,
            )
        self._clock.sleep(_COMMAND_S)
        return CommandResult(status=status, stdout=out.getvalue(), stderr=err.getvalue())

    def _settings_for(self, verb: str) -> Settings:
        settings = {
            **self._settings,
            "errors": {verb: text for verb, (text, _) in self._errors.items()},
            "times": {verb: times for verb, (_, times) in self._errors.items()},
        }
        return {**settings, **self._mishaps.pop(0)} if verb == "create" and self._mishaps else settings


@contextlib.contextmanager
def _alone() -> Generator[None]:
    """Fail if two commands are at work at once."""
    assert _AT_WORK.acquire(blocking=False), "threads don't wait for their turn"
    try:
        yield
    finally:
        _AT_WORK.release()


class _Memory(Daemon):
    """The daemon's state without a file."""

    def __init__(self, place: _OrbStackPlace, clock: WorldClock, sleep: Callable[[float], None]) -> None:
        super().__init__("", clock=clock.monotonic, sleep=sleep, wall=clock.time)
        self._place = place

    def _load(self) -> State:
        return self._place.load()

    def _store(self, *, changed: bool) -> None:
        if changed:
            self._place.store(self.state)


class _Call(Call):
    """A command on whose way its caller may be struck."""

    def __init__(self, verb: str, name: str, client: Client) -> None:
        super().__init__("", verb, name)
        self._client = client

    def log(self, phase: str, detail: str = "", *, name: str = "") -> None:
        """Keep no log."""

    def come_to(self, when: str) -> None:
        """Tell the caller how far it has come; where it begins it knows."""
        if when != "before":
            self._client.comes_to(f"{self.verb}:{when}")


class _Simulator(Simulator):
    """The simulator, in whose machines every command succeeds."""

    def _guest(self, machine: Machine) -> Guest:
        return _Guest("", machine["id"], machine["name"], machine["user"])


class _Guest(Guest):
    def run(self, argv: Sequence[str], *, user: str, workdir: str, environ: Mapping[str, str]) -> int:
        return 0


class _Command(CommandLine):
    """orbctl as one process calls it."""

    def __init__(self, place: _OrbStackPlace, client: Client) -> None:
        super().__init__("orbctl", backend="orbstack")
        self._place = place
        self._client = client

    def run(self, args: Sequence[str], *, timeout: float, input: bytes | None = None) -> CommandResult:
        return self._place.perform(args, timeout, self._client)


class _Provider(OrbStackProvider):
    """A process's way to OrbStack."""

    def __init__(self, place: _OrbStackPlace, clock: WorldClock, client: Client) -> None:
        super().__init__(
            _Command(place, client),
            endpoint=place.endpoint,
            clock=clock.monotonic,
            sleep=clock.sleep,
            now=clock.time,
        )
        self._client = client

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self._client.asks(self.endpoint, spec, timeout + self.settle_s)
        return super().create(spec, timeout=timeout)


class _Somebody:
    """A caller whom nothing strikes."""

    def asks(self, endpoint: str, spec: Spec, takes: float) -> None:
        """Ask unnoted."""

    def comes_to(self, point: str) -> None:
        """Go on."""


def _seen(machine: Machine) -> Seen:
    return Seen(uid=machine["id"], name=machine["name"], labels={}, appears=machine["born"])
