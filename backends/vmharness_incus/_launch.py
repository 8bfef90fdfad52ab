"""From a spec to the arguments of a launch; all that is refused here is refused before anything is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vmharness.provider import Kind, Spec
from vmharness_incus._cli import Client
from vmharness_incus._images import native_image
from vmharness_incus._machine import LABEL, NAME

__all__ = ["DEFAULT_IMAGE", "Launch", "check", "label_flags", "prepare"]

DEFAULT_IMAGE: Final = "ubuntu:24.04"

_ARCHES: Final = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l", "i386": "i686"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The arguments of a launch.

    Attributes:
        image: The image in the engine's own form.
        flags: Each in one word, so that no value is taken for a flag.
        aliases: The images that the engine has, for who asked for another.
    """

    image: str
    flags: Sequence[str]
    aliases: Sequence[str]


def prepare(client: Client, spec: Spec, *, timeout: float) -> Launch:
    """Return the arguments of a launch. The engine is asked in any case, so it is known to answer.

    Args:
        client: Asks the engine.
        spec: What is asked for.
        timeout: Seconds until the deadline of each question.

    Raises:
        ValueError: The engine can't make such a machine.
        EngineUnavailable: It doesn't answer.
    """
    check(spec)
    aliases = client.aliases(timeout=timeout)
    server: Mapping[str, Any] = {}
    if spec.arch or spec.user_data or spec.kind is Kind.VM:
        server = client.ask("", "ask what the engine can do", timeout=timeout)
        _check_host(spec, server["environment"])
    image = spec.image or DEFAULT_IMAGE
    return Launch(
        image=native_image(
            image,
            remote=client.endpoint.remote,
            aliases=aliases,
            remotes=client.remotes() if ":" in image and image not in aliases else (),
            cloud_init=bool(spec.user_data),
        ),
        flags=_flags(spec, server.get("api_extensions", ())),
        aliases=aliases,
    )


def check(spec: Spec) -> None:
    """Raise ValueError if the engine can't have a machine of that name, or with those labels."""
    if not NAME.fullmatch(spec.name):
        raise ValueError(
            "a name is 1 to 63 of a-z, A-Z, 0-9 and '-', begins with a letter, and doesn't end with '-'"
        )
    bad = [key for key in spec.labels if not key or "=" in key]
    if bad:
        raise ValueError(f"a label can't be called {bad[0]!r}")


def label_flags(spec: Spec) -> Sequence[str]:
    """Return the flags by which an instance gets the spec's labels."""
    return [f"--config={LABEL}{key}={value}" for key, value in spec.labels.items()]


def _check_host(spec: Spec, host: Mapping[str, Any]) -> None:
    native = host["architectures"][0]
    if spec.arch and _ARCHES.get(spec.arch, spec.arch) != native:
        raise ValueError(f"its host's architecture is {native}, not {spec.arch}")
    if spec.kind is Kind.VM and "qemu" not in host["driver"]:
        raise ValueError(
            "its host can't run virtual machines, for the engine found no QEMU or no KVM there; "
            "leave kind out for a system container"
        )


def _flags(spec: Spec, extensions: Sequence[str]) -> Sequence[str]:
    config: dict[str, str] = {}
    if spec.cpus is not None:
        config["limits.cpu"] = str(spec.cpus)
    if spec.memory is not None:
        config["limits.memory"] = str(spec.memory)
    if spec.user_data:
        # The newer key is read by cloud-init in all images that have it, the older one in fewer.
        key = "cloud-init.user-data" if "cloud_init" in extensions else f"{LABEL}user-data"
        config[key] = spec.user_data
    flags = [*label_flags(spec), *(f"--config={key}={value}" for key, value in config.items())]
    flags += [f"--device=root,size={spec.disk}"] if spec.disk is not None else []
    flags += ["--vm"] if spec.kind is Kind.VM else []
    return flags
