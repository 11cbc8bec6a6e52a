"""Names that must lead somewhere: backends, servers, tables, sections.

Sans-io.
Source: HAProxy configuration manual 4.2 "default_backend", "use_backend", "use-server", "stick on", "errorfiles"; 5.2 "track", "resolvers".
"""

from __future__ import annotations

from common.config.check_certificates import named_by, stored
from common.config.draft import ProxyDraft, State
from common.config.stick_words import TYPES
from common.config.suggest import did_you_mean
from common.model import Place, Proxy, Server

TRACK_DEPTH_MAX = 64


def check_references(state: State) -> None:
    """Alert for every name that leads nowhere."""
    for draft in state.proxies:
        if draft.proxy.frontend and not draft.proxy.disabled:
            _backends(state, draft)
        _state_file(state, draft)
        _servers_of_rules(state, draft)
        for server in draft.proxy.servers:
            _server(state, draft, server)
    _tables(state)
    _profiles(state)
    _stored_certificates(state)
    for name, resolvers in state.config.resolvers.items():
        if not resolvers.nameservers and not resolvers.parse_resolv_conf:
            state.warn_at(Place(), f"resolvers '{name}' has no nameservers configured!", slug="no-nameserver", whole=True)


def _profiles(state: State) -> None:
    """Log targets name log-profile sections."""
    targets = [*state.config.globals.logs, *(target for draft in state.proxies for target in draft.proxy.logs)]
    for target in targets:
        if target.profile and target.profile not in state.config.log_profiles:
            near = did_you_mean(target.profile, state.config.log_profiles, otherwise=".")
            hint = f"Add a section 'log-profile {target.profile}'."
            state.alert_at(target.place, f"log : unknown log-profile '{target.profile}'{near}", hint, "unknown-log-profile")


def _stored_certificates(state: State) -> None:
    """`crt @STORE/NAME` names an alias or a file of a crt-store."""
    for draft in state.proxies:
        for bind in draft.proxy.binds:
            for place, path in named_by(bind):
                if path.startswith("@") and stored(state, path) is None:
                    stores = [f"@{store}/{one.alias or one.certificate}" for store, held in state.config.crt_stores.items() for one in held]
                    near = did_you_mean(path, stores, otherwise=".")
                    state.alert_at(place, f"unable to find certificate '{path}' in any crt-store{near}", slug="unknown-certificate")


def _backends(state: State, draft: ProxyDraft) -> None:
    proxy = draft.proxy
    if proxy.default_backend and "%" not in proxy.default_backend:
        place = draft.given.get("default_backend", proxy.place)
        _backend(state, proxy, proxy.default_backend, place, "default_backend", "as its default backend")
        if proxy.backend and proxy.servers:
            message = f"In proxy '{proxy.name}', the 'default_backend' rule always has precedence over the servers, "
            message += "which will never be used."
            state.warn_at(place, message, "Remove the servers, or default_backend.", "unused-servers", whole=True)
    for rule in proxy.rules:
        if rule.ruleset == "use_backend" and "%" not in rule.words[0]:
            _backend(state, proxy, rule.words[0], rule.place, "use_backend", "in a 'use_backend' rule")


def _backend(state: State, proxy: Proxy, name: str, place: Place, keyword: str, role: str) -> None:
    found = state.backends.get(name)
    target = found.proxy if found else None
    if target is None:
        near = did_you_mean(name, state.backends, otherwise=".")
        hint = f"'{name}' is a frontend; backends are needed here." if name in state.frontends else f"Add a section 'backend {name}'."
        state.alert_at(
            place, f"Proxy '{proxy.name}': unable to find required {keyword}: '{name}'{near}", hint, "unknown-backend", whole=True
        )
    elif target is proxy:
        state.alert_at(
            place, f"Proxy '{proxy.name}': loop detected for {keyword}: '{name}'.", "A proxy cannot be its own backend.", whole=True
        )
    elif proxy.mode == "http" and target.mode != "http":
        state.alert_at(
            place,
            f"http frontend '{proxy.name}' ({proxy.place.file}:{proxy.place.line}) tries to use incompatible {target.mode} backend "
            f"'{target.name}' ({target.place.file}:{target.place.line}) {role} (see 'mode').",
            f"Write mode http in '{target.name}', or mode tcp in '{proxy.name}'.",
            "mode-mismatch",
            whole=True,
        )


def _state_file(state: State, draft: ProxyDraft) -> None:
    proxy = draft.proxy
    if proxy.backend and proxy.extra.get("load-server-state-from-file") == (("global",),) and "server-state-file" not in state.global_given:
        state.warn_at(
            draft.given.get("load-server-state-from-file", proxy.place),
            f"backend '{proxy.name}' configured to load server state file from global section 'server-state-file' directive. "
            "Unfortunately, 'server-state-file' is not set!",
            "Add server-state-file FILE to section global.",
            "no-state-file",
            whole=True,
        )


def _servers_of_rules(state: State, draft: ProxyDraft) -> None:
    proxy = draft.proxy
    names = {server.name for server in proxy.servers}
    kind = "proxy" if proxy.frontend else "backend"
    for rule in proxy.rules:
        if rule.ruleset == "use-server" and "%" not in rule.words[0] and rule.words[0] not in names:
            near = did_you_mean(rule.words[0], names, otherwise=".")
            state.alert_at(
                rule.place,
                f"{kind} '{proxy.name}' : unable to find server '{rule.words[0]}' referenced in a 'use-server' rule{near}",
                slug="unknown-server",
            )


def _server(state: State, draft: ProxyDraft, server: Server) -> None:
    proxy = draft.proxy
    owner = f"'server {proxy.name}/{server.name}' : "
    if "track" in server.options:
        if server.check or "agent-check" in server.options:
            state.alert_at(server.place, f"{owner}unable to enable checks and tracking at the same time!", "Remove check or track.")
        _track(state, proxy, server, owner)
    section = server.options.get("resolvers", ("",))[0]
    if section and section not in state.config.resolvers:
        near = did_you_mean(section, state.config.resolvers, otherwise=".")
        kind = "proxy" if proxy.frontend else "backend"
        state.alert_at(
            server.place,
            f"{kind} '{proxy.name}', server '{server.name}': unable to find required resolvers '{section}'{near}",
            f"Add a section 'resolvers {section}'.",
            "unknown-resolvers",
            whole=True,
        )


def _track(state: State, proxy: Proxy, server: Server, owner: str) -> None:
    """Follow the chain to a server that is probed."""
    here, current, chain = proxy, server, [server]
    while "track" in current.options:
        where, _, name = current.options["track"][0].rpartition("/")
        found = state.backends.get(where)
        target_proxy = here if not where else found.proxy if found else None
        target = next((one for one in target_proxy.servers if one.name == name), None) if target_proxy else None
        if target_proxy is None or target is None:
            missing = f"proxy '{where}'" if target_proxy is None else f"server '{name}'"
            state.alert_at(server.place, f"{owner}unable to find required {missing} for tracking.", slug="unknown-server")
            return
        if target in chain or len(chain) > TRACK_DEPTH_MAX:
            state.alert_at(
                server.place,
                f"{owner}unable to track {target_proxy.name}/{target.name} as it belongs to a tracking chain looping back to "
                f"{target_proxy.name}/{target.name}.",
            )
            return
        here, current = target_proxy, target
        chain.append(target)
    if not current.check and "agent-check" not in current.options:
        state.alert_at(
            server.place,
            f"{owner}unable to use {here.name}/{current.name} for tracking as it does not have any check nor agent enabled.",
            f"Add check to server '{current.name}'.",
        )


def _tables(state: State) -> None:
    """Tables of `stick` rules, and the peers section of each table. Those in expressions are looked up by their compiler."""
    for draft in state.proxies:
        for name, place in draft.table_uses:
            _table(state, draft, name or draft.proxy.name, place)
    for draft in state.proxies:
        words = draft.proxy.stick_table
        if "peers" in words and words[words.index("peers") + 1] not in state.config.peers:
            section = words[words.index("peers") + 1]
            near = did_you_mean(section, state.config.peers, otherwise=".")
            state.alert_at(
                draft.given.get("stick-table", draft.proxy.place),
                f"Proxy '{draft.proxy.name}': unable to find sync peers '{section}'{near}",
                "Remove peers: tables are shared by all workers without.",
                "unknown-peers",
                whole=True,
            )


def _table(state: State, draft: ProxyDraft, name: str, place: Place) -> None:
    if table_exists(state, name):
        return
    tables = [one.name for one in state.config.proxies if one.stick_table]
    tables += [f"{peers.name}/{table}" for peers in state.config.peers.values() for table in peers.tables]
    state.alert_at(
        place,
        f"Proxy '{draft.proxy.name}': unable to find stick-table '{name}'{did_you_mean(name, tables, otherwise='.')}",
        f"Add a stick-table line to '{name}' (types: {', '.join(TYPES)}).",
        "unknown-table",
        whole=True,
    )


def table_exists(state: State, name: str) -> bool:
    """Whether a proxy or a peers section has such a table."""
    section, slash, table = name.partition("/")
    if slash:
        return section in state.config.peers and table in state.config.peers[section].tables
    return any(proxy.stick_table for proxy in state.config.proxies if proxy.name == name)
