"""Cookie persistence, request by request: which server, what it sees of the cookies, what the client gets, what logs say.

The rows of cookies.txt were seen with stock HAProxy, and are asked of it again here, beside Usher.
"""

from __future__ import annotations

import re
import socket
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from common.acl.xxhash import xxh64
from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.peers import Peer
from tests.flows.programs import Program
from tests.flows.serving import Serve, ServingThread

BOTH = "server s1 <server:s1> cookie A\n    server s2 <server:s2> cookie B"
ATTRIBUTES = "httponly secure domain .a.com domain b.org attr SameSite=None attr X=1"
ATTRIBUTES_SENT = "; domain=.a.com; domain=b.org; HttpOnly; Secure; SameSite=None; X=1"
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
MARKS = {"s1": "A", "s2": "B", "s3": ""}

SECTIONS = {
    "ins": f"cookie SRV insert\n    {BOTH}",
    "insind": f"cookie SRV insert indirect nocache\n    {BOTH}",
    "inspost": f"cookie SRV insert indirect postonly\n    {BOTH}",
    "inspres": f"cookie SRV insert preserve\n    {BOTH}",
    "insattr": f"cookie SRV insert indirect {ATTRIBUTES}\n    {BOTH}",
    "rew": f"cookie SRV rewrite\n    {BOTH}",
    "pfx": f"cookie SRV prefix\n    {BOTH}",
    "pfxind": f"cookie SRV prefix indirect\n    {BOTH}",
    "passive": f"cookie SRV\n    {BOTH}",
    "passind": f"cookie SRV indirect\n    {BOTH}",
    "indpres": f"cookie SRV indirect preserve\n    {BOTH}",
    "nock": "cookie SRV insert indirect nocache\n    server s1 <server:s1> cookie A weight 0\n    server s3 <server:s3>",
    "pfxd": "cookie SRV prefix\n    server s1 <server:s1> cookie A\n    server s3 <server:s3>",
    "rewd": "cookie SRV rewrite\n    server s1 <server:s1> cookie A weight 0\n    server s3 <server:s3>",
    "down": f"cookie SRV insert indirect\n    {BOTH} disabled",
    "downp": f"cookie SRV insert indirect\n    option persist\n    {BOTH} disabled",
    "force": f"cookie SRV insert indirect\n    force-persist if TRUE\n    {BOTH} disabled",
    "ign": f"cookie SRV insert indirect\n    ignore-persist if TRUE\n    {BOTH} weight 0",
    "use": f"cookie SRV insert indirect\n    use-server s1 if TRUE\n    {BOTH}",
    "use2": f"cookie SRV insert indirect\n    use-server s2 if {{ hdr(x-u) 1 }}\n    {BOTH} disabled",
    "maint": f"cookie SRV insert indirect\n    {BOTH} weight 0",
    "bkp": f"cookie SRV insert indirect\n    {BOTH} backup",
    "shared": "cookie SRV insert indirect\n    server s1 <server:s1> cookie A disabled\n    server s2 <server:s2> cookie A",
    "drain": "cookie SRV insert indirect\n    server s1 <server:s1> cookie A weight 0\n    server s2 <server:s2> cookie B weight 0",
    "idle": f"cookie SRV insert indirect maxidle 30m\n    {BOTH}",
    "life": f"cookie SRV insert indirect maxlife 8h\n    {BOTH}",
    "both": f"cookie SRV insert indirect nocache maxidle 30m maxlife 8h\n    {BOTH}",
    "undated": f"cookie SRV insert indirect\n    {BOTH}",
    "dyn": (
        "cookie SRV insert indirect dynamic\n    dynamic-cookie-key secret\n    server s1 <server:s1>\n"
        "    server s2 <server:s2> cookie B"
    ),
    "redis": (
        "cookie SRV insert indirect\n    option redispatch\n    retries 1\n    server s1 <server:s1> cookie A\n"
        "    server s2 127.0.0.1:1 cookie B"
    ),
}
RENAMED = f"cookie SESSION rename\n    {BOTH}"
_LISTEN = """
listen {name}
    bind <listen:{name}>
    http-request set-var(txn.n) req.hdr(x-n)
    log-format "{name} %[var(txn.n)] %tsc"
    {lines}
"""


def configuration(program: str) -> str:
    ours = {"renamed": RENAMED, "renamed-too": RENAMED} if program == "usher" else {}
    sections = "".join(_LISTEN.replace("{name}", name).replace("{lines}", lines) for name, lines in (SECTIONS | ours).items())
    return defaults(global_lines=one_worker(program)) + sections


class Row(NamedTuple):
    request: str
    server: str
    saw: str
    set_cookie: str
    flags: str


def rows() -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for line in Path(__file__).with_name("cookies.txt").read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            found.setdefault(section, []).append(Row(*line.split(" | ")))
    return found


ROWS = rows()


def setting(name: str) -> Serve:
    """Sets the cookies that X-Set asks for, sends what X-H asks for, and says in X-Saw which cookies came."""

    def serve(connection: socket.socket) -> None:
        held = b""
        while True:
            while b"\r\n\r\n" not in held:
                data = connection.recv(65536)
                if not data:
                    return
                held += data
            head, _, held = held.partition(b"\r\n\r\n")
            lines = [f"X-Server: {name}"]
            for line in head.decode("latin-1").split("\r\n")[1:]:
                field, _, value = line.partition(": ")
                given = {"x-set": "Set-Cookie", "x-cc": "Cache-Control", "cookie": "X-Saw"}.get(field.lower())
                if given:
                    lines.append(f"{given}: {value}")
            connection.sendall(("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    return serve


@pytest.fixture(scope="module")
def serving(module_flow: Flow) -> Iterator[Flow]:
    threads = []
    for name in ("s1", "s2", "s3"):
        threads.append(ServingThread(module_flow.server(name), setting(name)))
    yield module_flow
    for thread in threads:
        thread.stop()


class Answer(NamedTuple):
    server: str
    saw: str
    set_cookie: str
    cache_control: str


_numbers = iter(range(1, 1 << 30))


def ask(peer: Peer, *fields: str, method: str = "GET") -> Answer:
    length = ["Content-Length: 0"] if method == "POST" else []
    peer.send("\r\n".join([f"{method} / HTTP/1.1", "Host: a", *length, *fields, "", ""]).encode("latin-1"))
    head = peer.receive_until(b"\r\n\r\n").decode("latin-1")
    found: dict[str, list[str]] = {}
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        found.setdefault(name.lower(), []).append(value.strip())
    joined = {name: " & ".join(values) for name, values in found.items()}
    return Answer(joined.get("x-server", "-"), joined.get("x-saw", "-"), joined.get("set-cookie", "-"), joined.get("cache-control", "-"))


@pytest.mark.parametrize("section", ROWS)
def test_cookies_as_haproxy(serving: Flow, section: str) -> None:
    peer = serving.connect(section)
    wrong = []
    for row in ROWS[section]:
        method, _, fields = row.request.rpartition("POST ")
        method = "POST" if row.request.startswith("POST ") else "GET"
        number = next(_numbers)
        answer = ask(peer, f"X-N: {number}", *([] if fields == "-" else fields.split(" & ")), method=method)
        flags = serving.log.expect(rf"^{section} {number} ").text[-2:]
        expected = row.set_cookie.replace("{M}", MARKS.get(answer.server, "")).replace("{ATTR}", ATTRIBUTES_SENT)
        seen = Row(row.request, answer.server if row.server != "*" else "*", answer.saw, answer.set_cookie, flags)
        if seen != row._replace(set_cookie=expected):
            wrong.append(f"expected {row._replace(set_cookie=expected)}\n     got {seen}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("fields", "cache_control"),
    [
        ((), "-"),
        (("X-CC: max-age=3",), "max-age=3 & private"),
        (("X-CC: max-age=0",), "max-age=0"),
        (("X-CC: s-maxage=5",), "s-maxage=5 & private"),
        (("X-CC: no-store",), "no-store"),
        (("X-CC: max-age=3", "X-CC: no-store"), "max-age=3 & no-store"),
        (("X-CC: max-age=3", "Cookie: SRV=A"), "max-age=3"),
    ],
)
def test_nocache_only_where_the_response_says_that_it_may_be_kept(serving: Flow, fields: tuple[str, ...], cache_control: str) -> None:
    assert ask(serving.connect("insind"), *fields).cache_control == cache_control
    if "Cookie: SRV=A" not in fields:
        assert ask(serving.connect("insind"), *fields, method="POST").cache_control == cache_control.removesuffix(" & private")


def _date(now: float, offset: int) -> str:
    """As HAProxy writes dates: 30 bits of seconds / 4."""
    steps = (int(now) + offset) >> 2
    return "".join(LETTERS[steps >> shift & 63] for shift in (24, 18, 12, 6, 0))


def _seconds(letters: str) -> int:
    steps = 0
    for letter in letters:
        steps = steps << 6 | LETTERS.index(letter)
    return steps << 2


DATED = [
    # section, last and first in seconds from now (None: not there), flags, which dates come back ("": no cookie)
    ("idle", None, None, "VU", "now"),
    ("idle", -600, None, "VU", "now"),
    ("idle", -3600, None, "EI", "now"),
    ("idle", 7200, None, "VN", ""),
    ("idle", 90000, None, "EI", "now"),
    ("idle", -600, -600, "VU", "now"),
    ("life", None, None, "VU", "now now"),
    ("life", -600, -600, "VU", "now first"),
    ("life", -600, -32400, "OI", "now now"),
    ("life", -600, 90000, "OI", "now now"),
    ("both", None, None, "VU", "now now"),
    ("both", -3600, -7200, "EI", "now now"),
    ("both", -60, -7200, "VU", "now first"),
    ("both", 8, -60, "VN", ""),
    ("undated", -60, None, "VU", "none"),
    ("undated", 8, None, "VN", ""),
]


@pytest.mark.parametrize(("section", "last", "first", "flags", "back"), DATED)
def test_dates_in_cookies(serving: Flow, section: str, last: int | None, first: int | None, flags: str, back: str) -> None:
    now = time.time()
    text = "SRV=A" + (f"|{_date(now, last)}" if last is not None else "") + (f"|{_date(now, first)}" if first is not None else "")
    number = next(_numbers)
    answer = ask(serving.connect(section), f"X-N: {number}", f"Cookie: {text}")
    assert serving.log.expect(rf"^{section} {number} ").text[-2:] == flags
    if flags[0] == "V":
        assert answer.server == "s1"
    if not back:
        assert answer.set_cookie == "-"
        return
    mark = MARKS[answer.server]
    match = re.fullmatch(rf"SRV={mark}(?:\|(.{{5}}))?(?:\|(.{{5}}))?; path=/", answer.set_cookie)
    assert match, answer.set_cookie
    given = [None if letters is None else _seconds(letters) for letters in match.groups()]
    wanted = {"now": now, "first": now + (first or 0), "none": None}
    for value, word in zip(given, [*back.split(), "none"][:2], strict=True):
        expected = wanted[word]
        assert (value is None) == (expected is None) and (value is None or expected is None or abs(value - expected) <= 8), (given, back)


def test_a_dynamic_cookie_is_the_servers_address_hashed(serving: Flow) -> None:
    port = serving.server("s1").port
    mark = f"{xxh64(b'secret' + socket.inet_aton('127.0.0.1') + port.to_bytes(4, 'big'), 0):016x}"
    peer = serving.connect("dyn")
    given = {answer.server: answer.set_cookie for answer in (ask(peer), ask(peer))}
    assert given == {"s1": f"SRV={mark}; path=/", "s2": "SRV=B; path=/"}
    assert [ask(peer, f"Cookie: SRV={mark}").server for _ in range(3)] == ["s1"] * 3


def test_a_server_that_cannot_be_reached_loses_the_client(serving: Flow) -> None:
    number = next(_numbers)
    answer = ask(serving.connect("redis"), f"X-N: {number}", "Cookie: SRV=B")
    assert (answer.server, answer.set_cookie) == ("s1", "SRV=A; path=/")
    assert serving.log.expect(rf"^redis {number} ").text[-2:] == "DI"


def test_renamed_cookies_keep_two_applications_apart(serving: Flow, program: Program) -> None:
    """One browser, one cookie name, two applications behind two backends: each sees its own session, on the server that made it."""
    if program.name != "usher":
        pytest.skip("`cookie … rename` is Usher's own")
    jar: dict[str, str] = {}

    def visit(section: str, *fields: str) -> Answer:
        cookies = [f"Cookie: {'; '.join(f'{name}={value}' for name, value in jar.items())}"] if jar else []
        answer = ask(serving.connect(section), *cookies, *fields)
        if answer.set_cookie != "-":
            name, _, value = answer.set_cookie.partition(";")[0].partition("=")
            jar[name] = value
        return answer

    jar["theme"] = "dark"
    first = visit("renamed", "X-Set: SESSION=one; path=/").server
    second = visit("renamed-too", "X-Set: SESSION=two; path=/").server
    assert len(jar) == 3 and all(re.fullmatch(r"theme|SESSION~[0-9a-f]{4}~[AB]", name) for name in jar), jar
    for _ in range(3):
        assert visit("renamed")[:2] == (first, "theme=dark; SESSION=one")
        assert visit("renamed-too")[:2] == (second, "theme=dark; SESSION=two")
