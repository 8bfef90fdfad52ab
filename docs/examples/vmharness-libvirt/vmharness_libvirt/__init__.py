"""Virtual machines of libvirt, through its command `virsh`; it knows nothing of sessions and ledgers.

A machine is a transient domain that boots from a kernel and an initramfs: it has no disk, so nothing but the
domain is made, and nothing is left when it is destroyed. It can be used once its QEMU guest agent answers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from vmharness.command import CommandLine
from vmharness.errors import EngineUnavailable
from vmharness.provider import Provider
from vmharness_libvirt._provider import LibvirtProvider
from vmharness_libvirt._virsh import Virsh

__all__ = ["LibvirtProvider", "connect"]

_URI: Final = "qemu:///system"
_IMAGES: Final = "/var/lib/libvirt/vmharness-images"


def connect(endpoint: str | None = None) -> Provider:
    """Open a libvirt; it is asked nothing.

    Args:
        endpoint: Its URI; None = that of LIBVIRT_DEFAULT_URI, or the system's.

    Raises:
        EngineUnavailable: virsh isn't installed.
    """
    environ = {**os.environ, "LC_ALL": "C"}  # its answers are read, so they must be in English
    command = CommandLine("virsh", backend="libvirt", hint="install libvirt's clients", environ=environ)
    if command.found() is None:
        raise EngineUnavailable(
            "cannot open libvirt: there is no virsh on PATH; install libvirt's clients", backend="libvirt"
        )
    uri = endpoint or environ.get("LIBVIRT_DEFAULT_URI") or _URI
    return LibvirtProvider(Virsh(uri, command), Path(environ.get("LIBVIRT_IMAGES") or _IMAGES))
