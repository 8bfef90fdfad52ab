"""A pytest plugin for the process that verifies a backend: it tells the parent what each check came to.

It doesn't know what is checked, nor how it is shown. `-p vmharness.testing._verifying --verify=JSON`; what
happens is written to a descriptor as lines of JSON: `{"check": NAME, "outcome": …, "reason": …}` of each
check, in the kit's order, `{"ended": WHY}` if nothing else can be checked, and at last `{"status": N}`.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import FrameType
from typing import Any, Final

import pytest

from vmharness.provider import Connect
from vmharness.testing._contract import checks
from vmharness.testing._contract_base import ENDED

__all__ = ["WANTED", "Wanted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall be verified, and how.

    Attributes:
        backend: Name of the backend.
        value: What its entry point points at, as `package.module:connect`.
        image: Image of the machines; "" = the backend's default.
        create_timeout_s: Deadline of each create, in seconds.
        delete_timeout_s: Deadline of each delete, in seconds.
        check_s: How long a check may take before it is given up, in seconds.
        descriptor: Where to write what happens.
    """

    backend: str
    value: str
    image: str
    create_timeout_s: float
    delete_timeout_s: float
    check_s: float
    descriptor: int

    def load(self) -> Connect:
        """Load the backend's entry point."""
        connect: Connect = EntryPoint(self.backend, self.value, "vmharness.backends").load()
        return connect


WANTED: Final = pytest.StashKey[Wanted]()
_TOLD: Final = pytest.StashKey[dict[str, str]]()


class Overdue(Exception):
    """A check took far longer than all of its deadlines together: the backend hangs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one option, which only the parent gives."""
    parser.addoption("--verify", help="what to verify, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Read what is wanted; let signals be what they are in a process of one's own."""
    config.stash[WANTED] = Wanted(**json.loads(str(config.getoption("verify"))))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, _give_up)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check in the kit's order: first what all else stands on; and what is shown has headings."""
    order = {check.name: number for number, check in enumerate(checks())}
    items.sort(key=lambda item: order[item.name])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Give up a check that hangs, and, after as long again, what it does at its end."""
    limit_s = item.config.stash[WANTED].check_s
    item.stash[_TOLD] = {"check": item.name, "outcome": "passed", "reason": ""}
    signal.setitimer(signal.ITIMER_REAL, limit_s, limit_s)
    try:
        result = yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if item.stash[_TOLD]["outcome"] != "unchecked":
        _tell(item.config, item.stash[_TOLD])
    if ended := _ended(item):
        _tell(item.config, {"ended": ended})
        item.session.shouldstop = ended
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what a check came to; what goes wrong at its end counts as well."""
    report = yield
    told = item.stash[_TOLD]
    if not report.passed and call.excinfo is not None:
        reason = "; ".join(_reasons(call.excinfo.value))
        before = told["reason"] if told["outcome"] == "failed" else ""
        told.update(outcome=report.outcome, reason="; ".join(dict.fromkeys(filter(None, [before, reason]))))
    if report.failed and report.when == "setup" and _ended(item):
        told["outcome"] = "unchecked"  # what was found before it is no fault of this check's
    return report


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Say that the kit itself can't be loaded."""
    if report.failed:
        raise pytest.UsageError(str(report.longrepr))


def pytest_internalerror(excrepr: object, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Say that the kit itself failed."""
    del excrepr
    os.write(2, f"{excinfo.getrepr()}\n".encode())


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Say that it is over."""
    _tell(session.config, {"status": int(exitstatus)})


def _ended(item: pytest.Item) -> str:
    return "" if item.parent is None else item.parent.stash.get(ENDED, "")


def _tell(config: pytest.Config, what: dict[str, Any]) -> None:
    try:
        os.write(config.stash[WANTED].descriptor, json.dumps(what).encode() + b"\n")
    except OSError:
        pass  # the parent is dead; machines go all the same


def _reasons(error: BaseException) -> Iterator[str]:
    """Say why a check failed or was skipped: of a group, each of its errors."""
    members: Sequence[BaseException] = getattr(error, "exceptions", ())
    for inner in members:
        yield from _reasons(inner)
    if members:
        return
    text = str(error).strip()
    plain = isinstance(error, AssertionError | pytest.fail.Exception | pytest.skip.Exception)
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    yield (text if plain else f"{type(error).__name__}: {text}") + notes


def _give_up(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise Overdue("it hangs: far beyond all deadlines, it hadn't ended")
