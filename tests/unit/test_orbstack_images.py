"""Images in orbctl's words."""

from __future__ import annotations

import pytest

from vmharness_orbstack._images import DISTROS, native_image


@pytest.mark.parametrize(
    "image", ["ubuntu:24.04", "ubuntu:noble", "ubuntu", "centos:9-Stream", "nixos:25.05"]
)
def test_orbctls_own_form_is_passed_through(image: str) -> None:
    assert native_image(image) == image


def test_no_image_is_the_default_one() -> None:
    assert native_image("") == "ubuntu:24.04"


def test_what_a_listing_calls_a_distro_can_be_asked_for() -> None:
    assert native_image("archlinux:current") == "arch:current"


@pytest.mark.parametrize("image", ["windows:11", "ubunt", "--arch=amd64", ":24.04", "images:ubuntu/24.04"])
def test_unknown_distro_lists_the_known_ones(image: str) -> None:
    with pytest.raises(ValueError, match="OrbStack has no distro") as caught:
        native_image(image)

    assert all(distro in str(caught.value) for distro in DISTROS)


@pytest.mark.parametrize("image", ["ubuntu:", "ubuntu:24.04:arm64", "ubuntu:-f", "ubuntu:a b"])
def test_what_cannot_be_a_version_is_refused(image: str) -> None:
    with pytest.raises(ValueError, match="can't be a version"):
        native_image(image)
