"""Incus' and LXD's arguments, as their front-ends read them."""

from __future__ import annotations

import pytest

from vmharness_incus import _front as front

ENDPOINT = "lxd:local/default?dir=/var/lib/lxd"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("launch img web", "web"),
        ("launch img web --vm -c a=b", "web"),
        ("launch -c a=b img --device root,size=1 web", "web"),
        ("launch -ca=b -q -e img web", "web"),
        ("launch -ec a=b img web", "web"),
        ("launch --config=a=b -- img web", "web"),
        ("launch images:alpine/3 web", "web"),
        ("launch img local:web", "web"),
        ("launch img local:", ""),
        ("launch img", ""),
        ("init img web", "web"),
        ("create img web", "web"),
        ("init --empty web", "web"),
        ("init --empty", ""),
        ("--project p -q launch img web", "web"),
        ("copy old web", "web"),
        ("cp old/snap0 web", "web"),
        ("import file.tar.gz web", "web"),
        ("move old web", "web"),
        ("copy old", None),
        ("copy --refresh old web", None),
        ("rename old/s1 old/s2", None),
        ("launch", None),
        ("launch --help img", None),
        ("list", None),
        ("exec web -- launch img x", None),
        ("image import file alias", None),
        ("storage create pool dir", None),
        ("network create net", None),
        ("", None),
    ],
)
def test_recognise_create(line: str, name: str | None) -> None:
    assert front.recognise_create(line.split()) == name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("delete -f web db", ["web", "db"]),
        ("delete web --force", ["web"]),
        ("rm web/snap0", []),
        ("stop -f web", ["web"]),
        ("image delete img", []),
        ("launch img web", []),
        ("", []),
    ],
)
def test_recognise_delete(line: str, words: list[str]) -> None:
    assert front.recognise_delete(line.split()) == words


@pytest.mark.parametrize(
    ("line", "here"),
    [
        ("launch img web", True),
        ("launch far:img web", True),
        ("launch far:img", True),
        ("launch img local:web", True),
        ("launch img local:", True),
        ("copy far:old web", True),
        ("launch img web --project default", True),
        ("launch img far:web", False),
        ("launch img far:", False),
        ("copy old far:web", False),
        ("init --empty far:web", False),
        ("--project other launch img web", False),
        ("copy old web --target-project=other", False),
        ("import file.tar.gz web", False),
        ("move old web", False),
    ],
)
def test_elsewhere(line: str, here: bool) -> None:
    assert (front.elsewhere(line.split(), ENDPOINT) == "") is here


def test_with_name_says_what_the_engine_would_have_said() -> None:
    assert front.with_name(["launch", "img"], "n") == (["launch", "img", "n"], "Instance name is: n\n")
    assert front.with_name(["launch", "--", "img"], "n")[0] == ["launch", "--", "img", "n"]
    assert front.with_name(["launch", "img", "local:", "-e"], "n")[0] == ["launch", "img", "local:n", "-e"]


def test_with_labels() -> None:
    assert front.with_labels(["launch", "--", "img", "web"], {"a.b": "x y"}) == [
        *("--config=user.a.b=x y", "launch", "--", "img", "web")
    ]


def test_seen() -> None:
    assert front.seen("web\ndb\n", ["local:web", "other"]) == ["web"]
    assert front.look_args()[0] == "list"
