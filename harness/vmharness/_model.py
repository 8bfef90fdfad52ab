"""The frozen values that all parts exchange; it knows no engine, no file and no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "LABEL_EXPIRES",
    "LABEL_HOST",
    "LABEL_NAME",
    "LABEL_SESSION",
    "LABEL_TEST",
    "LABEL_TOKEN",
    "CommandResult",
    "Front",
    "Kind",
    "MachineInfo",
    "MachineState",
    "Record",
    "Spec",
    "State",
]

# The final label set. On engines whose keys have a fixed prefix, the backend puts it in front.
LABEL_TOKEN = "vmharness.token"  # noqa: S105 - a label's key, no secret
LABEL_SESSION = "vmharness.session"
LABEL_HOST = "vmharness.host"
LABEL_EXPIRES = "vmharness.expires"
LABEL_TEST = "vmharness.test"
LABEL_NAME = "vmharness.name"


class Kind(StrEnum):
    """What kind of machine is asked for. ANY: what the engine makes best."""

    ANY = "any"
    CONTAINER = "container"
    VM = "vm"


class MachineState(StrEnum):
    """What an engine says that a machine is doing. OTHER: any state that has no name here."""

    CREATING = "creating"
    RUNNING = "running"
    STOPPED = "stopped"
    DELETING = "deleting"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is asked for.

    Attributes:
        name: Name of the machine, unique on its engine.
        image: Name of the image, as `ubuntu:24.04` or in the engine's own form; "" = the backend's default.
        cpus: Number of processors; None = the engine's default.
        memory: Memory in bytes; None = the engine's default.
        disk: Root disk in bytes; None = the engine's default.
        arch: Processor architecture, as `arm64` or `amd64`; "" = the host's.
        user: User that commands run as by default; "" = the engine's default.
        user_data: Text for cloud-init; "" = none.
        kind: Virtual machine, system container, or whichever the engine makes best.
        labels: Labels to put on the machine in the create call itself.
    """

    name: str
    image: str = ""
    cpus: int | None = None
    memory: int | None = None
    disk: int | None = None
    arch: str = ""
    user: str = ""
    user_data: str = ""
    kind: Kind = Kind.ANY
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineInfo:
    """What an engine says of one machine.

    Attributes:
        name: Name of the machine.
        state: What it is doing.
        image: Its image in the engine's own words; "" if the engine doesn't say.
        created_at: Time of its creation by the engine's clock, seconds since the epoch; None if unknown.
        created_resolution: How coarse `created_at` is, in seconds: it was made in
            `created_at` up to `created_at + created_resolution`.
        labels: Its labels; None on engines that have none.
        address: An IP address that the host can reach, or "".
    """

    name: str
    state: MachineState
    image: str = ""
    created_at: float | None = None
    created_resolution: float = 0.0
    labels: Mapping[str, str] | None = None
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What a command in a machine did: its exit status, and what it wrote, decoded as UTF-8."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One of an engine's own commands, by which others make machines.

    Attributes:
        program: Its name on PATH.
        reader: Path of the module that understands its arguments; see `vmharness.provider.Fronts`.
        variables: The environment's variables that choose which engine it asks.
    """

    program: str
    reader: str
    variables: tuple[str, ...] = ()


class State(StrEnum):
    """Where a recorded machine is in its life.

    WANTED: recorded, engine not asked yet or not heard of. RUNNING: made. MAYBE: the outcome is
    unknown. KEPT: stays on purpose. DOOMED: may go now. STUCK: could not be deleted. GONE: settled.
    """

    WANTED = "wanted"
    RUNNING = "running"
    MAYBE = "maybe"
    KEPT = "kept"
    DOOMED = "doomed"
    STUCK = "stuck"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A ledger line: all that another process needs to find, recognise and delete the machine.

    Attributes:
        id: Random; tells the records of one ledger apart, also when a name is used again.
        name: Name of the machine.
        backend: Name of the backend's entry point.
        endpoint: Which engine; only a listing of this one proves that the machine is gone.
        token: Random, in the machine's label; "" = no labels: ours only if created in wanted_at..deadline.
        deadline: Seconds, wall clock: the create's own deadline plus the backend's settling time.
        scope: At whose end it goes: "" the session, "tests/a.py", "tests/a.py::test_x", "pool".
        state: Where it is in its life.
        wanted_at: Seconds, wall clock: from when on a machine of that name is ours.
        at: Seconds, wall clock: time of this change.
        tracked: Whether others make or made it; session.create did not.
        image: What was asked for.
        error: Why it is in this state, in words; "" if nothing went wrong.
    """

    id: str
    name: str
    backend: str
    endpoint: str
    token: str
    deadline: float
    scope: str
    state: State
    wanted_at: float
    at: float
    tracked: bool = False
    image: str = ""
    error: str = ""
