"""Whatever the bytes: findings, never an exception, within bounds."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.config import bind, server
from common.config.build import load
from common.config.diagnostics import DIAGNOSTICS_MAX, Severity, render, render_json
from common.config.fmt import formatted
from common.config.options import LoadOptions
from common.config.table import EVERY_ROW

_WORDS = sorted(
    {word for row in EVERY_ROW for word in row.name.replace("()", "(check.x)").split(" ")}
    | {word for row in EVERY_ROW for word in re.findall(r"[a-z][a-z0-9-]+", row.syntax)}
    | {"if", "unless", "{", "}", "!", "or", "from", "no", "default", ".if", ".elif", ".else", ".endif", ".notice", ".alert"}
    | {"127.0.0.1:80", ":80", "[::1]:8080", "abns@a", "/tmp/x", "fd@3", "1", "0", "-1", "10s", "1k", "TRUE", "src", "path_beg", "/x"}
    | {
        "%[src]",
        "%ci",
        "$A",
        '"$A"',
        '"${A}"',
        "a",
        "b",
        "tcp",
        "http",
        "ssl",
        "crt",
        "x.pem",
        "ip",
        "3,4",
        "str(a),lower",
        "hdr(host)",
        "-m",
        "-f",
    }
)
_LINE = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=8).map(" ".join)
_SECTION = st.sampled_from(
    ["global", "defaults", "defaults d", "frontend f", "backend b from d", "listen l", "userlist u", "peers p", "resolvers r"]
)
_FILE = st.lists(st.one_of(_LINE, _LINE, _LINE, _SECTION, st.text(max_size=20)), max_size=25).map(lambda lines: "\n".join(lines) + "\n")


def check(data: bytes) -> None:
    result = load([("a.cfg", data)], {"A": "v w"}, options=LoadOptions(read_file=lambda path: b"x y\n"))
    assert len(result.diagnostics) <= DIAGNOSTICS_MAX + 2
    assert (result.config is None) is any(found.severity is Severity.ALERT for found in result.diagnostics)
    for found in result.diagnostics:
        assert render(found, 1).isprintable() or "\n" in render(found, 1)
    render_json(result.diagnostics)
    formatted(data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_FILE)
def test_files_made_of_keywords(text: str) -> None:
    check(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_files_made_of_bytes(data: bytes) -> None:
    check(data)


def test_a_binary_file_does_not_flood() -> None:
    data = b"\n".join(b"%d \x01\xff" % number for number in range(5000)) + b"\n"
    result = load([("a.cfg", data)], {}, options=LoadOptions())
    assert result.config is None
    assert DIAGNOSTICS_MAX < len(result.diagnostics) <= DIAGNOSTICS_MAX + 2
    assert "more findings are not shown" in result.diagnostics[-1].message


def test_file_that_is_too_large_is_not_read() -> None:
    result = load([("a.cfg", b"global\n" * 100)], {}, options=LoadOptions(file_bytes_max=100))
    assert [found.message for found in result.diagnostics] == ["file too large: 700 bytes, at most 100 are read"]


def test_endless_line_stops_the_file() -> None:
    result = load([("a.cfg", b"global\n" + b"x" * 1000 + b"\nfoo\n")], {}, options=LoadOptions(line_bytes_max=100))
    assert [(found.place.line, found.message) for found in result.diagnostics] == [(2, "line too long: 1000 bytes, at most 100 are read")]


def test_ranges_and_templates_are_bounded_over_the_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind, "SOCKETS_MAX", 100)
    monkeypatch.setattr(server, "TEMPLATED_MAX", 100)
    text = "listen a\n" + " bind :1000-1039\n" * 3 + "".join(f" server-template s{number}- 40 192.0.2.1:80\n" for number in range(3))
    result = load([("a.cfg", text.encode())], {}, options=LoadOptions())
    messages = {found.message for found in result.diagnostics}
    assert "more than 100 listening sockets" in messages
    assert any("100 over all templates" in message for message in messages)
