"""Docker and LXD under test: a run's calls pass through a proxy; all else goes by their own commands."""

from __future__ import annotations

import os
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Protocol

from faultlab.cells import Backend
from faultlab.engine import EngineUnderTest
from faultlab.proxy import Point, Proxy, Side

__all__ = ["Daemon", "DockerEngine", "LxdEngine", "RealEngine"]

_COMMAND_S: Final = 60.0
# How long a create may take that shall time out, in seconds: its request must have been sent by then.
_GIVE_UP_S: Final = 3


class Daemon(Protocol):
    """What kills an engine and starts it again."""

    def kill(self) -> None:
        """Kill it, and wait until it is dead."""
        ...

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ...


class RealEngine(EngineUnderTest):
    """An engine that others may use as well, unless it has a daemon here.

    Args:
        prefix: As in `EngineUnderTest`.
        socket: Where it listens.
        image: An image that it has.
        daemon: What kills it and starts it; None = nobody may.
    """

    points: ClassVar[Mapping[str, Point]]

    def __init__(self, prefix: str, socket: Path, image: str, daemon: Daemon | None = None) -> None:
        super().__init__(prefix)
        self._socket = socket
        self._image = image
        self._daemon = daemon
        # Sockets have room for short paths only.
        self._folder = tempfile.TemporaryDirectory(prefix="vmh-", dir="/tmp")
        path = Path(self._folder.name) / "unix.socket"
        self._proxy = Proxy(path, socket, self.points, self._caller)
        self._proxy.listen()

    def close(self) -> None:
        """End the proxy."""
        self._proxy.close()
        self._folder.cleanup()

    @abstractmethod
    def _at(self, socket: Path) -> Mapping[str, str]:
        """Return the variables by which a client finds the engine at a socket."""

    @abstractmethod
    def _caller(self, client: int) -> int:
        """Return the process on whose behalf a client asks the engine."""

    def _command(self, *argv: str) -> str:
        """Run the engine's own command, past the proxy; return what it wrote."""
        done = subprocess.run(
            argv,
            env={**os.environ, **self._at(self._socket)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
        )
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    @property
    def environ(self) -> Mapping[str, str]:
        """Where the proxy is, and which image there is."""
        return {"VMHARNESS_IMAGE": self._image, **self._at(self._proxy.path)}

    def names(self) -> set[str]:
        """Return the names of all machines with the prefix, as the engine's own command says."""
        return {name for name in self._listed() if name.startswith(self.prefix)}

    @abstractmethod
    def _listed(self) -> Sequence[str]:
        """Return the names of all machines, running or not."""

    def hold(self, point: str) -> None:
        """Make calls wait at the point."""
        self._proxy.hold(point)

    def release(self, point: str) -> None:
        """Let the calls at the point go on."""
        self._proxy.release(point)

    def is_held(self, point: str) -> bool:
        """Whether calls wait at the point."""
        return self._proxy.is_held(point)

    def stood(self, point: str) -> Sequence[int]:
        """Return who came to wait at the point."""
        return self._proxy.stood(point)

    def callers(self, verb: str) -> set[int]:
        """Return who asked the engine for it."""
        return set(self._proxy.asked(f"{verb}:before"))

    def forget(self) -> None:
        """Forget who called, and let all calls go on."""
        for point in self.points:
            self._proxy.release(point)
        self._proxy.make_late("")
        self._proxy.forget()

    def make_late(self) -> Sequence[str]:
        """Let the engine hear of a create when its client has given it up."""
        self._proxy.make_late("create:before")
        return [f"--vm-create-timeout={_GIVE_UP_S}"]

    def die(self) -> None:
        """Kill the daemon; its clients are refused."""
        assert self._daemon, "others may have machines on this engine"
        self._proxy.refuse()
        self._daemon.kill()

    def rise(self) -> None:
        """Start the daemon."""
        assert self._daemon
        self._daemon.start()
        self._proxy.listen()

    def restart(self, point: str) -> None:
        """Kill the daemon, which ends the calls that stand at the point, and start it."""
        self.die()
        self.rise()
        self.release(point)

    def is_busy(self) -> bool:
        """Whether a client is connected, or the engine is at work for one that is dead."""
        return self._proxy.is_busy()


class DockerEngine(RealEngine):
    """A Docker engine."""

    backend: ClassVar = Backend.DOCKER
    own_s: ClassVar = 5.0
    points: ClassVar[Mapping[str, Point]] = {
        "create:before": Point(r"POST \S+/containers/create", Side.ASKED),
        "create:accepted": Point(r"POST \S+/containers/create", Side.ANSWERED),
        "create:after": Point(r"POST \S+/containers/\w+/start", Side.ANSWERED),
        # Not a create's trial command.
        "run:before": Point(r'POST \S+/containers/\w+/exec\n.*"sleep"', Side.ASKED),
        # Not a look for one machine.
        "list:before": Point(r"GET \S+/containers/json\?(?!\S*filters)", Side.ASKED),
        "delete:before": Point(r"DELETE \S+/containers/", Side.ASKED),
    }

    def _at(self, socket: Path) -> Mapping[str, str]:
        return {"DOCKER_HOST": f"unix://{socket}"}

    def _caller(self, client: int) -> int:
        return client

    def _listed(self) -> Sequence[str]:
        return self._command("docker", "ps", "--all", "--format", "{{.Names}}").split()

    def make(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a container."""
        flags = [f"--label={key}={value}" for key, value in labels.items()]
        self._command("docker", "run", "--detach", f"--name={name}", *flags, self._image)

    def remove(self, names: Iterable[str]) -> None:
        """Remove containers."""
        for name in names:
            self._command("docker", "rm", "--force", "--volumes", name)


class LxdEngine(RealEngine):
    """An LXD."""

    backend: ClassVar = Backend.LXD
    own_s: ClassVar = 10.0
    points: ClassVar[Mapping[str, Point]] = {
        "create:before": Point(r"POST /1\.0/instances\b(?!/)", Side.ASKED),
        "create:accepted": Point(r"POST /1\.0/instances\b(?!/)", Side.ANSWERED),
        "create:after": Point(r'PUT /1\.0/instances/\S+/state\S*\n.*"start"', Side.ANSWERED),
        # Not a create's trial command.
        "run:before": Point(r'POST /1\.0/instances/\S+/exec\S*\n.*"sleep"', Side.ASKED),
        "list:before": Point(r"GET /1\.0/instances\b(?!/)", Side.ASKED),
        # A machine that runs is stopped first.
        "delete:before": Point(r'(PUT \S+/state\S*\n.*"stop"|DELETE /1\.0/instances/)', Side.ASKED),
    }

    def _at(self, socket: Path) -> Mapping[str, str]:
        return {"LXD_DIR": str(socket.parent)}

    def _caller(self, client: int) -> int:
        """Return the client's parent, for the client is a command; its own id if that is dead already."""
        try:
            return int(Path(f"/proc/{client}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return client

    def _listed(self) -> Sequence[str]:
        return self._command("lxc", "list", "--columns=n", "--format=csv").split()

    def make(self, name: str, labels: Mapping[str, str]) -> None:
        """Make an instance."""
        flags = [f"--config=user.{key}={value}" for key, value in labels.items()]
        self._command("lxc", "launch", self._image, name, *flags)

    def remove(self, names: Iterable[str]) -> None:
        """Remove instances."""
        for name in names:
            self._command("lxc", "delete", "--force", name)
