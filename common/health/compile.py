"""From the words of a backend to the script of its checks. Sans-io.

Source: HAProxy configuration manual 4.2 "option httpchk", "http-check …", "option tcp-check", "tcp-check …".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from common.acl.environment import CompileEnvironment
from common.acl.expressions import compile_expression
from common.acl.facts import Facts
from common.acl.logformat import Purpose, compile_format
from common.acl.types import SampleType, Typed
from common.acl.variables import remover, writer
from common.errors import ExpressionError
from common.health import judges
from common.health.protocols import ready_made
from common.health.request import Request
from common.health.steps import Assign, Connect, Expect, Judge, Note, Script, Send, Step, Style, Text
from common.model import Proxy

_READY_MADE: Final = ("ssl-hello-chk", "smtpchk", "redis-check", "mysql-check", "pgsql-check", "ldap-check")
_VARIABLE: Final = re.compile(r"(set-var|set-var-fmt|unset-var)\((.*)\)", re.DOTALL)
_FLAGS: Final = frozenset(("default", "send-proxy", "ssl", "linger"))


def compile_script(proxy: Proxy, environment: CompileEnvironment, bytes_max: int) -> Script:
    """The check of a backend. Raises ExpressionError; the configuration was checked, so only for files that changed since."""
    if "httpchk" in proxy.option_args or "httpchk" in proxy.options:
        script = _http_script(proxy, environment)
    elif "tcp-check" in proxy.option_args or "tcp-check" in proxy.options:
        steps = [_tcp_step(words, environment) for words in proxy.extra.get("tcp-check", ())]
        script = Script(Style.TCP, tuple(_connected(steps)))
    else:
        named = next((name for name in _READY_MADE if name in proxy.option_args or name in proxy.options), "")
        implicit = Script(Style.CONNECT, (Connect(server_defaults=True, implicit=True),))
        script = ready_made(named, proxy.option_args.get(named, ())) if named else implicit
    return replace(script, bytes_max=bytes_max)


def _connected(steps: list[Step]) -> list[Step]:
    """Sequences that do not begin with a connection get one as the server line says."""
    acting = next((step for step in steps if not isinstance(step, (Assign, Note))), None)
    return steps if isinstance(acting, Connect) else [Connect(server_defaults=True, implicit=True), *steps]


# --- tcp-check ----------------------------------------------------------------------------------------------------------


def _tcp_step(words: tuple[str, ...], environment: CompileEnvironment) -> Step:
    name = words[0]
    if name == "connect":
        return _connect(words[1:], environment)
    if name == "comment":
        return Note(words[1])
    if name == "expect":
        return _tcp_expect(words[1:], environment)
    if name.startswith("send"):
        return Send(_payload(name, words[1], environment), words[3] if words[2:3] == ("comment",) else "")
    return _assign(words, environment)


def _payload(name: str, word: str, environment: CompileEnvironment) -> Text:
    if name == "send":
        return constant(word.encode("utf-8", "surrogateescape"))
    if name == "send-binary":
        return constant(bytes.fromhex(word))
    made = _format(word, environment)
    if name == "send-lf":
        return made

    def binary(facts: Facts) -> bytes:
        try:
            return bytes.fromhex(made(facts).decode("ascii"))
        except ValueError:
            return b""  # not hexadecimal this time: nothing to send

    return binary


def _tcp_expect(words: Sequence[str], environment: CompileEnvironment) -> Expect:
    parts = _ExpectWords(words)
    pattern = parts.pattern[0]
    binary = bytes.fromhex(pattern) if parts.match == "binary" else b""
    finders: dict[str, Callable[[], judges.Finder]] = {
        "string": lambda: judges.find_text(constant(pattern.encode("utf-8", "surrogateescape"))),
        "string-lf": lambda: judges.find_text(_format(pattern, environment)),
        "binary": lambda: judges.find_text(constant(binary)),
        "binary-lf": lambda: judges.find_hex(_format(pattern, environment)),
        "rstring": lambda: judges.find_regex(pattern),
        "rbinary": lambda: judges.find_hex_regex(pattern),
    }
    shown, subject = {
        "string": (f"string '{pattern}'", f"'{pattern}'"),
        "string-lf": ("log-format string", "(log-format string)"),
        "binary": (f"binary '{binary.decode('latin-1')}'", "(binary)"),
        "binary-lf": ("log-format binary", "(log-format binary)"),
        "rstring": ("regex", "(regex)"),
        "rbinary": ("binary regex", "(binary regex)"),
    }[parts.match]
    judge = judges.bytes_judge(finders[parts.match](), negated=parts.negated, min_recv=parts.min_recv)
    return parts.expect(judge, environment, shown=f"expect {shown}", subject=subject)


# --- http-check ---------------------------------------------------------------------------------------------------------


def _http_script(proxy: Proxy, environment: CompileEnvironment) -> Script:
    request = Request.of_option(proxy.option_args.get("httpchk", ()), state="http-check send-state" in proxy.options)
    steps: list[Step] = []
    method = request.method
    first = request
    for words in proxy.extra.get("http-check", ()):
        if words[0] == "send":
            sent = _http_request(words[1:], first, environment)
            first, method = Request(state=request.state), sent.method
            steps.append(Send(sent.build, sent.comment, sent.host))
        elif words[0] == "expect":
            steps.append(_http_expect(words[1:], method.encode(), environment))
        elif words[0] == "connect":
            steps.append(_connect(words[1:], environment))
        elif words[0] == "comment":
            steps.append(Note(words[1]))
        else:
            steps.append(_assign(words, environment))
    steps = _connected(steps)
    if not any(isinstance(step, Send) for step in steps):
        after = max(0, next(place for place, step in enumerate(steps) if isinstance(step, Connect)))
        steps.insert(after + 1, Send(request.build, host=request.host))
    last = max(place for place, step in enumerate(steps) if isinstance(step, Send))
    if not any(isinstance(step, Expect) for step in steps[last:]):
        steps.append(Expect(judges.head_judge(judges.status_in("200-399"), method.encode(), negated=False)))
    return Script(Style.HTTP, tuple(steps), not_found_stops="http-check disable-on-404" in proxy.options)


def _http_request(words: Sequence[str], base: Request, environment: CompileEnvironment) -> Request:
    """`http-check send`: what it does not say is as `option httpchk` said, for the first one."""
    request = base
    position = 0
    while position < len(words):
        name, value = words[position], words[position + 1]
        position += 2
        if name == "hdr":
            text = _format(words[position], environment, Purpose.HEADER)
            request = replace(request, fields=(*request.fields, (value.lower().encode(), text)))
            position += 1
        elif name == "meth":
            request = replace(request, method=value)
        elif name == "uri":
            request = replace(request, target=constant(value.encode("utf-8", "surrogateescape")))
        elif name == "uri-lf":
            request = replace(request, target=_format(value, environment, Purpose.TARGET))
        elif name == "ver":
            request = replace(request, version=value)
        elif name == "body":
            request = replace(request, body=constant(value.encode("utf-8", "surrogateescape")))
        elif name == "body-lf":
            request = replace(request, body=_format(value, environment))
        else:
            request = replace(request, comment=value)
    return request


def _http_expect(words: Sequence[str], method: bytes, environment: CompileEnvironment) -> Expect:
    parts = _ExpectWords(words)
    pattern = parts.pattern[0]
    if parts.match in ("string", "string-lf", "rstring"):
        if parts.match == "rstring":
            find = judges.find_regex(pattern)
        else:
            text = constant(pattern.encode()) if parts.match == "string" else _format(pattern, environment)
            find = judges.find_text(text)
        return parts.expect(judges.body_judge(find, method, negated=parts.negated, min_recv=parts.min_recv), environment)
    if parts.match == "status":
        matches: Callable[..., object] = judges.status_in(pattern)
    elif parts.match == "rstatus":
        matches = judges.status_like(pattern)
    else:
        matches = _field_match(parts, environment)
    return parts.expect(judges.head_judge(matches, method, negated=parts.negated), environment)


def _field_match(parts: _ExpectWords, environment: CompileEnvironment) -> Callable[..., bool]:
    """`hdr name|name-lf [-m method] NAME [value|value-lf [-m method] VALUE]`."""
    words = list(parts.pattern)

    def take(ignore_case: bool) -> Callable[[Facts, bytes], object]:
        kind, method = words.pop(0), "str"
        while words[0] in ("-m", "full"):
            if words.pop(0) == "-m":
                method = words.pop(0)
        pattern = words.pop(0)
        text = _format(pattern, environment) if kind.endswith("-lf") else constant(pattern.encode())
        return judges.method_of(method, None if method == "reg" else text, pattern, ignore_case=ignore_case)

    name = take(ignore_case=True)
    value = take(ignore_case=False) if words else None
    return judges.field_like(name, value, whole=parts.match == "fhdr")


# --- both ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _ExpectWords:
    """The words after `expect`: settings, `!`, the match and its pattern."""

    words: Sequence[str]
    settings: dict[str, str] = field(default_factory=dict)
    negated: bool = False
    match: str = ""
    pattern: tuple[str, ...] = ()

    _SETTINGS = frozenset(("min-recv", "comment", "ok-status", "error-status", "tout-status", "on-success", "on-error", "status-code"))

    def __post_init__(self) -> None:
        words = iter(self.words)
        for word in words:
            if word in self._SETTINGS:
                self.settings[word] = next(words)
            elif word == "!":
                self.negated = True
            else:
                self.negated = self.negated or word.startswith("!")
                self.match = word.removeprefix("!")
                self._take_pattern(words)

    def _take_pattern(self, words: Iterator[str]) -> None:
        if self.match not in ("hdr", "fhdr"):
            self.pattern = (next(words),)
            return
        taken: list[str] = []
        for kind in words:
            if kind not in ("name", "name-lf", "value", "value-lf"):
                self.settings[kind] = next(words)
                continue
            taken.append(kind)
            for word in words:
                taken.append(word)
                if word == "-m":
                    taken.append(next(words))
                elif word != "full":
                    break
        self.pattern = tuple(taken)

    @property
    def min_recv(self) -> int:
        return int(self.settings.get("min-recv", "-1"))

    def expect(self, judge: Judge, environment: CompileEnvironment, *, shown: str = "expect", subject: str = "") -> Expect:
        formats = {name: _format(self.settings[name], environment) for name in ("on-success", "on-error") if name in self.settings}
        code = _number(self.settings["status-code"], environment) if "status-code" in self.settings else None
        return Expect(
            judge,
            shown,
            subject,
            self.negated,
            self.settings.get("comment", ""),
            self.settings.get("ok-status", "L7OK"),
            self.settings.get("error-status", ""),
            self.settings.get("tout-status", "L7TOUT"),
            formats.get("on-success"),
            formats.get("on-error"),
            code,
        )


def _number(text: str, environment: CompileEnvironment) -> Callable[[Facts], int | None]:
    """An expression as a number; one whose type never makes a number gives none, as in HAProxy."""
    expression = compile_expression(text, environment)
    try:
        return expression.to(SampleType.INT)
    except ExpressionError:
        return lambda facts: None


def _connect(words: Sequence[str], environment: CompileEnvironment) -> Connect:
    flags: set[str] = set()
    values: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word in _FLAGS:
            flags.add(word)
        else:
            values[word] = next(rest)
    port: Callable[[Facts], int | None] | None = None
    if "port" in values:
        text = values["port"] if not values["port"].isdigit() else f"int({values['port']})"
        port = compile_expression(text, environment).to(SampleType.INT)
    return Connect(
        server_defaults="default" in flags,
        port=port,
        host=values.get("addr", ""),
        send_proxy="send-proxy" in flags,
        tls="ssl" in flags,
        sni=values.get("sni", ""),
        alpn=tuple(values["alpn"].split(",")) if "alpn" in values else (),
        linger="linger" in flags,
        comment=values.get("comment", ""),
        shown=f"connect port {values['port']}" if values.get("port", "").isdigit() else "connect",
    )


def _assign(words: Sequence[str], environment: CompileEnvironment) -> Assign:
    found = _VARIABLE.fullmatch(words[0])
    assert found is not None, "the configuration was checked"
    name, *conditions = found[2].split(",")
    if found[1] == "unset-var":
        return Assign(remover(name))
    write = writer(name, tuple(conditions))
    if found[1] == "set-var-fmt":
        make = _format(" ".join(words[1:]), environment)
        return Assign(lambda facts: write(facts, Typed(SampleType.STR, make(facts))))
    expression = compile_expression(list(words[1:]), environment)

    def assign(facts: Facts) -> None:
        value = expression.get(facts)
        if value is not None:
            write(facts, value if isinstance(value, Typed) else Typed(expression.type, value))

    return Assign(assign)


def _format(text: str, environment: CompileEnvironment, purpose: Purpose = Purpose.VALUE) -> Text:
    return compile_format(text, environment, purpose).build


def constant(data: bytes) -> Text:
    """The function that always says this."""
    return lambda facts: data
