"""Which engine and image the demo plays on, and its folder; it knows no act of the play.

The one module of the framework that names a backend: where no engine is at hand, the demo plays on the
fake one that vmharness brings along, in a folder that its processes share.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from vmharness._clock import Clock, pauses
from vmharness._ledger import FileLedgers
from vmharness._model import Record, State
from vmharness._plugins import open_provider
from vmharness._session import Session
from vmharness._settings import SETTINGS, Settings
from vmharness.cli._engines import ranked, survey
from vmharness.errors import EngineUnavailable, VMHarnessError
from vmharness.provider import Describes, ListsImages, MachineInfo, Provider

__all__ = ["Folder", "Stage", "choose_stage", "clean_up", "open_folder"]

FAKE: Final = "fake"
_FAKE_FOLDER: Final = "VMHARNESS_FAKE_DIR"
# Slow enough to see, and patient enough for a busy host.
_FAKE_PACE: Final = {
    "VMHARNESS_FAKE_CREATE_S": "0.3",
    "VMHARNESS_FAKE_DELETE_S": "0.3",
    "VMHARNESS_FAKE_SETTLE_S": "20",
}
# Images that are a bare system. What else an engine has may do anything when it is started.
_SYSTEMS: Final = "almalinux alpine archlinux busybox debian fedora rockylinux ubuntu vmharness-tiny"
_SYSTEM: Final = re.compile(rf"(?:[\w.-]+/library/|[\w-]+:)?(?:{_SYSTEMS.replace(' ', '|')})(?:[:/@].*)?")
_MOST_IMAGES: Final = 3
# How long an interrupted demo looks for machines that may still appear, in seconds.
_LOOK_S: Final = 3.0
_PYTEST: Final = 'addopts = "-v --tb=line --no-header"'
# At least this long is a create given, in seconds; on slow engines longer than they take.
_CREATE_S: Final = 2.0
# Read by pytest, or by a session of the user's own that the demo is called from.
_FOREIGN: Final = ("PYTEST_", "VMHARNESS_SESSION", *(f"VMHARNESS_{s.name.upper()}" for s in SETTINGS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demo plays.

    Attributes:
        backend: Name of the backend.
        provider: Its provider.
        engine: The engine's name and version.
        image: Image of the machines; "" = the backend's default.
        create_timeout: Deadline of each create, in seconds.
        reasons: Why it is none of the engines that might have been taken, one sentence each.
    """

    backend: str
    provider: Provider
    engine: str
    image: str
    create_timeout: float
    reasons: Sequence[str] = ()

    @property
    def is_fake(self) -> bool:
        """Whether its machines are made up."""
        return self.backend == FAKE

    def engine_in_words(self) -> str:
        """Return the engine's name, version and endpoint."""
        endpoint = self.provider.endpoint
        return self.engine if endpoint in self.engine else f"{self.engine} at {endpoint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The demo's own folder: the suite, and the state of its runs, which aren't the user's.

    Attributes:
        path: Where it is.
        prefix: How the names of its machines begin; nobody else's do.
    """

    path: Path
    prefix: str

    @property
    def suite(self) -> Path:
        """Where the tests are."""
        return self.path / "suite"

    @property
    def ledgers(self) -> FileLedgers:
        """The ledgers of its runs."""
        return FileLedgers(self.path / "state")

    def environ(self) -> dict[str, str]:
        """Return the environment of its runs: no setting but the suite's own is in force."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        return {**environ, "VMHARNESS_STATE_DIR": str(self.ledgers.state), "PYTHONUNBUFFERED": "1"}

    def machines(self, provider: Provider) -> Sequence[MachineInfo]:
        """Return the demo's machines that the engine has now."""
        return [info for info in provider.list() if info.name.startswith(self.prefix)]

    def unsettled(self) -> Sequence[Record]:
        """Return what the ledgers name that isn't known to be gone."""
        contents = [self.ledgers.read(path) for path in self.ledgers.paths()]
        return [record for part in contents for record in part.records.values() if record.state != State.GONE]

    def remove(self) -> None:
        """Remove the folder, and the fake engine with it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write_suite(self, stage: Stage) -> Mapping[str, str]:
        """Write the suite; return its files' names and texts."""
        settings = {
            "backend": stage.backend,
            "image": stage.image,
            "prefix": self.prefix,
            "create_timeout": f"{stage.create_timeout:g}s",
        }
        table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items() if value)
        texts = {"pyproject.toml": f"[tool.vmharness]\n{table}\n[tool.pytest.ini_options]\n{_PYTEST}\n"}
        for name in ("test_machines.py", "test_killed.py", "conftest.py"):
            texts[name] = files("vmharness.cli").joinpath("demo_suite", name).read_text("utf-8")
        self.suite.mkdir()
        for name, text in texts.items():
            (self.suite / name).write_text(text, "utf-8")
        return texts


@contextmanager
def open_folder() -> Generator[Folder]:
    """Make the demo's folder; in the block, the fake engine is in it."""
    path = Path(tempfile.mkdtemp(prefix="vmharness-demo-"))
    # Whoever opens the fake engine finds it by the environment, our children too.
    pace = {_FAKE_FOLDER: str(path / "engine"), **_FAKE_PACE}
    before = {name: os.environ.get(name) for name in pace}
    os.environ.update(pace)
    try:
        yield Folder(path=path, prefix=f"demo-{secrets.token_hex(3)}")
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def choose_stage(folder: Folder, settings: Settings, backend: str, progress: Callable[[str], None]) -> Stage:
    """Choose the best engine that answers and has or gets an image, and else the fake one.

    Args:
        folder: Its prefix and state are used for the machines that images are tried with.
        settings: The user's own.
        backend: What must be used; "" = what is configured, or the best.
        progress: Is told what happens next.

    Raises:
        VMHarnessError: The backend that must be used can't be.
    """
    backend = backend or settings.backend
    reasons: list[str] = []
    if backend:
        provider = open_provider(backend)
        provider.list()
        candidates = [(backend, provider)]
    else:
        progress("asking the engines")
        engines = survey()
        reasons += [f"{engine.backend}: {engine.error}" for engine in engines if engine.error]
        candidates = [(engine.backend, engine.provider) for engine in ranked(engines) if engine.provider]
        candidates.append((FAKE, open_provider(FAKE)))
    for name, provider in candidates:
        own = replace(settings, backend=name, prefix=folder.prefix)
        for image in _images(provider, "" if name == FAKE else settings.image):
            progress(f"trying {image or 'its default image'} on {name}")
            try:
                took = _try(folder, replace(own, image=image), progress)
            except VMHarnessError as exc:
                reasons.append(f"{name}, {image or 'default image'}: {exc}")
                continue
            return Stage(
                backend=name,
                provider=provider,
                engine=provider.describe() if isinstance(provider, Describes) else name,
                image=image,
                create_timeout=max(_CREATE_S, math.ceil(3 * took)),
                reasons=reasons,
            )
    raise EngineUnavailable(
        "cannot run the demo: no machine could be made; set VMHARNESS_IMAGE to an image that the engine has, "
        "or use --backend:\n  " + "\n  ".join(reasons)
    )


def _images(provider: Provider, configured: str) -> Iterator[str]:
    """Yield the images to try: the configured one, or bare systems at hand, then the backend's default."""
    if configured:
        yield configured
        return
    at_hand = provider.images() if isinstance(provider, ListsImages) else ()
    systems = [image for image in at_hand if _SYSTEM.fullmatch(image)]
    # The smallest first, which are the quickest, too: none tells its size, but tiny ones are called so.
    yield from sorted(systems, key=lambda image: not re.search("tiny|alpine|busybox", image))[:_MOST_IMAGES]
    yield ""


def _try(folder: Folder, settings: Settings, progress: Callable[[str], None]) -> float:
    """Make a machine, run a command in it, delete it; return how many seconds the create took."""
    session = Session(settings, ledgers=folder.ledgers, plugins=(), say=progress)
    try:
        began = time.monotonic()
        machine = session.create()
        took = time.monotonic() - began
        if machine.run(["echo", "hello"]).stdout != "hello\n":
            raise EngineUnavailable(f"image {settings.image!r} can't run echo")
        return took
    finally:
        session.close()


def clean_up(folder: Folder) -> None:
    """Delete what the runs of an interrupted demo have left, and look a while for what may still appear."""
    clock = Clock()
    until = clock.monotonic() + _LOOK_S
    session = Session(Settings(), ledgers=folder.ledgers, plugins=())
    try:
        for pause in pauses(first=0.2):
            _delete_all(session, folder)
            if not folder.unsettled() or clock.monotonic() + pause > until:
                return
            clock.sleep(pause)
    finally:
        session.close()


def _delete_all(session: Session, folder: Folder) -> None:
    for path in folder.ledgers.paths():
        ledger = None if path == session.ledger.path else folder.ledgers.claim(path)
        if ledger is not None:
            try:
                session.delete(list(ledger.records.values()), ledger=ledger)
            finally:
                ledger.close()
