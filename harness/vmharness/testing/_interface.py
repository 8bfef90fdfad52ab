"""What of the interface a provider lacks, found without a call of it; it knows no engine, and not pytest."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from vmharness.provider import (
    Clones,
    CopiesFiles,
    Describes,
    Fronts,
    Inspects,
    ListsImages,
    Provider,
    RecognisesCreate,
    Renames,
    RunsCommands,
    ShowsDelete,
    StartsAndStops,
)

__all__ = ["PROTOCOLS", "misfits"]

# All that have methods; one that has only a property can't be called wrongly.
PROTOCOLS: Final[Sequence[type]] = (
    Provider,
    Clones,
    CopiesFiles,
    Describes,
    Fronts,
    Inspects,
    ListsImages,
    RecognisesCreate,
    Renames,
    RunsCommands,
    ShowsDelete,
    StartsAndStops,
)
_PARTS: Final = ("endpoint", "create", "list", "delete", "exists")


def misfits(provider: Provider) -> Sequence[str]:
    """Say what of the interface a provider lacks, and which of its methods can't be called as it says."""
    missing = [f"the provider has no {part!r}" for part in _PARTS if not hasattr(provider, part)]
    return [*missing, *(fault for protocol in PROTOCOLS for fault in _uncallable(provider, protocol))]


def _uncallable(provider: Provider, protocol: type) -> Iterator[str]:
    methods: dict[str, Callable[..., Any]] = {
        name: value
        for name, value in vars(protocol).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    if protocol is not Provider and not all(hasattr(provider, name) for name in methods):
        return  # the provider hasn't this capability
    for name, wanted in methods.items():
        given: object = getattr(provider, name, None)
        if callable(given):
            yield from _mismatches(name, given, inspect.signature(wanted))
        elif hasattr(provider, name):
            yield f"{name!r} is {given!r}, and no method"


def _mismatches(name: str, given: Callable[..., Any], wanted: inspect.Signature) -> Iterator[str]:
    """Say why a method can't be called as is wanted: with what must be given, or with all that may be."""
    try:
        takes = inspect.signature(given)
    except (TypeError, ValueError):
        return  # one that is written in C may have no signature; its calls will tell
    parameters = list(wanted.parameters.values())[1:]
    positional = [None for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    named = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    must = [parameter for parameter in named if parameter.default is parameter.empty]
    for keywords in (must, named):
        try:
            takes.bind(*positional, **dict.fromkeys(parameter.name for parameter in keywords))
        except TypeError as exc:
            asked = _bare(wanted.replace(parameters=parameters))
            yield f"{name}{_bare(takes)} can't be called as {name}{asked}: {exc}"
            return


def _bare(signature: inspect.Signature) -> str:
    """Return a signature as text, without its types."""
    parameters = [
        parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))
