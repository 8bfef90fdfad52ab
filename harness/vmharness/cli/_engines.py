"""What is installed and what answers; asking starts no engine. It knows no backend by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from vmharness._plugins import BACKENDS, installed, open_provider
from vmharness._threads import run_parallel
from vmharness.errors import EngineUnavailable, VMHarnessError
from vmharness.provider import AutoChosen, Describes, Provider

__all__ = ["Engine", "ranked", "survey"]


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
        machines: How many machines the engine has; None if it doesn't answer.
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
    machines: int | None = None
    error: str = ""


def survey() -> Sequence[Engine]:
    """Load and ask all installed backends at once; sorted by name."""
    points: dict[str, list[EntryPoint]] = {}
    for point in installed(BACKENDS):
        points.setdefault(point.name, []).append(point)
    return run_parallel(lambda item: _ask(*item), list(points.items()))


def ranked(engines: Sequence[Engine]) -> Sequence[Engine]:
    """Return those that answer and may be taken unasked, the best first."""
    answering = [engine for engine in engines if engine.answers and engine.rank is not None]
    return sorted(answering, key=lambda engine: (engine.rank, engine.backend))


def _ask(backend: str, points: Sequence[EntryPoint]) -> Engine:
    distribution = ", ".join(
        sorted({f"{point.dist.name} {point.dist.version}" if point.dist else "?" for point in points})
    )
    try:
        provider = open_provider(backend)
    except EngineUnavailable as exc:
        return Engine(backend=backend, distribution=distribution, loads=True, error=str(exc))
    except VMHarnessError as exc:
        return Engine(backend=backend, distribution=distribution, loads=False, error=str(exc))
    machines, engine, error = None, "", ""
    try:
        machines = len(provider.list())
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
