"""A backend whose machines are folders, as short as a correct one can be."""

from __future__ import annotations

import errno
import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from vmharness.errors import CreateFailed, DeleteFailed, EngineUnavailable, NameTaken
from vmharness.provider import MachineInfo, MachineState, Provider, Spec, TakesLabels

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class FolderProvider(Provider, TakesLabels):
    """Machines in one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def endpoint(self) -> str:
        """The folder: two providers with the same one list the same machines."""
        return str(self._root)

    @property
    def label_length(self) -> int:
        """The longest value of a label, in characters."""
        return 255

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        """Make a folder with all that belongs in it, then rename it into sight."""
        if not NAME.fullmatch(spec.name):
            raise CreateFailed(
                f"cannot create {spec.name!r}: no folder of ours has such a name",
                backend="folder",
                machine=spec.name,
            )
        if spec.image not in ("", "empty"):
            raise CreateFailed(
                f"cannot create {spec.name!r}: no image {spec.image!r}; there is: empty",
                backend="folder",
                machine=spec.name,
            )
        hidden = self._root / f".{uuid.uuid4().hex}"
        try:
            hidden.mkdir(parents=True)
            (hidden / "labels.json").write_text(json.dumps(dict(spec.labels)))
            hidden.rename(self._root / spec.name)
        except OSError as exc:
            if exc.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise NameTaken(
                    f"cannot create {spec.name!r}: it is there", backend="folder", machine=spec.name
                ) from exc
            raise CreateFailed(
                f"cannot create {spec.name!r}: {exc}", backend="folder", machine=spec.name
            ) from exc
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
        return self._info(self._root / spec.name)

    def list(self) -> Sequence[MachineInfo]:
        """Return all machines."""
        found: list[MachineInfo] = []
        try:
            paths = [path for path in self._root.iterdir() if NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return found
        except OSError as exc:
            raise EngineUnavailable(f"cannot list {self._root}: {exc}", backend="folder") from exc
        for path in paths:
            try:
                found.append(self._info(path))
            except FileNotFoundError:
                pass  # deleted since
        return found

    def delete(self, name: str, *, timeout: float) -> None:
        """Rename the folder out of sight, then delete it."""
        if not NAME.fullmatch(name):
            return
        hidden = self._root / f".{uuid.uuid4().hex}"
        try:
            (self._root / name).rename(hidden)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise DeleteFailed(f"cannot delete {name!r}: {exc}", backend="folder", machine=name) from exc
        shutil.rmtree(hidden, ignore_errors=True)

    def exists(self, name: str) -> bool:
        """Say whether the machine is there."""
        return any(info.name == name for info in self.list())

    def _info(self, path: Path) -> MachineInfo:
        labels = path / "labels.json"
        return MachineInfo(
            name=path.name,
            state=MachineState.RUNNING,
            image="empty",
            created_at=labels.stat().st_mtime,
            labels=json.loads(labels.read_text()),
        )


def connect(endpoint: str | None = None) -> FolderProvider:
    """Open the engine: the folder of that path, or the default one."""
    return FolderProvider(Path(endpoint or Path(tempfile.gettempdir(), "folder-machines")))
