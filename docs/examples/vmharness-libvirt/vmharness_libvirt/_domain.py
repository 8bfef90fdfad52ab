"""From a spec to a domain's XML, and from XML to our values; it asks nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from vmharness.provider import Kind, MachineInfo, MachineState, Spec

__all__ = ["NAME", "check", "read_domains", "write_domain"]

# libvirt takes nearly any name; these are no file's path, no option, and no surprise in anybody's script.
NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9._-]{0,62}")

_OURS: Final = "{https://example.org/vmharness-libvirt}machine"
_MEMORY: Final = 128 * 1024 * 1024
_STATES: Final = {
    "running": MachineState.RUNNING,
    "idle": MachineState.RUNNING,
    "shut off": MachineState.STOPPED,
    "crashed": MachineState.STOPPED,
}


def check(spec: Spec, images: Path) -> Path:
    """Return the folder of the image, or raise ValueError if libvirt can't make such a machine.

    Args:
        spec: What is asked for.
        images: The folder of all images; each is a folder with the files `kernel` and `initrd`.
    """
    name = spec.image or "default"
    image = images / name
    if not NAME.fullmatch(spec.name):
        raise ValueError("a name begins with a letter, and has up to 63 of a-z, A-Z, 0-9, '.', '_' and '-'")
    if not NAME.fullmatch(name) or not (image / "kernel").is_file() or not (image / "initrd").is_file():
        raise ValueError(f"there is no image {name!r}: no files 'kernel' and 'initrd' in {image}")
    if spec.kind is Kind.CONTAINER:
        raise ValueError("its machines are virtual machines, no containers")
    if spec.disk is not None or spec.arch or spec.user_data or spec.user not in ("", "root"):
        raise ValueError(
            "its machines have no disk, the host's architecture, no cloud-init, and the user root"
        )
    return image


def write_domain(spec: Spec, *, uuid: str, image: Path, kvm: bool, now: float) -> bytes:
    """Return the XML of a new domain.

    Args:
        spec: What is asked for.
        uuid: Its UUID.
        image: Folder of its image.
        kvm: Whether the host's processor shall run it; else QEMU emulates one.
        now: The time, in seconds since the epoch: libvirt itself doesn't keep it.
    """
    domain = Element("domain", type="kvm" if kvm else "qemu")
    SubElement(domain, "name").text = spec.name
    SubElement(domain, "uuid").text = uuid
    # As JSON, for XML has no way to write some characters that a label may have.
    ours = {"created_at": now, "image": image.name, "labels": dict(spec.labels)}
    SubElement(SubElement(domain, "metadata"), _OURS).text = json.dumps(ours)
    SubElement(domain, "memory", unit="b").text = str(spec.memory or _MEMORY)
    SubElement(domain, "vcpu").text = str(spec.cpus or 1)
    boot = SubElement(domain, "os")
    SubElement(boot, "type").text = "hvm"
    SubElement(boot, "kernel").text = str(image / "kernel")
    SubElement(boot, "initrd").text = str(image / "initrd")
    SubElement(boot, "cmdline").text = "quiet panic=-1"
    SubElement(SubElement(domain, "features"), "acpi")
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        SubElement(domain, event).text = "destroy"
    devices = SubElement(domain, "devices")
    SubElement(devices, "controller", type="usb", model="none")
    SubElement(devices, "memballoon", model="none")
    agent = SubElement(devices, "channel", type="unix")
    SubElement(agent, "target", type="virtio", name="org.qemu.guest_agent.0")
    return ElementTree.tostring(domain)


def read_domains(text: str) -> Mapping[str, MachineInfo]:
    """Return the machines of domains that each are XML and, after it, a state; by their UUIDs.

    Raises:
        ValueError: Some of it can't be read.
    """
    try:
        domains = ElementTree.fromstring(f"<all>{text}</all>")  # noqa: S314 - libvirt wrote it
        whole = [domain for domain in domains if _state(domain)]  # one that went in between has no state
        return {domain.findtext("uuid", ""): _read(domain) for domain in whole}
    except (ElementTree.ParseError, KeyError, TypeError) as exc:
        raise ValueError(f"cannot read what libvirt says of its domains: {exc}") from exc


def _state(domain: Element) -> str:
    return (domain.tail or "").strip()


def _read(domain: Element) -> MachineInfo:
    # A stranger's domain has no such element: no labels, and nothing says how old it is.
    ours: dict[str, Any] = json.loads(domain.findtext(f"metadata/{_OURS}", "{}"))
    return MachineInfo(
        name=domain.findtext("name", ""),
        state=_STATES.get(_state(domain), MachineState.OTHER),
        image=ours.get("image", ""),
        created_at=ours.get("created_at"),
        labels=ours.get("labels", {}),
    )
