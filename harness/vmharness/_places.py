"""Where state lives on this host, and who this host is; it knows nothing of what is kept there."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vmharness.errors import LedgerError

__all__ = ["boot_id", "check_private", "host_id", "make_private", "state_folder", "usual_folder"]

_REMEDY = "set VMHARNESS_STATE_DIR to a folder of your own on a local disk"


def host_id() -> str:
    """Return 12 hexadecimal digits for this host, the same after a reboot.

    Derived from the machine id, which systemd's documentation asks not to show as it is.
    """
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        text = _read(path)
        if text:
            break
    else:
        text = platform.node()
    return hashlib.sha256(b"vmharness:" + text.encode()).hexdigest()[:12]


def boot_id() -> str:
    """Return 8 hexadecimal digits for the host's current boot, or "" where the system doesn't tell."""
    return _read("/proc/sys/kernel/random/boot_id").replace("-", "")[:8]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def state_folder(environ: Mapping[str, str]) -> Path:
    """Choose the folder for all state; nothing is made or written.

    `VMHARNESS_STATE_DIR` if set; else the platform's user state folder; else, where that can't be
    written (no home, read-only), one in `XDG_RUNTIME_DIR`; else one in the temporary directory.
    """
    explicit = environ.get("VMHARNESS_STATE_DIR")
    if explicit:
        return Path(explicit).absolute()
    usual = usual_folder()
    if usual is not None and _writable(usual):
        return usual
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and _writable(Path(runtime, "vmharness")):
        return Path(runtime, "vmharness")
    return Path(tempfile.gettempdir(), f"vmharness-{os.geteuid()}")


def usual_folder() -> Path | None:
    """Return where the platform keeps a user's state, writable or not; None where the user has no home."""
    import platformdirs

    try:
        return Path(platformdirs.user_state_dir("vmharness", appauthor=False))
    except RuntimeError:  # neither HOME nor an entry in the password database, as in some containers
        return None


def _writable(path: Path) -> bool:
    """Whether the folder is there and writable, or could be made."""
    if not path.is_absolute():  # "~" that no home could be found for
        return False
    for folder in (path, *path.parents):
        # A dangling or foreign symlink counts as there: it is refused later, not silently replaced.
        if os.path.lexists(folder):
            return os.access(folder, os.W_OK | os.X_OK)
    return False


def make_private(folder: Path) -> None:
    """Make the folder, readable by its owner only, and its missing parents, as usual.

    Raises:
        LedgerError: It can't be made, is not a folder, or is somebody else's; nothing is kept there then.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise LedgerError(f"cannot make the state folder {folder}: {exc.strerror}; {_REMEDY}") from exc
    check_private(folder)


def check_private(folder: Path) -> None:
    """Raise LedgerError unless the folder is a real folder of this user's that nobody else can write."""
    try:
        found = folder.lstat()
    except OSError as exc:
        raise LedgerError(f"cannot use the state folder {folder}: {exc.strerror}; {_REMEDY}") from exc
    if not stat.S_ISDIR(found.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "not a folder"
        raise LedgerError(f"cannot use the state folder {folder}: it is {kind}; {_REMEDY}")
    if found.st_uid != os.geteuid():
        raise LedgerError(f"cannot use the state folder {folder}: user {found.st_uid} owns it; {_REMEDY}")
    if found.st_mode & 0o022:
        raise LedgerError(f"cannot use the state folder {folder}: others can write to it; {_REMEDY}")
