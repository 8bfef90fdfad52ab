"""Files into and out of another backend's machine: by its own means, else by tar in it; it knows no verb."""

from __future__ import annotations

import base64
import io
import os
import tarfile
import tempfile
from pathlib import Path

from vmharness.errors import NotSupported, ProviderError
from vmharness.provider import CopiesFiles, Provider, RunsCommands

__all__ = ["pull", "push"]


def push(provider: Provider, name: str, source: str, target: str, timeout: float) -> None:
    """Copy a file or folder into a machine.

    Args:
        provider: Has the machine.
        name: Name of the machine.
        source: Path on the host.
        target: Path in the machine; "" and what ends with a slash is a folder to copy into.
        timeout: Seconds until the deadline of each step.

    Raises:
        ProviderError: It was not copied.
        OSError: The source can't be read.
    """
    own = os.path.basename(source.rstrip("/"))
    runner = _runner(provider)
    if not target or target.endswith("/") or _test(runner, name, "-d", target, timeout):
        target = f"{target.rstrip('/')}/{own}" if target else own
    if isinstance(provider, CopiesFiles) and target.startswith("/") and os.path.isfile(source):
        provider.push(name, source, target, timeout=timeout)
        return
    folder, _, base = target.rpartition("/")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(source, arcname=base)
    into = ["-C", folder or "/"] if "/" in target else []
    if folder:
        _run(runner, name, ["mkdir", "-p", folder], timeout)
    _run(runner, name, ["tar", "-xf", "-", *into], timeout, buffer.getvalue())


def pull(provider: Provider, name: str, source: str, target: str, timeout: float) -> None:
    """Copy a file or folder out of a machine.

    Args:
        provider: Has the machine.
        name: Name of the machine.
        source: Path in the machine.
        target: Path on the host; "" and what is a folder is copied into.
        timeout: Seconds until the deadline of each step.

    Raises:
        ProviderError: It was not copied.
        OSError: The target can't be written.
    """
    folder, _, base = source.rstrip("/").rpartition("/")
    goal = Path(target or ".")
    if goal.is_dir() or target.endswith("/"):
        goal /= base
    runner = _runner(provider)
    is_folder = _test(runner, name, "-d", source, timeout)
    if isinstance(provider, CopiesFiles) and source.startswith("/") and not is_folder:
        provider.pull(name, source, str(goal), timeout=timeout)
        return
    # Commands' output comes as text, so the archive comes as letters.
    script = 'tar -cf - -C "$1" "$2" | base64'
    place = folder or ("/" if source.startswith("/") else ".")
    if not _test(runner, name, "-e", source, timeout):
        raise ProviderError(f"{source}: no such file or directory", machine=name)
    letters = _run(runner, name, ["sh", "-c", script, "sh", place, base], timeout)
    archive = io.BytesIO(base64.b64decode(letters))
    with tempfile.TemporaryDirectory(dir=goal.parent) as new, tarfile.open(fileobj=archive) as tar:
        tar.extractall(new, filter="data")
        (Path(new) / base).rename(goal)


def _test(runner: RunsCommands, name: str, flag: str, path: str, timeout: float) -> bool:
    return runner.run(name, ["test", flag, path], timeout=timeout).status == 0


def _runner(provider: Provider) -> RunsCommands:
    if not isinstance(provider, RunsCommands):
        raise NotSupported("the backend can't run commands", machine="")
    return provider


def _run(runner: RunsCommands, name: str, argv: list[str], timeout: float, input: bytes | None = None) -> str:
    result = runner.run(name, argv, timeout=timeout, input=input)
    if result.status != 0:
        raise ProviderError(result.stderr.strip() or f"{argv[0]} ended with {result.status}", machine=name)
    return result.stdout
