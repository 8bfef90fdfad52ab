"""The conformance kit as one class; what it checks is in the modules beside, one for each verb."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from vmharness.testing._contract_base import Contract
from vmharness.testing._contract_clone import CloneContract
from vmharness.testing._contract_create import CreateContract
from vmharness.testing._contract_deadlines import DeadlineContract
from vmharness.testing._contract_delete import DeleteContract
from vmharness.testing._contract_endpoint import EndpointContract
from vmharness.testing._contract_errors import ErrorContract
from vmharness.testing._contract_exists import ExistsContract
from vmharness.testing._contract_facts import FactContract, InspectContract, OwnCommandContract
from vmharness.testing._contract_files import FileContract
from vmharness.testing._contract_interface import InterfaceContract
from vmharness.testing._contract_labels import LabelContract
from vmharness.testing._contract_list import ListContract
from vmharness.testing._contract_power import PowerContract
from vmharness.testing._contract_process import ProcessContract
from vmharness.testing._contract_rename import RenameContract
from vmharness.testing._contract_run import RunContract
from vmharness.testing._contract_threads import ThreadContract
from vmharness.testing._contract_unavailable import UnavailableContract
from vmharness.testing._levels import Level, level_of

__all__ = ["Check", "ProviderContract", "checks"]


class ProviderContract(
    InterfaceContract,
    CreateContract,
    ListContract,
    ExistsContract,
    DeleteContract,
    EndpointContract,
    ThreadContract,
    ProcessContract,
    DeadlineContract,
    UnavailableContract,
    ErrorContract,
    LabelContract,
    RunContract,
    FileContract,
    PowerContract,
    CloneContract,
    RenameContract,
    InspectContract,
    OwnCommandContract,
    FactContract,
):
    """What every backend must pass. Subclass it in a test module, under a name that begins with Test.

    The subclass gives a fixture `connect` that returns the backend's entry point, or a fixture `provider`
    that returns a provider. It may give `stop`, `slow` and `unreachable`, and set the attributes that
    `Contract` describes. Checks of capabilities that the provider lacks are skipped, with the reason, as are
    those for which it would take a fixture that isn't given. Nothing else is checked of a provider whose
    methods can't be called as the interface says, nor once the kit finds that it can't go on.

    Machines are called `conf-…`, and a check's machines are deleted at its end, the last one first. Nothing
    else on the engine is touched, so the checks may run beside other work; but not on an engine that has
    machines of such names from elsewhere.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of the kit.

    Attributes:
        name: The test's name.
        verb: What it is about.
        level: How much it matters.
        sentence: What of the contract it proves.
    """

    name: str
    verb: str
    level: Level
    sentence: str


def checks() -> Sequence[Check]:
    """Return all checks of the kit, in its order."""
    return [
        Check(name=name, verb=part.verb, level=level_of(check), sentence=inspect.getdoc(check) or "")
        for part in ProviderContract.__mro__
        if issubclass(part, Contract)
        for name, check in vars(part).items()
        if name.startswith("test_")
    ]
