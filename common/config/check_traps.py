"""Findings of ours: what is legal and probably not meant. Notices, every one.

Sans-io.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.acl.acl_keywords import PREDEFINED
from common.config.draft import State
from common.model import Address, AddressKind, Bind, Proxy, Server

_LOCAL = (AddressKind.UNIX, AddressKind.ABNS, AddressKind.ABNSZ)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check_traps(state: State) -> None:
    """Every notice of this module."""
    _same_address(state)
    _proxy_protocol(state)
    _one_sided_splice(state)
    _unused_servers(state)
    _shadowing_acls(state)


def _binds(state: State) -> Iterator[tuple[Proxy, Bind]]:
    for proxy in state.config.proxies:
        if not proxy.disabled:
            for bind in proxy.binds:
                yield proxy, bind


def _same_address(state: State) -> None:
    """Two binds on one address: the second start fails, or the kernel shares connections between them."""
    seen: dict[tuple[Address, str | None], list[tuple[Proxy, Bind]]] = {}
    for proxy, bind in _binds(state):
        key = (bind.address, bind.interface)
        for other_proxy, other in seen.setdefault(key, []):
            if not bind.processes or not other.processes or bind.processes & other.processes:
                state.note_at(
                    bind.place,
                    f"'bind {bind.address}' in '{proxy.name}' is also bound in '{other_proxy.name}' "
                    f"({other.place.file}:{other.place.line})",
                    "Connections would be shared between both: remove one, or change its address.",
                    "same-address",
                )
                break
        seen[key].append((proxy, bind))


def _proxy_protocol(state: State) -> None:
    """A server line and a bind line of one file that disagree about the PROXY protocol."""
    binds = {_endpoint(bind.address): (proxy, bind) for proxy, bind in _binds(state) if _endpoint(bind.address)}
    reached: set[str] = set()
    for proxy in state.config.proxies:
        for server in proxy.servers:
            endpoint = _endpoint(server.address)
            if endpoint not in binds:
                continue
            reached.add(endpoint)
            target, bind = binds[endpoint]
            _disagreement(state, proxy, server, target, bind)
    for endpoint, (proxy, bind) in binds.items():
        if bind.accept_proxy and bind.address.kind in _LOCAL and endpoint not in reached:
            state.note_at(
                bind.place,
                f"'bind {bind.address}' in '{proxy.name}' expects the PROXY protocol, but no server line of these files connects to it",
                "Fine if another process does, with send-proxy.",
                "no-proxy-sender",
            )


def _disagreement(state: State, proxy: Proxy, server: Server, target: Proxy, bind: Bind) -> None:
    if bind.accept_proxy and not server.send_proxy:
        state.note_at(
            server.place,
            f"server '{proxy.name}/{server.name}' does not send the PROXY protocol that its target, a bind of '{target.name}', expects",
            "Add send-proxy-v2 here, or remove accept-proxy there.",
            "proxy-protocol-mismatch",
        )
    if server.send_proxy and not bind.accept_proxy:
        state.note_at(
            server.place,
            f"server '{proxy.name}/{server.name}' sends the PROXY protocol to a bind of '{target.name}' that does not expect it",
            "Add accept-proxy there, or remove send-proxy here.",
            "proxy-protocol-mismatch",
        )


def _endpoint(address: Address) -> str:
    """A name that a bind and a server on this machine share; "" for others."""
    if address.kind in _LOCAL:
        return f"{address.kind.value}@{address.path}"
    if address.kind in (AddressKind.INET, AddressKind.INET6) and address.host in _LOOPBACK and not address.port_offset:
        return f"{address.host}:{address.port}"
    return ""


def _one_sided_splice(state: State) -> None:
    """`option tcpsplice` works only when both the frontend and the backend have it."""
    for proxy in state.config.proxies:
        if not proxy.frontend or proxy.backend or proxy.disabled:
            continue
        names = [rule.words[0] for rule in proxy.rules if rule.ruleset == "use_backend"]
        names += [proxy.default_backend] if proxy.default_backend else []
        for name in dict.fromkeys(names):
            found = state.backends.get(name)
            target = found.proxy if found else None
            if target is not None and ("tcpsplice" in proxy.options) is not ("tcpsplice" in target.options):
                have, lack = (proxy, target) if "tcpsplice" in proxy.options else (target, proxy)
                state.note_at(
                    have.place,
                    f"'option tcpsplice' in '{have.name}' has no effect for connections between '{proxy.name}' and '{target.name}': "
                    f"'{lack.name}' lacks it",
                    f"Add option tcpsplice to '{lack.name}', or remove it.",
                    "one-sided-splice",
                )


def _unused_servers(state: State) -> None:
    """Backends that no frontend leads to; those that are probed, tracked, named by tables or reached by name at run time are meant."""
    used: set[str] = set()
    for proxy in state.config.proxies:
        for rule in proxy.rules:
            if rule.ruleset == "use_backend":
                if "%" in rule.words[0]:
                    return  # any backend may be chosen at run time
                used.add(rule.words[0])
        if proxy.default_backend:
            if "%" in proxy.default_backend:
                return
            used.add(proxy.default_backend)
        for server in proxy.servers:
            if "track" in server.options:
                used.add(server.options["track"][0].rpartition("/")[0])
    used |= {name for draft in state.proxies for name, _ in draft.table_uses}
    for proxy in state.config.proxies:
        if proxy.frontend or proxy.disabled or proxy.name in used or proxy.stick_table or not proxy.servers:
            continue
        if not any(server.check or "agent-check" in server.options for server in proxy.servers):
            state.note_at(
                proxy.place,
                f"nobody uses backend '{proxy.name}': no default_backend, use_backend or track names it",
                f"Add default_backend {proxy.name} or use_backend {proxy.name} if … to a frontend, or remove it.",
                "unused-backend",
            )


def _shadowing_acls(state: State) -> None:
    """An ACL that takes the name of a predefined one hides it for the section's conditions."""
    for draft in state.proxies:
        told: set[str] = set()
        for acl in draft.declared_acls:
            if acl.name in PREDEFINED and acl.name not in told:
                told.add(acl.name)
                state.note_at(
                    acl.place,
                    f"ACL '{acl.name}' of '{draft.proxy.name}' hides the predefined ACL of that name",
                    "Choose another name unless that is meant.",
                    "shadowing-acl",
                )
