"""The process in which a backend is verified, and what comes of it. It shows nothing, and knows no check.

A process of its own: no conftest, setting or plugin of the user's has a part in it, and a backend that ends
or breaks its process is found out like any other.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vmharness._plugins import BACKENDS, installed, open_provider
from vmharness.errors import PluginError, VMHarnessError
from vmharness.provider import Describes
from vmharness.testing import Check, ContractMachines, Level, checks

__all__ = ["Report", "Result", "run_checks", "run_kit"]

# A user's settings for pytest, which are meant for the user's tests.
_FOREIGN: Final = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DEBUG", "PYTEST_XDIST_TESTRUNUID")
_ARGUMENTS: Final = (
    # The package first: pytest then explains the asserts of all its modules.
    *("-p", "vmharness.testing", "-p", "vmharness.testing._verifying"),
    *("-p", "no:terminal", "-p", "no:cacheprovider"),
    *("-c", os.devnull, "--noconftest", "--pyargs", "vmharness.testing._suite"),
)
_LAST_WORDS: Final = 2000
_LACKING: Final = re.compile(r"gives no fixture '(\w+)'")
_OUTCOMES: Final = ("passed", "failed", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a check came to.

    Attributes:
        check: The check.
        outcome: `passed`, `failed` or `skipped`.
        reason: Why, if it didn't pass.
    """

    check: Check
    outcome: str
    reason: str

    @property
    def counts(self) -> bool:
        """Whether the contract is broken if it failed: what is only a SHOULD, breaks nothing."""
        return self.check.level is not Level.SHOULD

    @property
    def lacks(self) -> str:
        """Name of the fixture without which it was skipped; "" if it wasn't for lack of one."""
        found = _LACKING.search(self.reason) if self.outcome == "skipped" else None
        return found[1] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the checks came to.

    Attributes:
        backend: Name of the backend.
        engine: The engine's name and version; "" if it doesn't say.
        endpoint: Which engine.
        results: Those of all checks that ended, in the kit's order.
        error: Why not all checks ended; "" if all did.
    """

    backend: str
    engine: str
    endpoint: str
    results: Sequence[Result]
    error: str

    @property
    def keeps(self) -> bool:
        """Whether the backend keeps the contract."""
        return not self.error and not any(
            result.outcome == "failed" and result.counts for result in self.results
        )

    def unchecked(self) -> Sequence[Result]:
        """Return what every backend must keep, and was not checked for lack of a fixture."""
        return [result for result in self.results if result.check.level is Level.MUST and result.lacks]

    def counts(self) -> Mapping[Level, Mapping[str, int]]:
        """Return how many checks of each level had each outcome."""
        return {
            level: {
                outcome: sum(
                    result.check.level is level and result.outcome == outcome for result in self.results
                )
                for outcome in _OUTCOMES
            }
            for level in Level
        }

    def plain(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "backend": self.backend,
            "engine": self.engine,
            "endpoint": self.endpoint,
            "keeps": self.keeps,
            "error": self.error,
            "counts": self.counts(),
            "checks": [
                {
                    "name": result.check.name,
                    "verb": result.check.verb,
                    "level": result.check.level,
                    "sentence": result.check.sentence,
                    "outcome": result.outcome,
                    "reason": result.reason,
                }
                for result in self.results
            ],
        }


def run_checks(
    backend: str,
    *,
    image: str,
    create_timeout_s: float,
    delete_timeout_s: float,
    begun: Callable[[str], None],
    checked: Callable[[Result], None],
) -> Report:
    """Run the conformance kit on an installed backend.

    Args:
        backend: Its name.
        image: Image of the machines; "" = the backend's default.
        create_timeout_s: Deadline of each create, in seconds.
        delete_timeout_s: Deadline of each delete, in seconds.
        begun: Is given a line that says which engine it is, before the first check.
        checked: Is given what each check came to, at its end, in the kit's order.

    Raises:
        UnknownBackend: None of that name is installed.
        PluginError: It can't be loaded or opened.
        EngineUnavailable: The engine doesn't answer.
        NotOwned: The engine has machines named as the kit's; nothing was done.
        KeyboardInterrupt: We were interrupted; the machine of the check under way was deleted.
    """
    provider = open_provider(backend)
    try:
        ContractMachines(provider).begin()
        engine = provider.describe() if isinstance(provider, Describes) else ""
    except VMHarnessError:
        raise
    except Exception as exc:
        raise PluginError(f"cannot list the machines of {backend!r}: {type(exc).__name__}: {exc}") from exc
    wanted = {
        "backend": backend,
        "value": next(point.value for point in installed(BACKENDS) if point.name == backend),
        "image": image,
        "create_timeout_s": create_timeout_s,
        "delete_timeout_s": delete_timeout_s,
        "check_s": 3 * (create_timeout_s + delete_timeout_s) + 60,
    }
    begun(f"backend {backend}, {engine or 'engine'} at {provider.endpoint}")
    results, error = run_kit(wanted, checked)
    return Report(
        backend=backend, engine=engine, endpoint=str(provider.endpoint), results=results, error=error
    )


def run_kit(wanted: Mapping[str, Any], checked: Callable[[Result], None]) -> tuple[Sequence[Result], str]:
    """Run the kit in a process of its own; return what the checks came to, and why not all of them ended."""
    known = {check.name: check for check in checks()}
    results: dict[str, Result] = {}
    status: int | None = None
    ended = ""
    reading, writing = os.pipe()
    with os.fdopen(reading) as told, tempfile.TemporaryFile() as output:
        try:
            process = _start(wanted, writing, output.fileno())
        finally:
            os.close(writing)
        with process:
            for line in _lines(told.readline, process):
                event = json.loads(line)
                status, ended = event.get("status", status), event.get("ended", ended)
                if "check" in event:
                    check = known[event["check"]]
                    results[check.name] = Result(
                        check=check, outcome=event["outcome"], reason=event["reason"]
                    )
                    checked(results[check.name])
        output.seek(0)
        said = output.read()[-_LAST_WORDS:].decode("utf-8", "replace").strip()
    ordered = [results[name] for name in known if name in results]
    if ended or len(ordered) == len(known):
        return ordered, ended
    return ordered, f"{_how(status, process.returncode)}{': ' if said else ''}{said}"


def _start(wanted: Mapping[str, Any], descriptor: int, output: int) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    # In a session of its own: a Ctrl+C is ours alone, and passed on once.
    return subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "pytest", *_ARGUMENTS),
            f"--verify={json.dumps({**wanted, 'descriptor': descriptor})}",
        ],
        env={**environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=(descriptor,),
        start_new_session=True,
    )


def _lines(readline: Callable[[], str], process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield what the process says until its end; an interrupt is passed on, and raised when it has ended."""
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            line = readline()
        except KeyboardInterrupt as exc:
            interrupted = exc
            process.send_signal(signal.SIGINT)
            continue
        if not line:
            break
        if interrupted is None:
            yield line
    if interrupted is not None:
        process.wait()
        raise interrupted


def _how(status: int | None, returncode: int) -> str:
    if status is not None:
        return f"pytest ended with status {status}"
    if returncode < 0:
        return f"the process was ended by signal {-returncode}"
    return f"the process ended with status {returncode}, in the midst of a check"
