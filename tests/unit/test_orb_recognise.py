"""Creates in foreign command lines, of each engine that has a command."""

from __future__ import annotations

import shlex

import pytest

from vmharness_docker._recognise import recognise as docker
from vmharness_incus._recognise import recognise as incus
from vmharness_orbstack._recognise import recognise as orbstack

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
    ("orb create --help", None),
    ("orb run create ubuntu vm-1", None),
    ("orb list", None),
    ("orb", None),
    ("docker create ubuntu vm-1", None),
    ("", None),
]
DOCKER = [
    ("docker run --name vm-1 alpine", "vm-1"),
    ("docker run --name=vm-1 -it alpine sh", "vm-1"),
    ("docker create --rm -v /a:/b -e A=B --name vm-1 alpine", "vm-1"),
    ("docker container run -dp 80:80 --name vm-1 nginx", "vm-1"),
    ("docker -H unix:///x.sock --debug run --name vm-1 alpine", "vm-1"),
    ("docker --context here container create --name vm-1 alpine", "vm-1"),
    ("docker run -e --name -d --name vm-1 alpine", "vm-1"),
    ("docker run --env --name alpine --name vm-1", ""),
    ("docker run -d alpine", ""),
    ("docker run alpine echo --name vm-1", ""),
    ("docker run -ti -- alpine --name vm-1", ""),
    ("docker run --init alpine --name vm-1", ""),
    ("docker run --help", None),
    ("docker build --name vm-1 .", None),
    ("docker network create --name vm-1", None),
    ("docker container ls", None),
    ("docker", None),
    ("orb create alpine vm-1", None),
    ("", None),
]
INCUS = [
    ("incus launch images:debian/12 vm-1", "vm-1"),
    ("lxc init ubuntu:24.04 vm-1 --vm -c limits.cpu=2", "vm-1"),
    ("/snap/bin/lxc launch -c a=b -p default ubuntu:24.04 vm-1", "vm-1"),
    ("lxc --project tests launch ubuntu:24.04 cluster:vm-1 --target member", "vm-1"),
    ("lxc launch --config=a=b --ephemeral ubuntu:24.04 vm-1", "vm-1"),
    ("incus create images:alpine/3.20 vm-1", "vm-1"),
    ("lxc launch --console ubuntu:24.04 vm-1", "vm-1"),
    ("lxc copy vm-0 vm-1 --target-project other", "vm-1"),
    ("lxc launch -q -- ubuntu:24.04 vm-1", "vm-1"),
    ("lxc launch ubuntu:24.04", ""),
    ("lxc launch ubuntu:24.04 cluster:", ""),
    ("lxc launch --help", None),
    ("lxc list launch x", None),
    ("lxc exec vm-1 -- lxc launch x y", None),
    ("lxc", None),
    ("docker run --name vm-1 x", None),
    ("", None),
]


@pytest.mark.parametrize(("line", "name"), ORBSTACK)
def test_orbstack(line: str, name: str | None) -> None:
    assert orbstack(shlex.split(line)) == name


@pytest.mark.parametrize(("line", "name"), DOCKER)
def test_docker(line: str, name: str | None) -> None:
    assert docker(shlex.split(line)) == name


@pytest.mark.parametrize(("line", "name"), INCUS)
def test_incus(line: str, name: str | None) -> None:
    assert incus(shlex.split(line)) == name
