"""OrbStack without OrbStack: what each command makes of the daemon's memory, and how long it waits.

Where nobody has seen what the real one does, this does something plausible, marked (guess).
"""

from __future__ import annotations

import os

from vmharness_orbctl._daemon import default_of, new_id, running_for
from vmharness_orbctl._failure import RESERVED, Failure, oops, refusing
from vmharness_orbctl._guest import Guest
from vmharness_orbctl._images import canonical
from vmharness_orbctl._log import POLL_S
from vmharness_orbctl._records import details
from vmharness_orbctl._settings import FAILURES, failure, release, seconds
from vmharness_orbctl._sizes import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from vmharness_orbctl._daemon import Daemon
    from vmharness_orbctl._log import Call
    from vmharness_orbctl._types import Machine, Order, Settings

__all__ = ["Simulator"]

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")  # compiling a pattern would take 5 ms
_DONE = ("running", "stopped")
_PANIC = """\
panic: runtime error: invalid memory address or nil pointer dereference
\tscon/cmd/scli/cmd/delete.go:141"""


class Simulator:
    """The engine whose machines exist in a folder only.

    Args:
        folder: Where its memory is.
        settings: How slow it is, and what shall go wrong.
        call: The command under way.
        daemon: Its memory, and its time.
    """

    def __init__(self, folder: str, settings: Settings, call: Call, daemon: Daemon) -> None:
        self._folder = folder
        self._call = call
        self._daemon = daemon
        self.memory = daemon
        self.settings = settings

    def begin(self, verb: str, *, starts: bool) -> None:
        """Start OrbStack if it is stopped; that reading starts it too is a (guess)."""
        if starts:
            self.start_engine()
        if verb != "create":
            self._strike(verb)

    def status(self) -> str:
        """Return what OrbStack itself is doing."""
        with self._daemon as daemon:
            return daemon.engine_state()

    def start_engine(self) -> None:
        """Start OrbStack, and with it the machines that ran when it was stopped."""
        with self._daemon as daemon:
            state = daemon.state
            if not state["up"]:
                if self.settings.get("cannot_start"):
                    raise oops(FAILURES["services"])
                state["up"] = True
                state["up_at"] = daemon.now() + seconds(self.settings, "engine_start_s")
                for machine in state["machines"].values():
                    if machine["again"]:
                        machine["power"], machine["power_at"] = "running", state["up_at"]
                        machine["again"] = False
        self._wait(lambda: self.status() != "Starting")

    def stop_engine(self) -> None:
        """Stop OrbStack: machines that are being made are lost."""
        with self._daemon as daemon:
            daemon.state["up"] = False
            for machine in daemon.state["machines"].values():
                if self._daemon.state_of(machine) in ("creating", "provisioning"):
                    machine["gone_at"] = self._daemon.now()
                elif machine["power"] == "running":
                    machine["power"], machine["again"] = "stopped", True

    def create(self, order: Order) -> None:
        """Write down all that is to become of a machine, and wait for it."""
        name = order["name"]
        with refusing(), self._daemon as daemon:
            self._check_name(daemon, f"create '{name}'", name)
            unknown = canonical(order["distro"], order["version"]) is None
            if unknown or order["arch"] not in ("arm64", "amd64"):
                raise oops(f"create '{name}': unsupported distro or architecture")  # (guess)
            machine = self._new_machine(daemon, order)
            daemon.state["machines"][name] = machine
        self._accept()
        self._await(machine)

    def records(self) -> Sequence[Mapping[str, Any]]:
        """Return all machines, sorted by name."""
        with self._daemon as daemon:
            machines = sorted(daemon.state["machines"].items())
            return [details(machine, self.settings, self._daemon.now()) for _, machine in machines]

    def details(self, key: str) -> Mapping[str, Any]:
        """Return one machine."""
        with self._daemon as daemon:
            return details(daemon.find(key), self.settings, self._daemon.now())

    def delete(self, key: str) -> None:
        """Delete a machine, running or not."""
        with self._daemon as daemon:
            machine = daemon.find(key)
            now = self._daemon.state_of(machine)
            if key == machine["id"] and (2, 2, 1) <= release(self.settings) <= (2, 2, 3):
                raise Failure(_PANIC, 2)
            cancels = self.settings.get("delete_unready", "refuse") == "cancel"
            if now == "deleting" or (now in ("creating", "provisioning") and not cancels):
                raise self._bad_transition(now, "deleting")
            stopping = seconds(self.settings, "stop_s") if now == "running" else 0.0
            machine["gone_at"] = self._daemon.now() + stopping + seconds(self.settings, "delete_s")
        self._accept(machine["name"])
        self._wait(lambda: not self._state(machine))

    def start(self, key: str) -> None:
        """Start a machine; one that runs is left alone."""
        self._power(key, "running", "start_s")

    def stop(self, key: str) -> None:
        """Stop a machine; one that is being made is given up."""
        with self._daemon as daemon:
            machine = daemon.find(key)
            if self._daemon.state_of(machine) in ("creating", "provisioning"):
                machine["gone_at"] = self._daemon.now()
                return
        self._power(key, "stopped", "stop_s")

    def clone(self, source: str, name: str) -> None:
        """Copy a machine; the copy is stopped."""
        import shutil

        with refusing(), self._daemon as daemon:
            original = daemon.find(source)
            self._check_name(daemon, f"clone '{source}'", name)
            if self._daemon.state_of(original) not in _DONE:
                raise self._bad_transition(self._daemon.state_of(original), "cloning")  # (guess)
            born = self._daemon.now()
            made = daemon.state["made"] = daemon.state["made"] + 1
            copy = original.copy()
            copy.update({"id": new_id(self._daemon.wall()), "name": name, "number": made, "born": born})
            copy.update({"power": "stopped", "power_at": born, "create_s": 0.0, "setup_s": 0.0})
            inside = self._guest(original).root
            if os.path.isdir(inside):
                shutil.copytree(inside, self._guest(copy).root, symlinks=True)
            daemon.state["machines"][name] = copy
        self._accept(name)

    def rename(self, key: str, name: str) -> None:
        """Give a machine another name; its ID stays."""
        with self._daemon as daemon:
            machine = daemon.find(key)
            self._check_name(daemon, f"rename '{key}'", name)
            del daemon.state["machines"][machine["name"]]
            if daemon.state["default"] == machine["name"]:
                daemon.state["default"] = name
            machine["name"] = name
            daemon.state["machines"][name] = machine

    def set_user(self, key: str, user: str) -> None:
        """Make a user the default one of a machine."""
        with self._daemon as daemon:
            daemon.find(key)["user"] = user

    def run(self, key: str, argv: Sequence[str], *, user: str, workdir: str) -> int:
        """Run a command in the machine's folder; a stopped machine is started by that."""
        with self._daemon as daemon:
            machine = daemon.find(key)
            now = self._daemon.state_of(machine)
        if now in ("creating", "deleting"):
            raise oops(f"invalid transition from {now} to starting")
        if now != "provisioning":
            self.start(machine["name"])
            if running_for(machine, self._daemon.now()) < seconds(self.settings, "agent_s"):
                raise oops(FAILURES["agent"])
        return self._guest(machine).run(argv, user=user, workdir=workdir, environ=os.environ)

    def push(self, key: str, source: str, target: str) -> None:
        """Copy into a machine, running or not."""
        with self._daemon as daemon:
            guest = self._guest(daemon.find(key))
        guest.push(source, target)

    def pull(self, key: str, source: str, target: str) -> None:
        """Copy out of a machine, running or not."""
        with self._daemon as daemon:
            guest = self._guest(daemon.find(key))
        guest.pull(source, target)

    def default(self) -> str:
        """Return the machine that was set, else the oldest (guess)."""
        with self._daemon as daemon:
            machines = sorted(daemon.state["machines"].values(), key=lambda machine: machine["born"])
            return default_of(daemon.state, [machine["name"] for machine in machines])

    def set_default(self, key: str) -> None:
        """Set the default machine, or that there is none."""
        with self._daemon as daemon:
            daemon.state["default"] = daemon.find(key)["name"] if key else "none"

    def _strike(self, verb: str) -> None:
        """Fail if an error is set for the command; a machine whose delete fails is found stopped."""
        text = failure(self.settings, verb)
        with self._daemon as daemon:
            struck = daemon.strike(verb, text, self.settings.get("times", {}).get(verb))
            if struck and verb == "delete" and self._call.name in daemon.state["machines"]:
                daemon.state["machines"][self._call.name]["power"] = "stopped"
        if struck:
            raise oops(text)

    def _check_name(self, daemon: Daemon, what: str, name: str) -> None:
        ends = {name[:1], name[-1:]}
        if len(name) > 63 or not ends <= _LETTERS or not _LETTERS | {".", "-"} >= set(name):
            raise oops(f"{what}: invalid machine name")  # (guess)
        if name in daemon.state["machines"] or name in RESERVED:
            raise oops(f"{what}: machine already exists: '{name}'")

    def _new_machine(self, daemon: Daemon, order: Order) -> Machine:
        settings = self.settings
        version = canonical(order["distro"], order["version"])
        image = f"{order['distro']} {version or order['version']} {order['arch']} default"
        error = failure(settings, "create")
        if not daemon.strike("create", error, settings.get("times", {}).get("create")):
            error = ""
        if version == "":
            error = f"make rootfs: image not found: {{{image}}}"
        create_s = seconds(settings, "create_s")
        if image not in daemon.state["images"] and not error:
            daemon.state["images"].append(image)
            create_s += seconds(settings, "download_s")
        setup_s = seconds(settings, "provision_s")
        born = self._daemon.now()
        daemon.state["made"] += 1
        return {
            "id": new_id(self._daemon.wall()),
            "name": order["name"],
            "image": {
                "distro": order["distro"],
                "version": version or order["version"],
                "arch": order["arch"],
                "variant": "default",
            },
            "user": order["user"] or os.environ.get("USER", "user"),
            "limits": limits(order),
            "isolated": order["isolated"],
            "number": daemon.state["made"],
            "born": born,
            "create_s": create_s,
            "setup_s": setup_s,
            "error": error,
            "error_s": create_s if error.startswith("make rootfs") else create_s + setup_s,
            "leftover": bool(settings.get("leftover")),
            "power": "running",
            "power_at": 0.0,
            "gone_at": None,
            "again": False,
        }

    def _await(self, machine: Machine) -> None:
        """Wait until a machine is set up, as its create's client does."""
        name = machine["name"]
        self._wait(lambda: self._state(machine) not in ("creating", "provisioning") or self._failed(machine))
        if self._failed(machine):
            raise oops(f"create '{name}': {machine['error']}", nothing_made=not self._state(machine))
        if self._state(machine) in ("", "deleting"):
            raise oops(f"create '{name}': {FAILURES['canceled']}")

    def _failed(self, machine: Machine) -> bool:
        """Say whether a create came to its error; a machine that was rolled back is forgotten."""
        if not machine["error"]:
            return False
        with self._daemon as daemon:
            now = daemon.state["machines"].get(machine["name"])
        if now is None or now["id"] != machine["id"]:
            return True
        return now["gone_at"] is None and self._daemon.now() >= now["born"] + now["error_s"]

    def _accept(self, name: str = "") -> None:
        """Say that what was asked for will happen, once that is written down: who hears it may kill us."""
        self._call.log("accepted", name=name)
        self._call.come_to("accepted")

    def _state(self, machine: Machine) -> str:
        """Return the state of this very machine, whatever it is called by now."""
        with self._daemon as daemon:
            machines = daemon.state["machines"].values()
            return next((self._daemon.state_of(it) for it in machines if it["id"] == machine["id"]), "")

    def _power(self, key: str, power: str, duration: str) -> None:
        with self._daemon as daemon:
            machine = daemon.find(key)
            now = self._daemon.state_of(machine)
            if now in ("creating", "provisioning", "deleting"):
                raise self._bad_transition(now, "starting" if power == "running" else "stopping")
            changes = machine["power"] != power
            if changes:
                machine["power"] = power
                machine["power_at"] = daemon.now() + seconds(self.settings, duration)
        if changes:
            self._call.log("accepted", name=machine["name"])
        self._wait(lambda: self._state(machine) not in ("starting", "stopping"))

    def _bad_transition(self, before: str, after: str) -> Failure:
        word = "invalid" if release(self.settings) < (1,) else "cannot"
        return oops(f"{word} transition from {before} to {after}")

    def _guest(self, machine: Machine) -> Guest:
        return Guest(self._folder, machine["id"], machine["name"], machine["user"])

    def _wait(self, done: Callable[[], bool]) -> None:
        while not done():
            self._daemon.sleep(POLL_S)
