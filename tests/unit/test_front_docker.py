"""Docker's arguments, as its front-end reads them."""

from __future__ import annotations

import pytest

from vmharness_docker import _front as front

ENDPOINT = "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("run -d --name web img", "web"),
        ("run -d --name=web img sleep 9", "web"),
        ("create --name web img", "web"),
        ("container run --name web img", "web"),
        ("container create --name web img", "web"),
        ("run --name old --name web img", "web"),
        ("run -d img", ""),
        ("run img --name web", ""),
        ("run -itd --rm img", ""),
        ("run -p 80:80 -v a:b -e A=B -w / --name web img", "web"),
        ("run -eA=B -p80:80 --env A=B --name web img", "web"),
        ("run -de A=B --name web img", "web"),
        ("run --rm -- img", ""),
        ("run --entrypoint --name img", ""),
        ("-H unix:///s run --name web img", "web"),
        ("--host=unix:///s -D -l debug --tls run --name web img", "web"),
        ("--config /c container run --name web img", "web"),
        ("rename old web", "web"),
        ("run", None),
        ("run --name web", None),
        ("run --help img", None),
        ("ps -a", None),
        ("image rm img", None),
        ("network create net", None),
        ("volume create v", None),
        ("exec web run --name x img", None),
        ("container ls", None),
        ("container", None),
        ("-v", None),
        ("", None),
    ],
)
def test_recognise_create(line: str, name: str | None) -> None:
    assert front.recognise_create(line.split()) == name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rm -f web db", ["web", "db"]),
        ("rm -fv web", ["web"]),
        ("rm --force --volumes web", ["web"]),
        ("container rm -l web", ["web"]),
        ("container remove web", ["web"]),
        ("stop -t 5 web", ["web"]),
        ("stop --time=5 web", ["web"]),
        ("kill -s TERM web", ["web"]),
        ("-H unix:///s rm web", ["web"]),
        ("rm", []),
        ("image rm web", []),
        ("rmi web", []),
        ("run --name web img", []),
        ("", []),
    ],
)
def test_recognise_delete(line: str, words: list[str]) -> None:
    assert front.recognise_delete(line.split()) == words


@pytest.mark.parametrize(
    ("line", "here"),
    [
        ("run img", True),
        ("run -H x img", True),
        ("run -c 5 img", True),
        (f"-H {ENDPOINT} run img", True),
        (f"--host={ENDPOINT}/ run img", True),
        ("-H tcp://far run img", False),
        ("-Htcp://far run img", False),
        ("--host tcp://far run img", False),
        ("-c far run img", False),
        ("--context=far run img", False),
        ("rename old web", False),
    ],
)
def test_elsewhere(line: str, here: bool) -> None:
    assert (front.elsewhere(line.split(), ENDPOINT) == "") is here


def test_with_name_labels_and_receipt() -> None:
    assert front.with_name(["-D", "container", "run", "-d", "img", "x"], "n") == (
        ["-D", "container", "run", "--name=n", "-d", "img", "x"],
        "",
    )
    assert front.with_labels(["run", "img"], {"a": "1", "b": "x y"}) == [
        *("run", "--label=a=1", "--label=b=x y", "img")
    ]
    assert front.with_receipt(["create", "img"], "/r") == (["create", "--cidfile=/r", "img"], True)
    own = ["run", "--cidfile", "/mine", "img"]
    assert front.with_receipt(own, "/r") == (own, False)


def test_seen() -> None:
    output = "abc1 web\nabd2 db,web/db\nffff other\n"

    assert front.seen(output, ["web"]) == ["web"]
    assert front.seen(output, ["abd2"]) == ["db"]
    assert front.seen(output, ["ab"]) == ["web", "db"]
    assert front.seen(output, ["/db"]) == ["db"]
    assert front.seen(output, ["nosuch", ""]) == []
    assert front.look_args()[0] == "ps"
