"""Incus and LXD as backends, through the command `incus` or `lxc`; it knows nothing of sessions and ledgers.

The two have one command language and one REST API, so one provider serves both, on one machine or a
cluster. Each entry point prefers its own command. If only the other one is there it uses that: a suite
that says `incus` runs on a host that has LXD, and the other way round. `describe` says so, the endpoint
names the engine in any case, and an automatic choice takes the engine under its own name first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from vmharness.command import CommandLine
from vmharness.errors import EngineUnavailable
from vmharness.provider import Provider
from vmharness_incus._cli import Client
from vmharness_incus._endpoint import INCUS, LXD, Endpoint, Engine, find_endpoint
from vmharness_incus._provider import IncusProvider

__all__ = ["IncusProvider", "connect_incus", "connect_lxd", "open_engine"]


def connect_incus(endpoint: str | None = None) -> Provider:
    """Open Incus, or LXD where only that is there; the engine is asked nothing.

    Args:
        endpoint: None, or what an earlier provider's `endpoint` said.

    Returns:
        The provider.

    Raises:
        EngineUnavailable: The command isn't installed, or the endpoint can't be used.
    """
    return open_engine("incus", (INCUS, LXD), endpoint, os.environ)


def connect_lxd(endpoint: str | None = None) -> Provider:
    """Open LXD, or Incus where only that is there; the engine is asked nothing.

    Args:
        endpoint: None, or what an earlier provider's `endpoint` said.

    Returns:
        The provider.

    Raises:
        EngineUnavailable: The command isn't installed, or the endpoint can't be used.
    """
    return open_engine("lxd", (LXD, INCUS), endpoint, os.environ)


def open_engine(
    backend: str, engines: tuple[Engine, Engine], endpoint: str | None, environ: Mapping[str, str]
) -> IncusProvider:
    """Open the first engine whose command is there, or the endpoint's.

    Args:
        backend: Name of the entry point, for errors.
        engines: The preferred engine, and the one in its stead.
        endpoint: None, or what an earlier provider's `endpoint` said.
        environ: The variables that say which engine is the default, and what the command is run with.

    Raises:
        EngineUnavailable: The command isn't installed, or the endpoint can't be used.
    """
    if endpoint is not None:
        try:
            where = Endpoint.parse(endpoint)
        except ValueError as exc:
            raise EngineUnavailable(f"cannot open {endpoint!r}: {exc}", backend=backend) from exc
        command = _command(where.engine, backend, where.environ(environ))
        if command.found() is None:
            raise _missing(backend, (where.engine,))
    else:
        there = [engine for engine in engines if _command(engine, backend, environ).found()]
        if not there:
            raise _missing(backend, engines)
        where = find_endpoint(there[0], _command(there[0], backend, there[0].plain(environ)), environ)
        command = _command(where.engine, backend, where.environ(environ))
    return IncusProvider(Client(command, where), stands_in=where.engine is not engines[0])


def _command(engine: Engine, backend: str, environ: Mapping[str, str]) -> CommandLine:
    return CommandLine(engine.program, backend=backend, hint=engine.remedy, environ=environ)


def _missing(backend: str, engines: tuple[Engine, ...]) -> EngineUnavailable:
    programs = " or ".join(f"`{engine.program}`" for engine in engines)
    return EngineUnavailable(
        f"cannot use {engines[0].title}: no {programs} on PATH; {engines[0].remedy}", backend=backend
    )
