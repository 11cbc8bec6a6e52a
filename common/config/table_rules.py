"""Rows of the rule-like keywords of proxies: ACLs, rulesets, content switching, persistence, checks.

Sans-io.
Source: HAProxy configuration manual 4.2, 7.
"""

from __future__ import annotations

from common.config import check_words, proxy_words, rule_words
from common.config.diagnostics import Severity
from common.config.keywords import BACKENDS, D_BACKENDS, D_FRONTENDS, D_PROXIES, FRONTENDS, PROXIES, Keyword, Section
from common.config.proxy_words import SectionParser


def _row(
    name: str, sections: Section, syntax: str, parse: SectionParser, meaning: str, least: int = 1, **more: object
) -> Keyword[SectionParser]:
    more.setdefault("most", None)
    return Keyword(name, sections, f"{name} {syntax}".strip(), parse, meaning, "4.2", least, **more)  # type: ignore[arg-type]


_IF = "[{if|unless} <condition>]"

ROWS: tuple[Keyword[SectionParser], ...] = (
    _row(
        "acl",
        D_PROXIES,
        "<name> <criterion> [<flags>] [<operator>] <value> […]",
        proxy_words.acl,
        "Names a test; several of one name are or-ed.",
        0,
        named_defaults=True,
    ),
    _row(
        "http-request",
        D_PROXIES,
        f"<action> […] {_IF}",
        rule_words.rule("http-request"),
        "Acts on each request.",
        named_defaults=True,
        mode="http",
    ),
    _row(
        "http-response",
        D_PROXIES,
        f"<action> […] {_IF}",
        rule_words.rule("http-response"),
        "Acts on each answer of a server.",
        named_defaults=True,
        mode="http",
    ),
    _row(
        "http-after-response",
        D_PROXIES,
        f"<action> […] {_IF}",
        rule_words.rule("http-after-response"),
        "Acts on every answer, our own too.",
        named_defaults=True,
        mode="http",
    ),
    _row(
        "tcp-request connection",
        D_FRONTENDS,
        f"<action> {_IF}",
        rule_words.rule("tcp-request connection"),
        "Acts on a new connection before anything is read.",
        named_defaults=True,
        elsewhere=Severity.ALERT,
    ),
    _row(
        "tcp-request session",
        D_FRONTENDS,
        f"<action> {_IF}",
        rule_words.rule("tcp-request session"),
        "Acts on a connection after PROXY header and TLS handshake.",
        named_defaults=True,
        elsewhere=Severity.ALERT,
    ),
    _row(
        "tcp-request content",
        D_PROXIES,
        f"<action> {_IF}",
        rule_words.rule("tcp-request content"),
        "Acts on what the client sent first.",
        named_defaults=True,
    ),
    _row(
        "tcp-request inspect-delay",
        D_PROXIES,
        "<time>",
        rule_words.inspect_delay("inspect_delay_request"),
        "How long tcp-request content rules may wait for data.",
        most=1,
        named_defaults=True,
    ),
    _row(
        "tcp-response content",
        D_BACKENDS,
        f"<action> {_IF}",
        rule_words.rule("tcp-response content"),
        "Acts on what the server sent first.",
        named_defaults=True,
        elsewhere=Severity.ALERT,
    ),
    _row(
        "tcp-response inspect-delay",
        D_BACKENDS,
        "<time>",
        rule_words.inspect_delay("inspect_delay_response"),
        "How long tcp-response content rules may wait for data.",
        most=1,
        named_defaults=True,
        elsewhere=Severity.ALERT,
    ),
    _row(
        "redirect",
        PROXIES,
        f"{{location|prefix|scheme}} <value> [code <code>] [<option>…] {_IF}",
        rule_words.redirect,
        "Answers with a redirection.",
        0,
        mode="http",
    ),
    _row("use_backend", FRONTENDS, f"<backend> {_IF}", rule_words.use_backend, "Chooses the backend; the name may be a log-format.", 0),
    _row("use-server", BACKENDS, "<server> {if|unless} <condition>", rule_words.use_server, "Chooses the server.", 0),
    _row(
        "force-persist",
        BACKENDS,
        "{if|unless} <condition>",
        rule_words.conditional("force-persist"),
        "Sends sticky clients to their server even when it is down.",
        0,
    ),
    _row(
        "force-be-switch",
        FRONTENDS,
        "{if|unless} <condition>",
        rule_words.conditional("force-be-switch"),
        "Chooses a disabled backend all the same.",
        0,
    ),
    _row(
        "ignore-persist",
        BACKENDS,
        "{if|unless} <condition>",
        rule_words.conditional("ignore-persist"),
        "Forgets stickiness for these requests.",
        0,
    ),
    _row(
        "monitor fail",
        FRONTENDS,
        "{if|unless} <condition>",
        rule_words.conditional("monitor fail"),
        "When the monitor answers 503.",
        0,
        mode="http",
    ),
    _row(
        "stick on",
        BACKENDS,
        f"<expression> [table <table>] {_IF}",
        rule_words.stick,
        "Match and store in one: a client keeps its server.",
        0,
    ),
    _row("stick match", BACKENDS, f"<expression> [table <table>] {_IF}", rule_words.stick, "Looks a client's server up in a table.", 0),
    _row(
        "stick store-request",
        BACKENDS,
        f"<expression> [table <table>] {_IF}",
        rule_words.stick,
        "Stores the server under what the request holds.",
        0,
    ),
    _row(
        "stick store-response",
        BACKENDS,
        f"<expression> [table <table>] {_IF}",
        rule_words.stick,
        "Stores the server under what the answer holds.",
        0,
    ),
    _row(
        "stick-table",
        PROXIES,
        "type <type> [len <length>] size <size> [expire <time>] [nopurge] [peers <section>] [srvkey <key>] [store <types>]",
        rule_words.stick_table,
        "The proxy's table.",
        0,
    ),
    _row("capture cookie", FRONTENDS, "<name> len <length>", rule_words.capture_cookie, "Logs a cookie.", 0, most=3),
    _row(
        "capture request header",
        D_FRONTENDS,
        "<name> len <length>",
        rule_words.capture_header,
        "Logs a request's field.",
        0,
        most=3,
        named_defaults=True,
    ),
    _row(
        "capture response header",
        D_FRONTENDS,
        "<name> len <length>",
        rule_words.capture_header,
        "Logs an answer's field.",
        0,
        most=3,
        named_defaults=True,
    ),
    _row(
        "declare capture",
        D_FRONTENDS,
        "{request|response} len <length>",
        rule_words.declare_capture,
        "A place that `http-request capture` fills.",
        0,
        elsewhere=Severity.ALERT,
        most=3,
        named_defaults=True,
    ),
    _row("http-check comment", D_BACKENDS, "<text>", check_words.http_comment, "A name for the next step, shown when it fails.", 0),
    _row(
        "http-check connect",
        D_BACKENDS,
        "[default] [port <port>] [addr <address>] [send-proxy] [ssl] [sni <name>] [alpn <list>] [linger] [comment <text>]",
        check_words.http_connect,
        "Opens a connection of the check.",
        0,
    ),
    _row("http-check disable-on-404", D_BACKENDS, "", check_words.http_flag, "A server that answers 404 gets no new clients.", 0, most=0),
    _row(
        "http-check expect",
        D_BACKENDS,
        "[min-recv <n>] [ok-status <s>] [error-status <s>] [tout-status <s>] [on-success <f>] [on-error <f>] [status-code <e>] [!] "
        "<match> <pattern>",
        check_words.http_expect,
        "What the answer must be.",
        0,
    ),
    _row(
        "http-check send",
        D_BACKENDS,
        "[meth <method>] [{uri <uri>|uri-lf <format>}] [ver <version>] [hdr <name> <format>]* [{body <text>|body-lf <format>}] "
        "[comment <text>]",
        check_words.http_send,
        "The check's request.",
        0,
    ),
    _row(
        "http-check send-state", D_BACKENDS, "", check_words.http_flag, "Tells the server its state in X-Haproxy-Server-State.", 0, most=0
    ),
    _row("http-check set-var()", D_BACKENDS, "<expression>", check_words.http_variable, "Sets a check. variable.", 0),
    _row("http-check set-var-fmt()", D_BACKENDS, "<format>", check_words.http_variable, "Sets a check. variable from a log-format.", 0),
    _row("http-check unset-var()", D_BACKENDS, "", check_words.http_variable, "Removes a check. variable.", 0),
    _row("tcp-check comment", D_BACKENDS, "<text>", check_words.tcp_comment, "A name for the next step, shown when it fails.", 0),
    _row(
        "tcp-check connect",
        D_BACKENDS,
        "[default] [port <port>] [addr <address>] [send-proxy] [ssl] [sni <name>] [alpn <list>] [linger] [comment <text>]",
        check_words.tcp_connect,
        "Opens a connection of the check.",
        0,
    ),
    _row(
        "tcp-check expect",
        D_BACKENDS,
        "[min-recv <n>] [comment <text>] [ok-status <s>] […] [!] <match> <pattern>",
        check_words.tcp_expect,
        "What the server must send.",
        0,
    ),
    _row("tcp-check send", D_BACKENDS, "<text> [comment <text>]", check_words.tcp_send, "Sends a text.", 0),
    _row("tcp-check send-lf", D_BACKENDS, "<format> [comment <text>]", check_words.tcp_send, "Sends a log-format.", 0),
    _row("tcp-check send-binary", D_BACKENDS, "<hex> [comment <text>]", check_words.tcp_send, "Sends bytes given in hexadecimal.", 0),
    _row(
        "tcp-check send-binary-lf",
        D_BACKENDS,
        "<format> [comment <text>]",
        check_words.tcp_send,
        "Sends a log-format that gives hexadecimal.",
        0,
    ),
    _row("tcp-check set-var()", D_BACKENDS, "<expression>", check_words.tcp_variable, "Sets a check. variable.", 0),
    _row("tcp-check set-var-fmt()", D_BACKENDS, "<format>", check_words.tcp_variable, "Sets a check. variable from a log-format.", 0),
    _row("tcp-check unset-var()", D_BACKENDS, "", check_words.tcp_variable, "Removes a check. variable.", 0),
)
