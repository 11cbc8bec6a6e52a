"""Rows of the settings of `server` and `default-server` lines.

Sans-io.
Source: HAProxy configuration manual 5.2.
"""

from __future__ import annotations

import re

from common.config import server_words as words
from common.config.draft import ServerDraft, State
from common.config.keywords import SERVERS, Keyword, Section, Status, Table, retargeted
from common.config.server_words import PIPELINE_MAX, PROXY_V2_OPTIONS, ServerParser
from common.config.statement import Words
from common.config.tls_words import ROWS as TLS_ROWS
from common.config.tls_words import TlsParser


def _row(name: str, syntax: str, parse: ServerParser, meaning: str, sections: Section = SERVERS, **more: object) -> Keyword[ServerParser]:
    arguments = 1 if re.search(r"[<\[{]", syntax) else 0
    more.setdefault("manual", "5.2")
    return Keyword(name, sections, f"{name} {syntax}".strip(), parse, meaning, least=arguments, most=arguments, **more)  # type: ignore[arg-type]


def _refused(name: str, syntax: str, instead: str) -> Keyword[ServerParser]:
    return _row(name, syntax, words.never, "Not available here.", status=Status.REFUSED, instead=instead)


def _tls(parse: TlsParser) -> ServerParser:
    """A TLS word on a server line works on the TLS part of the draft."""

    def adapted(state: State, draft: ServerDraft, words: Words) -> None:
        draft.tls.words.append(words.texts[words.position - 1])
        parse(state, draft.tls, words)

    return adapted


_CHECKS: tuple[Keyword[ServerParser], ...] = (
    _row("check", "", words.check, "Probes the server; without it the server counts as up."),
    _row("no-check", "", words.set_field("check", False), "Takes back an inherited `check`."),
    _row("inter", "<time>", words.time_option(), "Time between two probes.", default="2s"),
    _row("fastinter", "<time>", words.time_option(), "Time between probes while the server is changing its state.", default="inter"),
    _row("downinter", "<time>", words.time_option(), "Time between probes while the server is down.", default="inter"),
    _row("rise", "<number>", words.number_option(least=1), "Good probes in a row that bring the server up.", default="2"),
    _row("fall", "<number>", words.number_option(least=1), "Bad probes in a row that take the server down.", default="3"),
    _row("addr", "<address>", words.check_address, "Where probes go instead of the server's own address; a port may follow."),
    _row("port", "<port>", words.number_option(least=1, most=65535), "Port that probes go to.", default="the server's"),
    _row("check-send-proxy", "", words.keep, "Probes start with a PROXY protocol header."),
    _row("no-check-send-proxy", "", words.drop("check-send-proxy"), "Takes back an inherited `check-send-proxy`."),
    _row("check-ssl", "", words.instead("no-check-ssl"), "Probes speak TLS."),
    _row("no-check-ssl", "", words.instead("check-ssl"), "Takes back an inherited `check-ssl`; probes of a server with `ssl` are plain."),
    _row("check-sni", "<name>", words.text_option("a name"), "Server name sent by probes over TLS."),
    _row(
        "check-sni-auto",
        "",
        words.drop("no-check-sni-auto"),
        "Probes send the Host they ask for as server name.",
        default="on",
        manual="3.3: 5.2",
    ),
    _row("no-check-sni-auto", "", words.keep, "Probes send no server name unless `check-sni` says one.", manual="3.3: 5.2"),
    _row("check-alpn", "<protocols>", words.alpn_option, "Protocols that probes over TLS offer by ALPN."),
    _row("check-proto", "<name>", words.proto, "Protocol of the probes: h1, or none for plain TCP."),
    _row("check-reuse-pool", "", words.keep, "Probes may use an idle connection of the server.", manual="3.2: 5.2"),
    _row("no-check-reuse-pool", "", words.drop("check-reuse-pool"), "Takes back an inherited `check-reuse-pool`.", manual="3.2: 5.2"),
    _row("agent-check", "", words.keep, "Asks an agent beside the server for its weight and state."),
    _row("no-agent-check", "", words.drop("agent-check"), "Takes back an inherited `agent-check`."),
    _row("agent-addr", "<address>", words.agent_address, "Where the agent is.", default="the server's address"),
    _row("agent-port", "<port>", words.number_option(least=1, most=65535), "Port of the agent; needed for `agent-check`."),
    _row("agent-inter", "<time>", words.time_option(), "Time between two questions to the agent.", default="2s"),
    _row("agent-send", "<text>", words.text_option("a text"), "Sent to the agent before it answers."),
    _row("observe", "[layer4|layer7]", words.choice_option("layer4", "layer7"), "Traffic counts as a probe: connections, or answers too."),
    _row(
        "error-limit", "<number>", words.number_option(least=1), "Errors in a row, seen by `observe`, before `on-error` acts.", default="10"
    ),
    _row(
        "on-error",
        "[fastinter|fail-check|sudden-death|mark-down]",
        words.choice_option("fastinter", "fail-check", "sudden-death", "mark-down"),
        "What `observe` does after that many errors.",
        default="fail-check",
    ),
    _row(
        "on-marked-down", "[shutdown-sessions]", words.choice_option("shutdown-sessions"), "Ends the server's sessions when it goes down."
    ),
    _row(
        "on-marked-up",
        "[shutdown-backup-sessions]",
        words.choice_option("shutdown-backup-sessions"),
        "Ends sessions on backup servers when this server comes back.",
    ),
    _row("track", "[<proxy>/]<server>", words.track, "Takes its state from another server, which is probed."),
    _row("slowstart", "<time>", words.time_option(positive=False), "A server that came back gets its full share only after this time."),
    _row(
        "init-addr",
        "<method>[,…]",
        words.init_address,
        "How a name is resolved at the start: last, libc, none, an address.",
        default="last,libc",
    ),
    _row(
        "init-state",
        "[fully-up|up|down|fully-down|none]",
        words.choice_option("fully-up", "up", "down", "fully-down", "none"),
        "State before the first probe.",
        manual="3.1: 5.2",
    ),
)

_RESOLVING: tuple[Keyword[ServerParser], ...] = (
    _row(
        "resolvers", "<section>", words.text_option("a resolvers section"), "The `resolvers` section that keeps the server's name resolved."
    ),
    _row(
        "resolve-opts",
        "<option>[,…]",
        words.list_option("allow-dup-ip", "ignore-weight", "prevent-dup-ip"),
        "allow-dup-ip: two servers may get one address; ignore-weight: weights of SRV records are not used.",
    ),
    _row("resolve-prefer", "[ipv4|ipv6]", words.choice_option("ipv4", "ipv6"), "Address family that is preferred.", default="ipv6"),
    _row("resolve-net", "<network>[,…]", words.networks, "Networks whose addresses are preferred."),
)

_LIMITS: tuple[Keyword[ServerParser], ...] = (
    _row("weight", "<number>", words.weight, "Share of the load, 0 to 256; 0 takes sticky clients only.", default="1"),
    _row(
        "maxconn",
        "<number>",
        words.number("maxconn"),
        "Connections (mode http: requests) at one time; further ones wait in the queue.",
        default="0: no limit",
    ),
    _row(
        "minconn",
        "<number>",
        words.number("minconn"),
        "The limit at low load; it rises to maxconn with the backend's load (see fullconn).",
        default="0: maxconn always",
    ),
    _row(
        "maxqueue",
        "<number>",
        words.number("maxqueue"),
        "Requests that may wait for this server before others are tried.",
        default="0: no limit",
    ),
    _row(
        "max-reuse",
        "<number>",
        words.number("max_reuse", least=-1),
        "Requests after the first one on a connection to the server.",
        default="-1: no limit",
    ),
    _row("pool-max-conn", "<number>", words.number("pool_max_conn", least=-1), "Idle connections that are kept.", default="-1: no limit"),
    _row(
        "pool-low-conn",
        "<number>",
        words.number("pool_low_conn"),
        "Idle connections below which workers do not take from each other.",
        default="0",
    ),
    _row(
        "pool-purge-delay",
        "<time>",
        words.purge_delay,
        "Half of the idle connections that were not needed are closed this often.",
        default="5s",
    ),
    _row(
        "pool-warm",
        "<number>",
        words.number_option(),
        "Connections that are kept established and ready, TLS done.",
        ours=True,
        manual="",
        default="0",
    ),
    _row(
        "pipeline",
        "<number>",
        words.number_option(least=1, most=PIPELINE_MAX),
        "Safe requests that may be under way on one connection.",
        ours=True,
        manual="",
        default="1: off",
    ),
    _row("tcp-ut", "<time>", words.time_option(positive=False), "How long sent data may stay unacknowledged."),
    _row("tfo", "", words.keep, "Sends the first data with the first packet (TCP Fast Open)."),
    _row("no-tfo", "", words.no_tfo, "Takes back an inherited `tfo`."),
)

_CONNECTION: tuple[Keyword[ServerParser], ...] = (
    _row("backup", "", words.set_field("backup", True), "Used only when no other server is available."),
    _row("no-backup", "", words.set_field("backup", False), "Takes back an inherited `backup`."),
    _row("cookie", "<value>", words.cookie, "The server's value in the persistence cookie."),
    _row("disabled", "", words.set_field("disabled", True), "Starts in maintenance."),
    _row("enabled", "", words.set_field("disabled", False), "Takes back an inherited `disabled`."),
    _row("id", "<number>", words.server_id, "Number of the server in statistics.", Section.SERVER, default="counted"),
    _row("guid", "<name>", words.guid, "Stable identifier over reloads.", Section.SERVER, manual="3.0: 5.2"),
    _row(
        "hash-key",
        "[id|addr|addr-port]",
        words.choice_option("id", "addr", "addr-port"),
        "What the consistent hash places the server by.",
        manual="2.9: 5.2",
        default="id",
    ),
    _row(
        "log-bufsize",
        "<size>",
        words.never,
        "Not available here.",
        status=Status.REFUSED,
        instead="Log backends are not available: name the receivers on log lines.",
    ),
    _row("non-stick", "", words.keep, "Connections to this server are not remembered in stick tables."),
    _row("stick", "", words.drop("non-stick"), "Takes back an inherited `non-stick`."),
    _row("redir", "<prefix>", words.redirection, "GET and HEAD are answered with a redirect to prefix and path."),
    _row("proto", "<name>", words.proto, "Protocol spoken to the server without negotiation: h1, or none in mode tcp."),
    _row("send-proxy", "", words.send_proxy(1), "Starts every connection with a PROXY protocol header, version 1."),
    _row("no-send-proxy", "", words.no_send_proxy(), "Takes back an inherited `send-proxy`."),
    _row("send-proxy-v2", "", words.send_proxy(2), "Starts every connection with a PROXY protocol header, version 2."),
    _row("no-send-proxy-v2", "", words.no_send_proxy(), "Takes back an inherited `send-proxy-v2`."),
    _row("send-proxy-v2-ssl", "", words.send_proxy(2, "ssl"), "The same with what is known of the client's TLS."),
    _row("no-send-proxy-v2-ssl", "", words.no_send_proxy("ssl"), "Takes back an inherited `send-proxy-v2-ssl`."),
    _row("send-proxy-v2-ssl-cn", "", words.send_proxy(2, "ssl", "cert-cn"), "The same with the common name of the client's certificate."),
    _row("no-send-proxy-v2-ssl-cn", "", words.no_send_proxy("ssl", "cert-cn"), "Takes back an inherited `send-proxy-v2-ssl-cn`."),
    _row("proxy-v2-options", "<option>[,…]", words.proxy_v2_options, f"What else the header tells: {', '.join(PROXY_V2_OPTIONS)}."),
    _row(
        "set-proxy-v2-tlv-fmt()",
        "<format>",
        words.tlv,
        "Another TLV of the header, by number: set-proxy-v2-tlv-fmt(0xE1) %[…].",
        manual="2.9: 5.2",
    ),
    _row(
        "pass-fd",
        "",
        words.set_field("pass_fd", True),
        "Hands the connection's descriptor over to the worker instead of relaying bytes.",
        ours=True,
        manual="",
    ),
    _row("no-pass-fd", "", words.set_field("pass_fd", False), "Takes back an inherited `pass-fd`.", ours=True, manual=""),
    _row(
        "source",
        "<address>[:<port>[-<port>]] [interface <name>]",
        words.source,
        "Address, and ports, that connections to the server come from.",
    ),
    _row("ws", "[auto|h1|h2]", words.choice_option("auto", "h1"), "Protocol for WebSockets; h1 is the one we speak.", default="auto"),
    _row("idle-ping", "<time>", words.never, "Not available here.", status=Status.REFUSED, instead="It belongs to HTTP/2: drop it."),
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
