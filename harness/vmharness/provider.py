"""The interface between the framework and an engine: four verbs, two facts, and capabilities.

This module knows no engine and no plugin. A backend is an installable plugin whose entry point in the
namespace ``vmharness.backends`` is a callable::

    def connect(endpoint: str | None = None) -> Provider: ...

`None` means the engine that the environment names by default; a text is what an earlier provider's
`endpoint` said, and opens that same engine whatever the environment says now. Connecting asks the
engine nothing and starts nothing. It raises `EngineUnavailable` if what it needs isn't installed.

A provider keeps no state: the truth is in the engine. Its methods are called from several threads at
once. The process that calls them is a test suite's: they change neither its working directory nor its
umask, nor what it does about signals. More than the four verbs is a capability: a Protocol of its own
that the framework asks for with `isinstance`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from vmharness._model import (
    LABEL_EXPIRES,
    LABEL_HOST,
    LABEL_NAME,
    LABEL_SESSION,
    LABEL_TEST,
    LABEL_TOKEN,
    CommandResult,
    Front,
    Kind,
    MachineInfo,
    MachineState,
    Spec,
)

__all__ = [
    "LABEL_EXPIRES",
    "LABEL_HOST",
    "LABEL_NAME",
    "LABEL_SESSION",
    "LABEL_TEST",
    "LABEL_TOKEN",
    "AutoChosen",
    "Clones",
    "CommandResult",
    "Connect",
    "CopiesFiles",
    "Describes",
    "Front",
    "Fronts",
    "Inspects",
    "Kind",
    "ListsImages",
    "MachineInfo",
    "MachineState",
    "Provider",
    "RecognisesCreate",
    "Renames",
    "RunsCommands",
    "Settles",
    "ShowsDelete",
    "Spec",
    "StartsAndStops",
    "TakesLabels",
]


@runtime_checkable
class Provider(Protocol):
    """Machines of one engine."""

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """Say which engine this is (socket, remote, project), in a stable text without secrets.

        Two providers with the same endpoint list the same machines. `connect(endpoint)` opens it again.
        """

    @abstractmethod
    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a machine, and return once it can be used.

        Args:
            spec: What is asked for. Its name is used unchanged; its labels are on the machine from the start.
            timeout: Seconds until the deadline.

        Returns:
            What the engine says of the new machine; its state is RUNNING.

        Raises:
            NameTaken: A machine of that name was there before; it is untouched.
            CreateFailed: Surely no machine was or will be made; also when the engine could not be
                reached at all, or when what the spec asks for is not supported.
            CreateUnsettled: Nobody knows whether a machine was or will be made. Anything else that is
                raised, KeyboardInterrupt included, is understood in the same way.
            CreateTimeout: As before; the deadline has passed.
        """

    @abstractmethod
    def list(self) -> Sequence[MachineInfo]:
        """Return all of the engine's machines, strangers' and stopped ones too.

        May be repeated; changes nothing, and never starts a stopped engine.

        Raises:
            EngineUnavailable: The engine gave no complete answer. A partial one is never returned.
        """

    @abstractmethod
    def delete(self, name: str, *, timeout: float) -> None:
        """Delete the machine, running or not; on return it is gone. An absent one is a success.

        May be repeated.

        Args:
            name: Name of the machine; one that the engine could never have is absent.
            timeout: Seconds until the deadline.

        Raises:
            Busy: The engine refuses for now; nothing was changed, and it may be tried again.
            DeleteFailed: The machine may still be there.
            EngineUnavailable: The engine didn't answer; the machine may still be there.
        """

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Say whether a machine of that name is there, in any state; False only if it is surely absent.

        Raises:
            EngineUnavailable: It is not known.
        """


class Connect(Protocol):
    """The entry point of a backend."""

    def __call__(self, endpoint: str | None = None) -> Provider:
        """Open the engine at that endpoint, or the environment's default one."""
        ...


@runtime_checkable
class TakesLabels(Protocol):
    """Capability: labels are put on a machine in the create call, and listed with it."""

    @property
    @abstractmethod
    def label_length(self) -> int:
        """The longest value of a label, in characters."""


@runtime_checkable
class Settles(Protocol):
    """Capability: the backend knows for how long after its deadline a create may still bring a machine."""

    @property
    @abstractmethod
    def settle_s(self) -> float:
        """Seconds; 120 is assumed for backends that don't say."""


@runtime_checkable
class AutoChosen(Protocol):
    """Capability: the backend may be taken when none is set and its engine answers."""

    @property
    @abstractmethod
    def auto_rank(self) -> int:
        """The lowest that answers is taken. Ours have 10 (the user's own desktop) to 40."""


@runtime_checkable
class Describes(Protocol):
    """Capability: the engine has a name and a version to show."""

    @abstractmethod
    def describe(self) -> str:
        """Return the engine's name and version in a few words, or raise EngineUnavailable."""


@runtime_checkable
class Inspects(Protocol):
    """Capability: one machine in more detail than a listing gives, its exact time of creation above all."""

    @abstractmethod
    def inspect(self, name: str) -> MachineInfo | None:
        """Return the machine, or None if it is surely absent; raise EngineUnavailable if it is not known."""


@runtime_checkable
class ListsImages(Protocol):
    """Capability: the images that the engine has at hand."""

    @abstractmethod
    def images(self) -> Sequence[str]:
        """Return the names of images that a create can use without a download."""


@runtime_checkable
class ShowsDelete(Protocol):
    """Capability: the engine's own command that deletes a machine, for a person to run."""

    @abstractmethod
    def delete_argv(self, name: str) -> Sequence[str]:
        """Return the words of the command; nothing is run."""


@runtime_checkable
class RunsCommands(Protocol):
    """Capability: commands can be run in a machine."""

    @abstractmethod
    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        timeout: float,
        input: bytes | None = None,
        user: str = "",
        cwd: str = "",
    ) -> CommandResult:
        """Run a command in the machine, without a shell, and wait for its end.

        Args:
            name: Name of the machine.
            argv: The program and its arguments.
            timeout: Seconds until the deadline.
            input: Bytes for its standard input; None = empty.
            user: User to run as; "" = the machine's default.
            cwd: Working directory; "" = the machine's default.

        Returns:
            Exit status and output; a status other than 0 doesn't raise.

        Raises:
            ProviderError: The command could not be started, or its outcome is not known.
            TimeoutError: The deadline passed; the command may still be running in the machine.
        """
        ...


@runtime_checkable
class Fronts(Protocol):
    """Capability: the engine has commands of its own, whose creates can be recorded before they run.

    A command's reader is a file of Python that imports nothing but the standard library, and as little of
    that as possible: every call of the command loads it. It has these functions, of the command's arguments::

        recognise_create(args: list[str]) -> str | None
            The name of the machine that will be there; "" = the engine makes one up; None = no create.
        elsewhere(args: list[str], endpoint: str) -> str
            Why this create can't be recorded, as it is of another engine; "" = it can.
        with_name(args: list[str], name: str) -> tuple[list[str], str]
            The arguments of a create without a name, with this one; what to print first in the command's
            stead, which would have said the name.
        with_labels(args: list[str], labels: dict[str, str]) -> list[str]
            The arguments of a create, with these labels; not called where the provider takes no labels.
        with_receipt(args: list[str], path: str) -> tuple[list[str], bool]    (need not be there)
            The arguments of a create that makes the file `path` before it asks the engine, writes to it once
            the machine was made, and takes it away if surely none was; and whether it may do so. A file that
            stays empty says nothing.
        follows(args: list[str]) -> bool    (need not be there)
            Whether the machine that this create names is there already by another name, and is renamed; asked
            only where the provider takes no labels.
        recognise_delete(args: list[str]) -> list[str]
            What the command calls the machines that may be gone after it; none = no delete.
        look_args() -> list[str]
            Arguments with which the command lists all machines.
        seen(output: str, words: list[str]) -> list[str]
            The names of those machines in that listing which the words mean.

    What a reader doesn't understand it leaves alone: a create that isn't recognised runs as it would have.
    """

    @abstractmethod
    def fronts(self) -> Sequence[Front]:
        """Return the commands that ask this provider's engine, whether they are installed or not."""


@runtime_checkable
class CopiesFiles(Protocol):
    """Capability: files can be copied into a machine and out of it."""

    @abstractmethod
    def push(self, name: str, source: str, target: str, *, timeout: float) -> None:
        """Copy a file of the host into a machine; one that is there is replaced.

        Args:
            name: Name of the machine.
            source: Path of the file on the host.
            target: Absolute path of the file in the machine; its folder must be there.
            timeout: Seconds until the deadline.

        Raises:
            ProviderError: It was not copied, or not wholly.
            TimeoutError: The deadline passed; some of the file may be there.
        """

    @abstractmethod
    def pull(self, name: str, source: str, target: str, *, timeout: float) -> None:
        """Copy a file of a machine to the host; one that is there is replaced.

        Args:
            name: Name of the machine.
            source: Absolute path of the file in the machine.
            target: Path of the file on the host; its folder must be there.
            timeout: Seconds until the deadline.

        Raises:
            ProviderError: It was not copied, or not wholly.
            TimeoutError: The deadline passed; some of the file may be there.
        """


@runtime_checkable
class StartsAndStops(Protocol):
    """Capability: a machine can be stopped, and started again."""

    @abstractmethod
    def start(self, name: str, *, timeout: float) -> None:
        """Start a machine, and return once it runs. One that runs is left alone.

        Args:
            name: Name of the machine.
            timeout: Seconds until the deadline.

        Raises:
            ProviderError: It may not run.
            TimeoutError: The deadline passed.
        """

    @abstractmethod
    def stop(self, name: str, *, timeout: float) -> None:
        """Stop a machine, and return once it is stopped. One that is stopped is left alone.

        Args:
            name: Name of the machine.
            timeout: Seconds until the deadline.

        Raises:
            ProviderError: It may still run.
            TimeoutError: The deadline passed.
        """


@runtime_checkable
class Clones(Protocol):
    """Capability: a machine can be made as a copy of another one."""

    @abstractmethod
    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a copy of a machine, and return once it can be used. The source is left as it was.

        Args:
            source: Name of the machine to copy.
            spec: Name and labels of the copy; all else is as in the source.
            timeout: Seconds until the deadline.

        Returns:
            What the engine says of the copy; its state is RUNNING.

        Raises:
            NameTaken, CreateFailed, CreateUnsettled, CreateTimeout: As `Provider.create`.
        """


@runtime_checkable
class Renames(Protocol):
    """Capability: a machine can get another name.

    A session never uses it: its ledger knows a machine by the name that it was created under.
    """

    @abstractmethod
    def rename(self, name: str, new: str, *, timeout: float) -> None:
        """Give a machine another name; one that runs may stop for it, and runs again on return.

        Args:
            name: Its name.
            new: The name that it gets.
            timeout: Seconds until the deadline.

        Raises:
            NameTaken: There is a machine of the new name; nothing was changed.
            ProviderError: It may have either name, and may be stopped.
            TimeoutError: The deadline passed; likewise.
        """


@runtime_checkable
class RecognisesCreate(Protocol):
    """Capability: a command line that makes a machine is known for what it is."""

    @abstractmethod
    def recognise(self, argv: Sequence[str]) -> str | None:
        """Return the name of the machine that a command would make; nothing is run.

        Args:
            argv: Words of the command; the first is the program, by its name or path.

        Returns:
            The name; "" if it can't be read off, as one that the engine makes up; None if the command makes
            no machine.
        """
