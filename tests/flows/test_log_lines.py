"""Log lines, variable by variable: for the same request the same line as HAProxy's, whatever became of it.

Numbers of bytes are left out (ours are those on the wire), and times only say whether there is one.
"""

from __future__ import annotations

import re

import pytest

from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.serving import ServingThread

CLOSE = "Connection: close\r\n"
VARIABLES = (
    "ci=%ci f=%f ft=%ft b=%b s=%s fi=%fi bi=%bi si=%si H=%H HM=%HM HP=%HP HPO=%HPO HQ=%HQ HU=%HU HV=%HV ID=%ID ST=%ST CC=%CC CS=%CS ac=%ac "
    "fc=%fc bc=%bc sc=%sc rc=%rc sq=%sq bq=%bq hr=%hr hrl=%hrl hs=%hs hsl=%hsl lc=%lc ts=%ts tsc=%tsc r=%{+Q}r x=%{+X}ci Th=%Th Ti=%Ti "
    "TR=%TR Tw=%Tw Tc=%Tc Tr=%Tr Tq=%Tq"
)


def configuration(program: str) -> str:
    return defaults(global_lines=one_worker(program)) + f"""
defaults
    mode http
    log global
    timeout connect 1s
    timeout client 1s
    timeout server 700ms
    timeout http-request 400ms
    timeout queue 200ms
    timeout tarpit 100ms
    retries 1
listen web
    bind <listen:web>
    option httplog
    capture request header User-Agent len 10
    capture request header X-Q len 20
    capture response header X-Res len 20
    capture cookie SID len 20
    http-request deny if {{ path /deny }}
    http-request tarpit if {{ path /tarpit }}
    http-request return status 204 if {{ path /return }}
    http-request redirect location /x if {{ path /redir }}
    http-request reject if {{ path /reject }}
    http-request silent-drop if {{ path /drop }}
    http-response deny if {{ res.hdr(set-cookie) -m found }}
    server s1 <server:app>
listen vars
    bind <listen:vars>
    unique-id-format UID
    capture request header User-Agent len 10
    capture response header X-Res len 20
    capture cookie SID len 20
    log-format "{VARIABLES}"
    server s1 <server:app>
listen down
    bind <listen:down>
    option httplog
    server s1 <refused:down>
listen none
    bind <listen:none>
    option httplog
    server s1 <server:app> disabled
frontend two
    bind <listen:two>
    option httplog
    default_backend redis
backend redis
    option redispatch 1
    balance first
    server s1 <refused:down>
    server s2 <server:app>
listen raw
    bind <listen:raw>
    mode tcp
    option tcplog
    server s1 <server:app>
listen rawdown
    bind <listen:rawdown>
    mode tcp
    option tcplog
    server s1 <refused:down>
listen clf
    bind <listen:clf>
    option httplog clf
    server s1 <server:app>
listen errors
    bind <listen:errors> accept-proxy
    bind <listen:errors2> accept-proxy
    option httplog
    error-log-format "ERR %ci %ft %[fc_err] %[fc_err_str] %r %ST %[so_id]"
    server s1 <server:app>
listen apart
    bind <listen:apart>
    option httplog
    option log-separate-errors
    http-request set-log-level silent if {{ path /silent }}
    http-request set-log-level err if {{ path /err }}
    log-tag mytag
    server s1 <server:app>
listen unusual
    bind <listen:unusual>
    option httplog
    option dontlog-normal
    server s1 <server:app>
listen asap
    bind <listen:asap>
    option httplog
    option logasap
    server s1 <server:app>
listen nulls
    bind <listen:nulls>
    option httplog
    option dontlognull
    server s1 <server:app>
listen plain
    bind <listen:plain>
    server s1 <server:app>
listen plainraw
    bind <listen:plainraw>
    mode tcp
    server s1 <server:app>
listen queue
    bind <listen:queue>
    option httplog
    server s1 <server:app> maxconn 1
listen words
    bind <listen:words>
    capture request header X-Q len 40
    log-format '{{"line":%{{+Q}}r,"q":%{{+Q,+E}}[capture.req.hdr(0)],"status":%ST}}'
    server s1 <server:app>
"""


def serve(connection) -> None:  # type: ignore[no-untyped-def]
    """Answers by path."""
    held = b""
    while True:
        while b"\r\n\r\n" not in held:
            data = connection.recv(65536)
            if not data:
                return
            held += data
        head, _, held = held.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while len(held) < int(length[1] if length else 0):
            data = connection.recv(65536)
            if not data:
                return
            held += data
        held = held[int(length[1] if length else 0) :]
        path = head.split()[1]
        if path == b"/cut":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            return
        if path == b"/slow":
            connection.recv(65536)
            return
        if path == b"/bad":
            connection.sendall(b"HTTP/9 zz\r\n\r\n")
            return
        if path == b"/close":
            return
        cookie = b"Set-Cookie: a=b\r\n" if path == b"/cookie" else b""
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Res: res|val\r\n" + cookie + b"\r\nabc")


@pytest.fixture(scope="module", autouse=True)
def served(module_flow: Flow):  # type: ignore[no-untyped-def]
    thread = ServingThread(module_flow.server("app"), serve)
    yield
    thread.stop()


def get(path: str, fields: str = CLOSE) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


def normal(line: str) -> str:
    """What can be compared: no client, no date, of times whether there is one, of bytes nothing."""
    line = re.sub(r"127\.0\.0\.1:\d+", "CLIENT", line)
    line = re.sub(r"\[\d\d/\w+/\d{4}:[^\]]*\]", "[DATE]", line)
    line = re.sub(r"(?<= )(-?\d+(/\+?-?\d+){2,4}) (?=\d|-|\+)", lambda match: re.sub(r"\d+", _time, match[0]), line, count=1)
    line = re.sub(r" \d+/\d+/\d+/\d+/(\+?\d+) (\d+/\d+)(?= |$)", r" C/\1 \2", line)  # connections: those of other tests may linger
    line = re.sub(r"(?<= )(T\w=)(\d+)", lambda match: match[1] + "t", line)
    return re.sub(r"(?<=t )(\d{3}|-1)? ?\+?\d+ (?=-|SID|\w\w )", lambda match: f"{match[1] or ''} B ".lstrip(), line)


def _time(match: re.Match[str]) -> str:
    return "1" if match.string[match.start() - 1] == "-" else "t"


HTTP = "CLIENT [DATE] web web"
LINES = {
    "ok": ("web", get("/a?b=c", CLOSE + 'User-Agent: agent-is-long\r\nX-Q: a|b"c{}\r\nCookie: SID=12345; x=y\r\n'),
           HTTP + '/s1 t/t/t/t/t 200 B SID=12345 - ---- C/0 0/0 {agent-is-l|a#7Cb#22c#7B#7D} {res#7Cval} "GET /a?b=c HTTP/1.1"'),
    "deny": ("web", get("/deny"), HTTP + '/<NOSRV> t/-1/-1/-1/t 403 B - - PR-- C/0 0/0 {|} {} "GET /deny HTTP/1.1"'),
    "tarpit": ("web", get("/tarpit"), HTTP + '/<NOSRV> -1/t/-1/-1/t 500 B - - PT-- C/0 0/0 {|} {} "GET /tarpit HTTP/1.1"'),
    "return": ("web", get("/return"), HTTP + '/<NOSRV> t/-1/-1/-1/t 204 B - - LR-- C/0 0/0 {|} {} "GET /return HTTP/1.1"'),
    "redirect": ("web", get("/redir"), HTTP + '/<NOSRV> t/-1/-1/-1/t 302 B - - LR-- C/0 0/0 {|} {} "GET /redir HTTP/1.1"'),
    "reject": ("web", get("/reject"), HTTP + '/<NOSRV> -1/-1/-1/-1/t -1 B - - PR-- C/0 0/0 {|} {} "GET /reject HTTP/1.1"'),
    "response_deny": ("web", get("/cookie"), HTTP + '/s1 t/t/t/-1/t 502 B - - PH-- C/0 0/0 {|} {res#7Cval} "GET /cookie HTTP/1.1"'),
    "cut": ("web", get("/cut"), HTTP + '/s1 t/t/t/t/t 200 B - - SD-- C/0 0/0 {|} {} "GET /cut HTTP/1.1"'),
    "slow": ("web", get("/slow"), HTTP + '/s1 t/t/t/-1/t 504 B - - sH-- C/0 0/0 {|} {} "GET /slow HTTP/1.1"'),
    "bad_server": ("web", get("/bad"), HTTP + '/s1 t/t/t/-1/t 502 B - - PH-- C/0 0/0 {|} {} "GET /bad HTTP/1.1"'),
    "server_closes": ("web", get("/close"), HTTP + '/s1 t/t/t/-1/t 502 B - - SH-- C/0 0/0 {|} {} "GET /close HTTP/1.1"'),
    "bad_request": ("web", b"garbage\r\n\r\n", HTTP + '/<NOSRV> -1/-1/-1/-1/t 400 B - - PR-- C/0 0/0 "<BADREQ>"'),
    "half_a_request": ("web", b"GET /par|half", HTTP + '/<NOSRV> -1/-1/-1/-1/t 400 B - - CR-- C/0 0/0 "<BADREQ>"'),
    "half_and_reset": ("web", b"GET /par|reset", HTTP + '/<NOSRV> -1/-1/-1/-1/t 400 B - - CR-- C/0 0/0 "<BADREQ>"'),
    "half_and_wait": ("web", b"GET /par", HTTP + '/<NOSRV> -1/-1/-1/-1/t 408 B - - cR-- C/0 0/0 "<BADREQ>"'),
    "nothing": ("web", b"|half", HTTP + '/<NOSRV> -1/-1/-1/-1/t 400 B - - CR-- C/0 0/0 "<BADREQ>"'),
    "head": ("web", b"HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
             HTTP + '/s1 t/t/t/t/t 200 B - - ---- C/0 0/0 {|} {res#7Cval} "HEAD /a HTTP/1.1"'),
    "old": ("web", b"GET /a HTTP/1.0\r\n\r\n", HTTP + '/s1 t/t/t/t/t 200 B - - ---- C/0 0/0 {|} {res#7Cval} "GET /a HTTP/1.0"'),
    "down": ("down", get("/x"), 'CLIENT [DATE] down down/s1 t/t/-1/-1/t 503 B - - SC-- C/1 0/0 "GET /x HTTP/1.1"'),
    "no_server": ("none", get("/x"), 'CLIENT [DATE] none none/<NOSRV> t/-1/-1/-1/t 503 B - - SC-- C/0 0/0 "GET /x HTTP/1.1"'),
    "redispatched": ("two", get("/x"), 'CLIENT [DATE] two redis/s2 t/t/t/t/t 200 B - - ---- C/+1 0/0 "GET /x HTTP/1.1"'),
    "tcp": ("raw", get("/x") + b"|half", "CLIENT [DATE] raw raw/s1 t/t/t B -- C/0 0/0"),
    "tcp_down": ("rawdown", b"x", "CLIENT [DATE] rawdown rawdown/s1 t/-1/t B SC C/1 0/0"),
    "clf_bad": ("clf", b"bad\r\n\r\n",
        '127.0.0.1 - - [DATE] "<BADREQ>" 400 N "" "" N N "clf" "clf" "<NOSRV>" -1 -1 -1 -1 N PR-- C 0 0 0 "" "" '),
    "no_proxy_header": ("errors", b"GET / HTTP/1.1\r\n\r\n",
                        "ERR 127.0.0.1 errors 15 Received something which does not look like a PROXY protocol header <BADREQ> 0 1"),
    "no_proxy_header_at_all": ("errors2", b"|half",
                               "ERR 127.0.0.1 errors 11 Connection closed while waiting for PROXY protocol header <BADREQ> 0 2"),
    "bad_request_behind_a_header": ("errors", b"PROXY TCP4 1.2.3.4 5.6.7.8 99 100\r\ngarbage\r\n\r\n",
                                    "ERR 1.2.3.4 errors 0 Success <BADREQ> 400 1"),
    "cut_apart": ("apart", get("/cut"), 'CLIENT [DATE] apart apart/s1 t/t/t/t/t 200 B - - SD-- C/0 0/0 "GET /cut HTTP/1.1"'),
    "asap": ("asap", get("/x"), 'CLIENT [DATE] asap asap/s1 t/t/t/t/+t 200 B - - ---- C/0 0/0 "GET /x HTTP/1.1"'),
    "plain": ("plain", get("/x"), "Connect from CLIENT to CLIENT (plain/HTTP)"),
    "plain_tcp": ("plainraw", get("/x") + b"|half", "Connect from CLIENT to CLIENT (plainraw/TCP)"),
    "escaped": ("words", get('/x"y', CLOSE + 'X-Q: a"b\\c\r\n'), '{"line":"GET /x#22y HTTP/1.1","q":"a\\"b\\\\c","status":200}'),
    "variables": ("vars", get("/a/b?c=d", CLOSE + "User-Agent: agent-is-long\r\nCookie: SID=12345\r\n"),
        "ci=127.0.0.1 f=vars ft=vars b=vars s=s1 fi=127.0.0.1 bi=127.0.0.1 si=127.0.0.1 H=HOST HM=GET HP=/a/b HPO=/a/b HQ=?c=d HU=/a/b?c=d "
        "HV=HTTP/1.1 ID=UID ST=200 CC=SID=12345 CS=- ac=N fc=N bc=0 sc=0 rc=0 sq=0 bq=0 hr={agent-is-l} hrl=agent-is-l hs={res#7Cval} "
        'hsl=res#7Cval lc=N ts=-- tsc=---- r="GET /a/b?c=d HTTP/1.1" x=7F000001 Th=t Ti=t TR=t Tw=t Tc=t Tr=t Tq=t'),
    "variables_of_an_absolute_target": ("vars", b"GET http://h.o/p/q?z HTTP/1.1\r\nHost: h.o\r\nConnection: close\r\n\r\n",
        "ci=127.0.0.1 f=vars ft=vars b=vars s=s1 fi=127.0.0.1 bi=127.0.0.1 si=127.0.0.1 H=HOST HM=GET HP=http://h.o/p/q HPO=/p/q HQ=?z "
        "HU=http://h.o/p/q?z HV=HTTP/1.1 ID=UID ST=200 CC=- CS=- ac=N fc=N bc=0 sc=0 rc=0 sq=0 bq=0 hr={} hrl=- hs={res#7Cval} "
        'hsl=res#7Cval lc=N ts=-- tsc=---- r="GET http://h.o/p/q?z HTTP/1.1" x=7F000001 Th=t Ti=t TR=t Tw=t Tc=t Tr=t Tq=t'),
    "variables_of_nothing": ("vars", b"garbage\r\n\r\n",
        "ci=127.0.0.1 f=vars ft=vars b=vars s=<NOSRV> fi=127.0.0.1 bi=- si=- H=HOST HM=<BADREQ> HP=<BADREQ> HPO=<BADREQ> HQ=<BADREQ> "
        "HU=<BADREQ> HV=<BADREQ> ID=- ST=400 CC=- CS=- ac=N fc=N bc=0 sc=0 rc=0 sq=0 bq=0 hr= hrl= hs= hsl= lc=N ts=PR tsc=PR-- "
        'r="<BADREQ>" x=7F000001 Th=t Ti=t TR=-1 Tw=-1 Tc=-1 Tr=-1 Tq=-1'),
}  # fmt: skip


def send(flow: Flow, place: str, data: bytes) -> None:
    """Send and hear out. `|half` at the end closes our side behind it, `|reset` resets the connection."""
    client = flow.connect(place)
    data, _, end = data.partition(b"|") if data.endswith((b"|half", b"|reset")) else (data, b"", b"")
    client.send(data)
    if end == b"half":
        client.half_close()
    if end == b"reset":
        assert client.silent_for(0.05)
        client.reset()
    else:
        client.receive_to_end()


@pytest.mark.parametrize("name", LINES)
def test_the_line_is_haproxys(module_flow: Flow, name: str) -> None:
    place, data, expected = LINES[name]
    for line in module_flow.log.seen(""):
        module_flow.log.lines.remove(line)
    send(module_flow, place, data)
    text = module_flow.log.expect(r"^(?!127\.0\.0\.1 to )").text  # what else is told of such a connection is our own
    if name.startswith("clf"):
        text = re.sub(r'(?<= )\d{4,6} \d+(?= "clf")', "N N", text.replace(" 400 0 ", " 400 N ").replace(" 400 207 ", " 400 N "))
        text = re.sub(r"-1 -1 -1 -1 \d+ ", "-1 -1 -1 -1 N ", text)
        text = re.sub(r"(?<= PR-- )\d+ \d+ \d+ \d+ (?=\d+ \d+ \d+ )", "C ", text)  # as in `normal`
    text = re.sub(r"\bH=\S+", "H=HOST", re.sub(r"\b([afl]c)=\d+", r"\1=N", text))
    assert normal(text) == expected


def test_levels_and_tags_are_as_told(module_flow: Flow) -> None:
    for path, priority in {"/x": 134, "/err": 131, "/cut": 131}.items():
        send(module_flow, "apart", get(path))
        line = module_flow.log.expect(f"GET {path} ")
        assert (line.priority, line.tag) == (priority, "mytag")
    send(module_flow, "apart", get("/silent"))
    send(module_flow, "apart", get("/last"))
    module_flow.log.expect("/last")
    assert not module_flow.log.seen("/silent")


def test_what_is_normal_or_nothing_is_left_out(module_flow: Flow) -> None:
    send(module_flow, "unusual", get("/normal"))
    send(module_flow, "nulls", b"|half")
    send(module_flow, "plain", b"|half")
    send(module_flow, "unusual", get("/cut"))
    module_flow.log.expect("unusual/s1 .* SD-- ")
    assert not module_flow.log.seen("/normal|nulls/|plain/")


def test_who_waited_in_vain_has_a_time_in_the_queue(module_flow: Flow) -> None:
    first = module_flow.connect("queue")
    first.send(get("/slow"))
    assert first.silent_for(0.05)
    send(module_flow, "queue", get("/waited"))
    line = module_flow.log.expect("/waited").text
    assert re.search(r" \d+/2\d\d/-1/-1/2\d\d 503 \d+ - - sQ-- ", line), line
    first.receive_to_end()
    module_flow.log.expect("queue/s1 .* sH-- ")  # it is not left for the next test
