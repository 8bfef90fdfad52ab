"""The conformance kit as a test module, for the backend that `_verifying` was told of."""

from __future__ import annotations

import pytest

from vmharness.provider import Connect
from vmharness.testing._contract import ProviderContract
from vmharness.testing._verifying import WANTED

__all__ = ["TestBackend"]


class TestBackend(ProviderContract):
    """The backend that is verified."""

    @pytest.fixture(autouse=True)
    def wanted(self, request: pytest.FixtureRequest) -> None:
        """Set what was asked for on the command line, before any other fixture looks at it."""
        wanted = request.config.stash[WANTED]
        self.image = wanted.image
        self.create_timeout_s = wanted.create_timeout_s
        self.delete_timeout_s = wanted.delete_timeout_s

    @pytest.fixture
    def connect(self, request: pytest.FixtureRequest) -> Connect:
        """Return the backend's entry point."""
        return request.config.stash[WANTED].load()
