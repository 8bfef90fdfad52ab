"""The real engines that cells are played on, and who lives there all the time; it plays none."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from faultlab.cells import Backend
from faultlab.daemons import IMAGE, Engines, Killable
from faultlab.neighbour import Neighbour, strangers
from faultlab.real import DockerEngine, LxdEngine, RealEngine

__all__ = ["Inhabited", "Lab"]

_KINDS: Final = {Backend.DOCKER: DockerEngine, Backend.LXD: LxdEngine}

# An engine, and the names of machines that must live there.
Inhabited = tuple[RealEngine, frozenset[str]]


class Lab:
    """Engines, each made ready when it is first asked for.

    Args:
        folder: Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        # Another process may have its cells on the same engine.
        self._prefix = f"vmh{secrets.token_hex(2)}"
        self._folder = folder
        self._stack = ExitStack()
        self._ready: dict[tuple[str, Backend], Inhabited] = {}
        self._engines: Engines | None = None
        self.neighbour: Final = Neighbour()
        self._stack.callback(self.neighbour.close)

    def shared(self, backend: Backend, socket: Path, image: str) -> Inhabited:
        """Return an engine that others may use, and nobody kills."""
        kind = _KINDS[backend]
        return self._inhabited("shared", backend, lambda: kind(self._prefix, socket, image))

    def killable(self, backend: Backend) -> Inhabited:
        """Return an engine of our own."""
        if self._engines is None:
            self._engines = Engines()
            self._stack.callback(self._engines.close)
            self._engines.start()
        daemon = Killable(self._engines, backend)
        kind = _KINDS[backend]
        return self._inhabited("own", backend, lambda: kind(self._prefix, daemon.socket, IMAGE, daemon))

    def _inhabited(self, whose: str, backend: Backend, make: Callable[[], RealEngine]) -> Inhabited:
        if (whose, backend) not in self._ready:
            engine = make()
            self._stack.callback(engine.close)
            theirs = self._stack.enter_context(strangers(engine))
            state = self._folder / f"{whose}-{backend}"
            far = self._stack.enter_context(self.neighbour.session(engine, state))
            self._ready[whose, backend] = (engine, frozenset({*theirs, far}))
        return self._ready[whose, backend]

    def close(self) -> None:
        """Let all of it go."""
        self._stack.close()
