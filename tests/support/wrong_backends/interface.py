"""Backends that have not the interface, of which nothing else is checked."""

from __future__ import annotations

from typing import Any

from wrong_backends.right import Right


class Placeless(Right):
    """There is no endpoint."""

    @property
    def endpoint(self) -> str:
        raise AttributeError("endpoint")


class Misnaming(Right):
    """A deadline has a name of its own."""

    def delete(self, name: str, timeout_s: float = 5) -> None:  # type: ignore[override]
        super().delete(name, timeout=timeout_s)


class Narrow(Right):
    """A command gets no input."""

    def run(self, name: str, argv: Any, *, timeout: float) -> Any:  # type: ignore[override]
        return super().run(name, argv, timeout=timeout)
