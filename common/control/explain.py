"""`usher explain`: what a configuration makes of a request, and why, without starting anything.

    usher explain -f usher.cfg https://a.example/login?x=1
    usher explain -f usher.cfg --request captured.http
    usher explain -f usher.cfg curl -H 'Host: a.example' -d name=x http://127.0.0.1/form

The request goes through a worker of this configuration that serves nobody (worker/explain.py). Exit code 0: it would reach a server or
be answered by a rule; 1: the configuration is at fault; 2: nobody would serve it, or it is no request.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from common import model
from common.control import arguments, configuration
from common.control.console import write
from common.errors import UsherError
from worker.explain import Explainer, Explanation
from worker.route.trace import Seen, Step

EXIT_CONFIGURATION, EXIT_UNSERVED = 1, 2
_HTTPS, _HTTP = 443, 80
_USAGE = "usher explain -f FILE [options] URL | --request FILE | curl …"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it would be sent, and where to. host, port, tls: of the URL; "" and 0 where nothing says."""

    data: bytes
    host: str = ""
    port: int = 0
    tls: bool = False


def main(argv: Sequence[str]) -> int:
    words = _parser().parse_intermixed_args(_before_curl(argv))
    curl = argv[list(argv).index("curl") + 1 :] if "curl" in argv else None
    try:
        asked = _asked(words, curl)
        config = _configuration(words.files)
        if config is None:
            return EXIT_CONFIGURATION
        frontend, bind = find_frontend(config, words.frontend, asked)
        with Explainer(config) as explainer:
            told = explainer.explain(
                asked.data,
                frontend=frontend.name,
                bind=bind,
                source=_place(words.src, 50000),
                destination=(_bound_address(bind), asked.port or (bind.address.port if bind else 0) or _HTTP),
                sni=asked.host,
            )
    except (UsherError, OSError, ValueError) as error:
        write(2, f"usher explain: {error}\n")
        return EXIT_CONFIGURATION
    _print(json.dumps(as_json(told), indent=2) + "\n" if words.json else "".join(f"{line}\n" for line in as_text(told)))
    return 0 if told.verdict == "answered" or told.server else EXIT_UNSERVED


def _parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="usher explain", usage=_USAGE, description=__doc__.split("\n")[0], allow_abbrev=False)
    words.add_argument("-f", dest="files", action="append", required=True, metavar="FILE", help="configuration file or folder")
    words.add_argument("--json", action="store_true", help="tell it as JSON")
    words.add_argument("--frontend", metavar="NAME", help="the frontend, where the URL does not say which")
    words.add_argument("--src", default="127.0.0.1", metavar="ADDRESS[:PORT]", help="the client's address")
    words.add_argument("--request", metavar="FILE", help="the request as it is sent; - is the standard input")
    _add_curl(words, positional="?")
    return words


def _add_curl(words: argparse.ArgumentParser, positional: str | None) -> None:
    """The options that curl has for what a request is made of."""
    words.add_argument("-X", dest="method", metavar="METHOD")
    words.add_argument("-H", dest="headers", action="append", default=[], metavar="FIELD")
    words.add_argument("-d", "--data", action="append", default=[], metavar="DATA")
    words.add_argument("-A", dest="agent", metavar="USER-AGENT")
    words.add_argument("-b", dest="cookie", metavar="COOKIE")
    words.add_argument("-u", dest="user", metavar="USER:PASSWORD")
    words.add_argument("-I", dest="head", action="store_true", help="a HEAD request")
    words.add_argument("-0", dest="http_1_0", action="store_true", help="HTTP/1.0")
    words.add_argument("url", nargs=positional, metavar="URL")


def _before_curl(argv: Sequence[str]) -> list[str]:
    return list(argv[: list(argv).index("curl")]) if "curl" in argv else list(argv)


def _asked(words: argparse.Namespace, curl: Sequence[str] | None) -> Asked:
    if curl is not None:
        parser = argparse.ArgumentParser(prog="usher explain … curl", allow_abbrev=False)
        _add_curl(parser, positional=None)
        for name in ("-s", "-S", "-k", "-v", "-i", "-f", "-L", "--silent", "--insecure", "--verbose", "--compressed"):
            parser.add_argument(name, action="store_true", help=argparse.SUPPRESS, dest="ignored")
        parser.add_argument("-o", "--output", help=argparse.SUPPRESS, dest="ignored_output")
        return from_url(parser.parse_args(list(curl)))
    if words.request is not None:
        if words.request == "-":
            return Asked(_with_crlf(sys.stdin.buffer.read()))
        with open(words.request, "rb") as file:
            return Asked(_with_crlf(file.read()))
    if words.url is None:
        raise UsherError(f"there is no request. Write {_USAGE}")
    return from_url(words)


def from_url(words: argparse.Namespace) -> Asked:
    """The request that curl would send with these words."""
    url = urlsplit(words.url if "://" in words.url else f"http://{words.url}")
    body = "&".join(words.data).encode("utf-8", "surrogateescape")
    method = words.method or ("HEAD" if words.head else "POST" if words.data else "GET")
    given = [tuple(part.strip() for part in line.split(":", 1)) for line in words.headers if ":" in line]
    names = {name.lower() for name, _ in given}
    usual = [
        ("Host", _authority(url)),
        ("User-Agent", words.agent or "curl/8"),
        ("Accept", "*/*"),
        ("Cookie", words.cookie),
        ("Authorization", "Basic " + base64.b64encode(words.user.encode()).decode() if words.user else None),
        ("Content-Length", str(len(body)) if words.data else None),
        ("Content-Type", "application/x-www-form-urlencoded" if words.data else None),
    ]
    fields = [(name, value) for name, value in usual if value is not None and name.lower() not in names] + [f for f in given if f[1]]
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    version = "1.0" if words.http_1_0 else "1.1"
    head = f"{method} {target} HTTP/{version}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    tls = url.scheme == "https"
    return Asked(head.encode("utf-8", "surrogateescape") + body, url.hostname or "", url.port or (_HTTPS if tls else _HTTP), tls)


def _authority(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _with_crlf(data: bytes) -> bytes:
    """A request that an editor wrote ends its lines with LF alone."""
    head, blank, body = data.partition(b"\n\n")
    if b"\r\n" in data or not blank:
        return data
    return head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body


def _configuration(files: Sequence[str]) -> model.Config | None:
    options = arguments.parse([word for name in files for word in ("-f", name)])
    reading = configuration.read(options)
    if reading.config is None:
        write(2, configuration.shown(reading.diagnostics, options))
    return reading.config


def find_frontend(config: model.Config, name: str | None, asked: Asked) -> tuple[model.Proxy, model.Bind | None]:
    """Which frontend and bind would take it: by name; by port; by TLS; else the first. Raises UsherError."""
    sides = [proxy for proxy in config.proxies if proxy.frontend and not proxy.disabled]
    if name is not None:
        sides = [proxy for proxy in sides if proxy.name == name]
    pairs = [(proxy, bind) for proxy in sides for bind in proxy.binds]
    by_port = [pair for pair in pairs if pair[1].address.port == asked.port]
    by_tls = [pair for pair in pairs if (pair[1].tls is not None) == asked.tls]
    if pairs:
        return (by_port or by_tls or pairs)[0]
    if not sides:
        raise UsherError(f'there is no frontend "{name}"' if name else "there is no frontend")
    return sides[0], None


def _bound_address(bind: model.Bind | None) -> str:
    host = bind.address.host if bind is not None else ""
    return host if host and host not in ("*", "0.0.0.0", "::") and host.replace(".", "").replace(":", "").isalnum() else "127.0.0.1"


def _place(text: str, port: int) -> tuple[str, int]:
    """ "192.0.2.1:5", "[2001:db8::1]:5" or an address alone. Raises ValueError for what is none."""
    host, colon, digits = text.rpartition(":")
    if colon and digits.isdigit() and (host.count(":") == 0 or host.startswith("[")):
        text, port = host, int(digits)
    return str(ip_address(text.strip("[]"))), port


# --- telling ---------------------------------------------------------------------------------------------------------------


def as_text(told: Explanation) -> Iterator[str]:
    yield f"request     {_line(told.received)}"
    yield f"frontend    {told.frontend}{', bind ' + told.bind if told.bind else ''}"
    for step in told.steps:
        yield from _step(step)
    if told.verdict == "served":
        by = f", by the rule at {told.backend_place.file}:{told.backend_place.line}" if told.backend_place else ""
        yield f"backend     {told.backend}{by}"
        for one in told.candidates:
            marks = [word for word, holds in (("backup", one.backup), ("down", not one.usable), ("not elected", not one.elected)) if holds]
            state = ", ".join([f"weight {one.weight:g}", f"load {one.load}", *marks])
            yield f"  {'>' if one.name == told.server else ' '} {one.name:<16} {one.address:<24} {state}"
        yield f"server      {told.server or 'none: ' + told.reason}"
        yield f"persistence {told.persistence or 'none'}"
        if told.forwarded:
            yield "it gets"
            yield from (f"    {line}" for line in _changed(told))
    else:
        yield f"verdict     {told.verdict}: {told.reason} ({told.termination or '--'})"
        if told.answer:
            yield "answer"
            yield from (f"    {line}" for line in _lines(told.answer))
    yield "time-outs   " + ", ".join(f"{name} {value:g}s" for name, value in told.timeouts.items())
    for name, value in told.variables.items():
        yield f"variable    {name} = {value}"


def _step(step: Step) -> Iterator[str]:
    mark = "+" if step.applied else " "
    rule = " ".join(part for part in (step.ruleset, step.text, step.condition) if part)
    yield f"{mark} {step.place.file}:{step.place.line}: {rule}{' -> ' + step.verdict if step.verdict else ''}"
    for seen in step.seen:
        yield f"      {_why(seen)}"


def _why(seen: Seen) -> str:
    values = ", ".join(f'"{_text(value)}"' for value in seen.samples) or "nothing"
    name = "" if seen.name.startswith("{") else f"{seen.name}: "
    if seen.matched:
        how = f' as "{_text(seen.pattern)}"' if seen.pattern is not None else ""
        return f"{name}{seen.criterion}: yes, {values} matches{how}"
    return f"{name}{seen.criterion}: no, it saw {values}"


def _changed(told: Explanation) -> Iterator[str]:
    """The head that the server gets; + marks what the client did not send, - what was taken out."""
    before, after = list(_lines(told.received)), list(_lines(told.forwarded))
    yield from (f"{' ' if line in before else '+'} {line}" for line in after)
    yield from (f"- {line}" for line in before if line not in after)


def _lines(message: bytes) -> Iterator[str]:
    head = message.partition(b"\r\n\r\n")[0]
    return (_text(line) for line in head.split(b"\r\n"))


def _line(message: bytes) -> str:
    return _text(message.partition(b"\r\n")[0])


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def as_json(told: Explanation) -> dict[str, object]:
    return {
        "request": _line(told.received),
        "frontend": told.frontend,
        "bind": told.bind,
        "verdict": told.verdict,
        "rules": [_step_json(step) for step in told.steps],
        "backend": told.backend or None,
        "backend_rule": f"{told.backend_place.file}:{told.backend_place.line}" if told.backend_place else None,
        "server": told.server or None,
        "candidates": [
            {"name": one.name, "address": one.address, "usable": one.usable, "elected": one.elected, "backup": one.backup}
            | {"weight": one.weight, "load": one.load}
            for one in told.candidates
        ],
        "persistence": told.persistence or None,
        "forwarded": list(_lines(told.forwarded)) if told.forwarded else None,
        "answer": list(_lines(told.answer)) if told.answer else None,
        "timeouts_s": told.timeouts,
        "variables": told.variables,
        "reason": told.reason or None,
        "termination": told.termination or None,
    }


def _step_json(step: Step) -> dict[str, object]:
    return {
        "place": f"{step.place.file}:{step.place.line}",
        "ruleset": step.ruleset,
        "rule": step.text,
        "condition": step.condition or None,
        "applied": step.applied,
        "verdict": step.verdict or None,
        "tests": [
            {
                "name": seen.name,
                "negated": seen.negated,
                "criterion": seen.criterion,
                "matched": seen.matched,
                "values": [_text(value) for value in seen.samples],
                "pattern": None if seen.pattern is None else _text(seen.pattern),
            }
            for seen in step.seen
        ],
    }


def _print(text: str) -> None:
    write(1, text)
