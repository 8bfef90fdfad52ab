"""The conformance kit's check that a provider leaves the process as it was; it knows no capability."""

# ruff: noqa: S101 - asserts are what the kit is made of

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

from vmharness.provider import Provider
from vmharness.testing._contract_base import Contract
from vmharness.testing._machines import ContractMachines

__all__ = ["ProcessContract"]

# What ends a run, whose handlers clean up after it.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UMASK: Final = 0o027


class ProcessContract(Contract):
    """What a provider promises to the process that it is called in: the test suite's."""

    verb = "process"

    def test_the_process_is_left_as_it_was(
        self, provider: Provider, machines: ContractMachines, tmp_path: Path
    ) -> None:
        """Calls change neither the working directory nor the umask, nor what is done about signals."""
        name = machines.new_name()
        # All of it is other than at earlier calls: what they changed for good would not be seen.
        with _elsewhere(tmp_path):
            before = _state()

            machines.create(name)
            provider.list()
            provider.exists(name)
            machines.delete(name)

            after = _state()
        assert after == before


def _state() -> Mapping[str, Any]:
    umask = os.umask(_UMASK)
    os.umask(umask)
    handlers = {number.name: signal.getsignal(number) for number in _SIGNALS}
    return {"working directory": Path.cwd(), "umask": oct(umask), **handlers}


@contextmanager
def _elsewhere(folder: Path) -> Generator[None]:
    """Be in that folder, and hear signals in a way of our own; put back all of it, whatever was changed."""
    with ExitStack() as stack:
        stack.callback(os.chdir, Path.cwd())
        os.chdir(folder)
        stack.callback(os.umask, os.umask(_UMASK))
        for number in _SIGNALS:
            former = signal.getsignal(number)
            with suppress(ValueError):  # not in the main thread, where there is nothing to change either
                signal.signal(number, _like(former))
                stack.callback(signal.signal, number, former)
        yield


def _like(former: Any) -> Any:
    """Return another handler that does the same."""

    def handle(number: int, frame: FrameType | None) -> None:
        if callable(former):
            former(number, frame)
        elif former == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    return handle
