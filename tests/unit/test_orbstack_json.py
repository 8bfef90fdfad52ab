"""What orbctl's JSON is read as; the samples are captured output of 2.2.3, character by character."""

from __future__ import annotations

import json

import pytest

from vmharness.provider import MachineInfo, MachineState
from vmharness_orbstack._json import parse_info, parse_list, ulid_time

LIST = """\
[{"id":"01M1M7N61KT3MYNC8KGX55MSGN","name":"mm44-dc-a-dmz",
  "image":{"distro":"ubuntu","version":"noble","arch":"arm64","variant":"default"},
  "config":{"isolated":false,"default_username":"vh"},
  "builtin":false,"state":"running"}]
"""
INFO = """\
{"record":{"id":"01M1M7N61KT3MYNC8KGX55MSGN","name":"mm44-dc-a-dmz",
  "image":{"distro":"ubuntu","version":"noble","arch":"arm64","variant":"default"},
  "config":{"isolated":false,"forward_ssh_agent":true,"isolate_network":false,
    "default_username":"vh","http_port":0,"https_port":0,
    "memory_limit_mib":2048,"cpu_limit":2,"disk_limit_bytes":21474836480},
  "builtin":false,"state":"running"},
 "disk_size":683962368,"ip4":"192.168.139.10","ip6":"fd07:b51a:cc66:0:ac8c:31ff:fe6b:b491"}
"""
BANNER = """
    ╭────────────────────────────────────────────────────────╮
    │               OrbStack update available!               │
    │              Run "orb update" to update.               │
    ╰────────────────────────────────────────────────────────╯

"""


def test_the_captured_listing() -> None:
    assert parse_list(LIST) == (
        MachineInfo(
            name="mm44-dc-a-dmz",
            state=MachineState.RUNNING,
            image="ubuntu:noble",
            created_at=1788459259.955,
            created_resolution=0.001,
            labels=None,
            address="",
        ),
    )


def test_the_captured_info_has_an_address() -> None:
    machine = parse_info(INFO)

    assert machine is not None
    assert machine.name == "mm44-dc-a-dmz"
    assert machine.state is MachineState.RUNNING
    assert machine.address == "192.168.139.10"
    assert machine.created_at == parse_list(LIST)[0].created_at


def test_compact_and_indented_say_the_same() -> None:
    assert parse_list(json.dumps(json.loads(LIST), indent=2)) == parse_list(LIST)
    assert parse_list(json.dumps(json.loads(LIST), separators=(",", ":"))) == parse_list(LIST)


@pytest.mark.parametrize("stdout", ["[]", "[]\n", BANNER + "[]\n", "null", BANNER + "null\n"])
def test_no_machines(stdout: str) -> None:
    assert parse_list(stdout) == ()


@pytest.mark.parametrize(
    "stdout", ["", "\n", BANNER, LIST[:-5], '[{"name":"a"},{"na', "{}", "[{}]", "[1]", "0"]
)
def test_what_is_no_complete_listing_is_refused(stdout: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_list(stdout)


def test_a_banner_in_front_is_skipped() -> None:
    assert parse_list(BANNER + LIST) == parse_list(LIST)
    assert parse_info(BANNER + INFO) == parse_info(INFO)


def test_a_listing_of_records_with_details_is_read_too() -> None:
    (machine,) = parse_list(f"[{INFO}]")

    assert machine.name == "mm44-dc-a-dmz"
    assert machine.address == "192.168.139.10"


def test_unknown_missing_and_null_keys_are_taken() -> None:
    (machine,) = parse_list('[{"name":"a","id":null,"image":null,"config":null,"builtin":null,"new":[1]}]')

    assert machine == MachineInfo(name="a", state=MachineState.OTHER)


def test_builtin_machines_are_none_of_ours() -> None:
    assert parse_list('[{"name":"docker","builtin":true,"state":"running"}]') == ()
    assert parse_info('{"record":{"name":"docker","builtin":true,"state":"running"}}') is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("creating", MachineState.CREATING),
        ("provisioning", MachineState.CREATING),
        ("running", MachineState.RUNNING),
        ("stopped", MachineState.STOPPED),
        ("deleting", MachineState.DELETING),
        ("starting", MachineState.OTHER),
        ("never heard of", MachineState.OTHER),
    ],
)
def test_states(state: str, expected: MachineState) -> None:
    (machine,) = parse_list(json.dumps([{"name": "a", "state": state}]))

    assert machine.state is expected


@pytest.mark.parametrize(
    "info", ['{"record":{"name":"a"},"ip4":"","ip6":"fd07::1"}', '{"name":"a","ip6":"fd07::1"}']
)
def test_without_an_ipv4_address_there_is_the_ipv6_one(info: str) -> None:
    machine = parse_info(info)

    assert machine is not None
    assert machine.address == "fd07::1"


def test_time_of_a_known_ulid() -> None:
    assert ulid_time("01ARZ3NDEKTSV4RRFFQ69G5FAV") == 1469922850.259
    assert ulid_time("01arz3ndektsv4rrffq69g5fav") == 1469922850.259


@pytest.mark.parametrize(
    "text", ["", "x", "01ARZ3NDEK", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEUTSV4RRFFQ69G5FAV"]
)
def test_what_is_no_ulid_has_no_time(text: str) -> None:
    assert ulid_time(text) is None
