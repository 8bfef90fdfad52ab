"""The folder backend keeps the contract."""

from pathlib import Path

import pytest
import vmharness_folder

from vmharness.provider import Provider
from vmharness.testing import ProviderContract


class TestFolder(ProviderContract):
    """What every backend must pass."""

    image = "empty"

    @pytest.fixture
    def provider(self, tmp_path: Path) -> Provider:
        """Return the provider to check."""
        return vmharness_folder.connect(str(tmp_path))
