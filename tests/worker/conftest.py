"""Fixtures of the worker's stories."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.common.net.driving import Driver, clock, driver
from tests.worker.authority import Authority
from tests.worker.receiving import Receiver

__all__ = ["authority", "clock", "driver"]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for the whole run, with its files in a folder of its own."""
    return Authority(Path(tmp_path_factory.mktemp("authority")))


@pytest.fixture
def receiver(driver: Driver) -> Iterator[Receiver]:
    made = Receiver(driver)
    yield made
    for session in made.sessions:
        session[1].close()
