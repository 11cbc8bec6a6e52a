"""Findings over the whole configuration. What HAProxy warns about is a warning; findings of ours are notices.

Sans-io.
"""

from __future__ import annotations

from common.config.draft import State


def check(state: State) -> None:
    """Every check, in order; findings go to the report."""
    missing_timeouts(state)


def missing_timeouts(state: State) -> None:
    for draft in state.proxies:
        proxy = draft.proxy
        if proxy.disabled:
            continue
        times = proxy.timeouts
        missing = []
        if proxy.frontend and not times.client:
            missing.append("'client'")
        if proxy.backend and proxy.servers:
            missing += [f"'{name}'" for name, value in (("connect", times.connect), ("server", times.server)) if not value]
        if missing:
            state.warn_at(
                proxy.place,
                f"missing timeouts for proxy '{proxy.name}'.",
                "While not properly invalid, you will certainly encounter various problems\n"
                "with such a configuration. To fix this, please ensure that all following\n"
                f"timeouts are set to a non-zero value: {', '.join(missing)}.",
                "missing-timeouts",
            )
