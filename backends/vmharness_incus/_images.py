"""From an image's name as all backends take it to the engine's own; it asks nothing."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["native_image"]


def native_image(
    image: str, *, remote: str, aliases: Collection[str], remotes: Collection[str], cloud_init: bool = False
) -> str:
    """Return the image in the form that `launch` takes.

    `ubuntu:24.04` is the engine's own form where it has a remote `ubuntu`, as LXD has; else it is
    `ubuntu/24.04` on the image server that both call `images`. What already has the engine's form
    (`images:debian/12`, an alias, a fingerprint) is left alone.

    Args:
        image: What was asked for.
        remote: The engine's own remote, whose aliases and fingerprints are named without one.
        aliases: The aliases that the engine has.
        remotes: The remotes that the command knows.
        cloud_init: Whether it must have cloud-init, which the image server's smallest ones lack.
    """
    before, colon, after = image.partition(":")
    if image in aliases or not colon:
        return f"{remote}:{image}"
    if before in remotes:
        return image
    return f"images:{before}/{after}" + ("/cloud" if cloud_init else "")
