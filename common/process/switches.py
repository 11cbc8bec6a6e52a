"""Switches of section global that have no field of their own. Sans-io."""

from __future__ import annotations

from common.model import Global


def is_on(settings: Global, keyword: str) -> bool:
    """Whether a line `keyword` stands, and no `no keyword` or `keyword off` after it."""
    lines = settings.extra.get(keyword, ())
    return bool(lines) and lines[-1] != ("off",)


def rejects_privileged_ports(settings: Global) -> bool:
    """`harden.reject-privileged-ports.tcp`: clients may not come from ports that only privileged programs get."""
    return is_on(settings, "harden.reject-privileged-ports.tcp")
