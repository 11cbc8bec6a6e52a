"""What has no effect in a proxy's mode, and settings that need another one beside them.

Sans-io.
Source: HAProxy configuration manual 4, "mode".
"""

from __future__ import annotations

from collections.abc import Iterator

from common.acl.environment import CompileEnvironment, Needs, Where
from common.acl.expressions import parse_expression
from common.config.draft import ProxyDraft, State
from common.errors import ExpressionError
from common.model import Rule

# What HAProxy warns about, by the side of the proxy that the option is for; some others it passes over.
_HTTP_OPTIONS = ("forwardfor", "originalto", "http-buffer-request", "forwarded", "http-no-delay")
_HTTP_OPTIONS_OF_FRONTENDS = (
    *("accept-invalid-http-request", "accept-unsafe-violations-in-http-request", "disable-h2-upgrade", "http-ignore-probes"),
    *("http-use-proxy-header", "idle-close-on-response"),
)
_HTTP_OPTIONS_OF_BACKENDS = (
    *("accept-invalid-http-response", "accept-unsafe-violations-in-http-response", "checkcache", "http-pretend-keepalive"),
    "prefer-last-server",
)
_HTTP_RULESETS = ("http-request", "http-response", "http-after-response", "redirect")
_HASHES_OF_HTTP = ("uri", "url_param", "hdr")
_LOG_KINDS = ("httplog", "httpslog")
_FULL_RETRIES = ("conn-failure", "empty-response", "response-timeout")


def check_modes(state: State, draft: ProxyDraft) -> None:
    """Warn about everything that the proxy's mode, or a missing neighbour, makes useless."""
    if draft.proxy.mode == "tcp":
        for keyword, message in _useless_in_tcp(draft):
            state.warn_at(
                draft.given.get(keyword, draft.proxy.place), message, "Write mode http, or remove it.", "mode-mismatch", whole=True
            )
    _inspect_delay(state, draft)
    _logs(state, draft)
    _check_steps(state, draft)


def _title(draft: ProxyDraft) -> str:
    kind = "proxy" if draft.can_listen and draft.can_forward else draft.section.title
    return f"{kind} '{draft.proxy.name}'"


def _useless_in_tcp(draft: ProxyDraft) -> Iterator[tuple[str, str]]:
    """Keyword and message."""
    proxy, title = draft.proxy, _title(draft)
    rulesets = {rule.ruleset for rule in proxy.rules}
    for ruleset in _HTTP_RULESETS:
        if ruleset in rulesets:
            yield ruleset, f"'{ruleset}' rules ignored for {title} as they require HTTP mode."
    if "capture cookie" in draft.given and proxy.frontend:
        yield "capture cookie", f"'capture' statement ignored for {title} as it requires HTTP mode."
    sided = (*(_HTTP_OPTIONS_OF_FRONTENDS if proxy.frontend else ()), *(_HTTP_OPTIONS_OF_BACKENDS if proxy.backend else ()))
    for name in (*_HTTP_OPTIONS, *sided):
        if name in proxy.options or name in proxy.option_args:
            yield f"option {name}", f"'option {name}' ignored for {title} as it requires HTTP mode."
    if proxy.monitor_uri and proxy.frontend:
        yield "monitor-uri", f"monitor-uri will be ignored for {title} (needs 'mode http')."
    keyword = next((name for name in (*proxy.extra, *draft.given) if name.startswith("stats ")), "")
    if keyword:
        yield keyword, f"'stats' statement ignored for {title} as it requires HTTP mode."
    if proxy.backend and proxy.cookie:
        yield "cookie", f"cookie will be ignored for {title} (needs 'mode http')."
    if proxy.backend and proxy.balance[0].partition("(")[0] in _HASHES_OF_HTTP:
        yield "balance", f"Layer 7 hash not possible for {title} (needs 'mode http'). Falling back to round robin."
    for kind in _LOG_KINDS:
        if kind in proxy.option_args and proxy.frontend:
            yield f"option {kind}", f"'option {kind}' not usable with {title} (needs 'mode http'). Falling back to 'option tcplog'."


def _inspect_delay(state: State, draft: ProxyDraft) -> None:
    """Rules that read what the client sent, in a proxy that does not wait for it."""
    if draft.proxy.inspect_delay_request is not None:
        return
    for rule in draft.proxy.rules:
        action = rule.words[0].partition("(")[0] if rule.words else ""
        if rule.ruleset == "tcp-request content" and (action == "capture" or action.startswith("track-sc")) and _reads_content(rule):
            what = "capture" if action == "capture" else "track"
            state.warn_at(
                rule.place,
                f"{_title(draft)} : a 'tcp-request {what}' rule explicitly depending on request contents without any 'tcp-request "
                "inspect-delay' setting. This means that this rule will randomly find its contents. This can be fixed by setting the "
                "tcp-request inspect-delay.",
                "Add tcp-request inspect-delay 5s.",
                "no-inspect-delay",
                whole=True,
            )
            return


def _reads_content(rule: Rule) -> bool:
    try:
        expression, _ = parse_expression(rule.words[1:], CompileEnvironment(Where.REQUEST_CONTENT))
    except ExpressionError:
        return False  # told where it is compiled
    return expression.needs in (Needs.REQUEST_BYTES, Needs.REQUEST)


def _logs(state: State, draft: ProxyDraft) -> None:
    """A log format without a target, unless both came from a defaults section."""
    proxy = draft.proxy
    formats = [
        name for name in ("log-format", "log-format-sd", "option httplog", "option httpslog", "option tcplog") if name in draft.given
    ]
    inherited = proxy.log_format or proxy.log_format_sd or any(kind in proxy.option_args for kind in ("httplog", "httpslog", "tcplog"))
    if proxy.frontend and not proxy.logs and (formats or inherited):
        state.warn_at(
            draft.given[formats[0]] if formats else proxy.place,
            f"log format ignored for {_title(draft)} since it has no log address.",
            "Add log global, or a log line with an address.",
            "no-log-target",
            whole=True,
        )
    if proxy.unique_id_header and not proxy.unique_id_format and proxy.frontend:
        state.note_at(
            draft.given.get("unique-id-header", proxy.place),
            f"'unique-id-header' has no effect in {_title(draft)} without 'unique-id-format'",
            "Add unique-id-format.",
        )


def _check_steps(state: State, draft: ProxyDraft) -> None:
    proxy = draft.proxy
    if not proxy.backend:
        return
    for ruleset, option in (("http-check", "httpchk"), ("tcp-check", "tcp-check")):
        given = next((name for name in draft.given if name.startswith(f"{ruleset} ")), "")
        if given and ruleset in proxy.extra and option not in proxy.option_args:
            state.warn_at(
                draft.given[given],
                f"{_title(draft)} uses {ruleset} rules without 'option {option}', so the rules are ignored.",
                f"Add option {option}.",
                "ignored-checks",
                whole=True,
            )
    if any("tfo" in server.options for server in proxy.servers) and not set(_FULL_RETRIES) <= set(proxy.retry_on):
        server = next(server for server in proxy.servers if "tfo" in server.options)
        if "all-retryable-errors" not in proxy.retry_on:
            state.warn_at(
                server.place,
                f"'server {proxy.name}/{server.name}' : server has tfo activated, the backend should be configured with at least "
                "'conn-failure', 'empty-response' and 'response-timeout' or we wouldn't be able to retry the connection on failure.",
                "Add: retry-on conn-failure empty-response response-timeout",
            )
