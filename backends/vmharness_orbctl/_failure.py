"""How orbctl fails: the one exception that carries what is printed; it knows no command."""

from __future__ import annotations

from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["RESERVED", "Failure", "absent", "oops", "refusing"]

# OrbStack's own machines, of whose names there is no second one.
RESERVED = ("docker", "k8s")


class Failure(Exception):
    """What is printed to stderr before orbctl ends with the status.

    Args:
        text: What is printed.
        status: The exit status.
        nothing_made: Whether a create that ends so surely made nothing, and won't.
    """

    def __init__(self, text: str, status: int = 1, *, nothing_made: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.nothing_made = nothing_made


def oops(text: str, *, nothing_made: bool = False) -> Failure:
    """Return a failure as OrbStack's daemon reports it."""
    return Failure(f"[-32098] {text}", nothing_made=nothing_made)


@contextmanager
def refusing() -> Generator[None]:
    """Say of a failure in a block that nothing was made."""
    try:
        yield
    except Failure as failure:
        failure.nothing_made = True
        raise


def absent(key: str) -> Failure:
    """Return what every command says of a machine that isn't there."""
    return oops(f"machine not found: '{key}'")
