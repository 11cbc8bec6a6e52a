"""What test_language.py asks of both programs: the lists in language/, and the requests they are asked about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REQUESTS: dict[str, str] = {
    "usual": "GET /path/to/file.html?q=1&r=two&r=three&e=&flag HTTP/1.1"
    "|Host: a.example|User-Agent: test|X-In: Hello World|X-List: a, b,c , d"
    "|X-Num: 42|X-Ip: 10.1.2.3|Cookie: sid=abc; lang=fr; n=7|Accept-Language: fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7"
    '|Forwarded: for="[2001:db8::1]:42'
    '";host=h;proto=https;by=1.2.3.4, for=2.2.2.2||',
    "odd_target": "GET //a/./b/../c%41%2f%zz/%e4%bd%a0?b=2&a=1&&c=%20+x&a=3 HTTP/1.1|Host: A.Example:8080|X-In: a%41+b%20c%zz%|X-Num: -7"
    "|X-Ip: 2001:db8::7|X-List: one|X-List: two, three|Cookie: a=1; b=; c|Cookie: sid=second|Accept-Language: *||",
    "absolute": 'GET http://b.example:81/abs/path?x=y HTTP/1.1|Host: b.example:81|X-In: <a href="x">&\'|X-Num: 0x10|X-Ip: nonsense|'
    'X-List: ,,|Cookie: lang="quoted; text"|Accept-Language: en;q=0||',
    "options_star": "OPTIONS * HTTP/1.1|Host: c|X-In: |X-Num: 9223372036854775807|X-Ip: 127.0.0.1, 10.0.0.9|X-List: ||",
    "post": "POST /form?z=1 HTTP/1.1|Host: d.example|Content-Type: application/x-www-form-urlencoded|Content-Length: 27"
    '|X-In: {"a":{"b":[1,"two",3.5,true]},"s":"x y"}|X-Num: 1.5|X-Ip: ::ffff:192.0.2.1|Authorization: Basic dXNlcjpwYXNz||'
    "a=1&b=two&c=%41+x&d=&a=second",
    "high_bytes": 'GET /caf%C3%A9/%e9 HTTP/1.1|Host: e|X-In: \\xc3\\xa9t\\xe9 tab\\there|X-Num:   12abc  |X-Ip: 1.2.3|X-List: "q,uoted", x'
    "|Authorization: Bearer abc.def||",
    "old": "GET /old HTTP/1.0|X-In: aGVsbG8gd29ybGQ=|X-Num: 1700000000|X-Ip: 255.255.255.255|X-List: 1,2,3,4,5,6|Connection: keep-alive||",
    "base64url": "PUT /a/b/c.PHP?u=http%3A%2F%2Fx HTTP/1.1|Host: www.F.example|X-In: _-8gd29ybGQ|X-Num: 1700000000123"
    "|X-Ip: 2001:db8::|Content-Length: 0"
    '|Authorization: Basic !!!|Cookie: sid="x"||',
    "no_host": "DELETE / HTTP/1.0|X-In: deadBEEF0|X-Num: 18446744073709551616|X-List: a||",
    "long": "GET /"
    + "x/" * 400
    + "end HTTP/1.1|Host: "
    + "h" * 200
    + "|X-In: "
    + "abc " * 200
    + "|X-Num: 00012|X-List: "
    + "v," * 99
    + "||",
}

_INPUTS = ("hdr(x-in)", "hdr(x-num)", "hdr(x-ip)", "hdr(host)", "path")


@dataclass(frozen=True, slots=True)
class Unlike:
    """Probes (by a regular expression over their text) that Usher answers otherwise, for these requests (all, if none is named)."""

    probes: str
    requests: str
    reason: str


UNLIKE = (
    Unlike(r"cook_val\(sid\)", "base64url", "HAProxy 2.6 makes a number of any characters"),
    Unlike(r"(req\.)?(f?hdr_cnt)", "old", "HAProxy drops Connection before rules count the fields"),
    Unlike(r"(acl )?(req\.)?hdr_val\(x-num.*", "", "HAProxy 2.6 reads 32 bits, and any characters as digits"),
    Unlike(r"hdr\(x-in\),ub64dec.*", "old", "HAProxy 2.6 decodes padding as a character"),
    Unlike(r"hdr\(x-in\),strcmp\(txn\.a\)", "options_star", "the number differs, its sign does not"),
    Unlike(r".*,sha2", "", "HAProxy cuts a field at a NUL"),
    Unlike(r"hdr\(x-in\),map_sub\(.*", "usual", "HAProxy 2.6 finds it in a smaller file only"),
    Unlike(r"hdr\(x-num\),(add|sub).*", "odd_target", "HAProxy 2.6 takes -7 plus -1 for an overflow"),
    Unlike(r"hdr\(x-num\),(l|u)time.*|hdr\(x-num\),http_date.*", "", "dates before 1970 and beyond the year 9999"),
    Unlike(r"var\(txn\.json\),json_query\('\$\.arr'\)", "", "arrays: HAProxy after 2.6"),
    Unlike(r"thread,bool", "", "a process of ours has one thread"),
)


def unlike(probe: str, request: str) -> Unlike | None:
    for known in UNLIKE:
        if re.fullmatch(known.probes, probe) and known.requests in ("", request):
            return known
    return None


def expressions() -> list[str]:
    """Those that stand for themselves, and every converter behind every input."""
    chains = [f"{start},{converter}" for start in _INPUTS for converter in _lines("converters")]
    return list(dict.fromkeys([*_lines("expressions"), *chains]))


def _lines(name: str) -> list[str]:
    return (Path(__file__).parent / "language" / f"{name}.txt").read_text().splitlines()


def _rules() -> dict[str, tuple[str, ...]]:
    """Title -> the rules that are indented below it."""
    found: dict[str, tuple[str, ...]] = {}
    title = ""
    for line in _lines("rules"):
        if line.startswith(" "):
            found[title] = (*found[title], line.strip())
        else:
            title = line
            found[title] = ()
    return found


@dataclass(frozen=True, slots=True)
class Probe:
    """lines: the rules, in which PROBE is the name of the field that tells."""

    name: str
    text: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return self.text


def probes() -> list[Probe]:
    """Every question, each with lines of its own."""
    found: list[Probe] = []

    def add(text: str, *lines: str) -> None:
        name = f"X-P{len(found):04}"
        filled = tuple(line.replace("PROBE", name).replace("PVAR", f"v{len(found)}") for line in lines)
        found.append(Probe(name, text, filled))

    for expression in expressions():
        quoted = expression.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        add(expression, f'http-request set-header PROBE "[%[{quoted}]]"')
    for criterion in _lines("criteria"):
        add(f"acl {criterion}", f"acl PVAR {criterion}", "http-request set-header PROBE yes if PVAR")
    for condition in _lines("conditions"):
        add(f"if {condition}", f"http-request set-header PROBE yes if {condition}")
        add(f"unless {condition}", f"http-request set-header PROBE yes unless {condition}")
    for text in _lines("formats"):
        add(f"format {text}", f"http-request set-header PROBE '<{text}>'")
    for title, lines in _rules().items():
        add(title, *lines)
    return found
