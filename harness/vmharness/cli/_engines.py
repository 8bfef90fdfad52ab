"""What is installed and what answers; asking starts no engine. It knows no backend by name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from vmharness._model import MachineInfo
from vmharness._plugins import BACKENDS, distribution, installed, open_provider
from vmharness.cli._asking import PATIENCE_S, Asked
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


def survey(*, patience_s: float = PATIENCE_S) -> Sequence[Engine]:
    """Load and ask all installed backends at once; sorted by name.

    Args:
        patience_s: How long is waited for all of them; who hasn't answered by then doesn't answer.
    """
    points: dict[str, set[str]] = {}
    for point in installed(BACKENDS):
        points.setdefault(point.name, set()).add(distribution(point))
    until = time.monotonic() + patience_s
    froms = {name: ", ".join(sorted(points[name])) for name in points}
    asked = {name: Asked(name, partial(_ask, name, froms[name])) for name in points}
    silent = f"no answer in {patience_s:.0f} s: its plugin, or what that asks, hangs"
    return [
        one.wait(until) or Engine(backend=name, distribution=froms[name], loads=False, error=silent)
        for name, one in asked.items()
    ]


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
