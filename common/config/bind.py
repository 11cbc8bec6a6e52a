"""The `bind` line: addresses, then settings.

`process N` is kept from HAProxy's multi-process days: it names the processes that serve the socket (issue: dispatcher and worker of one
file); `N/threads` loses its threads, of which a process here has one.
Sans-io.
Source: HAProxy configuration manual 4.2 "bind", 5.1; 3.1 "unix-bind"; of version 2.4 for "process".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from common.config.address import BIND, AddressError, parse_address, parse_addresses
from common.config.draft import Scope, State, TlsDraft
from common.config.keywords import Keyword, Section, Status, Table, retargeted
from common.config.line_words import WordParser, read_words
from common.config.statement import Statement, Words
from common.config.tls_words import ROWS as TLS_ROWS
from common.config.tls_words import TlsParser, merge_defaults, settle_versions
from common.config.values import is_identifier
from common.model import Address, AddressKind, Bind, Tls
from common.units import parse_time

PROCESS_MAX = 64
SOCKETS_MAX = 1 << 15  # over all sections
NICE_MAX = 1024
_PROCESSES = re.compile(r"(?:all|odd|even|([0-9]+)(?:(-)([0-9]+)?)?)")


@dataclass(slots=True)
class BindDraft:
    """The settings of one line. processes: the sets of `process`, resolved when nbproc is known."""

    bind: Bind
    tls: TlsDraft = field(default_factory=TlsDraft)
    processes: list[str] = field(default_factory=list)


BindParser = WordParser[BindDraft]


def parse_bind(scope: Scope, statement: Statement) -> None:
    """`bind <address>[,…] [settings]`: one Bind per address and port."""
    if not statement.argument(0):
        raise statement.fault(
            "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.", 0, "For example: bind :80"
        )
    proxy = scope.proxy
    draft = BindDraft(Bind(statement.place, Address(AddressKind.INET)))
    owner = f"'bind {statement.argument(0)}' in section '{scope.section.title}' : "
    addresses = _addresses(statement, str(scope.state.unix_bind.get("prefix", "")))
    for name, value in scope.state.unix_bind.items():
        if name != "prefix":
            setattr(draft.bind, name, value)
    read_words(WORDS, Section.BIND, scope.state, draft, Words(statement, 1), owner)
    _settle(scope, statement, draft, owner)
    scope.state.sockets += len(addresses)
    if scope.state.sockets > SOCKETS_MAX:
        raise statement.fault(f"more than {SOCKETS_MAX} listening sockets", 0, "Shorten the port ranges.")
    for address in addresses:
        bind = draft.bind
        proxy.binds.append(
            Bind(
                **{name: getattr(bind, name) for name in Bind.__dataclass_fields__ if name not in ("address", "tls")},
                address=address,
                tls=draft.tls.settings if draft.tls.enabled else None,
            )
        )


def _addresses(statement: Statement, prefix: str) -> list[Address]:
    """prefix: of unix sockets, from unix-bind."""
    found: list[Address] = []
    for text in statement.argument(0).split(","):
        try:
            for address in parse_addresses(text, BIND):
                if address.kind is AddressKind.UNIX and prefix:
                    address = parse_address(f"unix@{prefix}{address.path}", BIND)
                found.append(address)
        except AddressError as error:
            statement.alert(f"'bind' : {error.message}", 0, error.hint, "bad-address")
    return found


def _settle(scope: Scope, statement: Statement, draft: BindDraft, owner: str) -> None:
    """What depends on the line as a whole."""
    bind, tls = draft.bind, draft.tls
    if bind.label and "," in statement.argument(0):
        statement.alert(f"{owner}'id' can only be used with a single socket", hint="Write a bind line for each address.")
    bind.processes = resolve_processes(draft.processes, scope.state.config.globals.nbproc)
    if tls.enabled:
        merge_defaults(tls, scope.state.tls_binds)
        complaint = settle_versions(tls)
        if complaint:
            statement.alert(f"{owner}{complaint}", hint="Set ssl-min-ver and ssl-max-ver instead.")
        if not names_certificates(tls.settings):
            statement.alert(
                f"Proxy '{scope.proxy.name}': no SSL certificate specified for bind '{statement.argument(0)}' at "
                f"[{statement.line.file}:{statement.line.number}] (use 'crt').",
                hint="Add crt FILE with certificate and key.",
                slug="no-certificate",
            )
        if tls.settings.verify in ("optional", "required") and not tls.settings.ca_file and not tls.settings.ca_verify_file:
            statement.alert(
                f"{owner}verify is enabled but no CA file specified",
                hint="Add ca-file FILE with the authorities of the clients' certificates.",
            )
    elif names_certificates(tls.settings):
        statement.warn(
            f"Proxy '{scope.proxy.name}': A certificate was specified but SSL was not enabled on bind '{statement.argument(0)}' at "
            f"[{statement.line.file}:{statement.line.number}] (use 'ssl').",
            hint="Add the word ssl.",
            slug="certificate-without-ssl",
        )


def names_certificates(settings: Tls) -> bool:
    return bool(settings.certificates or settings.default_certificates or settings.crt_lists)


def resolve_processes(specifications: list[str], nbproc: int) -> frozenset[int]:
    """The numbers that `process` words name; `all` alone, without nbproc, names none in particular."""
    highest = nbproc or PROCESS_MAX
    numbers: set[int] = set()
    for text in specifications:
        match = _PROCESSES.fullmatch(text)
        assert match  # _process has checked it
        if text == "all":
            numbers |= set(range(1, nbproc + 1))
        elif text in ("odd", "even"):
            numbers |= set(range(1 if text == "odd" else 2, highest + 1, 2))
        else:
            first = int(match[1])
            last = int(match[3]) if match[3] else highest if match[2] else first
            numbers |= set(range(first, last + 1))
    return frozenset(numbers)


def _process(state: State, draft: BindDraft, words: Words) -> None:
    text = words.required("a process number, 'all', 'odd', 'even' or a range such as 1-4")
    processes, slash, threads = text.partition("/")
    match = _PROCESSES.fullmatch(processes)
    if not match or (slash and not _PROCESSES.fullmatch(threads)):
        raise words.fault(f"'process' expects a number from 1 to {PROCESS_MAX}, a range, 'all', 'odd' or 'even' (got '{text}')")
    if match[1]:
        first, last = int(match[1]), int(match[3] or match[1])
        if not 1 <= first <= PROCESS_MAX or last > PROCESS_MAX:
            raise words.fault(f"'process' : numbers are 1 to {PROCESS_MAX} (got '{text}')")
        if last < first:
            raise words.fault(f"'process' : range '{text}' is empty", "Write the lower number first.")
    draft.processes.append(processes)
    if slash:
        words.statement.note(
            f"'process {text}' : a process has one thread here, '/{threads}' has no effect", words.position - 1, slug="no-effect"
        )


def _flag(name: str, value: bool = True) -> BindParser:
    def parse(state: State, draft: BindDraft, words: Words) -> None:
        setattr(draft.bind, name, value)

    return parse


def _text(name: str, what: str) -> BindParser:
    def parse(state: State, draft: BindDraft, words: Words) -> None:
        setattr(draft.bind, name, words.required(what))

    return parse


def _number(name: str, *, least: int = 0, most: int = 2**31 - 1) -> BindParser:
    def parse(state: State, draft: BindDraft, words: Words) -> None:
        setattr(draft.bind, name, whole_number(words, least=least, most=most))

    return parse


def whole_number(words: Words, *, least: int = 0, most: int = 2**31 - 1) -> int:
    """The argument of the word just taken as a number within bounds."""
    keyword = words.texts[words.position - 1]
    text = words.required("an integer argument")
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise words.fault(f"'{keyword}' expects an integer argument, got '{text}'")
    if not least <= int(text) <= most:
        raise words.fault(f"'{keyword}' expects a number between {least} and {most}, got '{text}'")
    return int(text)


def time_argument(words: Words, *, positive: bool = False) -> float:
    """The argument of the word just taken as seconds."""
    keyword = words.texts[words.position - 1]
    text = words.required("a delay as argument")
    try:
        seconds = parse_time(text)
    except ValueError as error:
        raise words.fault(f"'{keyword}' : {error}") from None
    if positive and seconds <= 0:
        raise words.fault(f"invalid value {text} for argument '{keyword}'", "Write a time above zero.")
    return seconds


def _name(state: State, draft: BindDraft, words: Words) -> None:
    draft.bind.name = words.required("a name")


def _mode(state: State, draft: BindDraft, words: Words) -> None:
    text = words.required("a mode (octal)")
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise words.fault(f"'mode' : octal permissions expected, as in 660 (got '{text}')")
    draft.bind.mode = int(text, 8)


def _id(state: State, draft: BindDraft, words: Words) -> None:
    draft.bind.label = str(whole_number(words, least=1))


def _tcp_user_timeout(state: State, draft: BindDraft, words: Words) -> None:
    draft.bind.tcp_ut = time_argument(words)


def _mss(state: State, draft: BindDraft, words: Words) -> None:
    value = whole_number(words, least=-65535, most=65535)
    if value == 0:
        raise words.fault("'mss' : expects an MSS with and absolute value between 1 and 65535")
    draft.bind.mss = value


def _proto(state: State, draft: BindDraft, words: Words) -> None:
    name = words.required("a protocol name")
    if name in ("h2", "quic", "h3"):
        raise words.fault(f"'proto' : '{name}' is not spoken by Usher", "Clients are served with HTTP/1.1: drop it or write proto h1.")
    if name not in ("h1", "none"):
        raise words.fault(f"'proto' : unknown MUX protocol '{name}'", "Known are h1 and none.")


def _guid_prefix(state: State, draft: BindDraft, words: Words) -> None:
    text = words.required("a prefix")
    if not is_identifier(text):
        raise words.fault(f"'guid-prefix' : '{text}' has characters other than letters, digits, '-', '_', '.' and ':'")
    draft.bind.guid_prefix = text


def _thread(state: State, draft: BindDraft, words: Words) -> None:
    """Of NOTICED and REFUSED rows: whatever follows is skipped, by number."""


def _row(name: str, syntax: str, parse: BindParser, meaning: str, **more: object) -> Keyword[BindParser]:
    arguments = len(re.findall(r"[<\[{]", syntax)) and 1
    more.setdefault("manual", "5.1")
    return Keyword(name, Section.BIND, f"{name} {syntax}".strip(), parse, meaning, least=arguments, most=arguments, **more)  # type: ignore[arg-type]


def _refused(name: str, syntax: str, instead: str) -> Keyword[BindParser]:
    return _row(name, syntax, _thread, "Not available here.", status=Status.REFUSED, instead=instead)


def _noticed(name: str, syntax: str, instead: str) -> Keyword[BindParser]:
    return _row(name, syntax, _thread, "Accepted, without effect.", status=Status.NOTICED, instead=instead)


def _tls(parse: TlsParser) -> BindParser:
    """A TLS word on a bind line works on the TLS part of the draft."""

    def adapted(state: State, draft: BindDraft, words: Words) -> None:
        draft.tls.words.append(words.texts[words.position - 1])
        parse(state, draft.tls, words)

    return adapted


ROWS: tuple[Keyword[BindParser], ...] = (
    _row(
        "accept-proxy",
        "",
        _flag("accept_proxy"),
        "Every connection starts with a PROXY protocol header, version 1 or 2, which tells the client's address.",
    ),
    _row(
        "backlog", "<number>", _number("backlog"), "Length of the kernel's queue of connections not yet accepted.", default="the frontend's"
    ),
    _row("defer-accept", "", _flag("defer_accept"), "The kernel hands a connection over only once the client has sent something."),
    _row("gid", "<number>", _number("gid"), "Group of the unix socket, by number."),
    _row("group", "<name>", _text("group", "a group name"), "Group of the unix socket."),
    _row("guid-prefix", "<text>", _guid_prefix, "Start of the stable identifier of each socket of the line.", manual="3.0: 5.1"),
    _row("id", "<number>", _id, "Number of the socket in statistics.", default="counted"),
    _row(
        "interface",
        "<name>",
        _text("interface", "an interface name"),
        "Takes connections that come in through this network interface only.",
    ),
    _row(
        "maxconn",
        "<number>",
        _number("maxconn"),
        "Connections on this socket at one time; further ones wait in the backlog.",
        default="the frontend's",
    ),
    _row("mode", "<octal>", _mode, "Permissions of the unix socket."),
    _row("mss", "<number>", _mss, "Largest TCP segment that is announced; negative: how much less than usual."),
    _row("name", "<name>", _name, "Name of the socket in logs and statistics."),
    _row(
        "nice",
        "<number>",
        _number("nice", least=-NICE_MAX, most=NICE_MAX),
        "Above 0: requests of its clients wait until others had their turn. Below 0: new clients do not wait for established ones.",
    ),
    _row(
        "process",
        "<set>[/<set>]",
        _process,
        "Processes that serve the socket: a number, a range, all, odd or even. HAProxy dropped it in 2.5; kept here.",
    ),
    _row("proto", "<name>", _proto, "Protocol spoken without negotiation: h1, or none in mode tcp."),
    _row("tcp-ut", "<time>", _tcp_user_timeout, "How long sent data may stay unacknowledged before the connection is given up."),
    _row("tfo", "", _flag("tfo"), "Accepts data in the first packet of returning clients (TCP Fast Open)."),
    _row("transparent", "", _flag("transparent"), "Binds to addresses that are not this machine's, for intercepted traffic."),
    _row("uid", "<number>", _number("uid"), "Owner of the unix socket, by number."),
    _row("user", "<name>", _text("user", "a user name"), "Owner of the unix socket."),
    _row("v4v6", "", _flag("v4v6"), "An IPv6 any-address takes IPv4 connections too."),
    _row("v6only", "", _flag("v6only"), "An IPv6 any-address takes IPv6 connections only."),
    _noticed("thread", "<set>", "A process has one thread here; use process N, or workers N in global."),
    _noticed("shards", "<number|by-thread>", "One dispatcher accepts for all workers; use dispatchers N in global."),
    _refused("accept-netscaler-cip", "<number>", "Let the sender speak the PROXY protocol, and use accept-proxy."),
    _refused("cc", "<algorithm>", "Set net.ipv4.tcp_congestion_control for the machine instead."),
    _refused("idle-ping", "<time>", "It belongs to HTTP/2, which is not spoken yet: drop it."),
    _refused("namespace", "<name>", "Start Usher inside the network namespace instead (ip netns exec)."),
    _refused("nbconn", "<number>", "Reverse HTTP is not available: let the servers accept connections."),
    _refused("quic-cc-algo", "<algorithm>", "QUIC is not available: drop the line, clients fall back to TCP."),
    _refused("quic-force-retry", "", "QUIC is not available: drop the line, clients fall back to TCP."),
    _refused("quic-socket", "<mode>", "QUIC is not available: drop the line, clients fall back to TCP."),
    _refused("tcp-md5sig", "<password>", "TCP MD5 signatures are not available; use TLS or a tunnel."),
    _refused("tcp-ss", "<mode>", "Set net.ipv4.tcp_save_syn for the machine, or drop it."),
)

WORDS: Table[BindParser] = Table([*ROWS, *retargeted(TLS_ROWS, Section.BIND, _tls)])
