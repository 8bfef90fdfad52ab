"""Which engines' own commands are recorded: of what is installed, those that can be opened; none is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vmharness._providers import Providers, settling
from vmharness._recording.folder import Engine
from vmharness.errors import VMHarnessError
from vmharness.provider import AutoChosen, Fronts, Provider, TakesLabels

__all__ = ["find_engines"]


def find_engines(
    configured: str,
    installed: Iterable[str],
    providers: Providers,
    *,
    create_timeout: float,
    report: Callable[[str], None],
) -> Sequence[Engine]:
    """Return the engines that have commands of their own: the configured backend's, or all.

    Of two that have the same command the one comes first that an automatic choice would take.

    Args:
        configured: Name of the backend that the settings name; "" = none.
        installed: Names of all backends.
        providers: Opens providers.
        create_timeout: How long a create may take, in seconds.
        report: Is told why the configured backend can't be opened.
    """
    found: list[tuple[int, Engine]] = []
    for name in [configured] if configured else sorted(set(installed)):
        try:
            provider = providers.get(name)
            if isinstance(provider, Fronts):
                rank = provider.auto_rank if isinstance(provider, AutoChosen) else 100
                found.append((rank, _engine(name, provider, provider, create_timeout)))
        except VMHarnessError as exc:
            if configured:
                report(f"cannot record what the commands of {name} make: {exc}")
    return [engine for _, engine in sorted(found, key=lambda entry: (entry[0], entry[1].backend))]


def _engine(name: str, provider: Provider, fronts: Fronts, create_timeout: float) -> Engine:
    return Engine(
        backend=name,
        endpoint=provider.endpoint,
        fronts=tuple(fronts.fronts()),
        label_length=provider.label_length if isinstance(provider, TakesLabels) else 0,
        patience_s=create_timeout + settling(provider),
        settle_s=settling(provider),
    )
