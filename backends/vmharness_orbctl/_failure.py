"""How orbctl fails: the one exception that carries what is printed; it knows no command."""

from __future__ import annotations

__all__ = ["Failure", "absent", "oops"]


class Failure(Exception):
    """What is printed to stderr before orbctl ends with the status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


def oops(text: str) -> Failure:
    """Return a failure as OrbStack's daemon reports it."""
    return Failure(f"[-32098] {text}")


def absent(key: str) -> Failure:
    """Return what every command says of a machine that isn't there."""
    return oops(f"machine not found: '{key}'")
