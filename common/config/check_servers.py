"""Servers: what a check needs, TLS that verifies nothing, weights of zero everywhere.

Sans-io.
Source: HAProxy configuration manual 5.2 "check", "agent-check", "verify", "weight".
"""

from __future__ import annotations

from common.config.draft import ProxyDraft, State
from common.model import AddressKind, Server

_INET = (AddressKind.INET, AddressKind.INET6)


def check_servers(state: State, draft: ProxyDraft) -> None:
    """Findings about each server of a proxy, and about all of them together."""
    proxy = draft.proxy
    for server in proxy.servers:
        owner = f"'server {proxy.name}/{server.name}' : "
        _check_port(state, draft, server)
        _verification(state, server, owner)
        _mode(state, draft, server, owner)
    weighted = [server for server in proxy.servers if not server.backup]
    if weighted and all(server.weight == 0 for server in weighted):
        state.note_at(
            weighted[0].place,
            f"every server of '{proxy.name}' has weight 0: only sticky clients are served",
            "Give at least one server a weight.",
            "weight-zero",
        )


def _check_port(state: State, draft: ProxyDraft, server: Server) -> None:
    proxy, options = draft.proxy, server.options
    steps = (*proxy.extra.get("tcp-check", ()), *proxy.extra.get("http-check", ()))
    connects_elsewhere = any(step[0] == "connect" and "port" in step for step in steps)
    same_port = server.address.port_offset and "port" not in options
    if server.check and server.address.kind in _INET and same_port and not connects_elsewhere:
        kind = "proxy" if proxy.frontend else "backend"
        state.alert_at(
            server.place,
            f"config: {kind} '{proxy.name}': server '{server.name}' has neither service port nor check port.",
            "Write a port after the address, or port N.",
            "no-check-port",
        )
    if "agent-check" in options and "agent-port" not in options:
        state.alert_at(
            server.place,
            f"'server {proxy.name}/{server.name}' : server {server.name} does not have agent port. Agent check has been disabled.",
            "Add agent-port N.",
        )


def _verification(state: State, server: Server, owner: str) -> None:
    tls = server.tls or server.tls_check
    if tls is not None and tls.verify != "none" and not tls.ca_file:
        state.alert_at(
            server.place,
            f"{owner}verify is {'enabled' if tls.verify == 'required' else 'enabled by default'} but no CA file specified. If you're "
            "running on a LAN where you're certain to trust the server's certificate, please set an explicit 'verify none' statement on "
            "the 'server' line, or use 'ssl-server-verify none' in the global section to disable server-side verifications by default.",
            "Add ca-file FILE; ca-file @system-ca is the system's own list.",
            "no-ca-file",
        )


def _mode(state: State, draft: ProxyDraft, server: Server, owner: str) -> None:
    proxy = draft.proxy
    if proxy.mode == "http":
        return
    kind = "proxy" if proxy.frontend else "backend"
    if server.redir:
        state.alert_at(server.place, f"{kind} '{proxy.name}' : server cannot have cookie or redirect prefix in non-HTTP mode.")
    if server.cookie:
        state.warn_at(server.place, f"{kind} '{proxy.name}' : ignoring cookie for server '{server.name}' as HTTP mode is disabled.")
    if server.options.get("proto") == ("h1",):
        state.alert_at(
            server.place,
            f"{kind} '{proxy.name}' : MUX protocol 'h1' is not usable for server '{server.name}' in mode tcp.",
            "Remove proto, or write mode http.",
        )
    if server.options.get("observe") == ("layer7",):
        state.warn_at(server.place, f"{owner}'layer7' can only be used in http proxies.", "Write observe layer4, or mode http.")
