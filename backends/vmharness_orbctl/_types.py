"""The shapes that the parts exchange, for type checkers alone: it is never imported when the command runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NotRequired, Protocol, Self, TypedDict

__all__ = ["Engine", "Image", "Machine", "Memory", "Order", "Settings", "State"]

Settings = Mapping[str, Any]


class Image(TypedDict):
    """What `list` says of a machine's image."""

    distro: str
    version: str
    arch: str
    variant: str


class Order(TypedDict):
    """What a create asks for; limits are as they were typed, "" where nothing was."""

    name: str
    distro: str
    version: str
    arch: str
    user: str
    user_data: str
    cpus: str
    memory: str
    disk: str
    isolated: bool


class Machine(TypedDict):
    """All that is to become of a simulated machine. Times are seconds since the epoch.

    `error` strikes once `error_s` have passed since `born`. `power_at` is when `power` is reached, and
    `gone_at` when a delete has ended. `again`: it is started when OrbStack is.
    """

    id: str
    name: str
    image: Image
    user: str
    limits: dict[str, int]
    isolated: bool
    number: int
    born: float
    create_s: float
    setup_s: float
    error: str
    error_s: float
    leftover: bool
    power: str
    power_at: float
    gone_at: float | None
    again: bool


class State(TypedDict):
    """What the simulated daemon remembers. `struck` counts how often each error was given.

    Over another backend only `default` and `config` are used.
    """

    up: bool
    up_at: float
    made: int
    default: str
    struck: dict[str, int]
    images: list[str]
    machines: dict[str, Machine]
    config: NotRequired[dict[str, str]]


class Memory(Protocol):
    """What remembers from one command to the next; ours alone inside a `with`."""

    state: State

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Engine(Protocol):
    """What the command needs of whatever makes the machines. Each method raises Failure in orbctl's words."""

    @property
    def settings(self) -> Settings:
        """The settings of the folder."""
        ...

    @property
    def memory(self) -> Memory:
        """What remembers OrbStack's own settings."""
        ...

    def begin(self, verb: str, *, starts: bool) -> None:
        """Be there for a command; `starts`: it is one that starts a stopped OrbStack."""
        ...

    def status(self) -> str:
        """Return `Running`, `Stopped` or `Starting`."""
        ...

    def create(self, order: Order) -> None:
        """Make a machine, and return once it is set up."""
        ...

    def records(self) -> Sequence[Mapping[str, Any]]:
        """Return what `list` says of each machine, and its size and addresses as `info` does."""
        ...

    def details(self, key: str) -> Mapping[str, Any]:
        """Return what `info` says of the machine with that name or ID."""
        ...

    def delete(self, key: str) -> None:
        """Delete a machine."""
        ...

    def start(self, key: str) -> None:
        """Start a machine."""
        ...

    def stop(self, key: str) -> None:
        """Stop a machine."""
        ...

    def start_engine(self) -> None:
        """Start OrbStack itself."""
        ...

    def stop_engine(self) -> None:
        """Stop OrbStack itself."""
        ...

    def clone(self, source: str, name: str) -> None:
        """Make a stopped copy of a machine."""
        ...

    def rename(self, key: str, name: str) -> None:
        """Give a machine another name."""
        ...

    def set_user(self, key: str, user: str) -> None:
        """Make a user the default one of a machine."""
        ...

    def run(self, key: str, argv: Sequence[str], *, user: str, workdir: str) -> int:
        """Run a command in a machine, with our own standard streams; return its exit status."""
        ...

    def push(self, key: str, source: str, target: str) -> None:
        """Copy a file or folder into a machine."""
        ...

    def pull(self, key: str, source: str, target: str) -> None:
        """Copy a file or folder out of a machine."""
        ...

    def default(self) -> str:
        """Return the default machine's name, or ""."""
        ...

    def set_default(self, key: str) -> None:
        """Make a machine the default one; "" = none."""
        ...
