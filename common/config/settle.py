"""What can only be decided when every line was read: log targets of section global, TLS defaults, process sets, ids.

Automatic ids count in file order and pass over those given with `id`; a `stats socket` takes the first, as in HAProxy.
Sans-io.
Source: HAProxy configuration manual 4.2 "id", "log global"; 5.2 "id".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from common.config.crt_list import settle_lists
from common.config.draft import ProxyDraft, Scope, State
from common.config.error_words import settle_errors
from common.config.server import settle_server
from common.config.side_sections import settle_userlists
from common.model import LogTarget, Place, Proxy, Server


def settle(state: State) -> None:
    """Finish state.config; further faults go to the report."""
    config = state.config
    if state.options.workers is not None:
        config.globals.workers = state.options.workers
    settle_userlists(state)
    _proxy_ids(state)
    _guids(state)
    bind_ids = count()
    for draft in state.proxies:
        _settle_proxy(state, draft, bind_ids)
        config.proxies.append(draft.proxy)
    config.globals.tls_server_defaults = state.tls_servers.settings
    if config.globals.maxrewrite > config.globals.bufsize // 2:
        config.globals.maxrewrite = config.globals.bufsize // 2


def _settle_proxy(state: State, draft: ProxyDraft, bind_ids: Iterator[int]) -> None:
    proxy = draft.proxy
    scope = Scope(state, draft.section, proxy.name, draft)
    for bind in proxy.binds:
        bind.id = next(bind_ids)
        settle_lists(state, bind)
    proxy.servers = [settle_server(scope, one) for one in draft.servers]
    _server_ids(state, proxy)
    settle_errors(state, draft)
    proxy.logs = list(_targets(proxy.logs, state.config.globals.logs))
    proxy.acls, proxy.rules = list(proxy.acls), list(proxy.rules)


def _targets(logs: list[LogTarget], global_logs: list[LogTarget]) -> Iterator[LogTarget]:
    """The proxy's targets with `log global` replaced, each once."""
    seen: set[int] = set()
    for target in logs:
        for one in global_logs if target.use_global else (target,):
            if id(one) not in seen:
                seen.add(id(one))
                yield one


def _proxy_ids(state: State) -> None:
    used: dict[int, ProxyDraft] = {}
    for draft in state.proxies:
        if not draft.proxy.id:
            continue
        other = used.setdefault(draft.proxy.id, draft)
        if other is not draft:
            place = other.proxy.place
            state.alert_at(
                draft.given.get("id", draft.proxy.place),
                f"{draft.section.title} {draft.proxy.name}: custom id {draft.proxy.id} already used at {place.file}:{place.line} "
                f"('{other.section.title} {other.proxy.name}')",
                "Choose another number, or leave it out.",
            )
    numbers = (number for number in count(2 if state.config.globals.stats_sockets else 1) if number not in used)
    for draft in state.proxies:
        if not draft.proxy.id:
            draft.proxy.id = next(numbers)


def _guids(state: State) -> None:
    """`guid` of proxies and servers: one name space."""
    used: dict[str, Place] = {}
    named = [(draft.proxy.guid, draft.given.get("guid", draft.proxy.place)) for draft in state.proxies]
    named += [(one.server.guid, one.server.place) for draft in state.proxies for one in draft.servers]
    for guid, place in named:
        other = used.setdefault(guid, place) if guid else place
        if other is not place:
            message = f"'guid' : '{guid}' is already used at {other.file}:{other.line}."
            state.alert_at(place, message, "Choose another name.", "duplicate-name")


def _server_ids(state: State, proxy: Proxy) -> None:
    used: dict[int, Server] = {}
    names: dict[str, Place] = {}
    for server in proxy.servers:
        earlier = names.setdefault(server.name, server.place)
        if earlier is not server.place:
            state.alert_at(
                server.place,
                f"backend '{proxy.name}', another server named '{server.name}' was already defined at line {earlier.line}, please use "
                "distinct names.",
                slug="duplicate-name",
            )
        if not server.id:
            continue
        other = used.setdefault(server.id, server)
        if other is not server:
            state.alert_at(
                server.place,
                f"'server {proxy.name}/{server.name}' : 'id' : custom id {server.id} already used at {other.place.file}:{other.place.line} "
                f"('server {other.name}').",
            )
    number = 0
    for server in proxy.servers:
        number += 1  # each server counts, those with an id of their own too: consistent hashing must agree with HAProxy's
        if not server.id:
            while number in used:
                number += 1
            server.id = number
