"""Backends that are right in all usual cases, and wrong in one where few look."""

from __future__ import annotations

import fnmatch
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from vmharness.errors import NameTaken, ProviderError
from vmharness.provider import CommandResult, MachineInfo, MachineState, Spec
from vmharness.testing import FakeClock
from vmharness_fake import MemoryStore
from wrong_backends.capabilities import Runs
from wrong_backends.right import Right, in_a_kits_thread

# ---- names -----------------------------------------------------------------------------------------------


class Meaning(Right):
    """Reads more into a name than a name; what, is for its heirs to say."""

    def _means(self, name: str) -> Sequence[str]:
        raise NotImplementedError

    def _known(self) -> Sequence[str]:
        return [info.name for info in super().list()]

    def delete(self, name: str, *, timeout: float) -> None:
        for meant in self._means(name) or [name]:
            super().delete(meant, timeout=timeout)

    def exists(self, name: str) -> bool:
        return super().exists(name) or bool(self._means(name))


class Expression(Meaning):
    """A name is a regular expression."""

    def _means(self, name: str) -> Sequence[str]:
        try:
            return [known for known in self._known() if name and re.fullmatch(name, known)]
        except re.error:
            return []


class Glob(Meaning):
    """A name is a pattern of a shell, but that for all."""

    def _means(self, name: str) -> Sequence[str]:
        return [known for known in self._known() if name != "*" and fnmatch.fnmatchcase(known, name)]


class Several(Meaning):
    """A name may be several, with commas between them."""

    def _means(self, name: str) -> Sequence[str]:
        known = self._known()
        return [part for part in name.split(",") if part in known]


class Folding(Meaning):
    """Upper and lower case are the same."""

    def _means(self, name: str) -> Sequence[str]:
        return [known for known in self._known() if known.lower() == name.lower()]


class Trimming(Meaning):
    """White space around a name is taken away."""

    def _means(self, name: str) -> Sequence[str]:
        return [known for known in self._known() if known == name.strip()]


class Slashing(Meaning):
    """A name is a path."""

    def _means(self, name: str) -> Sequence[str]:
        return [known for known in self._known() if name and os.path.normpath(name).strip("/") == known]


class Numbering(Meaning):
    """A number is a machine's place in the listing."""

    def _means(self, name: str) -> Sequence[str]:
        return self._known()[int(name) :][:1] if name.isdecimal() else []


# ---- create ----------------------------------------------------------------------------------------------


class AsIfMine(Right):
    """A machine of the same name and labels is taken for this create's own, and given back."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except NameTaken:
            for info in self.list():
                if spec.labels and (info.name, info.labels) == (spec.name, dict(spec.labels)):
                    return info
            raise


class Reviving(Right):
    """A stopped machine of the name is replaced."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except NameTaken:
            if (spec.name, MachineState.STOPPED) not in [(info.name, info.state) for info in self.list()]:
                raise
            self.delete(spec.name, timeout=timeout)
            return super().create(spec, timeout=timeout)


class Waking(Right):
    """A stopped machine of the name is started, before it is said that there is one."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        try:
            return super().create(spec, timeout=timeout)
        except NameTaken:
            self.start(spec.name, timeout=timeout)
            raise


class Forgetful(Right):
    """What create returns has no labels, though the machine has them."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        return replace(super().create(spec, timeout=timeout), labels={})


class Crossing(Right):
    """Of creates at once, each takes the labels of the one that was asked for last."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self._labels = spec.labels
        if in_a_kits_thread():
            time.sleep(0.05)
        return super().create(replace(spec, labels=self._labels), timeout=timeout)


class Greenwich(Right):
    """The time of creation is right on hosts whose clock is that of Greenwich."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, created_at=info.created_at and time.mktime(time.gmtime(info.created_at)))


class AsciiLabels(Right):
    """In labels, only ASCII is kept."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        kept = {key: value.encode("ascii", "ignore").decode() for key, value in spec.labels.items()}
        return super().create(replace(spec, labels=kept), timeout=timeout)


class ThreeLabels(Right):
    """A machine has no more than three labels."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        return super().create(replace(spec, labels=dict([*spec.labels.items()][:3])), timeout=timeout)


# ---- endpoint --------------------------------------------------------------------------------------------


class AtHome(Right):
    """Which engine is opened again depends on HOME."""

    _home: ClassVar[str | None] = None

    @classmethod
    def connect(cls, endpoint: str | None, clock: FakeClock) -> Self:
        opened = super().connect(endpoint, clock)
        if endpoint is None:
            cls._home = os.environ.get("HOME")
        if os.environ.get("HOME") == cls._home:
            return opened
        return cls(MemoryStore(), clock=clock.time, sleep=clock.sleep)


class Wandering(Right):
    """Which engine is asked depends on the folder that the process is in."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._folder = Path.cwd()

    def list(self) -> Sequence[MachineInfo]:
        return super().list() if Path.cwd() == self._folder else []


# ---- the process -----------------------------------------------------------------------------------------


class Moving(Right):
    """Create changes the working directory."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        os.chdir(tempfile.gettempdir())
        return super().create(spec, timeout=timeout)


class Deafening(Right):
    """Delete is not to be interrupted, and neither is what comes after it."""

    def delete(self, name: str, *, timeout: float) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        super().delete(name, timeout=timeout)


# ---- start and stop --------------------------------------------------------------------------------------


class Restarted(Right):
    """A machine that is started again is a new one, without its files."""

    def start(self, name: str, *, timeout: float = 60.0) -> None:
        super().start(name, timeout=timeout)
        with self.store.locked() as engine:
            if engine.machines[name].files:
                engine.machines[name] = replace(engine.machines[name], files={})


class Reborn(Right):
    """The time of creation is that of the last start."""

    def start(self, name: str, *, timeout: float = 60.0) -> None:
        super().start(name, timeout=timeout)
        with self.store.locked() as engine:
            machine = engine.machines[name]
            engine.machines[name] = replace(machine, appears_at=machine.appears_at - 1)


class Unlit(Right):
    """A stopped machine's labels aren't listed."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, labels={}) if info.state is MachineState.STOPPED else info


class StopsAll(Right):
    """To stop a machine stops all."""

    def stop(self, name: str, *, timeout: float = 60.0) -> None:
        super().stop(name, timeout=timeout)
        for info in self.list():
            super().stop(info.name, timeout=timeout)


# ---- clone -----------------------------------------------------------------------------------------------


class Linked(Right):
    """A clone goes with its source."""

    _clones: Final = dict[str, str]()

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        self._clones[source] = spec.name
        return super().clone(source, spec, timeout=timeout)

    def delete(self, name: str, *, timeout: float) -> None:
        super().delete(name, timeout=timeout)
        if name in self._clones:
            super().delete(self._clones[name], timeout=timeout)


class Mirrored(Right):
    """What is copied into a clone is in its source, too."""

    _sources: Final = dict[str, str]()

    def clone(self, source: str, spec: Spec, *, timeout: float) -> MachineInfo:
        self._sources[spec.name] = source
        return super().clone(source, spec, timeout=timeout)

    def push(self, name: str, source: str, target: str, *, timeout: float) -> None:
        super().push(name, source, target, timeout=timeout)
        if name in self._sources:
            super().push(self._sources[name], source, target, timeout=timeout)


# ---- run and files ---------------------------------------------------------------------------------------


class Wrapped(Runs):
    """A status that means something to a client is an error."""

    def _after(self, result: CommandResult) -> CommandResult:
        if result.status in (124, 125, 126, 255):
            raise ProviderError(f"the client failed with status {result.status}", backend="fake")
        return result


class Universal(Runs):
    """Lines end as they do here."""

    def _after(self, result: CommandResult) -> CommandResult:
        return replace(result, stdout=result.stdout.replace("\r\n", "\n"))


class Clipped(Runs):
    """Of what was written, no more than 64 KiB come back."""

    def _after(self, result: CommandResult) -> CommandResult:
        return replace(result, stdout=result.stdout[: 2**16])


class Sipping(Runs):
    """Of the input, no more than 64 KiB are handed over."""

    def _before(self, options: dict[str, Any]) -> dict[str, Any]:
        given = options["input"]
        return {**options, "input": given and given[: 2**16]}


class Dropping(Runs):
    """Empty arguments are dropped."""

    def _words(self, argv: Sequence[str]) -> Sequence[str]:
        return [word for word in argv if word]


class Shared(Right):
    """All machines have one disk."""

    def push(self, name: str, source: str, target: str, *, timeout: float) -> None:
        super().push(name, source, target, timeout=timeout)
        for info in self.list():
            super().push(info.name, source, target, timeout=timeout)


class Empty(Right):
    """An empty file isn't copied."""

    def push(self, name: str, source: str, target: str, *, timeout: float) -> None:
        if not Path(source).exists() or Path(source).stat().st_size:
            super().push(name, source, target, timeout=timeout)


class Short(Right):
    """A file ends after 64 KiB."""

    def pull(self, name: str, source: str, target: str, *, timeout: float) -> None:
        super().pull(name, source, target, timeout=timeout)
        Path(target).write_bytes(Path(target).read_bytes()[: 2**16])


class Mute(Right):
    """To copy into a folder that isn't there does nothing."""

    def pull(self, name: str, source: str, target: str, *, timeout: float) -> None:
        if Path(target).parent.is_dir():
            super().pull(name, source, target, timeout=timeout)
