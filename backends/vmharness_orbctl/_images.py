"""The distros that OrbStack has, and what it calls their versions; it knows no machine."""

from __future__ import annotations

__all__ = ["canonical", "numbered"]

_DISTROS = frozenset(
    (
        *("alma", "alpine", "arch", "centos", "debian", "devuan", "fedora", "gentoo"),
        *("kali", "nixos", "openeuler", "opensuse", "oracle", "rocky", "ubuntu", "void"),
    )
)
# Of those distros whose versions have names; the last one is what no version means.
_NAMES = {
    "ubuntu": {"22.04": "jammy", "24.04": "noble", "25.10": "questing"},
    "debian": {"11": "bullseye", "12": "bookworm", "13": "trixie"},
}


def canonical(distro: str, version: str) -> str | None:
    """Return what a listing calls the version that was asked for.

    Returns:
        The version; "" if OrbStack has no such version of the distro; None if it has no such distro.
    """
    if distro not in _DISTROS:
        return None
    names = _NAMES.get(distro)
    if names is None:
        return version or "current"
    if not version:
        return [*names.values()][-1]
    return names.get(version, version if version in names.values() else "")


def numbered(distro: str, version: str) -> str:
    """Return the image as other engines call it: a version that OrbStack names, or means, by its number."""
    names = _NAMES.get(distro, {})
    numbers = {name: number for number, name in names.items()}
    version = numbers.get(version, version) or next(reversed(names), "")
    return f"{distro}:{version}" if version else distro
