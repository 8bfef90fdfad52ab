"""The one place that turns what docker-py, requests and the engine say into our errors. It asks nothing."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from vmharness.errors import (
    Busy,
    CreateFailed,
    CreateTimeout,
    CreateUnsettled,
    DeleteFailed,
    EngineUnavailable,
    NameTaken,
    ProviderError,
)

__all__ = ["BACKEND", "Doing", "is_timeout", "status_of", "translate"]

BACKEND: Final = "docker"


class Doing(Enum):
    """What was under way. PREPARE: a create, before anything was asked that makes a machine."""

    ASK = auto()
    PREPARE = auto()
    CREATE = auto()
    DELETE = auto()
    RUN = auto()


class _Cause(Enum):
    UNREACHED = auto()  # the engine was surely not asked
    TIMED_OUT = auto()
    REFUSED = auto()  # the engine's own answer
    LOST = auto()  # anything else: it was perhaps asked


# By name, so that this module loads neither docker-py nor requests.
_UNREACHED: Final = (
    "BlockingIOError",
    "ConnectTimeout",
    "ConnectTimeoutError",
    "ConnectionRefusedError",
    "FileNotFoundError",
    "NewConnectionError",
    "NotADirectoryError",
    "PermissionError",
    "SSLError",
    "TLSParameterError",
    "gaierror",
)
_TIMED_OUT: Final = ("ReadTimeout", "ReadTimeoutError", "Timeout", "TimeoutError")
# A proxy's answers: the engine behind it was perhaps asked.
_PROXIES: Final = (502, 503, 504)


def translate(exc: Exception, doing: Doing, what: str, *, machine: str = "") -> ProviderError:
    """Return our error for one of the client's or the engine's.

    Args:
        exc: What was raised.
        doing: What was under way.
        what: The same in words, as `delete machine 'x'`.
        machine: Name of the machine, or "".
    """
    cause, said = _cause(exc), _said(exc)
    kind, hint, retryable = ProviderError, "", cause is _Cause.TIMED_OUT
    if cause is _Cause.UNREACHED:
        kind, hint, retryable = EngineUnavailable, _remedy(exc), is_timeout(exc)
    if doing is Doing.ASK:
        kind = EngineUnavailable
    elif doing is Doing.PREPARE or (doing is Doing.CREATE and cause is _Cause.UNREACHED):
        kind = CreateFailed
    elif doing is Doing.CREATE:
        if cause is _Cause.TIMED_OUT:
            kind, hint = CreateTimeout, "the engine goes on, and the machine may still appear"
        elif cause is _Cause.LOST or status_of(exc) in _PROXIES:
            kind, hint = CreateUnsettled, "the machine may be there, or appear"
        elif status_of(exc) == 409 and "already in use" in said:
            kind, hint = NameTaken, ""
        else:
            kind = CreateFailed
    elif doing is Doing.DELETE and cause is not _Cause.UNREACHED:
        in_progress = status_of(exc) == 409 and "in progress" in said
        kind = Busy if in_progress else DeleteFailed
        retryable = in_progress or cause is not _Cause.REFUSED or (status_of(exc) or 0) >= 500
    text = f"cannot {what}: {said}" + (f"; {hint}" if hint else "")
    return kind(text, backend=BACKEND, machine=machine, retryable=retryable)


def status_of(exc: Exception) -> int | None:
    """Return the HTTP status of the engine's answer, or None if it gave none."""
    status = getattr(exc, "status_code", None)
    return status if isinstance(status, int) else None


def is_timeout(exc: Exception) -> bool:
    """Say whether the deadline passed, before the engine was asked or after."""
    # urllib3 derives the error of a refused connection from that of a time-out.
    refused = status_of(exc) is not None or _is(exc, ("NewConnectionError",))
    return not refused and _is(exc, (*_TIMED_OUT, "ConnectTimeout"))


def _cause(exc: Exception) -> _Cause:
    if status_of(exc) is not None:
        return _Cause.REFUSED
    if _is(exc, _UNREACHED):
        return _Cause.UNREACHED
    if _is(exc, _TIMED_OUT):
        return _Cause.TIMED_OUT
    return _Cause.LOST


def _is(exc: BaseException, names: tuple[str, ...]) -> bool:
    return any(base.__name__ in names for link in _chain(exc) for base in type(link).__mro__)


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Give an error and those that it was made from: requests and urllib3 put them in their arguments."""
    yield exc
    inner = [exc.__cause__, getattr(exc, "reason", None), *exc.args]
    for link in inner:
        if isinstance(link, BaseException) and link is not exc:
            yield from _chain(link)


def _said(exc: Exception) -> str:
    """Return the engine's own words, or those of the error at the bottom."""
    explanation = getattr(exc, "explanation", None)
    if explanation:
        return str(explanation).strip()
    if is_timeout(exc):
        return "no answer before the deadline"
    *_, bottom = _chain(exc)
    words = bottom.strerror if isinstance(bottom, OSError) else None
    return words or str(bottom).strip() or type(bottom).__name__


def _remedy(exc: Exception) -> str:
    if _is(exc, ("PermissionError",)):
        return "let this user use Docker's socket: it belongs to the group `docker`"
    if _is(exc, ("SSLError", "TLSParameterError")):
        return "check DOCKER_CERT_PATH and DOCKER_TLS_VERIFY"
    return "start Docker, or say where it is with DOCKER_HOST"
