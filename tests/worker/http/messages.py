"""Heads and bodies for the tests: examples from the wild, hypothesis strategies, and ways to feed a decoder."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from worker.http.chunked import Buffer, ChunkedBody

WRK = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
CURL = b"GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
BROWSER = (
    b"GET /app/page?id=17&x=y HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n"
    b'sec-ch-ua: "Chromium";v="120", "Not A(Brand";v="99"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Linux"\r\n'
    b"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/120.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n"
    b"Cookie: session=abcdef0123456789abcdef0123456789; theme=dark\r\n\r\n"
)
NGINX = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/html\r\n"
    b"Content-Length: 612\r\nLast-Modified: Mon, 01 Jan 2025 00:00:00 GMT\r\nConnection: keep-alive\r\n"
    b'ETag: "65a0-264"\r\nAccept-Ranges: bytes\r\n\r\n'
)

CORPUS = Path(__file__).parents[2] / "corpus" / "http-messages.jsonl"


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    side: str
    category: str
    expected: str
    raw: bytes
    fields: dict[str, Any]


def corpus() -> Iterator[Case]:
    for line in CORPUS.read_text("utf-8").splitlines():
        row = json.loads(line)
        text = "".join(part * count for part, count in row["parts"]) if "parts" in row else row["raw"]
        yield Case(row["name"], row["side"], row["category"], row["expected"], text.encode("latin-1"), row)


def feed_in_pieces(body: ChunkedBody, data: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    """Feeds data cut at these places. Returns (what was passed on, what was left over)."""
    passed: list[Buffer] = []
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    for begin, end in itertools.pairwise(edges):
        if body.done:
            return b"".join(passed), data[begin:]
        piece = data[begin:end]
        pieces, taken = body.feed(piece)
        passed += [bytes(part) for part in pieces]
        if body.done:
            return b"".join(passed), data[begin + taken :]
    return b"".join(passed), b""


_TOKEN = st.text("!#$%&'*+-.^_`|~019azAZ", min_size=1, max_size=12).map(str.encode)
_VALUE = st.binary(max_size=20).map(lambda raw: bytes(byte for byte in raw if byte == 9 or (byte >= 32 and byte != 127)))
_SPACE = st.sampled_from([b"", b" ", b"\t", b"  "])

_PLAIN_FIELD = st.tuples(_TOKEN, _VALUE)
_GOOD_SPECIALS = [
    (b"Content-Length", b"0"), (b"content-length", b"5"), (b"Content-Length", b"5, 5"), (b"Transfer-Encoding", b"chunked"),
    (b"transfer-encoding", b"Chunked"), (b"Connection", b"close"), (b"Connection", b"keep-alive"), (b"connection", b"Upgrade, x-y"),
    (b"X-Y", b"named"), (b"Upgrade", b"websocket, h2c"), (b"Expect", b"100-continue"), (b"TE", b"trailers, gzip"), (b"Keep-Alive", b"5"),
]  # fmt: skip
_ODD_VALUES = [
    b"-1", b"+5", b"05", b"5,6", b"gzip, chunked", b"chunked, chunked", b"gzip", b"a.example", b"a:80", b"a b", b"[::1]:8", b"", b"a\x0bb",
]  # fmt: skip
_FRAMING_NAME = st.sampled_from([b"Content-Length", b"Transfer-Encoding", b"TE", b"Connection", b"Host"])
_ODD_SPECIAL = st.tuples(_FRAMING_NAME, st.sampled_from(_ODD_VALUES))
_ODD_LINE_END = st.sampled_from([b"\r\n"] * 9 + [b"\n", b"\r\r\n", b"\r\n "])


_GOOD_LINES = [
    (b"GET", b"/"), (b"POST", b"/a?b=%20"), (b"PUT", b"//x|\\"), (b"HEAD", b"/"), (b"GET", b"http://a.example:80?x"),
    (b"OPTIONS", b"*"), (b"CONNECT", b"a.example:443"), (b"M-X", b"/y"), (b"OPTIONS", b"https://A.example"),
]  # fmt: skip


@st.composite
def request_heads(draw: st.DrawFn) -> bytes:
    """Heads of which many are good, many nearly so."""
    if draw(st.integers(0, 3)):
        method, target = draw(st.sampled_from(_GOOD_LINES))
        version = draw(st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0"]))
        return method + b" " + target + b" " + version + draw(_good_fields([(b"Host", b"a.example")]))
    method = draw(st.sampled_from([b"GET", b"CONNECT", b"OPTIONS", b"get", b"G T"]))
    target = draw(st.sampled_from([b"/", b"*", b"http://b.example/x", b"a:80", b"/#x", b"/\x7f"]))
    version = draw(st.sampled_from([b"HTTP/1.1"] * 3 + [b"HTTP/1.2", b"HTTP/2.0", b"http/1.1"]))
    space = draw(st.sampled_from([b" ", b" ", b"  ", b"\t"]))
    return method + space + target + b" " + version + draw(_odd_fields())


@st.composite
def response_heads(draw: st.DrawFn) -> bytes:
    """As request_heads."""
    if draw(st.integers(0, 3)):
        line = draw(st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 x", b"HTTP/1.1 304 x"]))
        return line + draw(_good_fields([]))
    status = draw(st.sampled_from([b"200", b"101", b"100", b"103", b"599", b"20", b"2000"]))
    version = draw(st.sampled_from([b"HTTP/1.1"] * 3 + [b"HTTP/1.9", b"HTTP/2.0"]))
    return version + b" " + status + draw(st.sampled_from([b" OK", b" ", b"", b" \x00"])) + draw(_odd_fields())


@st.composite
def _good_fields(draw: st.DrawFn, fields: list[tuple[bytes, bytes]]) -> bytes:
    fields = fields + draw(st.lists(_PLAIN_FIELD, max_size=3)) + draw(st.lists(st.sampled_from(_GOOD_SPECIALS), max_size=3))
    lines = [name + b":" + draw(_SPACE) + value + draw(_SPACE) for name, value in draw(st.permutations(fields))]
    return b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


@st.composite
def _odd_fields(draw: st.DrawFn) -> bytes:
    text = draw(_ODD_LINE_END)
    if draw(st.integers(0, 4)):
        text += b"Host: a.example\r\n"
    for name, value in draw(st.lists(st.one_of(_PLAIN_FIELD, st.sampled_from(_GOOD_SPECIALS), _ODD_SPECIAL), max_size=4)):
        text += name + draw(st.sampled_from([b":"] * 9 + [b" :", b""])) + draw(_SPACE) + value + draw(_ODD_LINE_END)
    return text + draw(st.sampled_from([b"\r\n", b"\r\n", b"\n"]))


@st.composite
def chunked_bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """(coded, payload) of good bodies, in odd spellings too."""
    coded = payload = b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6)):
        size = draw(st.sampled_from([b"%x", b"%X", b"0%x"])) % len(data)
        extension = draw(st.sampled_from([b""] * 5 + [b";a", b";a=b;c", b' ; a = "b;\\"c"', b" ", b"\t"]))
        coded += size + extension + b"\r\n" + data + b"\r\n"
        payload += data
    trailers = draw(st.sampled_from([b"", b"", b"X-T: v\r\n", b"X-T: v\r\nContent-Length: 3\r\n", b"X-T: v\n", b"X-T: v\r\n w\r\n"]))
    return coded + draw(st.sampled_from([b"0", b"000", b"0;a=b"])) + b"\r\n" + trailers + b"\r\n", payload
