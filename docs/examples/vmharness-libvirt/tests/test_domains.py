"""What the conformance kit can't know: domains that others defined, and what libvirt's sentences mean."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import vmharness_libvirt
from vmharness.command import CommandLine
from vmharness.errors import CreateFailed, CreateUnsettled, EngineUnavailable, NameTaken, ProviderError
from vmharness.provider import MachineState, Provider, Spec
from vmharness_libvirt import LibvirtProvider
from vmharness_libvirt._virsh import Virsh

REFUSED = "error: Failed to create domain from /dev/stdin\nerror: "


@pytest.fixture
def provider() -> Provider:
    """Return the environment's libvirt."""
    return vmharness_libvirt.connect()


@pytest.fixture
def stranger(provider: Provider) -> Iterator[str]:
    """Define a domain as a person would, with a name that no backend gives, and don't start it."""
    name = f"a person's {uuid.uuid4()}"
    xml = f"<domain type='qemu'><name>{name}</name><memory>8192</memory><os><type>hvm</type></os></domain>"
    virsh = ["virsh", "--quiet", "--connect", provider.endpoint]
    subprocess.run([*virsh, "define", "/dev/stdin"], input=xml, text=True, check=True)
    yield name
    if name in subprocess.check_output([*virsh, "list", "--all", "--name"], text=True).splitlines():
        subprocess.run([*virsh, "undefine", name], check=True)


def test_a_strangers_domain_is_listed_as_it_is(provider: Provider, stranger: str) -> None:
    """It is stopped, has no labels, and nobody knows when it was made."""
    (info,) = [info for info in provider.list() if info.name == stranger]

    assert provider.exists(stranger)
    assert (info.state, info.labels, info.created_at) == (MachineState.STOPPED, {}, None)


def test_a_stopped_domain_that_is_defined_is_deleted_whole(provider: Provider, stranger: str) -> None:
    """Destroying it isn't enough."""
    provider.delete(stranger, timeout=30)

    assert not provider.exists(stranger)


def scripted(folder: Path, answers: str) -> LibvirtProvider:
    """Return a provider whose virsh is a script with these answers, and that has an image."""
    image = folder / "images" / "default"
    image.mkdir(parents=True)
    (image / "kernel").touch()
    (image / "initrd").touch()
    virsh = folder / "virsh"
    virsh.write_text(f'#!/bin/sh\nshift 3\ncase $1 in\n{answers}\n*) echo "?" ;;\nesac\n')
    virsh.chmod(0o755)
    return LibvirtProvider(Virsh("test:///", CommandLine(str(virsh), backend="libvirt")), folder / "images")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (f"{REFUSED}operation failed: domain 'a' already exists with uuid 0", NameTaken),
        (f"{REFUSED}unsupported configuration: too many CPUs", CreateFailed),
        (f"{REFUSED}internal error: qemu unexpectedly closed the monitor: no memory", CreateFailed),
        ("error: failed to connect to the hypervisor\nerror: no such socket", CreateFailed),
        ("error: Disconnected from qemu:///system due to end of file", CreateUnsettled),
        (f"{REFUSED}internal error: client socket is closed", CreateUnsettled),
        (f"{REFUSED}something new", CreateUnsettled),
    ],
)
def test_what_libvirt_says_of_a_create(tmp_path: Path, said: str, kind: type[ProviderError]) -> None:
    """Only what is known to be a statement is taken for one."""
    provider = scripted(tmp_path, f'create) echo "{said}" >&2; exit 1 ;;')

    with pytest.raises(ProviderError) as caught:
        provider.create(Spec(name="a"), timeout=30)

    assert type(caught.value) is kind


ONE = "6d4c9c3e-0000-4000-8000-000000000001"
TWO = "6d4c9c3e-0000-4000-8000-000000000002"


def domain(number: str, name: str) -> str:
    """Return what virsh prints of a domain."""
    return f"<domain><name>{name}</name><uuid>{number}</uuid></domain>\n\nrunning\n"


@pytest.mark.parametrize(
    "answers",
    [
        f"list) echo '{ONE} a'; echo '{TWO} b' ;;\ndump*) echo '{domain(ONE, 'a')}' ;;",
        f"list) echo '{ONE} a' ;;\ndump*) echo '{domain(ONE, 'a')[:-20]}' ;;",
        f"list) echo '{ONE} a'; echo 'b' ;;\ndump*) echo '{domain(ONE, 'a')}' ;;",
        "list) echo 'error: no' >&2; exit 1 ;;",
    ],
    ids=["one undescribed", "cut short", "no UUID", "refused"],
)
def test_a_partial_listing_is_none(tmp_path: Path, answers: str) -> None:
    """There is a complete answer or an error."""
    with pytest.raises(EngineUnavailable):
        scripted(tmp_path, answers).list()


def test_a_domain_that_goes_while_it_is_listed_is_no_error(tmp_path: Path) -> None:
    """It was there in the first call, and isn't in the next."""
    gone = tmp_path / "gone"
    provider = scripted(
        tmp_path,
        f"list) echo '{ONE} a'; [ -e {gone} ] || echo '{TWO} b' ;;\n"
        f"dump*) touch {gone}; echo '{domain(ONE, 'a')}' ;;",
    )

    assert [info.name for info in provider.list()] == ["a"]
