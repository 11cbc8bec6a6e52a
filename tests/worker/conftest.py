"""Fixtures of the worker's stories."""

from pathlib import Path

import pytest

from tests.common.net.driving import clock, driver
from tests.worker.authority import Authority

__all__ = ["authority", "clock", "driver"]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for the whole run, with its files in a folder of its own."""
    return Authority(Path(tmp_path_factory.mktemp("authority")))
