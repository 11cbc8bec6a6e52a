"""Fixtures of the folder."""

from tests.common.net.driving import clock, driver

__all__ = ["clock", "driver"]
