"""The simulated daemon's memory: one file under a lock, and states that are functions of the clock.

What becomes of a machine is written down when it is asked for, so it happens whoever is killed meanwhile.
It knows no command and waits for nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import time

from vmharness_orbctl._failure import absent
from vmharness_orbctl._guest import forget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmharness_orbctl._types import Machine, State

__all__ = ["Daemon", "default_of", "new_id", "new_state", "pass_time", "running_for", "state_of"]

STATE = "state.json"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Daemon:
    """The state, ours alone inside a `with`; machines that are gone by now are dropped.

    Args:
        folder: Where its file is.
        clock: Seconds since any origin, by which things take their time.
        sleep: Waits for so many seconds.
        wall: Seconds since the epoch, as IDs say them.
    """

    state: State

    def __init__(
        self,
        folder: str,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self.now = clock
        self.sleep = sleep
        self.wall = wall

    def __enter__(self) -> Daemon:
        self.state = self._load()
        now = self.now()
        machines = self.state["machines"]
        self.state["machines"] = {name: it for name, it in machines.items() if state_of(it, now)}
        for machine in machines.values():
            if not state_of(machine, now):
                forget(self._folder, machine["id"])
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._store(changed=kind is None)

    def _load(self) -> State:
        self._lock = os.open(f"{self._folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            with open(f"{self._folder}/{STATE}", encoding="utf-8") as file:
                self._before = file.read()
        except FileNotFoundError:
            self._before = ""
        state: State = json.loads(self._before) if self._before else new_state()
        return state

    def _store(self, *, changed: bool) -> None:
        after = json.dumps(self.state)
        if changed and after != self._before:
            with open(f"{self._folder}/{STATE}.new", "w", encoding="utf-8") as file:
                file.write(after)
            os.replace(f"{self._folder}/{STATE}.new", f"{self._folder}/{STATE}")
        os.close(self._lock)

    def find(self, key: str) -> Machine:
        """Return the machine of that name or ID; raise Failure if there is none."""
        for machine in self.state["machines"].values():
            if key and key in (machine["name"], machine["id"]):
                return machine
        raise absent(key)

    def state_of(self, machine: Machine) -> str:
        """Return the machine's state; "" once it is gone."""
        return state_of(machine, self.now())

    def engine_state(self) -> str:
        """Return what `status` says."""
        if not self.state["up"]:
            return "Stopped"
        return "Running" if self.now() >= self.state["up_at"] else "Starting"

    def strike(self, verb: str, text: str, times: int | None) -> bool:
        """Say whether an error strikes this call of a command, and count it."""
        key = f"{verb}: {text}"
        struck = self.state["struck"].get(key, 0)
        if not text or (times is not None and struck >= times):
            return False
        self.state["struck"][key] = struck + 1
        return True


def new_state() -> State:
    """Return what a new OrbStack remembers: it runs, and has no machine."""
    return {
        "up": True,
        "up_at": 0.0,
        "made": 0,
        "default": "",
        "struck": {},
        "images": [],
        "machines": {},
    }


def state_of(machine: Machine, now: float) -> str:
    """Return the machine's state at that time; "" once it is gone."""
    age = now - machine["born"]
    if machine["gone_at"] is not None:
        return "deleting" if now < machine["gone_at"] else ""
    if machine["error"] and age >= machine["error_s"]:
        return "creating" if machine["leftover"] else ""
    if age < machine["create_s"]:
        return "creating"
    if age < machine["create_s"] + machine["setup_s"]:
        return "provisioning"
    if now < machine["power_at"]:
        return "starting" if machine["power"] == "running" else "stopping"
    return machine["power"]


def default_of(state: State, names: Sequence[str]) -> str:
    """Return the machine that was set as the default one, else (guess) the first one; "" if there is none."""
    chosen = state["default"]
    if chosen == "none" or not names:
        return ""
    return chosen if chosen in names else names[0]


def running_for(machine: Machine, now: float) -> float:
    """Return for how many seconds a running machine has been running at that time."""
    set_up = machine["born"] + machine["create_s"] + machine["setup_s"]
    return now - max(set_up, machine["power_at"])


def new_id(moment: float) -> str:
    """Return a ULID of that time, in seconds since the epoch."""
    number = int(moment * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def pass_time(state: State, seconds: float) -> None:
    """Let all that is under way be so much older; IDs stay as they are."""
    state["up_at"] -= seconds
    for machine in state["machines"].values():
        machine["born"] -= seconds
        machine["power_at"] -= seconds
        if machine["gone_at"] is not None:
            machine["gone_at"] -= seconds
