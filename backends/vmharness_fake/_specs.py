"""What the engine can make: names, images, lengths of labels; it knows no machine."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from vmharness.errors import CreateFailed
from vmharness.provider import Spec

__all__ = ["IMAGES", "LABEL_LENGTH", "complete"]

IMAGES: Final = ("ubuntu:24.04", "ubuntu:22.04", "debian:12", "alpine:3.20", "fake:tiny")
LABEL_LENGTH: Final = 255

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def complete(spec: Spec) -> Spec:
    """Return the spec with the engine's defaults; raise CreateFailed if the engine can't make it."""
    image = spec.image or IMAGES[0]
    if not _NAME.fullmatch(spec.name):
        why = "a name has 1 to 63 of a-z, 0-9 and '-', and no '-' at its ends"
    elif image not in IMAGES:
        why = f"no image {image!r}; the fake engine has {', '.join(IMAGES)}"
    elif any(len(value) > LABEL_LENGTH for value in spec.labels.values()):
        why = f"a label has more than {LABEL_LENGTH} characters; shorten it"
    else:
        return replace(spec, image=image, labels=dict(spec.labels))
    raise CreateFailed(f"cannot create {spec.name!r}: {why}", backend="fake", machine=spec.name)
