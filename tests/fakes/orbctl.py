#!/usr/bin/env -S python3 -I -S
# ruff: noqa: T201, PTH105, PTH112 - a command prints; and pathlib would cost a third of its start
"""A stand-in for OrbStack's `orbctl` 2.2, for tests; `orbctl` beside it is a link to this file.

What it says is what captured output of the real one says. Where nobody has seen that, it does something
plausible, marked (guess). The daemon outlives the client: what becomes of a machine is written down when
it is asked for, and then its state is a function of the clock alone, whoever was killed meanwhile.

The folder ORBCTL_SIM_DIR holds the state, under flock, and `faults.json`, which tests write. Its keys:
    create_s provision_s delete_s start_s   seconds that the daemon takes; 0 by default
    create_hangs       create's client never ends; the daemon makes the machine all the same
    create_error       text: creates fail with it after create_s, and are rolled back
    leftover           ... and are not rolled back: the machine stays in `creating`
    missing_ip         creates fail as they do once OrbStack has run out of network interfaces
    delete_creating    "refuse" (default) or "cancel": what a delete does to a machine that is being made
    delete_error       text: deletes fail with it, and the machine stays
    list_error         text: list fails with it
    cannot_start       the engine can't be started
    banner             "stdout" or "stderr": where the news of an update is printed
    indent             JSON is indented
    no_limits          an older release, without --cpus --memory --disk
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import time

TYPE_CHECKING = False  # typing itself would cost a third of the time that this takes to start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

DIR = os.environ.get("ORBCTL_SIM_DIR", "")
VERSION = "Version: 2.2.3 (2020300)\nCommit: c83556b0ef8f1ba9a33abbb194622b6b7a1c0307 (v2.2.3)"
MISSING_IP = "setup: machine didn't start in 30s (missing IP address)"
CANCELED = "setup: do initial setup: canceled by machine shutdown"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DISTROS = (
    *("alma", "alpine", "arch", "centos", "debian", "devuan", "fedora", "gentoo"),
    *("kali", "nixos", "openeuler", "opensuse", "oracle", "rocky", "ubuntu", "void"),
)
CODENAMES = {
    "ubuntu": {"22.04": "jammy", "24.04": "noble", "25.10": "questing"},
    "debian": {"12": "bookworm", "13": "trixie"},
}
FLAGS = {
    "status": "",
    "version": "",
    "create": "a:arch= u:user= c:user-data= cpus= memory= disk=",
    "list": "f:format= q:quiet r:running",
    "info": "f:format=",
    "delete": "f:force",
    "start": "",
    "stop": "",
    "run": "m:machine= u:user= w:workdir=",
}
GUEST_PROGRAMS = ("true", "false", "echo", "cat", "id", "pwd", "sh", "sleep")
PROMPT = """\
WARNING: This will PERMANENTLY DELETE ALL DATA in the following machines:
  {}
You cannot undo this action.

Continue [y/N]? """
BANNER = """
    ╭────────────────────────────────────────────────────────╮
    │               OrbStack update available!               │
    │              Run "orb update" to update.               │
    │   Updates include improvements, features, and fixes.   │
    ╰────────────────────────────────────────────────────────╯
"""


class Failure(Exception):
    """What the client prints before it ends with the status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class Daemon:
    """The state, ours alone inside a `with`; what is over by now is dropped."""

    machines: dict[str, Any]
    engine: dict[str, Any]
    made: int

    def __enter__(self) -> Daemon:
        self._lock = os.open(f"{DIR}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        state = read("state.json")
        self.engine = state.get("engine", {"up": True, "since": 0.0})
        self.made = state.get("made", 0)
        self.machines = {name: it for name, it in state.get("machines", {}).items() if state_of(it)}
        return self

    def __exit__(self, *_: object) -> None:
        state = {"engine": self.engine, "made": self.made, "machines": self.machines}
        with open(f"{DIR}/state.new", "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.replace(f"{DIR}/state.new", f"{DIR}/state.json")
        os.close(self._lock)

    def find(self, key: str) -> dict[str, Any]:
        """Return the machine of that name or ID."""
        for machine in self.machines.values():
            if key in (machine["name"], machine["id"]):
                found: dict[str, Any] = machine
                return found
        raise oops(f"machine not found: '{key}'")

    def engine_state(self) -> str:
        """Return what `status` says."""
        if not self.engine["up"]:
            return "Stopped"
        return "Running" if time.time() >= self.engine["since"] + FAULTS.get("start_s", 0) else "Starting"


def read(file: str) -> dict[str, Any]:
    """Return the object in one of the folder's files; an empty one if there is no such file."""
    try:
        with open(f"{DIR}/{file}", encoding="utf-8") as stream:
            found: dict[str, Any] = json.load(stream)
            return found
    except FileNotFoundError:
        return {}


def oops(text: str) -> Failure:
    """Return a failure as the daemon reports it."""
    return Failure(f"[-32098] {text}")


def state_of(machine: dict[str, Any]) -> str:
    """Return the machine's state by the clock; "" once it is gone."""
    now = time.time()
    age = now - machine["born"]
    if machine["gone_at"] is not None:
        return "deleting" if now < machine["gone_at"] else ""
    if age < machine["create_s"]:
        return "creating"
    if machine["error"]:
        return "creating" if machine["leftover"] else ""
    return "provisioning" if age < machine["create_s"] + machine["provision_s"] else machine["power"]


def new_id(now: float) -> str:
    """Return a ULID."""
    number = int(now * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def parse(verb: str, args: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Split flags from words as Go's pflag does; for `run` the first word ends the flags."""
    longs = {flag.rpartition(":")[2].rstrip("="): flag.endswith("=") for flag in FLAGS[verb].split()}
    shorts = {flag[0]: flag[2:].rstrip("=") for flag in FLAGS[verb].split() if flag[1:2] == ":"}
    if FAULTS.get("no_limits"):
        longs = {flag: takes for flag, takes in longs.items() if flag not in ("cpus", "memory", "disk")}
    options: dict[str, str] = {}
    left, words = list(args), list[str]()
    while left:
        word = left.pop(0)
        if not word.startswith("-") or word == "-":
            words.append(word)
            if verb == "run":
                return options, words + left
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name not in longs:
                raise Failure(f"Error: unknown flag: {word}")
            options[name] = left.pop(0) if longs[name] and not equals else value
        else:
            for at, letter in enumerate(word[1:], 2):
                if letter not in shorts:
                    raise Failure(f"Error: unknown shorthand flag: '{letter}' in {word}")
                name = shorts[letter]
                if longs[name]:
                    options[name] = word[at:] or left.pop(0)
                    break
                options[name] = ""
    return options, words


def status(options: dict[str, str], words: list[str]) -> int:
    with Daemon() as daemon:
        said = daemon.engine_state()
    print(said)
    return ("Running", "Stopped", "Starting").index(said)


def version(options: dict[str, str], words: list[str]) -> int:
    print(VERSION)
    return 0


def new_machine(name: str, image: dict[str, str], error: str, *, user: str, number: int) -> dict[str, Any]:
    """Write down all that is to become of a machine."""
    born = time.time()
    return {
        "id": new_id(born),
        "name": name,
        "image": image,
        "user": user,
        "ip": f"192.168.139.{2 + number % 250}",
        "power": "running",
        "born": born,
        "gone_at": None,
        "create_s": FAULTS.get("create_s", 0),
        "provision_s": FAULTS.get("provision_s", 0),
        "error": error,
        "leftover": bool(FAULTS.get("leftover")),
    }


def create(options: dict[str, str], words: list[str]) -> int:
    distro, _, asked = (words[0] if words else "").partition(":")
    name = words[1] if len(words) > 1 else distro
    arch = options.get("arch", "arm64")
    codenames = CODENAMES.get(distro, {asked: asked or "current"})
    codename = codenames.get(asked or [*codenames][-1], asked)
    error = FAULTS.get("create_error") or (MISSING_IP if FAULTS.get("missing_ip") else "")
    if codename not in codenames.values():
        error = f"make rootfs: image not found: {{{distro} {codename} {arch} default}}"
    with Daemon() as daemon:
        if distro not in DISTROS or arch not in ("arm64", "amd64"):
            raise oops(f"create '{name}': unsupported distro or architecture")  # (guess)
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", name):
            raise oops(f"create '{name}': invalid machine name")  # (guess)
        if name in daemon.machines or name in ("docker", "k8s"):
            raise oops(f"create '{name}': machine already exists: '{name}'")
        image = {"distro": distro, "version": codename, "arch": arch, "variant": "default"}
        daemon.made += 1
        machine = new_machine(name, image, error, user=options.get("user", "vh"), number=daemon.made)
        daemon.machines[name] = machine
    while FAULTS.get("create_hangs"):
        time.sleep(60)
    time.sleep(machine["create_s"])
    if error:
        raise oops(f"create '{name}': {error}")
    while True:
        with Daemon() as daemon:
            now = daemon.machines.get(name)
            if now is None or now["id"] != machine["id"] or now["gone_at"] is not None:
                raise oops(f"create '{name}': {CANCELED}")
            if state_of(now) in ("running", "stopped"):
                return 0
        time.sleep(0.02)


def record(machine: dict[str, Any]) -> dict[str, Any]:
    """Return what `list` says of a machine."""
    return {
        "id": machine["id"],
        "name": machine["name"],
        "image": machine["image"],
        "config": {"isolated": False, "default_username": machine["user"]},
        "builtin": False,
        "state": state_of(machine),
    }


def details(machine: dict[str, Any]) -> dict[str, Any]:
    """Return what `info` says of a machine."""
    found: dict[str, Any] = {"record": record(machine), "disk_size": 683962368}
    more = {"forward_ssh_agent": True, "isolate_network": False, "http_port": 0, "https_port": 0}
    found["record"]["config"].update(more)
    if found["record"]["state"] == "running":
        found |= {"ip4": machine["ip"], "ip6": "fd07:b51a:cc66:0:ac8c:31ff:fe6b:b491"}
    return found


def write_json(value: object) -> None:
    indent = 2 if FAULTS.get("indent") else None
    print(json.dumps(value, indent=indent, separators=None if indent else (",", ":")))


def list_(options: dict[str, str], words: list[str]) -> int:
    if FAULTS.get("list_error"):
        raise oops(FAULTS["list_error"])
    with Daemon() as daemon:
        records = [record(machine) for _, machine in sorted(daemon.machines.items())]
    if "running" in options:
        records = [found for found in records if found["state"] == "running"]
    if options.get("format") == "json":
        write_json(records)
    else:
        # The table for people isn't needed here: names alone, as --quiet prints them.
        print("".join(f"{found['name']}\n" for found in records), end="")
    return 0


def info(options: dict[str, str], words: list[str]) -> int:
    with Daemon() as daemon:
        write_json(details(daemon.find(words[0])))
    return 0


def delete(options: dict[str, str], words: list[str]) -> int:
    if "force" not in options:
        print(PROMPT.format("\n  ".join(words)), end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() != "y":
            return 1
    for name in words:
        with Daemon() as daemon:
            machine = daemon.find(name)
            now = state_of(machine)
            if name == machine["id"]:
                panic = "panic: runtime error: invalid memory address or nil pointer dereference"
                raise Failure(f"{panic}\n\tscon/cmd/scli/cmd/delete.go:141", 2)
            refuses = FAULTS.get("delete_creating", "refuse") == "refuse"
            if now == "deleting" or (now in ("creating", "provisioning") and refuses):
                raise oops(f"cannot transition from {now} to deleting")
            if FAULTS.get("delete_error"):
                raise oops(FAULTS["delete_error"])
            machine["gone_at"] = time.time() + FAULTS.get("delete_s", 0)
        time.sleep(FAULTS.get("delete_s", 0))
    return 0


def start(options: dict[str, str], words: list[str]) -> int:
    with Daemon() as daemon:
        for name in words:
            daemon.find(name)["power"] = "running"
    return 0


def stop(options: dict[str, str], words: list[str]) -> int:
    with Daemon() as daemon:
        for machine in [daemon.find(name) for name in words] or daemon.machines.values():
            # One that is still being made is given up.
            done = state_of(machine) in ("running", "stopped")
            machine["power"], machine["gone_at"] = "stopped", None if done else time.time()
        daemon.engine["up"] = bool(words)
    return 0


def run(options: dict[str, str], words: list[str]) -> int:
    with Daemon() as daemon:
        machine = daemon.find(options.get("machine") or min(daemon.machines, default=""))
        if state_of(machine) in ("creating", "deleting"):
            raise oops(f"invalid transition from {state_of(machine)} to starting")
        machine["power"] = "running"
    if words == ["whoami"]:
        print(options.get("user", machine["user"]))
        return 0
    if words[0] not in GUEST_PROGRAMS:
        raise Failure(f"bash: line 1: {words[0]}: command not found", 127)
    if options.get("workdir"):
        os.chdir(options["workdir"])
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "USER": machine["user"]}
    guest = os.posix_spawnp(words[0], words, environ)
    code = os.waitstatus_to_exitcode(os.waitpid(guest, 0)[1])
    return code if code >= 0 else 128 - code


COMMANDS = {
    "status": status,
    "version": version,
    "create": create,
    "list": list_,
    "info": info,
    "delete": delete,
    "start": start,
    "stop": stop,
    "run": run,
}


def main(argv: Sequence[str]) -> int:
    verb = argv[0] if argv else ""
    if verb not in COMMANDS:
        raise Failure(f'Error: unknown command "{verb}" for "orbctl"')
    options, words = parse(verb, argv[1:])
    if verb not in ("status", "version", "stop"):  # that reading starts it too, is a (guess)
        with Daemon() as daemon:
            if not daemon.engine["up"] and FAULTS.get("cannot_start"):
                raise oops("timed out waiting for services to start")
            if not daemon.engine["up"]:
                daemon.engine = {"up": True, "since": time.time()}
    banner: dict[str, TextIO] = {"stdout": sys.stdout, "stderr": sys.stderr}
    if FAULTS.get("banner"):
        print(BANNER, file=banner[FAULTS["banner"]], flush=True)
    return COMMANDS[verb](options, words)


if __name__ == "__main__":
    if not os.path.isdir(DIR):
        sys.exit(f"orbctl (simulator): ORBCTL_SIM_DIR is no folder: {DIR!r}")
    FAULTS = read("faults.json")
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(failure, file=sys.stderr)
        sys.exit(failure.status)
