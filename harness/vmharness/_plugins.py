"""From names to plugins: the one module that knows stevedore. It knows no plugin by name.

Only what is asked for by name is loaded, so a broken plugin breaks only what uses it.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any, Final, cast

from stevedore.exception import NoMatches
from stevedore.named import NamedExtensionManager

from vmharness.errors import EngineUnavailable, PluginError, ProviderError, UnknownBackend, VMHarnessError
from vmharness.hooks import Lifecycle
from vmharness.provider import AutoChosen, Provider

__all__ = [
    "BACKENDS",
    "INTERFACES",
    "LIFECYCLE",
    "STAND_INS",
    "cache_folder",
    "choose_provider",
    "distribution",
    "installed",
    "load_lifecycle",
    "load_stand_in",
    "open_provider",
    "stale",
]

BACKENDS: Final = "vmharness.backends"
LIFECYCLE: Final = "vmharness.lifecycle"
STAND_INS: Final = "vmharness.stand_ins"
StandIn = Callable[[str, Path], str]

# The versions of the interface that this vmharness speaks, and where a plugin may say which one it is built
# for: in the module that its entry point names.
INTERFACES: Final = range(1, 2)
_UNSTATED: Final = 1
_STATED: Final = "VMHARNESS_INTERFACE"


def installed(namespace: str) -> Sequence[EntryPoint]:
    """Return the entry points of a namespace, sorted by name; nothing is loaded."""
    return sorted(entry_points(group=namespace), key=lambda point: (point.name, point.value))


def distribution(point: EntryPoint) -> str:
    """Return name and version of the distribution that an entry point is from."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def stale(namespace: str) -> Sequence[str]:
    """Return the names of which stevedore remembers something else than is installed."""
    manager: NamedExtensionManager[Any] = NamedExtensionManager(namespace, [])  # loads none
    seen = {(point.name, point.value) for point in manager.list_entry_points()}
    there = {(point.name, point.value) for point in installed(namespace)}
    return sorted({name for name, _ in seen ^ there})


def cache_folder() -> Path:
    """Return where stevedore keeps what it remembers of entry points; it may be deleted at any time."""
    if sys.platform == "darwin":
        return Path("~/Library/Caches/Python Entry Points").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "python-entrypoints")


def open_provider(backend: str, endpoint: str | None = None) -> Provider:
    """Load a backend and let it open the engine at the endpoint.

    Args:
        backend: Name of its entry point.
        endpoint: What an earlier provider's `endpoint` said; None = the environment's default.

    Raises:
        UnknownBackend: None of that name is installed.
        PluginError: It can't be loaded, two have the name, or what it gives is no provider.
        EngineUnavailable: What it needs isn't installed.
    """
    try:
        connect = _load(BACKENDS, "backend", backend)
    except NoMatches as exc:
        raise UnknownBackend(str(exc)) from exc
    try:
        provider = connect(endpoint)
        if not isinstance(provider, Provider):
            raise PluginError(
                f"cannot use backend {backend!r}: its entry point gives a {type(provider).__name__}, which "
                "lacks some of create, list, delete, exists and endpoint; upgrade or uninstall "
                f"{_whose(BACKENDS, backend)}"
            )
        place = cast("object", provider.endpoint)
        if not isinstance(place, str):
            raise PluginError(
                f"cannot use backend {backend!r}: its endpoint is {place!r}, and no text; upgrade or "
                f"uninstall {_whose(BACKENDS, backend)}"
            )
    except (PluginError, ProviderError):
        raise
    except (Exception, SystemExit) as exc:
        raise PluginError(f"cannot open backend {backend!r}: {type(exc).__name__}: {exc}") from exc
    return provider


def choose_provider() -> tuple[str, Provider]:
    """Return the first backend whose engine answers, in the order of the backends' own ranks.

    Raises:
        EngineUnavailable: None answers; the message says of each why not.
    """
    candidates: list[tuple[int, str, Provider]] = []
    reasons: list[str] = []
    for name in sorted({point.name for point in installed(BACKENDS)}):
        try:
            provider = open_provider(name)
        except VMHarnessError as exc:
            reasons.append(f"{name}: {exc}")
            continue
        if isinstance(provider, AutoChosen):
            candidates.append((provider.auto_rank, name, provider))
    for _, name, provider in sorted(candidates, key=lambda candidate: candidate[:2]):
        try:
            provider.list()
        except Exception as exc:  # a defective backend breaks only what uses it
            reasons.append(f"{name}: {exc}")
        else:
            return name, provider
    raise EngineUnavailable("no engine answers, and no backend is set:\n  " + "\n  ".join(reasons))


def load_lifecycle(names: Sequence[str]) -> Sequence[tuple[str, Lifecycle]]:
    """Load lifecycle plugins and make one object of each, in the order of the names.

    Raises:
        PluginError: One isn't installed, can't be loaded, two have the name, or it is no Lifecycle.
    """
    loaded: list[tuple[str, Lifecycle]] = []
    try:
        kinds = [(name, _load(LIFECYCLE, "lifecycle plugin", name)) for name in names]
    except NoMatches as exc:
        raise PluginError(str(exc)) from exc
    for name, kind in kinds:
        try:
            plugin = kind()
        except (Exception, SystemExit) as exc:
            raise PluginError(f"cannot make lifecycle plugin {name!r}: {type(exc).__name__}: {exc}") from exc
        if not isinstance(plugin, Lifecycle):
            raise PluginError(
                f"cannot use lifecycle plugin {name!r}: a {type(plugin).__name__} is no vmharness.Lifecycle; "
                f"upgrade or uninstall {_whose(LIFECYCLE, name)}"
            )
        loaded.append((name, plugin))
    return loaded


def load_stand_in(command: str) -> StandIn:
    """Load what puts another command in the place of an engine's own.

    It is called with what shall be behind the command, and a folder, which it makes if it isn't there and
    into which it writes the command. It returns the name of the backend that drives the command, or raises
    SettingsError if there is no such engine.

    Args:
        command: The command's name, which is that of the entry point.

    Raises:
        PluginError: None is installed, it can't be loaded, or two have the name.
    """
    try:
        stand_in: StandIn = _load(STAND_INS, "stand-in", command)
    except NoMatches as exc:
        raise PluginError(str(exc)) from exc
    return stand_in


def _load(namespace: str, kind: str, name: str) -> Any:
    """Load what an entry point points at.

    Raises:
        NoMatches: It isn't installed; the message says what is.
        PluginError: It can't be loaded, two have the name, or it is built for an interface not spoken here.
    """

    def missing(absent: Iterable[str]) -> None:
        raise NoMatches(_unknown(kind, namespace, min(absent)))

    def failed(manager: object, point: EntryPoint, error: BaseException) -> None:
        del manager
        _check_installed(point)
        raise PluginError(_failed(point, error)) from error

    # stevedore's own resolver takes one of two adjacent namesakes, and overwrites others unasked.
    if len({point.value for point in installed(namespace) if point.name == name}) > 1:
        raise PluginError(_duplicate(kind, namespace, name))
    try:
        manager: NamedExtensionManager[Any] = NamedExtensionManager(
            namespace,
            [name],
            invoke_on_load=False,
            on_load_failure_callback=failed,
            on_missing_entrypoints_callback=missing,
        )
    except (AssertionError, SystemExit) as exc:  # stevedore hands them through without asking us
        point = next(point for point in installed(namespace) if point.name == name)
        raise PluginError(_failed(point, exc)) from exc
    (extension,) = manager.extensions
    _check_installed(extension.entry_point)
    _check_interface(kind, extension.entry_point)
    return extension.plugin


def _failed(point: EntryPoint, error: BaseException) -> str:
    remedy = f"upgrade or uninstall {_whose(point.group, point.name)}"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "vmharness":
        remedy = f"it may be built for another version than this {_this()}: upgrade whichever is older"
    return f"cannot load plugin {point.name!r} ({point.value}): {type(error).__name__}: {error}; {remedy}"


def _whose(namespace: str, name: str) -> str:
    """Return the distributions that a plugin of that name is from."""
    return " and ".join(sorted({distribution(one) for one in installed(namespace) if one.name == name}))


def _check_installed(point: EntryPoint) -> None:
    """Raise PluginError if what stevedore gave for a name isn't what is installed under it."""
    values = sorted({one.value for one in installed(point.group) if one.name == point.name})
    if point.value not in values:
        raise PluginError(
            f"cannot load plugin {point.name!r}: stevedore takes it for {point.value}, and installed is "
            f"{' and '.join(values) or 'none of that name'}; {_stale()}"
        )


def _check_interface(kind: str, point: EntryPoint) -> None:
    """Raise PluginError if a loaded plugin says that it is built for an interface that isn't spoken here."""
    stated = getattr(sys.modules.get(point.module), _STATED, _UNSTATED)
    if type(stated) is int and stated in INTERFACES:
        return
    whose = _whose(point.group, point.name)
    plugin = f"cannot use {kind} {point.name!r} of {whose}: "
    if type(stated) is not int:
        raise PluginError(f"{plugin}its {_STATED} is {stated!r}, and no number; upgrade {whose}")
    older = "vmharness" if stated >= INTERFACES.stop else whose.rpartition(" ")[0]
    oldest, newest = INTERFACES[0], INTERFACES[-1]
    spoken = str(newest) if oldest == newest else f"{oldest} to {newest}"
    raise PluginError(
        f"{plugin}it is built for interface {stated}, and {_this()} speaks {spoken}; upgrade {older}"
    )


def _this() -> str:
    """Return our name, and our version if we are installed."""
    try:
        return f"vmharness {version('vmharness')}"
    except PackageNotFoundError:  # run from a checkout
        return "vmharness"


def _stale() -> str:
    return f"stevedore's cache of entry points is stale; delete the folder {cache_folder()}"


def _unknown(kind: str, namespace: str, name: str) -> str:
    names = sorted({point.name for point in installed(namespace)})
    if name in names:
        return f"cannot find {kind} {name!r} through stevedore, though it is installed: {_stale()}"
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind} {name!r}; installed: {', '.join(names) or 'none'}{hint}"


def _duplicate(kind: str, namespace: str, name: str) -> str:
    values = sorted(
        {
            f"{point.value} (of {point.dist.name if point.dist else 'an unknown distribution'})"
            for point in installed(namespace)
            if point.name == name
        }
    )
    return f"cannot choose {kind} {name!r}: {' and '.join(values)} have that name; uninstall all but one"
