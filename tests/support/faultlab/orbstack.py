"""OrbStack under test: the simulator's commands, first on PATH. What it has is read from its own file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from faultlab.cells import Backend, Knob
from faultlab.engine import EngineUnderTest, eventually
from vmharness_orbctl import Event, Orbctl, install

__all__ = ["OrbStackEngine"]

_COMMAND_S: Final = 30.0
# How long a create takes that shall time out, and when it does, in seconds: it must have been sent by then.
_LATE_S: Final = 4.0
_GIVE_UP_S: Final = 3

# Within which time a command that doesn't answer is given up, in seconds.
_GIVEN_UP_S: Final = 30.0
_ANY: Final = "*:before"

# Points of `EngineUnderTest` that the simulator has by another name.
_POINTS: Final = {"run:before": "run sleep:before"}
_SLOW: Final[Mapping[str, Any]] = {"create_s": 1.5, "provision_s": 0.5, "agent_s": 0.2}
_SETTINGS: Final[Mapping[Knob, Mapping[str, Any]]] = {
    Knob.USUAL: {},
    Knob.SLOW: _SLOW,
    Knob.CANCEL: {**_SLOW, "delete_unready": "cancel"},
    Knob.RETRIED: {"errors": {"create": "index-timeout"}, "times": {"create": 1}},
    Knob.LEFTOVER: {
        "create_s": 0.3,
        "errors": {"create": "crashed"},
        "leftover": True,
        "delete_unready": "cancel",
    },
    Knob.LISTS: {"errors": {"list": "passing"}, "times": {"list": 2}},
    Knob.BUSY: {"errors": {"delete": "rootfs-busy"}, "times": {"delete": 2}},
    Knob.LASTING: {"stop_s": 0.5, "delete_s": 0.7},
    Knob.OLD: {**_SLOW, "release": "0.12.0"},
    Knob.BANNER: {"banner": "stdout", "indent": True, "null_list": True},
    Knob.WEDGED: {},
}


class OrbStackEngine(EngineUnderTest):
    """An OrbStack of a folder's own. Its machines have no labels.

    Args:
        folder: Where its commands and machines are.
        knobs: How it shall be.
    """

    backend: ClassVar = Backend.ORBSTACK
    own_s: ClassVar = 15.0

    def __init__(self, folder: Path, knobs: Collection[Knob]) -> None:
        super().__init__("vmh")
        self._commands = install(folder)
        self._steer = Orbctl(folder / "state")
        self._knobs = knobs
        self._seen = 0

    def turn_knobs(self) -> None:
        """Be as the knobs say, from now on."""
        settings: dict[str, Any] = {}
        for knob in self._knobs:
            for name, value in _SETTINGS[knob].items():
                by_command = isinstance(value, Mapping)
                settings[name] = {**settings.get(name, {}), **value} if by_command else value
        self._steer.set(**settings)

    @property
    def environ(self) -> Mapping[str, str]:
        """Where its commands are."""
        return {"PATH": os.pathsep.join([str(self._commands), os.environ.get("PATH", os.defpath)])}

    def names(self) -> set[str]:
        """Return the names of all machines."""
        now = time.time()
        return {name for name, machine in self._state()["machines"].items() if _is_there(machine, now)}

    def _state(self) -> Mapping[str, Any]:
        try:
            state: Mapping[str, Any] = json.loads((self._steer.folder / "state.json").read_text())
        except FileNotFoundError:
            return {"up": True, "machines": {}}
        return state

    def _command(self, *args: str) -> None:
        subprocess.run(
            [self._commands / "orbctl", *args],
            stdin=subprocess.DEVNULL,
            check=True,
            capture_output=True,
            timeout=_COMMAND_S,
        )

    def make(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a machine; it keeps no labels."""
        del labels
        self._command("create", "ubuntu", name)

    def remove(self, names: Iterable[str]) -> None:
        """Remove machines."""
        self._command("delete", "--force", *names)

    def hold(self, point: str) -> None:
        """Make commands wait at the point."""
        self._steer.hold(_POINTS.get(point, point))

    def release(self, point: str) -> None:
        """Let the commands at the point go on."""
        self._steer.release(_POINTS.get(point, point))

    def is_held(self, point: str) -> bool:
        """Whether commands wait at the point."""
        settings = json.loads((self._steer.folder / "settings.json").read_text())
        return _POINTS.get(point, point) in settings.get("hold", ())

    def _events(self) -> Sequence[Event]:
        return self._steer.events()[self._seen :]

    def stood(self, point: str) -> Sequence[int]:
        """Return whose commands came to wait at the point."""
        waiting = [event for event in self._events() if event.phase == "waits"]
        return [event.parent for event in waiting if event.detail == point]

    def callers(self, verb: str) -> set[int]:
        """Return who started such commands."""
        return {event.parent for event in self._events() if event.verb == verb}

    def forget(self) -> None:
        """Forget who called, be as usual, and run."""
        self._steer.set(hold=None)
        self._steer.set(**dict.fromkeys(key for settings in _SETTINGS.values() for key in settings))
        if not self._state()["up"]:
            self.rise()
        self._seen = len(self._steer.events())

    def make_late(self) -> Sequence[str]:
        """Let machines be ready only when their create has timed out; they are listed before."""
        self._steer.set(create_s=_LATE_S)
        return [f"--vm-create-timeout={_GIVE_UP_S}"]

    def die(self) -> None:
        """Stop OrbStack, all of it; commands of others than vmharness would start it."""
        self._command("stop")

    def rise(self) -> None:
        """Start it, and with it the machines that ran."""
        self._command("start")

    def restart(self, point: str) -> None:
        """Stop it, which ends the commands that wait, and start it."""
        self.die()
        for pid in self._at_work():
            os.kill(pid, signal.SIGKILL)
        self.rise()
        self.release(point)

    def goes_on(self, point: str) -> bool:
        """Whether a command stands there that doesn't die of news which nobody reads any more."""
        standing = {event.pid for event in self._events() if (event.phase, event.detail) == ("waits", point)}
        return Knob.BANNER not in self._knobs and not standing.isdisjoint(self._at_work())

    def worsen(self) -> None:
        """Answer no command from now on, if it is of that kind."""
        if Knob.WEDGED in self._knobs:
            self._steer.hold(_ANY)

    def recover(self) -> None:
        """Answer again, once a command was given up."""
        if Knob.WEDGED in self._knobs:
            eventually(self._was_given_up, _GIVEN_UP_S, lambda: self._events()[-20:])
            self._steer.release(_ANY)

    def _was_given_up(self) -> bool:
        asked = {event.pid for event in self._events() if event.detail == "status:before"}
        return bool(asked.difference(self._at_work()))

    def is_busy(self) -> bool:
        """Whether a command is under way, be its caller dead or not."""
        return any(True for _ in self._at_work())

    def _at_work(self) -> Iterator[int]:
        events = self._events()
        ended = {event.pid for event in events if event.phase == "end"}
        for pid in sorted({event.pid for event in events} - ended):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if bytes(self._steer.folder) in command:
                yield pid


def _is_there(machine: Mapping[str, Any], now: float) -> bool:
    """Whether a machine is there: not deleted, and not rolled back."""
    rolled_back = machine["error"] and not machine["leftover"] and now >= machine["born"] + machine["error_s"]
    return not rolled_back and (machine["gone_at"] is None or now < machine["gone_at"])
