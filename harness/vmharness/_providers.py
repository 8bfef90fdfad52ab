"""Which backends a session uses, each opened once; it knows no machine and no ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from vmharness._plugins import choose_provider, open_provider
from vmharness.errors import SettingsError
from vmharness.provider import Provider, Settles

__all__ = ["Providers", "settling"]

# What is assumed of backends that don't say how long a create may still bring a machine.
_SETTLE_S = 120.0


def settling(provider: Provider) -> float:
    """Return for how many seconds after its deadline a create may still bring a machine."""
    return provider.settle_s if isinstance(provider, Settles) else _SETTLE_S


class Providers:
    """Opens providers by backend and endpoint, and keeps them. Safe from threads.

    Args:
        configured: The backend that the settings name; "" = the first whose engine answers.
        connect: Opens a provider.
        choose: Chooses one whose engine answers.
    """

    def __init__(
        self,
        configured: str,
        *,
        connect: Callable[[str, str | None], Provider] = open_provider,
        choose: Callable[[], tuple[str, Provider]] = choose_provider,
    ) -> None:
        self._configured = configured
        self._connect = connect
        self._choose = choose
        self._open: dict[tuple[str, str | None], Provider] = {}
        self._lock = threading.Lock()

    def backend(self, backend: str = "") -> str:
        """Return the backend's name; for "" the configured one, or the first whose engine answers.

        Raises:
            EngineUnavailable: None is configured, and no engine answers.
        """
        if backend or self._configured:
            return backend or self._configured
        with self._lock:
            if not self._configured:
                self._configured, provider = self._choose()
                self._open[self._configured, None] = provider
        return self._configured

    def get(self, backend: str = "", endpoint: str | None = None) -> Provider:
        """Return the provider of that backend and endpoint; "" and None mean the configured ones.

        Raises:
            VMHarnessError: There is none, or its plugin is broken.
        """
        key = (self.backend(backend), endpoint)
        with self._lock:
            if key not in self._open:
                provider = self._connect(*key)
                self._open[key] = provider
                self._open.setdefault((key[0], provider.endpoint), provider)
            return self._open[key]

    @contextmanager
    def using(self, provider: Provider, backend: str) -> Generator[None]:
        """Take this provider for the backend in a block; see `Session.using`."""
        own = self.get(backend)
        if provider.endpoint != own.endpoint:
            raise SettingsError(
                f"cannot use a provider of {provider.endpoint!r} for backend {backend!r}: it is at "
                f"{own.endpoint!r}"
            )
        with self._lock:
            before = dict(self._open)
            for place in (None, own.endpoint):
                self._open[backend, place] = provider
        try:
            yield
        finally:
            with self._lock:
                for place in (None, own.endpoint):
                    self._open[backend, place] = before.get((backend, place), own)
