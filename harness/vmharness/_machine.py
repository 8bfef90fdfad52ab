"""What a test holds: one machine. It knows no ledger and no engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from vmharness._model import CommandResult, MachineInfo, Record
from vmharness.errors import NotSupported
from vmharness.provider import Inspects, Provider, RunsCommands

__all__ = ["Machine"]


class Machine:
    """A running machine. Made by `Session.create`.

    Attributes:
        name: Its name on the engine.
        image: Its image, in the engine's own words where the engine says.
        backend: Name of the backend that made it.
        record: Its entry in the ledger, as it was when the create returned.
    """

    def __init__(
        self,
        info: MachineInfo,
        record: Record,
        provider: Provider,
        *,
        user: str = "",
        delete: Callable[[Record], None],
    ) -> None:
        self.name: Final[str] = info.name
        self.image: Final[str] = info.image or record.image
        self.backend: Final[str] = record.backend
        self.record: Final[Record] = record
        self._address = info.address
        self._provider = provider
        self._user = user
        self._delete = delete

    def __repr__(self) -> str:
        return f"<Machine {self.name} of {self.backend}>"

    @property
    def address(self) -> str:
        """An IP address of the machine that the host can reach; "" if it has none.

        Raises:
            EngineUnavailable: The engine was asked and didn't answer.
        """
        if not self._address and isinstance(self._provider, Inspects):
            info = self._provider.inspect(self.name)
            self._address = info.address if info else ""
        return self._address

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60.0,
        input: bytes | None = None,
        user: str = "",
        cwd: str = "",
    ) -> CommandResult:
        """Run a command in the machine, without a shell, and wait for its end.

        Args:
            argv: The program and its arguments.
            timeout: Seconds until the deadline.
            input: Bytes for its standard input; None = empty.
            user: User to run as; "" = the one that the machine was asked with.
            cwd: Working directory; "" = the machine's default.

        Returns:
            Exit status and output; a status other than 0 doesn't raise.

        Raises:
            NotSupported: The backend can't run commands.
            ProviderError: The command could not be started, or its outcome is not known.
            TimeoutError: The deadline passed; the command may still be running in the machine.
        """
        if isinstance(argv, str):
            raise TypeError(
                f"cannot run {argv!r}: argv is a sequence of words; there is no shell to split it"
            )
        if not isinstance(self._provider, RunsCommands):
            raise NotSupported(
                f"cannot run a command in {self.name!r}: backend {self.backend!r} can't",
                backend=self.backend,
                machine=self.name,
            )
        return self._provider.run(
            self.name, argv, timeout=timeout, input=input, user=user or self._user, cwd=cwd
        )

    def delete(self) -> None:
        """Delete the machine now. May be repeated, and called from threads.

        Raises:
            CleanupFailed: It could not be deleted; it is tried again at the session's end.
        """
        self._delete(self.record)
