"""What is installed and what answers; asking starts no engine. It knows no backend by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Final

from vmharness._model import MachineInfo
from vmharness._plugins import BACKENDS, distribution, installed, open_provider
from vmharness._threads import start_thread
from vmharness.errors import EngineUnavailable, VMHarnessError
from vmharness.provider import AutoChosen, Describes, Provider

__all__ = ["Engine", "ranked", "survey"]

# An engine, or a plugin, that says nothing for so long doesn't answer, in seconds.
_PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An installed backend, and its engine if that answers.

    Attributes:
        backend: Name of the backend.
        distribution: Name and version of the distribution that it is from.
        loads: Whether its plugin could be loaded.
        answers: Whether its engine gave a listing.
        provider: What was opened; None if nothing could be.
        rank: Its place among those that may be taken when none is set; None = it isn't taken.
        endpoint: Which engine; "" if nothing could be opened.
        engine: The engine's name and version; "" if it doesn't say.
        machines: The engine's machines; None if it doesn't answer.
        error: Why it doesn't load or answer; "" if it does.
    """

    backend: str
    distribution: str
    loads: bool
    answers: bool = False
    provider: Provider | None = None
    rank: int | None = None
    endpoint: str = ""
    engine: str = ""
    machines: Sequence[MachineInfo] | None = None
    error: str = ""


def survey(*, patience_s: float = _PATIENCE_S) -> Sequence[Engine]:
    """Load and ask all installed backends at once; sorted by name.

    Args:
        patience_s: How long is waited for all of them; who hasn't answered by then doesn't answer.
    """
    points: dict[str, list[EntryPoint]] = {}
    for point in installed(BACKENDS):
        points.setdefault(point.name, []).append(point)
    answers = {name: _Answer(name, here) for name, here in points.items()}
    until = time.monotonic() + patience_s
    return [answer.wait(until, patience_s) for answer in answers.values()]


class _Answer:
    """What one backend says, asked in a thread: a plugin may hang."""

    def __init__(self, backend: str, points: Sequence[EntryPoint]) -> None:
        self._backend = backend
        self._from = ", ".join(sorted({distribution(point) for point in points}))
        self._came = threading.Event()
        self._engine: Engine | None = None
        start_thread(f"ask-{backend}", self._get)

    def _get(self) -> None:
        try:
            self._engine = _ask(self._backend, self._from)
        finally:
            self._came.set()

    def wait(self, until: float, patience_s: float) -> Engine:
        """Return it, or that it didn't come until then, by the clock that never jumps."""
        self._came.wait(max(0.0, until - time.monotonic()))
        return self._engine or Engine(
            backend=self._backend,
            distribution=self._from,
            loads=False,
            error=f"no answer in {patience_s:.0f} s: its plugin, or what that asks, hangs",
        )


def ranked(engines: Sequence[Engine]) -> Sequence[Engine]:
    """Return those that answer and may be taken unasked, the best first."""
    answering = [engine for engine in engines if engine.answers and engine.rank is not None]
    return sorted(answering, key=lambda engine: (engine.rank, engine.backend))


def _ask(backend: str, distribution: str) -> Engine:
    try:
        provider = open_provider(backend)
    except EngineUnavailable as exc:
        return Engine(backend=backend, distribution=distribution, loads=True, error=str(exc))
    except VMHarnessError as exc:
        return Engine(backend=backend, distribution=distribution, loads=False, error=str(exc))
    machines, engine, error = None, "", ""
    try:
        machines = tuple(provider.list())
        engine = provider.describe() if isinstance(provider, Describes) else ""
    except VMHarnessError as exc:
        error = str(exc)
    except Exception as exc:  # a backend's defect must not hide the others
        error = f"{type(exc).__name__}: {exc}"
    return Engine(
        backend=backend,
        distribution=distribution,
        loads=True,
        answers=machines is not None,
        provider=provider,
        rank=provider.auto_rank if isinstance(provider, AutoChosen) else None,
        endpoint=provider.endpoint,
        engine=engine,
        machines=machines,
        error=error,
    )
