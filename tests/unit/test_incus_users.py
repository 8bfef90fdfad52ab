"""Users by name or number, from what a machine's /etc/passwd says, which may be anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from vmharness_incus._users import identity

USERS = (
    "root:x:0:0:root:/root:/bin/sh\ntester:x:1000:100:tester:/tmp:/bin/sh\nbad\nworse:x:a:b:worse:/:/bin/sh\n"
    "homeless:x:7:7:::\n"
)
TESTER = {"user": 1000, "group": 100, "cwd": "/tmp", "environment": {"HOME": "/tmp", "USER": "tester"}}


@pytest.mark.parametrize(
    ("user", "fields"),
    [
        ("tester", TESTER),
        ("1000", TESTER),
        ("root", {"user": 0, "group": 0, "cwd": "/root", "environment": {"HOME": "/root", "USER": "root"}}),
        (
            "homeless",
            {"user": 7, "group": 7, "cwd": "/", "environment": {"HOME": "", "USER": "homeless"}},
        ),
        ("4711", {"user": 4711}),
    ],
)
def test_user_may_be_a_name_or_a_number(user: str, fields: Mapping[str, Any]) -> None:
    assert identity(user, USERS) == fields


@pytest.mark.parametrize("user", ["nobody", "-1", "", "٣", "bad", "worse"])
def test_user_that_the_machine_lacks_is_told(user: str) -> None:
    with pytest.raises(LookupError):
        identity(user, USERS)
