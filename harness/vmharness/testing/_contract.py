"""The conformance kit as one class; what it checks is in the modules beside, one for each verb."""

from __future__ import annotations

from vmharness.testing._contract_capabilities import CapabilityContract
from vmharness.testing._contract_create import CreateContract
from vmharness.testing._contract_delete import DeleteContract
from vmharness.testing._contract_list import ListContract
from vmharness.testing._contract_run import RunContract
from vmharness.testing._contract_threads import ThreadContract

__all__ = ["ProviderContract"]


class ProviderContract(
    CreateContract, ListContract, DeleteContract, ThreadContract, RunContract, CapabilityContract
):
    """What every backend must pass. Subclass it in a test module, under a name that begins with Test.

    The subclass gives a fixture `connect` that returns the backend's entry point, or a fixture `provider`
    that returns a provider. It may give `stop`, and set the attributes that `Contract` describes. Checks of
    capabilities that the provider lacks are skipped, with the reason.

    Machines are called `conf-…`, and a check's machines are deleted at its end, the last one first. Nothing
    else on the engine is touched, so the checks may run beside other work.
    """
