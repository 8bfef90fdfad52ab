"""Names of images in the words of `orbctl create`; it knows no command line and asks nobody.

OrbStack takes `DISTRO[:VERSION]` as it is, where the version is a number or a codename. No command
lists the images; which versions there are only a create tells.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["DEFAULT_IMAGE", "DISTROS", "native_image"]

DEFAULT_IMAGE: Final = "ubuntu:24.04"

DISTROS: Final = (
    "alma",
    "alpine",
    "arch",
    "centos",
    "debian",
    "devuan",
    "fedora",
    "gentoo",
    "kali",
    "nixos",
    "openeuler",
    "opensuse",
    "oracle",
    "rocky",
    "ubuntu",
    "void",
)

# What OrbStack's own messages call them, so that what a listing says can be asked for again.
_ALSO: Final = {"archlinux": "arch", "voidlinux": "void"}
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def native_image(image: str) -> str:
    """Return the image in orbctl's own form; "" is the default image.

    Raises:
        ValueError: OrbStack has no such distro, or the version can't be one; the message lists the distros.
    """
    distro, colon, version = (image or DEFAULT_IMAGE).partition(":")
    distro = _ALSO.get(distro, distro)
    if distro not in DISTROS:
        raise ValueError(f"OrbStack has no distro {distro!r}; it has {', '.join(DISTROS)}")
    if colon and not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} can't be a version of {distro}; write as in 'ubuntu:24.04'")
    return f"{distro}{colon}{version}"
