"""The four verbs and the capabilities of Incus and LXD; it knows no argument of their commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vmharness.provider import (
    AutoChosen,
    Clones,
    CommandResult,
    Describes,
    Front,
    Fronts,
    Inspects,
    ListsImages,
    MachineInfo,
    Provider,
    Renames,
    RunsCommands,
    Settles,
    ShowsDelete,
    Spec,
    StartsAndStops,
    TakesLabels,
)
from vmharness_incus._cli import Client
from vmharness_incus._clone import Clone
from vmharness_incus._create import Create
from vmharness_incus._delete import delete
from vmharness_incus._endpoint import INCUS
from vmharness_incus._exec import Execution
from vmharness_incus._machine import NAME
from vmharness_incus._power import power
from vmharness_incus._rename import rename

__all__ = ["IncusProvider"]

_QUERY_S: Final = 30.0


class IncusProvider(
    Provider,
    TakesLabels,
    Settles,
    AutoChosen,
    Describes,
    Fronts,
    Inspects,
    ListsImages,
    ShowsDelete,
    RunsCommands,
    StartsAndStops,
    Clones,
    Renames,
):
    """Instances of one project of an Incus or LXD. Keeps no state; may be used from several threads.

    Args:
        client: The engine's command line.
        stands_in: Whether this isn't the engine that the backend is called after.
        clock: Returns seconds that never go back.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        client: Client,
        *,
        stands_in: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._stands_in = stands_in
        self._clock = clock
        self._sleep = sleep

    @property
    def endpoint(self) -> str:
        """Engine, remote and project, and where the environment said that they are."""
        return str(self._client.endpoint)

    @property
    def label_length(self) -> int:
        """The longest value of a label; the engine has no limit, a command's argument one of 128 KiB."""
        return 4096

    @property
    def settle_s(self) -> float:
        """Seconds for which the engine may go on with a create whose client is gone.

        With an image at hand the last of 24 creates at once was listed 0.8 s later. But an image that isn't
        there is downloaded first, by the engine, which goes on without its client: that takes minutes.
        """
        return 300.0

    @property
    def auto_rank(self) -> int:
        """Incus before LXD; an engine under the other one's name after both."""
        return 35 if self._stands_in else 20 if self._client.endpoint.engine is INCUS else 30

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a system container or a virtual machine that runs, and has run a trial command.

        An empty label counts as none there. The spec's user isn't kept: commands run as root by default.
        """
        return Create(self._client, spec, timeout, clock=self._clock, sleep=self._sleep).run()

    def list(self) -> Sequence[MachineInfo]:
        """Return all instances of the project, without their addresses."""
        return self._client.machines(timeout=_QUERY_S)

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete the machine, running or not; wait while the engine is busy with it."""
        if NAME.fullmatch(name):
            delete(self._client, name, timeout, clock=self._clock, sleep=self._sleep)

    def exists(self, name: str) -> bool:
        """Say whether an instance of that name is there, in any state."""
        return bool(NAME.fullmatch(name)) and self._client.machine(name, timeout=_QUERY_S) is not None

    def inspect(self, name: str) -> MachineInfo | None:
        """Return the machine with its address."""
        return self._client.machine(name, timeout=_QUERY_S) if NAME.fullmatch(name) else None

    def describe(self) -> str:
        """Return the engine's name and version, and whether it is a cluster."""
        client = self._client
        server = client.ask("", "ask for the engine's version", timeout=_QUERY_S)["environment"]
        words = f"{client.endpoint.engine.title} {server['server_version']}"
        words += ", a cluster" if server.get("server_clustered") else ""
        return words + (f" (in place of {client.backend}, which isn't here)" if self._stands_in else "")

    def images(self) -> Sequence[str]:
        """Return the aliases of the engine's images."""
        return self._client.aliases(timeout=_QUERY_S)

    def delete_argv(self, name: str) -> Sequence[str]:
        """Return the command that deletes the machine, in whatever shell it is run."""
        return self._client.delete_argv(name)

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a running copy of a machine, which needn't stop for it."""
        return Clone(self._client, source, spec, timeout, clock=self._clock, sleep=self._sleep).run()

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        """Give the machine another name; it is switched off for that, and started again."""
        rename(self._client, name, new, timeout, clock=self._clock)

    def start(self, name: str, *, timeout: float) -> None:
        """Start the machine; one that runs is left alone."""
        power(self._client, "start", name, timeout, clock=self._clock)

    def stop(self, name: str, *, timeout: float) -> None:
        """Stop the machine at once, as if it were switched off."""
        power(self._client, "stop", name, timeout, clock=self._clock)

    def fronts(self) -> Sequence[Front]:
        """Return the engine's command."""
        engine = self._client.endpoint.engine
        return [
            Front(
                program=engine.program,
                reader=str(Path(__file__).with_name("_front.py")),
                variables=engine.variables,
            )
        ]

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
        """Run a command in the machine, as root by default, with a `sh` of the machine's in between.

        At the deadline it is ended, with what it started, if the machine has `grep` as well.
        """
        execution = Execution(self._client, name, argv, ends=self._clock() + timeout, clock=self._clock)
        if not NAME.fullmatch(name):
            raise execution.failed("there is no such machine")
        try:
            return execution.run(user=user, cwd=cwd, input=input)
        except TimeoutError as exc:
            raise TimeoutError(f"cannot {execution.what} within {timeout:.3g} s") from exc
