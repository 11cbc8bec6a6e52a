"""Findings over the whole configuration, once every line was read.

What HAProxy itself refuses is an alert, what it warns about is a warning; findings of ours are notices, so that -dW (a warning is an
error) refuses only what it refuses there.
Sans-io.
Source: HAProxy configuration manual 4; the messages are those that operators and tools know.
"""

from __future__ import annotations

from common.config.check_certificates import check_certificates
from common.config.check_modes import check_modes
from common.config.check_order import check_order
from common.config.check_references import check_references
from common.config.check_servers import check_servers
from common.config.check_traps import check_traps
from common.config.draft import ProxyDraft, State


def check(state: State) -> None:
    """Every check, in order; findings go to the report."""
    for draft in state.proxies:
        check_order(state, draft)
    check_references(state)
    for draft in state.proxies:
        if draft.proxy.disabled:
            continue
        _listening(state, draft)
        check_modes(state, draft)
        check_servers(state, draft)
        _missing_timeouts(state, draft)
    check_certificates(state)
    check_traps(state)


def kind(draft: ProxyDraft) -> str:
    """As HAProxy calls a section in such messages."""
    return "proxy" if draft.can_listen and draft.can_forward else draft.section.title


def _listening(state: State, draft: ProxyDraft) -> None:
    proxy = draft.proxy
    if proxy.frontend and not proxy.backend and not proxy.binds:
        state.warn_at(
            proxy.place,
            f"frontend '{proxy.name}' has no 'bind' directive. Please declare it as a backend if this was intended.",
            "Add a bind line.",
            "no-bind",
            whole=True,
        )


def _missing_timeouts(state: State, draft: ProxyDraft) -> None:
    proxy, times = draft.proxy, draft.proxy.timeouts
    missing = []
    if proxy.frontend and proxy.binds and not times.client:
        missing.append("'client'")
    if proxy.backend and proxy.servers:
        missing += [f"'{name}'" for name, value in (("connect", times.connect), ("server", times.server)) if not value]
    if missing:
        state.warn_at(
            proxy.place,
            f"missing timeouts for {kind(draft)} '{proxy.name}'.",
            "While not properly invalid, you will certainly encounter various problems\n"
            "with such a configuration. To fix this, please ensure that all following\n"
            f"timeouts are set to a non-zero value: {', '.join(missing)}.",
            "missing-timeouts",
            whole=True,
        )
