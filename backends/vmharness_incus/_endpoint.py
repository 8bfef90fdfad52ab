"""Which engine: the text that names it and opens it again, whatever the environment says then.

As `lxd:local/default?dir=/var/lib/lxd`: the engine, its remote in the command's configuration, the project;
then the folder or socket that the environment named, or for another remote than the local one its address
and configuration. It knows no machine. There are no secrets in it: a remote's keys stay in their files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from vmharness.command import CommandLine, describe_failure
from vmharness.errors import EngineUnavailable

__all__ = ["INCUS", "LXD", "Endpoint", "Engine", "find_endpoint", "remotes"]

_QUERY_S: Final = 20.0
# What tells the command where its engine is; each has the engine's prefix in the environment. For the local
# remote, which is built in, the configuration is of no account.
_LOCAL: Final = ("DIR", "SOCKET")
_FAR: Final = ("CONF",)
_LOCAL_ADDRESS: Final = "unix://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What differs between Incus and LXD.

    Attributes:
        name: Name in the endpoint.
        title: Name for people.
        program: Its command.
        prefix: How the names of its variables begin.
        chosen: Variables that choose another remote or project than the configuration does.
        remedy: How to get it.
    """

    name: str
    title: str
    program: str
    prefix: str
    chosen: tuple[str, ...]
    remedy: str

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that say which engine its command asks."""
        return (*(f"{self.prefix}_{place}" for place in (*_LOCAL, *_FAR)), *self.chosen)

    def plain(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """Return an environment in which the command says the same to everyone.

        Messages are in English. Aliases are off, for the one that Incus' own documentation proposes makes
        `delete` ask before it deletes.
        """
        return {**environ, "LC_ALL": "C", "LANGUAGE": "C", "INCUS_ALIASES": "1", "LXC_ALIASES": "1"}


INCUS: Final = Engine(
    name="incus",
    title="Incus",
    program="incus",
    prefix="INCUS",
    chosen=("INCUS_REMOTE", "INCUS_PROJECT"),
    remedy="install it (https://linuxcontainers.org/incus), then run `incus admin init`",
)
LXD: Final = Engine(
    name="lxd",
    title="LXD",
    program="lxc",
    prefix="LXD",
    chosen=("LXC_REMOTE",),
    remedy="install it (https://canonical.com/lxd), then run `lxd init`",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One engine, one project of it.

    Attributes:
        engine: Incus or LXD.
        remote: Its name in the command's configuration.
        project: Its project.
        places: What the environment said of where it is: `dir`, `socket`, `conf`.
        address: The remote's address; "" = the local one.
    """

    engine: Engine
    remote: str = "local"
    project: str = "default"
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    address: str = ""

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Return what an endpoint's text stands for, or raise ValueError."""
        name, _, rest = text.partition(":")
        path, _, query = rest.partition("?")
        remote, slash, project = path.partition("/")
        engine = {"incus": INCUS, "lxd": LXD}.get(name)
        if engine is None or not slash or not remote or not project:
            raise ValueError("it is no endpoint of Incus or LXD, which look like lxd:local/default")
        options = dict(parse_qsl(query))
        return cls(
            engine=engine,
            remote=unquote(remote),
            project=unquote(project),
            address=options.pop("address", ""),
            places=options,
        )

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        options = {**self.places, **({"address": self.address} if self.address else {})}
        query = f"?{urlencode(options, safe='/:')}" if options else ""
        return f"{self.engine.name}:{quote(self.remote, safe='')}/{quote(self.project, safe='')}{query}"

    def environ(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """Return an environment in which the command means this engine."""
        prefix = self.engine.prefix
        ours = {f"{prefix}_{place}" for place in (*_LOCAL, *(_FAR if self.address else ()))}
        ours |= {*self.engine.chosen}
        kept = {name: value for name, value in environ.items() if name not in ours}
        kept |= {f"{prefix}_{place.upper()}": value for place, value in self.places.items()}
        return self.engine.plain(kept)


def find_endpoint(engine: Engine, command: CommandLine, environ: Mapping[str, str]) -> Endpoint:
    """Return the engine that the command's configuration and the environment mean by default.

    Args:
        engine: Incus or LXD.
        command: Runs its command with that environment; it reads its configuration, and asks no engine.
        environ: The variables that say where the engine is.

    Raises:
        EngineUnavailable: The command gives no usable answer.
    """
    remote = _ask(command, ["remote", "get-default"]).strip()
    known = remotes(command).get(remote)
    if known is None:
        raise EngineUnavailable(
            f"cannot tell which {engine.title} is meant: {command.program} has no remote {remote!r}",
            backend=command.backend,
        )
    address = str(known.get("Addr", ""))
    address = "" if address == _LOCAL_ADDRESS else address
    return Endpoint(
        engine=engine,
        remote=remote,
        project=_chosen_project(engine, environ) or known.get("Project") or "default",
        places={
            place.lower(): str(Path(value).absolute())
            for place in (_FAR if address else _LOCAL)
            if (value := environ.get(f"{engine.prefix}_{place}"))
        },
        address=address,
    )


def remotes(command: CommandLine) -> Mapping[str, Mapping[str, Any]]:
    """Return the remotes of the command's configuration, by name; no engine is asked.

    Raises:
        EngineUnavailable: The command gives no usable answer.
    """
    text = _ask(command, ["remote", "list", "--format", "json"])
    try:
        found: Mapping[str, Mapping[str, Any]] = json.loads(text)
        return {name: dict(remote) for name, remote in found.items()}
    except (ValueError, TypeError, AttributeError) as exc:
        raise EngineUnavailable(
            f"cannot read the remotes of {command.program}: {exc}", backend=command.backend
        ) from exc


def _chosen_project(engine: Engine, environ: Mapping[str, str]) -> str:
    # LXD's command has no such variable.
    return environ.get("INCUS_PROJECT", "") if engine is INCUS else ""


def _ask(command: CommandLine, args: list[str]) -> str:
    try:
        result = command.run(args, timeout=_QUERY_S)
    except TimeoutError as exc:
        raise EngineUnavailable(f"{command.program} does not answer: {exc}", backend=command.backend) from exc
    if result.status != 0:
        raise EngineUnavailable(
            f"cannot read the configuration: {describe_failure(command.program, args, result)}",
            backend=command.backend,
        )
    return result.stdout
