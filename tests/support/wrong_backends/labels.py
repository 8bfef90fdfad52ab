"""Backends whose machines have wrong labels, or wrong times of creation."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from vmharness.provider import LABEL_TOKEN, MachineInfo, Spec
from wrong_backends.right import Right, RightUnlabelled, change, is_watched

_LONG_S: Final = 1e6
_WAIT_S: Final = 5.0


# ---- labels ----------------------------------------------------------------------------------------------


class Unlabelling(Right):
    """Labels are lost."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        return super().create(replace(spec, labels={}), timeout=timeout)


class CuttingLabels(Right):
    """Labels are cut to 63 characters."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        cut = {key: value[:63] for key, value in spec.labels.items()}
        return super().create(replace(spec, labels=cut), timeout=timeout)


class MendingLabels(Right):
    """In labels, what isn't a letter or a digit becomes a hyphen."""

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        mended = {
            key: "".join(letter if letter.isalnum() else "-" for letter in value)
            for key, value in spec.labels.items()
        }
        return super().create(replace(spec, labels=mended), timeout=timeout)


class Boasting(Right):
    """Longer labels are promised than the engine takes."""

    @property
    def label_length(self) -> int:
        return 4096


class Curt(Right):
    """Labels are too short for a token."""

    @property
    def label_length(self) -> int:
        return 16


class LabellingLater(Right):
    """Labels are put on a machine that is there already."""

    _bare: Final = threading.Event()
    _looked: Final = threading.Event()

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        self._looked.clear()
        super().create(replace(spec, labels={}), timeout=timeout)
        if is_watched():
            self._bare.set()
            self._looked.wait(_WAIT_S)
            self._bare.clear()
        change(self, spec.name, spec=spec)
        return next(info for info in self.list() if info.name == spec.name)

    def list(self) -> Sequence[MachineInfo]:
        bare = self._bare.is_set()
        listing = super().list()
        if bare:
            self._looked.set()
        return listing


class Staining(Right):
    """A machine without labels gets those of the one before."""

    _last: Mapping[str, str] = {LABEL_TOKEN: ""}

    def create(self, spec: Spec, *, timeout: float) -> MachineInfo:
        labels = spec.labels or type(self)._last
        type(self)._last = labels
        return super().create(replace(spec, labels=labels), timeout=timeout)


class Emptying(RightUnlabelled):
    """An engine without labels lists empty ones."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, labels={})


# ---- times -----------------------------------------------------------------------------------------------


class Milliseconds(Right):
    """The time of creation is in milliseconds."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, created_at=(info.created_at or 0) * 1000)


class LocalTime(Right):
    """The time of creation is that of a time zone, two hours ahead."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, created_at=(info.created_at or 0) + 7200)


class Booted(Right):
    """The time of creation is when the image was made."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, created_at=(info.created_at or 0) - 86400)


class Timeless(Right):
    """The engine has labels, and the time of creation isn't known."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(info, created_at=None)


class TimelessUnlabelled(RightUnlabelled):
    """The engine has neither labels nor times."""

    def _shown(self, info: MachineInfo) -> MachineInfo:
        return replace(super()._shown(info), created_at=None)
