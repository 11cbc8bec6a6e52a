"""The `server`, `default-server` and `server-template` lines: name, address, settings.

A default-server line changes the template that every later server of the section starts from; a defaults section hands its template
on. Words with a field of their own in model.Server go there; every other checked word becomes an entry of Server.options.
Sans-io.
Source: HAProxy configuration manual 4.2 "server", "default-server", "server-template"; 5.2.
"""

from __future__ import annotations

import re
from dataclasses import replace

from common.acl.environment import Where
from common.config.address import SERVER, SOURCE, AddressError, parse_address, parse_addresses
from common.config.draft import Scope, ServerDraft
from common.config.expressions import check_expression, check_format
from common.config.keywords import Section
from common.config.line_words import read_words
from common.config.statement import Statement, Words
from common.config.table_server import WORDS
from common.config.tls_words import merge_defaults, settle_versions
from common.config.values import is_identifier
from common.model import AddressKind, Server

TEMPLATE_SERVERS_MAX = 4096
TEMPLATED_MAX = 1 << 16
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_EXPECTS = "'server' expects <name> and <addr>[:<port>] as arguments."


def parse_default_server(scope: Scope, statement: Statement) -> None:
    """`default-server [settings]`; several lines add up."""
    draft = scope.proxy_draft.template
    read_words(WORDS, Section.DEFAULT_SERVER, scope.state, draft, Words(statement), "'default-server' : ")
    _check_expressions(scope, statement, draft)


def parse_server(scope: Scope, statement: Statement) -> None:
    """`server <name> <address> [settings]`."""
    if len(statement.arguments) < 2:
        raise statement.fault(_EXPECTS, len(statement.arguments), "For example: server app1 192.0.2.10:8080")
    name = _name(statement, 0)
    _add(scope, statement, name, 1, ordinal="")


def parse_server_template(scope: Scope, statement: Statement) -> None:
    """`server-template <prefix> <count|first-last> <address> [settings]`: prefix1, prefix2 … with the same settings."""
    if len(statement.arguments) < 3:
        raise statement.fault("'server-template' expects <prefix> <num | range> <fqdn>[:<port>] as arguments.", len(statement.arguments))
    prefix = _name(statement, 0)
    match = _RANGE.fullmatch(statement.argument(1))
    first, last = (1, int(match[1])) if match and match[2] is None else (int(match[1]), int(match[2])) if match else (0, -1)
    if last < first or first < 0 or last == 0:
        raise statement.fault(
            f"Server template '{prefix}': wrong number range '{statement.argument(1)}'",
            1,
            "Write how many, as in 5, or a range, as in 1-5.",
        )
    scope.state.templated += last - first + 1
    if last - first >= TEMPLATE_SERVERS_MAX or scope.state.templated > TEMPLATED_MAX:
        limits = f"at most {TEMPLATE_SERVERS_MAX} servers, {TEMPLATED_MAX} over all templates"
        raise statement.fault(f"Server template '{prefix}': {limits}", 1)
    draft = _add(scope, statement, f"{prefix}{first}", 2, ordinal=str(first))
    if draft is None:
        return
    for number in range(first + 1, last + 1):
        heir = draft.heir()
        heir.server.name = f"{prefix}{number}"
        heir.server.id = 0
        heir.server.options["template"] = (prefix, str(number))
        scope.proxy_draft.servers.append(heir)


def _name(statement: Statement, position: int) -> str:
    text = statement.argument(position)
    bad = next((letter for letter in text if not is_identifier(letter)), "")
    if bad or not text:
        message = f"character '{bad}' is not permitted in server name '{text}'." if bad else _EXPECTS
        raise statement.fault(message, position, "Names are made of letters, digits, '-', '_', '.' and ':'.")
    return text


def _add(scope: Scope, statement: Statement, name: str, address_at: int, *, ordinal: str) -> ServerDraft | None:
    """One server, checked; None when its address is bad (the settings are checked all the same)."""
    owner = f"'server {scope.proxy.name}/{name}' : "
    draft = scope.proxy_draft.template.heir()
    server = draft.server
    server.place, server.name = statement.place, name
    if ordinal:
        server.options["template"] = (name.removesuffix(ordinal), ordinal)
    read_words(WORDS, Section.SERVER, scope.state, draft, Words(statement, address_at + 1), owner)
    try:
        server.address = parse_address(statement.argument(address_at), SERVER)
    except AddressError as error:
        statement.alert(f"{owner}{error.message}", address_at, error.hint, "bad-address")
        return None
    if server.address.kind is AddressKind.FD:
        statement.note(f"{owner}each process connects through its own copy of descriptor {server.address.fd}", address_at)
    _check_expressions(scope, statement, draft)
    _check_words(statement, owner, server)
    scope.proxy_draft.servers.append(draft)
    return draft


def _check_expressions(scope: Scope, statement: Statement, draft: ServerDraft) -> None:
    """The sample expressions and formats of one line; the template forgets where they stood."""
    if draft.tls.sni_position >= 0:
        check_expression(scope, statement, draft.tls.sni_position, where=Where.SERVER_CHOICE, words=1)
    for position in draft.format_positions:
        check_format(scope, statement, position, Where.SERVER_CHOICE)
    draft.tls.sni_position = -1
    draft.format_positions.clear()


def _check_words(statement: Statement, owner: str, server: Server) -> None:
    """Words of one line that do not go together."""
    if server.minconn and server.maxconn and server.minconn > server.maxconn:
        statement.note(
            f"{owner}minconn {server.minconn} is above maxconn {server.maxconn}, which holds",
            hint="Write a minconn below maxconn, or none.",
            slug="minconn-above-maxconn",
        )
    if server.pass_fd and server.address.kind not in (AddressKind.ABNS, AddressKind.ABNSZ, AddressKind.UNIX):
        statement.alert(
            f"{owner}'pass-fd' needs an abns@, abnsz@ or unix@ address: descriptors cannot travel over the network",
            hint="Use the name that the worker binds, or drop pass-fd.",
        )
    if server.pass_fd and server.send_proxy != 2:
        statement.alert(f"{owner}'pass-fd' needs send-proxy-v2", hint="Write: send-proxy-v2 pass-fd")


def settle_server(scope: Scope, draft: ServerDraft) -> Server:
    """The server with its TLS settings, once the defaults of section global are known."""
    server, tls = draft.server, draft.tls
    if server.source is None and "source" in scope.proxy.extra:
        words = scope.proxy.extra["source"][-1]
        server.source, server.options["source"] = parse_addresses(words[0], SOURCE)[0], words
    check_elsewhere = "port" in server.options or "addr" in server.options
    steps = (*scope.proxy.extra.get("http-check", ()), *scope.proxy.extra.get("tcp-check", ()))
    asked = "check-ssl" in server.options or any(step[0] == "connect" and "ssl" in step for step in steps)
    wants_check_tls = asked or (tls.enabled and not check_elsewhere and "no-check-ssl" not in server.options)
    if tls.enabled or wants_check_tls:
        merge_defaults(tls, scope.state.tls_servers)
        complaint = settle_versions(tls)
        if complaint:
            scope.state.alert_at(server.place, f"'server {scope.proxy.name}/{server.name}' : {complaint}")
        tls.settings.verify = tls.settings.verify or scope.state.server_verify
    server.tls = tls.settings if tls.enabled else None
    server.tls_check = replace(tls.settings) if wants_check_tls and server.check else None
    return server
