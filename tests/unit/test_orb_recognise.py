"""Creates in foreign command lines of OrbStack's command."""

from __future__ import annotations

import shlex

import pytest

from vmharness_orbstack._recognise import recognise

ORBSTACK = [
    ("orbctl create ubuntu:22.04 vm-1", "vm-1"),
    ("/usr/local/bin/orb create ubuntu vm-1", "vm-1"),
    ("orb create -a amd64 -u me ubuntu:22.04 vm-1", "vm-1"),
    ("orb create ubuntu vm-1 --arch amd64 --isolated", "vm-1"),
    ("orb add --user-data=cloud.yml --cpus 2 debian vm-1", "vm-1"),
    ("orb new -aamd64 alpine vm-1", "vm-1"),
    ("orb create -pu me ubuntu vm-1", "vm-1"),
    ("orb create -- ubuntu vm-1", "vm-1"),
    ("orb create openeuler:22.03", "openeuler"),
    ("orb create --new-flag ubuntu vm-1", ""),
    ("orb create ubuntu vm-1 --arch", ""),
    ("orb create", ""),
    ("orbctl clone vm-0 vm-1", "vm-1"),
    ("orbctl clone vm-0", ""),
    ("orbctl import -n vm-1 machine.tar.zst", "vm-1"),
    ("orbctl import --name=vm-1 machine.tar.zst", "vm-1"),
    ("orbctl import machine.tar.zst", ""),
    ("orb rename vm-0 vm-1", None),
    ("orb create --help", None),
    ("orb run create ubuntu vm-1", None),
    ("orb list", None),
    ("orb", None),
    ("docker create ubuntu vm-1", None),
    ("", None),
]


@pytest.mark.parametrize(("line", "name"), ORBSTACK)
def test_orbstack(line: str, name: str | None) -> None:
    assert recognise(shlex.split(line)) == name
