"""The four verbs and the capabilities of Docker; it knows the engine's API only as others here speak it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vmharness.errors import Busy, EngineUnavailable, NameTaken, ProviderError
from vmharness.provider import (
    AutoChosen,
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
from vmharness_docker import _exec
from vmharness_docker._create import create, image_names
from vmharness_docker._endpoint import DEFAULT_URL, Endpoint
from vmharness_docker._errors import BACKEND, Doing, is_timeout, status_of, translate
from vmharness_docker._machine import find, inspected, listed
from vmharness_docker._open import Engine, Open, Opener

__all__ = ["DockerProvider"]

_QUERY_S: Final = 30.0
_PAUSE_S: Final = 0.1
# Between the two signals by which a container is stopped, in whole seconds.
_STOP_S: Final = 2


class DockerProvider(
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
    Renames,
):
    """Containers of one Docker engine that stay up. Keeps no state; may be used from several threads.

    Args:
        opener: Knows which engine is meant.
        open_engine: Opens it for one call of so many seconds; None = the opener does.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        opener: Opener,
        *,
        open_engine: Open | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._opener = opener
        self._open: Open = opener if open_engine is None else open_engine
        self._sleep = sleep

    @property
    def endpoint(self) -> str:
        """The engine's socket or port, and its folder of certificates; raises EngineUnavailable."""
        return str(self._where())

    @property
    def label_length(self) -> int:
        """The longest value of a label; the engine has no limit of its own (100,000 were tried)."""
        return 4096

    @property
    def settle_s(self) -> float:
        """Seconds for which the engine may go on with a create whose client is gone.

        An image is pulled before the create call, so that call is local work of 0.1 s, which the engine
        finishes without its client. It sets the name aside first thing.
        """
        return 10.0

    @property
    def auto_rank(self) -> int:
        """After the engines that were made for machines."""
        return 40

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a machine: the image's own command if that stays up, or a long sleep.

        An image that the engine lacks is pulled, within the deadline. Once a pull falls silent it is given up
        only after as long again.
        """
        return create(spec, timeout, self._open)

    def list(self) -> Sequence[MachineInfo]:
        """Return all containers by one request that takes 3 ms."""
        with self._asking("list the machines") as engine:
            return [listed(entry) for entry in engine.api.containers(all=True)]

    def delete(self, name: str, *, timeout: float) -> None:
        """Delete the machine and its anonymous volumes, running or not."""
        what = f"delete machine {name!r}"
        with self._asking(what, timeout, machine=name) as engine:
            entry = find(engine.api, name)
            if entry is None:
                return
            try:
                engine.api.remove_container(entry["Id"], v=True, force=True)
            except Exception as exc:
                if status_of(exc) == 404:
                    return
                error = translate(exc, Doing.DELETE, what, machine=name)
                if not isinstance(error, Busy):
                    raise error from exc
                self._wait_gone(engine, entry["Id"], error)

    def exists(self, name: str) -> bool:
        """Say whether a container of exactly that name is there."""
        with self._asking(f"look for machine {name!r}", machine=name) as engine:
            return find(engine.api, name) is not None

    def inspect(self, name: str) -> MachineInfo | None:
        """Return the machine with its exact time of creation."""
        with self._asking(f"look at machine {name!r}", machine=name) as engine:
            entry = find(engine.api, name)
            if entry is None:
                return None
            try:
                return inspected(engine.api.inspect_container(entry["Id"]))
            except Exception as exc:
                if status_of(exc) == 404:
                    return None
                raise

    def describe(self) -> str:
        """Return the engine's name and version."""
        with self._asking("ask for Docker's version") as engine:
            return f"Docker {engine.api.version()['Version']}"

    def images(self) -> Sequence[str]:
        """Return the names of the engine's images."""
        with self._asking("list the images") as engine:
            return image_names(engine.api)

    def delete_argv(self, name: str) -> Sequence[str]:
        """Return Docker's command that deletes the machine, in whatever shell it is run."""
        where = self._where()
        argv = ["docker"]
        if where.url != DEFAULT_URL:
            argv += ["--host", where.url]
        if where.certs:
            argv += ["--tlsverify" if where.verify else "--tls"]
            argv += [f"--tls{kind}={where.certs}/{file}.pem" for kind, file in _TLS_FILES]
        return [*argv, "rm", "--force", "--volumes", name]

    def start(self, name: str, *, timeout: float) -> None:
        """Start the machine; one that runs is left alone."""
        with self._working(f"start machine {name!r}", name, timeout) as (engine, container):
            engine.api.start(container)

    def stop(self, name: str, *, timeout: float) -> None:
        """Stop the machine; what runs in it gets SIGTERM, and two seconds later SIGKILL."""
        with self._working(f"stop machine {name!r}", name, timeout) as (engine, container):
            engine.api.stop(container, timeout=_STOP_S)

    def rename(self, name: str, new: str, *, timeout: float) -> None:
        """Give the machine another name, while it runs; its labels stay."""
        with self._working(f"rename machine {name!r} to {new!r}", name, timeout) as (engine, container):
            if find(engine.api, new) is not None:
                raise NameTaken(
                    f"cannot rename machine {name!r}: there is a machine {new!r}",
                    backend=BACKEND,
                    machine=new,
                )
            engine.api.rename(container, new)

    def fronts(self) -> Sequence[Front]:
        """Return Docker's command, if it asks the same engine: of `tc.host` only testcontainers knows."""
        if not self._opener.is_commands:
            return ()
        return [
            Front(
                program="docker",
                reader=str(Path(__file__).with_name("_front.py")),
                variables=("DOCKER_HOST", "DOCKER_CONTEXT"),
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
        """Run a command in the machine; one that outlives the deadline goes on, for Docker can't end it."""
        what = f"run a command in machine {name!r}"
        with self._working(what, name, timeout) as (engine, container):
            return _exec.run(engine, container, argv, machine=name, input=input, user=user, cwd=cwd)

    @contextmanager
    def _working(self, what: str, name: str, timeout: float) -> Generator[tuple[Engine, str]]:
        """Open the engine for something to be done to a container, which must be there."""
        try:
            with self._open(timeout) as engine:
                entry = find(engine.api, name)
                if entry is None:
                    raise ProviderError(
                        f"cannot {what}: there is no such machine", backend=BACKEND, machine=name
                    )
                yield engine, entry["Id"]
        except ProviderError:
            raise
        except Exception as exc:
            if is_timeout(exc):
                raise TimeoutError(f"cannot {what} within {timeout:.3g} s: {exc}") from exc
            raise translate(exc, Doing.RUN, what, machine=name) from exc

    def _where(self) -> Endpoint:
        try:
            return self._opener.endpoint
        except ValueError as exc:
            raise EngineUnavailable(f"cannot tell which Docker is meant: {exc}", backend=BACKEND) from exc

    @contextmanager
    def _asking(
        self, what: str, timeout: float = _QUERY_S, *, machine: str = ""
    ) -> Generator[Engine, None, None]:
        """Open the engine for something that, if it fails, says nothing of the engine's machines."""
        try:
            with self._open(timeout) as engine:
                yield engine
        except ProviderError:
            raise
        except Exception as exc:
            raise translate(exc, Doing.ASK, what, machine=machine) from exc

    def _wait_gone(self, engine: Engine, container: str, busy: Busy) -> None:
        """Wait until a removal that others began has ended; at the deadline raise what the engine said."""
        while engine.api.containers(all=True, filters={"id": container}):
            if engine.left() <= _PAUSE_S:
                raise busy
            self._sleep(_PAUSE_S)


_TLS_FILES: Final = (("cacert", "ca"), ("cert", "cert"), ("key", "key"))
