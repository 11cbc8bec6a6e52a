"""The sections beside proxies: userlist, http-errors, resolvers, peers, crt-store, log-profile.

Passwords: `password` is a crypt(3) hash, `insecure-password` the text itself. Peers sections hold tables of this host; a peer other
than the local one is refused, because tables travel nowhere.
Sans-io.
Source: HAProxy configuration manual 3.4, 3.5, 3.8, 5.3.2; crt-store and log-profile of its versions 3.0 and 3.1.
"""

from __future__ import annotations

import re
from dataclasses import replace

from common.config import values
from common.config.address import PEER, AddressError, Form, Ports, parse_address
from common.config.draft import Scope, State
from common.config.error_words import error_path, error_status
from common.config.expressions import check_format
from common.config.keywords import Section
from common.config.log_target import LOG_STEPS
from common.config.proxy_words import SectionParser
from common.config.statement import Statement, Words
from common.config.stick_words import check_table
from common.config.suggest import did_you_mean
from common.config.tls_words import joined
from common.model import LogProfile, LogStep, Nameserver, Peers, Resolvers, StoredCertificate, User

PAYLOAD_MIN, PAYLOAD_MAX = 512, 65535
HOLD = ("nx", "refused", "timeout", "other", "valid", "obsolete")
_CRYPT = re.compile(r"\$[0-9a-z]+\$.+|[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19}")
_NAMESERVER = Form(ports=Ports.OPTIONAL, fd=False, unix=False, any_host=False, default_port=53, datagram=True)


def _section_name(statement: Statement, title: str) -> str:
    name = statement.argument(0)
    if not name:
        raise statement.fault(f"missing name for {title} section.", 0, f"Give it a name: {title} NAME")
    values.identifier(statement, 0, what=f"'{title}' name")
    if len(statement.arguments) > 1:
        raise statement.fault(f"'{title}' cannot handle unexpected argument '{statement.argument(1)}'.", 1)
    return name


def open_userlist(state: State, statement: Statement) -> Scope | None:
    name = _section_name(statement, "userlist")
    if name in state.config.userlists:
        statement.warn(f"ignoring duplicated userlist '{name}'.", 0, slug="duplicate-name")
        return None
    state.config.userlists[name] = []
    state.config.groups[name] = []
    return Scope(state, Section.USERLIST, name)


def group(scope: Scope, statement: Statement) -> None:
    """`group <name> [users <user>,…]`."""
    name = values.required(statement, 0, "a name")
    groups = scope.state.config.groups[scope.name]
    if name in groups:
        statement.warn(f"ignoring duplicated group '{name}' in userlist '{scope.name}'.", 0, slug="duplicate-name")
        return
    if statement.argument(1) and statement.argument(1) != "users":
        raise statement.fault(f"'group' only supports 'users' option (got '{statement.argument(1)}').", 1)
    if statement.argument(1) and not statement.argument(2):
        raise statement.fault("'users' expects a comma-delimited list of users.", 2)
    groups.append(name)
    for user in filter(None, statement.argument(2).split(",")):
        scope.state.group_members.append((scope.name, name, user, statement.place_of(2)))


def user(scope: Scope, statement: Statement) -> None:
    """`user <name> [password|insecure-password <password>] [groups <group>,…]`."""
    name = values.required(statement, 0, "a name")
    users = scope.state.config.userlists[scope.name]
    if any(one.name == name for one in users):
        statement.warn(f"ignoring duplicated user '{name}' in userlist '{scope.name}'.", 0, slug="duplicate-name")
        return
    password, encrypted = "", True
    groups: tuple[str, ...] = ()
    words = Words(statement, 1)
    while words:
        option = words.next()
        if option in ("password", "insecure-password"):
            password, encrypted = words.required("a password"), option == "password"
            if encrypted and not _CRYPT.fullmatch(password):
                raise words.fault(
                    f"user '{name}' : this is no crypt(3) hash",
                    "Make one with `openssl passwd -6`, or write insecure-password for plain text.",
                )
        elif option == "groups":
            groups = tuple(filter(None, words.required("a comma-delimited list of groups").split(",")))
            scope.state.group_members += [(scope.name, one, name, statement.place_of(words.position - 1)) for one in groups]
        else:
            near = did_you_mean(option, ("password", "insecure-password", "groups"), otherwise=".")
            raise words.fault(f"unknown option '{option}' for user '{name}'{near}")
    users.append(User(name, password, encrypted, groups))


def settle_userlists(state: State) -> None:
    """Groups name users and users name groups, in any order: join both ways."""
    for userlist, group_name, user_name, place in state.group_members:
        users = state.config.userlists[userlist]
        found = next((one for one in users if one.name == user_name), None)
        if found is None:
            state.alert_at(place, f"userlist '{userlist}': no such user '{user_name}' specified in group '{group_name}'.")
        elif group_name not in state.config.groups[userlist]:
            state.alert_at(place, f"userlist '{userlist}': no such group '{group_name}' specified in user '{user_name}'.")
        elif group_name not in found.groups:
            users[users.index(found)] = replace(found, groups=(*found.groups, group_name))


def open_http_errors(state: State, statement: Statement) -> Scope | None:
    name = _section_name(statement, "http-errors")
    if name in state.config.http_errors:
        raise statement.fault(f"http-errors section '{name}' already exists.", 0, "Rename one of them.")
    state.config.http_errors[name] = {}
    return Scope(state, Section.HTTP_ERRORS, name)


def error_file(scope: Scope, statement: Statement) -> None:
    scope.state.config.http_errors[scope.name][error_status(statement, 0)] = error_path(statement, 1)


def open_resolvers(state: State, statement: Statement) -> Scope | None:
    name = _section_name(statement, "resolvers")
    if name in state.config.resolvers:
        raise statement.fault(f"resolvers '{name}' has same name as another resolvers.", 0, "Rename one of them.")
    state.config.resolvers[name] = Resolvers(name)
    return Scope(state, Section.RESOLVERS, name)


def nameserver(scope: Scope, statement: Statement) -> None:
    """`nameserver <name> <address>[:<port>]`; tcp@ in front asks over TCP."""
    resolvers = scope.state.config.resolvers[scope.name]
    name = values.identifier(statement, 0, what="server name")
    if any(one.name == name for one in resolvers.nameservers):
        raise statement.fault(f"Nameserver '{name}' already defined in resolvers '{scope.name}'.", 0)
    text = values.required(statement, 1, "<name> and <addr>[:<port>]")
    stream = text.startswith(("tcp@", "tcp4@", "tcp6@", "stream+"))
    try:
        address = parse_address(text, replace(_NAMESERVER, datagram=not stream))
    except AddressError as error:
        raise statement.fault(f"'nameserver {name}' : {error.message}", 1, error.hint) from None
    if len(statement.arguments) > 2:
        raise statement.fault(
            f"'nameserver {name}' : '{statement.argument(2)}' is not supported by Usher", 2, "Only a name and an address may stand here."
        )
    resolvers.nameservers.append(Nameserver(name, address, stream))


def parse_resolv_conf(scope: Scope, statement: Statement) -> None:
    scope.state.config.resolvers[scope.name].parse_resolv_conf = True


def payload_size(scope: Scope, statement: Statement) -> None:
    size = values.integer(statement, 0, least=PAYLOAD_MIN, most=PAYLOAD_MAX)
    scope.state.config.resolvers[scope.name].accepted_payload_size = size


def resolve_retries(scope: Scope, statement: Statement) -> None:
    scope.state.config.resolvers[scope.name].resolve_retries = values.integer(statement, 0, least=1)


def hold(scope: Scope, statement: Statement) -> None:
    status = values.one_of(statement, 0, HOLD, what="hold")
    scope.state.config.resolvers[scope.name].hold[status] = values.time(statement, 1)


def resolvers_timeout(field: str) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        setattr(scope.state.config.resolvers[scope.name], field, values.time(statement, 0, positive=True))

    return parse


def open_peers(state: State, statement: Statement) -> Scope | None:
    name = _section_name(statement, "peers")
    state.config.peers.setdefault(name, Peers(name))
    return Scope(state, Section.PEERS, name)


def peer(scope: Scope, statement: Statement) -> None:
    """`peer|server <name> [<address>]`: only the local one."""
    name = values.required(statement, 0, "<name> and [<ip>:<port>]")
    address = statement.argument(1)
    if address and not address.startswith("#"):
        try:
            parse_address(address, PEER)
        except AddressError as error:
            raise statement.fault(f"'{statement.keyword} {name}' : {error.message}", 1, error.hint) from None
    local = scope.state.environment.variables.get("HAPROXY_LOCALPEER", scope.state.options.peer_name)
    if name != local:
        raise statement.fault(
            f"'{statement.keyword} {name}' : remote peers are not supported by Usher",
            0,
            f"Tables are shared by all workers of this host, not between hosts. The local peer is '{local}' (-L or localpeer).",
        )


def peers_table(scope: Scope, statement: Statement) -> None:
    """`table <name> type … size … [expire …] [store …]`."""
    name = values.identifier(statement, 0, what="table name")
    tables = scope.state.config.peers[scope.name].tables
    if name in tables:
        raise statement.fault(f"'table {name}' already exists in peers '{scope.name}'.", 0)
    check_table(statement, 1, peers_allowed=False)
    tables[name] = tuple(statement.arguments[1:])


def peers_enabled(value: bool) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        scope.state.config.peers[scope.name].disabled = not value

    return parse


def open_crt_store(state: State, statement: Statement) -> Scope | None:
    name = _section_name(statement, "crt-store") if statement.arguments else ""
    state.config.crt_stores.setdefault(name, [])
    state.store_bases = (state.crt_base, state.crt_base)
    return Scope(state, Section.CRT_STORE, name)


def store_crt_base(scope: Scope, statement: Statement) -> None:
    scope.state.store_bases = (values.required(statement, 0, "a directory"), scope.state.store_bases[1])


def store_key_base(scope: Scope, statement: Statement) -> None:
    scope.state.store_bases = (scope.state.store_bases[0], values.required(statement, 0, "a directory"))


def load_certificate(scope: Scope, statement: Statement) -> None:
    """`load crt <file> [alias <name>] [key <file>] [ocsp <file>] [issuer <file>] [sctl <file>]`."""
    crt_base, key_base = scope.state.store_bases
    words = Words(statement)
    found: dict[str, str] = {}
    while words:
        name = words.next()
        if name in ("ocsp-update", "acme", "domains", "jwt", "generate-dummy", "keytype", "bits", "curves"):
            raise words.fault(
                f"'load' : '{name}' is not supported by Usher", "Let your ACME client or a timer fetch certificates and staples."
            )
        if name not in ("crt", "alias", "key", "ocsp", "issuer", "sctl"):
            raise words.fault(f"'load' : unknown keyword '{name}'{did_you_mean(name, ('crt', 'alias', 'key', 'ocsp', 'issuer', 'sctl'))}")
        found[name] = joined(key_base if name == "key" else crt_base if name != "alias" else "", words.required("a value"))
    if "crt" not in found:
        raise statement.fault("'load' expects at least a 'crt' argument.", 0, "For example: load crt site.pem alias site")
    store = scope.state.config.crt_stores[scope.name]
    if found.get("alias") and any(one.alias == found["alias"] for one in store):
        raise statement.fault(f"'load' : alias '{found['alias']}' already exists in this store.", 0)
    store.append(
        StoredCertificate(found["crt"], found.get("alias", ""), found.get("key"), found.get("ocsp"), found.get("issuer"), found.get("sctl"))
    )


def open_log_profile(state: State, statement: Statement) -> Scope | None:
    name = _section_name(statement, "log-profile")
    if name in state.config.log_profiles:
        raise statement.fault(f"log-profile section '{name}' already exists.", 0, "Rename one of them.")
    state.config.log_profiles[name] = LogProfile(name)
    return Scope(state, Section.LOG_PROFILE, name)


def profile_tag(scope: Scope, statement: Statement) -> None:
    scope.state.config.log_profiles[scope.name].log_tag = values.required(statement, 0, "a tag")


def profile_step(scope: Scope, statement: Statement) -> None:
    """`on <step> [drop] [format <format>] [sd <format>]`."""
    step = values.one_of(statement, 0, LOG_STEPS, what="on")
    words = Words(statement, 1)
    drop = False
    formats: dict[str, str | None] = {"format": None, "sd": None}
    while words:
        name = words.next()
        if name == "drop":
            drop = True
        elif name in formats:
            formats[name] = words.required("a log-format")
            check_format(scope, statement, words.position - 1)
        else:
            raise words.fault(f"'on {step}' : unknown keyword '{name}', expects 'drop', 'format' and 'sd'")
    scope.state.config.log_profiles[scope.name].steps[step] = LogStep(drop, formats["format"], formats["sd"])
