"""The settings of `server` and `default-server` lines.

HAProxy's `no-` forms exist for words that an earlier default-server may have set. Words that HAProxy accepts on `server` alone
are marked so.
Sans-io.
Source: HAProxy configuration manual 5.2.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from common.config.address import CHECK, SOURCE, AddressError, Form, Ports, parse_address, parse_addresses
from common.config.bind import time_argument, whole_number
from common.config.draft import ServerDraft, State
from common.config.keywords import SERVERS, Keyword, Section, Status, Table, retargeted
from common.config.line_words import WordParser
from common.config.statement import Words
from common.config.suggest import did_you_mean
from common.config.tls_words import ROWS as TLS_ROWS
from common.config.tls_words import TlsParser
from common.config.values import is_identifier

ServerParser = WordParser[ServerDraft]

WEIGHT_MAX = 256
PIPELINE_MAX = 1024
PROXY_V2_OPTIONS = ("ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key", "authority", "crc32c", "unique-id")
_TLV = re.compile(r"set-proxy-v2-tlv-fmt\((0[xX][0-9a-fA-F]{1,2}|[1-9][0-9]{0,2}|0)\)")
_ADDRESS_ONLY = Form(ports=Ports.NONE, fd=False)


def _keep(state: State, draft: ServerDraft, words: Words) -> None:
    """A word without argument that goes to Server.options."""
    draft.server.options[words.texts[words.position - 1]] = ()


def _drop(*names: str) -> ServerParser:
    """`no-…`: the word is taken back."""

    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        for name in names:
            draft.server.options.pop(name, None)

    return parse


def _set(name: str, value: object) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        setattr(draft.server, name, value)

    return parse


def _number(name: str, *, least: int = 0, most: int = 2**31 - 1) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        setattr(draft.server, name, whole_number(words, least=least, most=most))

    return parse


def _number_option(*, least: int = 0, most: int = 2**31 - 1) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        draft.server.options[keyword] = (str(whole_number(words, least=least, most=most)),)

    return parse


def _time_option(*, positive: bool = True) -> ServerParser:
    """A time that goes to Server.options in milliseconds with unit, as the run time reads it ("2000ms")."""

    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        time_argument(words, positive=positive)
        draft.server.options[keyword] = (words.texts[words.position - 1],)

    return parse


def _text_option(what: str) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        draft.server.options[keyword] = (words.required(what),)

    return parse


def _choice(words: Words, allowed: Collection[str]) -> str:
    keyword = words.texts[words.position - 1]
    value = words.required(f"one of {', '.join(allowed)}")
    if value not in allowed:
        choices = ", ".join(f"'{word}'" for word in allowed)
        raise words.fault(f"'{keyword}' only supports {choices} (got '{value}'){did_you_mean(value, allowed)}")
    return value


def _choice_option(*allowed: str) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        draft.server.options[keyword] = (_choice(words, allowed),)

    return parse


def _list_option(*allowed: str) -> ServerParser:
    """A comma-delimited list of known words."""

    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        keyword = words.texts[words.position - 1]
        items = tuple(words.required("a comma-delimited list").split(","))
        for item in items:
            if item not in allowed:
                raise words.fault(f"'{keyword}' : unknown option '{item}'{did_you_mean(item, allowed)}", f"Known are {', '.join(allowed)}.")
        draft.server.options[keyword] = items

    return parse


def _weight(state: State, draft: ServerDraft, words: Words) -> None:
    text = words.required("a weight")
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise words.fault(f"'weight' expects an integer argument, got '{text}'")
    if not 0 <= int(text) <= WEIGHT_MAX:
        raise words.fault(f"weight of server {draft.server.name} is not within 0 and {WEIGHT_MAX} ({text}).")
    draft.server.weight = int(text)


def _check(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.check = True


def _check_address(state: State, draft: ServerDraft, words: Words) -> None:
    keyword = words.texts[words.position - 1]
    text = words.required("an address")
    try:
        address = parse_address(text, CHECK)
    except AddressError as error:
        raise words.fault(f"'{keyword}' : {error.message}", error.hint) from None
    draft.server.options[keyword] = (text,)
    if address.port and keyword == "addr":
        draft.server.options["port"] = (str(address.port),)


def _agent_address(state: State, draft: ServerDraft, words: Words) -> None:
    text = words.required("an address")
    try:
        parse_address(text, _ADDRESS_ONLY)
    except AddressError as error:
        raise words.fault(f"'agent-addr' : {error.message}", error.hint) from None
    draft.server.options["agent-addr"] = (text,)


def _cookie(state: State, draft: ServerDraft, words: Words) -> None:
    value = words.required("<value> as argument")
    if re.search(r"[\x00-\x20\";,\\\x7f]", value):
        raise words.fault(f"'cookie' : '{value}' has characters that no cookie may hold", "Use letters, digits and the like.")
    draft.server.cookie = value


def _send_proxy(version: int, *options: str) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        draft.server.send_proxy = version
        draft.server.proxy_v2_options |= frozenset(options)

    return parse


def _no_send_proxy(*options: str) -> ServerParser:
    def parse(state: State, draft: ServerDraft, words: Words) -> None:
        draft.server.send_proxy = 0
        draft.server.proxy_v2_options -= frozenset(options)

    return parse


def _proxy_v2_options(state: State, draft: ServerDraft, words: Words) -> None:
    items = words.required("a comma-delimited list of options").split(",")
    for item in items:
        if item not in PROXY_V2_OPTIONS:
            near = did_you_mean(item, PROXY_V2_OPTIONS)
            raise words.fault(f"'proxy-v2-options' : unknown proxy v2 option '{item}'{near}", f"Known are {', '.join(PROXY_V2_OPTIONS)}.")
    draft.server.proxy_v2_options |= frozenset(items)


def _tlv(state: State, draft: ServerDraft, words: Words) -> None:
    """`set-proxy-v2-tlv-fmt(0xE1) <format>`; several ids add up."""
    keyword = words.texts[words.position - 1]
    match = _TLV.fullmatch(keyword)
    if not match or int(match[1], 0) > 255:
        raise words.fault(
            f"'{keyword}' : a TLV type from 0 to 255 is expected in the parentheses", "For example: set-proxy-v2-tlv-fmt(0xE1) %[src]"
        )
    draft.server.options[keyword] = (words.required("a log-format"),)
    draft.format_positions.append(words.position - 1)


def _source(state: State, draft: ServerDraft, words: Words) -> None:
    """`source <addr>[:<port>[-<port>]] [interface <name>]`."""
    text = words.required("<addr>[:<port>[-<port>]], and optionally '[interface|usesrc] <name>' as argument")
    arguments = [text]
    if words.peek() == "usesrc":
        raise words.statement.fault(
            "'usesrc' is not supported by Usher",
            words.position,
            "Connecting with the client's address needs a router's help: use send-proxy-v2.",
        )
    try:
        addresses = parse_addresses(text, SOURCE)
    except AddressError as error:
        raise words.fault(f"'source' : {error.message}", error.hint) from None
    if words.peek() == "interface":
        words.next()
        arguments += ["interface", words.required("an interface name")]
    draft.server.source = addresses[0]
    draft.server.options["source"] = tuple(arguments)


def _init_address(state: State, draft: ServerDraft, words: Words) -> None:
    items = tuple(words.required("a comma-delimited list of methods").split(","))
    for item in items:
        if item not in ("last", "libc", "none") and not _is_ip(item):
            raise words.fault(f"'init-addr' : unknown method '{item}'", "Known are last, libc, none and an IP address.")
    draft.server.options["init-addr"] = items


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _networks(state: State, draft: ServerDraft, words: Words) -> None:
    items = tuple(words.required("a comma-delimited list of networks").split(","))
    for item in items:
        try:
            ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise words.fault(f"'resolve-net' : '{item}' is no network", "For example: 10.0.0.0/8") from None
    draft.server.options["resolve-net"] = items


def _track(state: State, draft: ServerDraft, words: Words) -> None:
    text = words.required("[<proxy>/]<server>")
    if not all(is_identifier(part) for part in text.split("/")) or text.count("/") > 1:
        raise words.fault(f"'track' expects [<proxy>/]<server> as argument, got '{text}'")
    draft.server.options["track"] = (text,)


def _redirection(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.redir = words.required("<prefix>")


def _proto(state: State, draft: ServerDraft, words: Words) -> None:
    keyword = words.texts[words.position - 1]
    name = words.required("a protocol name")
    if name in ("h2", "fcgi", "quic", "h3", "spop"):
        raise words.fault(f"'{keyword}' : '{name}' is not spoken by Usher", "Servers are spoken to with HTTP/1.1: write h1 or drop it.")
    if name not in ("h1", "none"):
        raise words.fault(f"'{keyword}' : unknown MUX protocol '{name}'", "Known are h1 and none.")
    draft.server.options[keyword] = (name,)


def _alpn_option(state: State, draft: ServerDraft, words: Words) -> None:
    items = tuple(words.required("a comma-delimited list of protocols").split(","))
    if any(not 0 < len(item) <= 255 for item in items):
        raise words.fault("'check-alpn' : protocol names have 1 to 255 characters")
    draft.server.options["check-alpn"] = items


def _id(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.id = whole_number(words, least=1)


def _guid(state: State, draft: ServerDraft, words: Words) -> None:
    text = words.required("an identifier")
    if not is_identifier(text):
        raise words.fault(f"'guid' : '{text}' has characters other than letters, digits, '-', '_', '.' and ':'")
    draft.server.guid = text


def _no_tfo(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.options.pop("tfo", None)


def _purge_delay(state: State, draft: ServerDraft, words: Words) -> None:
    draft.server.pool_purge_delay = time_argument(words)


def _never(state: State, draft: ServerDraft, words: Words) -> None:
    """Parser of rows that are refused or have no effect: never called."""


def _row(name: str, syntax: str, parse: ServerParser, meaning: str, sections: Section = SERVERS, **more: object) -> Keyword[ServerParser]:
    arguments = 1 if re.search(r"[<\[{]", syntax) else 0
    more.setdefault("manual", "5.2")
    return Keyword(name, sections, f"{name} {syntax}".strip(), parse, meaning, least=arguments, most=arguments, **more)  # type: ignore[arg-type]


def _refused(name: str, syntax: str, instead: str) -> Keyword[ServerParser]:
    return _row(name, syntax, _never, "Not available here.", status=Status.REFUSED, instead=instead)


def _tls(parse: TlsParser) -> ServerParser:
    """A TLS word on a server line works on the TLS part of the draft."""

    def adapted(state: State, draft: ServerDraft, words: Words) -> None:
        draft.tls.words.append(words.texts[words.position - 1])
        parse(state, draft.tls, words)

    return adapted


_CHECKS: tuple[Keyword[ServerParser], ...] = (
    _row("check", "", _check, "Probes the server; without it the server counts as up."),
    _row("no-check", "", _set("check", False), "Takes back an inherited `check`."),
    _row("inter", "<time>", _time_option(), "Time between two probes.", default="2s"),
    _row("fastinter", "<time>", _time_option(), "Time between probes while the server is changing its state.", default="inter"),
    _row("downinter", "<time>", _time_option(), "Time between probes while the server is down.", default="inter"),
    _row("rise", "<number>", _number_option(least=1), "Good probes in a row that bring the server up.", default="2"),
    _row("fall", "<number>", _number_option(least=1), "Bad probes in a row that take the server down.", default="3"),
    _row("addr", "<address>", _check_address, "Where probes go instead of the server's own address; a port may follow."),
    _row("port", "<port>", _number_option(least=1, most=65535), "Port that probes go to.", default="the server's"),
    _row("check-send-proxy", "", _keep, "Probes start with a PROXY protocol header."),
    _row("no-check-send-proxy", "", _drop("check-send-proxy"), "Takes back an inherited `check-send-proxy`."),
    _row("check-ssl", "", _keep, "Probes speak TLS."),
    _row("no-check-ssl", "", _drop("check-ssl"), "Takes back an inherited `check-ssl`."),
    _row("check-sni", "<name>", _text_option("a name"), "Server name sent by probes over TLS."),
    _row(
        "check-sni-auto",
        "",
        _drop("no-check-sni-auto"),
        "Probes send the Host they ask for as server name.",
        default="on",
        manual="3.3: 5.2",
    ),
    _row("no-check-sni-auto", "", _keep, "Probes send no server name unless `check-sni` says one.", manual="3.3: 5.2"),
    _row("check-alpn", "<protocols>", _alpn_option, "Protocols that probes over TLS offer by ALPN."),
    _row("check-proto", "<name>", _proto, "Protocol of the probes: h1, or none for plain TCP."),
    _row("check-reuse-pool", "", _keep, "Probes may use an idle connection of the server.", manual="3.2: 5.2"),
    _row("no-check-reuse-pool", "", _drop("check-reuse-pool"), "Takes back an inherited `check-reuse-pool`.", manual="3.2: 5.2"),
    _row("agent-check", "", _keep, "Asks an agent beside the server for its weight and state."),
    _row("no-agent-check", "", _drop("agent-check"), "Takes back an inherited `agent-check`."),
    _row("agent-addr", "<address>", _agent_address, "Where the agent is.", default="the server's address"),
    _row("agent-port", "<port>", _number_option(least=1, most=65535), "Port of the agent; needed for `agent-check`."),
    _row("agent-inter", "<time>", _time_option(), "Time between two questions to the agent.", default="2s"),
    _row("agent-send", "<text>", _text_option("a text"), "Sent to the agent before it answers."),
    _row("observe", "[layer4|layer7]", _choice_option("layer4", "layer7"), "Traffic counts as a probe: connections, or answers too."),
    _row("error-limit", "<number>", _number_option(least=1), "Errors in a row, seen by `observe`, before `on-error` acts.", default="10"),
    _row(
        "on-error",
        "[fastinter|fail-check|sudden-death|mark-down]",
        _choice_option("fastinter", "fail-check", "sudden-death", "mark-down"),
        "What `observe` does after that many errors.",
        default="fail-check",
    ),
    _row("on-marked-down", "[shutdown-sessions]", _choice_option("shutdown-sessions"), "Ends the server's sessions when it goes down."),
    _row(
        "on-marked-up",
        "[shutdown-backup-sessions]",
        _choice_option("shutdown-backup-sessions"),
        "Ends sessions on backup servers when this server comes back.",
    ),
    _row("track", "[<proxy>/]<server>", _track, "Takes its state from another server, which is probed."),
    _row("slowstart", "<time>", _time_option(positive=False), "A server that came back gets its full share only after this time."),
    _row(
        "init-addr",
        "<method>[,…]",
        _init_address,
        "How a name is resolved at the start: last, libc, none, an address.",
        default="last,libc",
    ),
    _row(
        "init-state",
        "[fully-up|up|down|fully-down|none]",
        _choice_option("fully-up", "up", "down", "fully-down", "none"),
        "State before the first probe.",
        manual="3.1: 5.2",
    ),
)

_RESOLVING: tuple[Keyword[ServerParser], ...] = (
    _row("resolvers", "<section>", _text_option("a resolvers section"), "The `resolvers` section that keeps the server's name resolved."),
    _row(
        "resolve-opts",
        "<option>[,…]",
        _list_option("allow-dup-ip", "ignore-weight", "prevent-dup-ip"),
        "allow-dup-ip: two servers may get one address; ignore-weight: weights of SRV records are not used.",
    ),
    _row("resolve-prefer", "[ipv4|ipv6]", _choice_option("ipv4", "ipv6"), "Address family that is preferred.", default="ipv6"),
    _row("resolve-net", "<network>[,…]", _networks, "Networks whose addresses are preferred."),
)

_LIMITS: tuple[Keyword[ServerParser], ...] = (
    _row("weight", "<number>", _weight, "Share of the load, 0 to 256; 0 takes sticky clients only.", default="1"),
    _row(
        "maxconn",
        "<number>",
        _number("maxconn"),
        "Connections (mode http: requests) at one time; further ones wait in the queue.",
        default="0: no limit",
    ),
    _row(
        "minconn",
        "<number>",
        _number("minconn"),
        "The limit at low load; it rises to maxconn with the backend's load (see fullconn).",
        default="0: maxconn always",
    ),
    _row(
        "maxqueue",
        "<number>",
        _number("maxqueue"),
        "Requests that may wait for this server before others are tried.",
        default="0: no limit",
    ),
    _row(
        "max-reuse",
        "<number>",
        _number("max_reuse", least=-1),
        "Requests after the first one on a connection to the server.",
        default="-1: no limit",
    ),
    _row("pool-max-conn", "<number>", _number("pool_max_conn", least=-1), "Idle connections that are kept.", default="-1: no limit"),
    _row(
        "pool-low-conn",
        "<number>",
        _number("pool_low_conn"),
        "Idle connections below which workers do not take from each other.",
        default="0",
    ),
    _row(
        "pool-purge-delay", "<time>", _purge_delay, "Half of the idle connections that were not needed are closed this often.", default="5s"
    ),
    _row(
        "pool-warm",
        "<number>",
        _number_option(),
        "Connections that are kept established and ready, TLS done.",
        ours=True,
        manual="",
        default="0",
    ),
    _row(
        "pipeline",
        "<number>",
        _number_option(least=1, most=PIPELINE_MAX),
        "Safe requests that may be under way on one connection.",
        ours=True,
        manual="",
        default="1: off",
    ),
    _row("tcp-ut", "<time>", _time_option(positive=False), "How long sent data may stay unacknowledged."),
    _row("tfo", "", _keep, "Sends the first data with the first packet (TCP Fast Open)."),
    _row("no-tfo", "", _no_tfo, "Takes back an inherited `tfo`."),
)

_CONNECTION: tuple[Keyword[ServerParser], ...] = (
    _row("backup", "", _set("backup", True), "Used only when no other server is available."),
    _row("no-backup", "", _set("backup", False), "Takes back an inherited `backup`."),
    _row("cookie", "<value>", _cookie, "The server's value in the persistence cookie."),
    _row("disabled", "", _set("disabled", True), "Starts in maintenance."),
    _row("enabled", "", _set("disabled", False), "Takes back an inherited `disabled`."),
    _row("id", "<number>", _id, "Number of the server in statistics.", Section.SERVER, default="counted"),
    _row("guid", "<name>", _guid, "Stable identifier over reloads.", Section.SERVER, manual="3.0: 5.2"),
    _row(
        "hash-key",
        "[id|addr|addr-port]",
        _choice_option("id", "addr", "addr-port"),
        "What the consistent hash places the server by.",
        manual="2.9: 5.2",
        default="id",
    ),
    _row(
        "log-bufsize",
        "<size>",
        _never,
        "Not available here.",
        status=Status.REFUSED,
        instead="Log backends are not available: name the receivers on log lines.",
    ),
    _row("non-stick", "", _keep, "Connections to this server are not remembered in stick tables."),
    _row("stick", "", _drop("non-stick"), "Takes back an inherited `non-stick`."),
    _row("redir", "<prefix>", _redirection, "GET and HEAD are answered with a redirect to prefix and path."),
    _row("proto", "<name>", _proto, "Protocol spoken to the server without negotiation: h1, or none in mode tcp."),
    _row("send-proxy", "", _send_proxy(1), "Starts every connection with a PROXY protocol header, version 1."),
    _row("no-send-proxy", "", _no_send_proxy(), "Takes back an inherited `send-proxy`."),
    _row("send-proxy-v2", "", _send_proxy(2), "Starts every connection with a PROXY protocol header, version 2."),
    _row("no-send-proxy-v2", "", _no_send_proxy(), "Takes back an inherited `send-proxy-v2`."),
    _row("send-proxy-v2-ssl", "", _send_proxy(2, "ssl"), "The same with what is known of the client's TLS."),
    _row("no-send-proxy-v2-ssl", "", _no_send_proxy("ssl"), "Takes back an inherited `send-proxy-v2-ssl`."),
    _row("send-proxy-v2-ssl-cn", "", _send_proxy(2, "ssl", "cert-cn"), "The same with the common name of the client's certificate."),
    _row("no-send-proxy-v2-ssl-cn", "", _no_send_proxy("ssl", "cert-cn"), "Takes back an inherited `send-proxy-v2-ssl-cn`."),
    _row("proxy-v2-options", "<option>[,…]", _proxy_v2_options, f"What else the header tells: {', '.join(PROXY_V2_OPTIONS)}."),
    _row(
        "set-proxy-v2-tlv-fmt()",
        "<format>",
        _tlv,
        "Another TLV of the header, by number: set-proxy-v2-tlv-fmt(0xE1) %[…].",
        manual="2.9: 5.2",
    ),
    _row(
        "pass-fd",
        "",
        _set("pass_fd", True),
        "Hands the connection's descriptor over to the worker instead of relaying bytes.",
        ours=True,
        manual="",
    ),
    _row("no-pass-fd", "", _set("pass_fd", False), "Takes back an inherited `pass-fd`.", ours=True, manual=""),
    _row(
        "source", "<address>[:<port>[-<port>]] [interface <name>]", _source, "Address, and ports, that connections to the server come from."
    ),
    _row("ws", "[auto|h1|h2]", _choice_option("auto", "h1"), "Protocol for WebSockets; h1 is the one we speak.", default="auto"),
    _row("idle-ping", "<time>", _never, "Not available here.", status=Status.REFUSED, instead="It belongs to HTTP/2: drop it."),
    _refused("check-via-socks4", "", "SOCKS is not available: route the traffic instead."),
    _refused("socks4", "<address>", "SOCKS is not available: route the traffic instead."),
    _refused("namespace", "<name>", "Start Usher inside the network namespace instead (ip netns exec)."),
    _refused("log-proto", "<protocol>", "Rings are not available: name the receiver on a log line."),
    _refused("pool-conn-name", "<expression>", "Connections are shared by SNI and address: drop it."),
    _refused("check-pool-conn-name", "<name>", "Connections are shared by SNI and address: drop it."),
    _refused("shard", "<number>", "It belongs to remote peers, which are not available: tables are shared by all workers of the host."),
    _refused("cc", "<algorithm>", "Set net.ipv4.tcp_congestion_control for the machine instead."),
    _refused("tcp-md5sig", "<password>", "TCP MD5 signatures are not available; use TLS or a tunnel."),
    _refused("strict-maxconn", "", "maxconn counts requests exactly here: drop it."),
)

WORDS: Table[ServerParser] = Table([*_CHECKS, *_RESOLVING, *_LIMITS, *_CONNECTION, *retargeted(TLS_ROWS, SERVERS, _tls)])
