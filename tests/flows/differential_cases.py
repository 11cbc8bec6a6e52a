"""The cases of test_differential.py: documented behaviour of HAProxy, one section each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.flows.blocks import block

_PRIVATE = re.compile(r"<(listen|server|refused):")
_SECTION = """
listen {name}
    bind <listen:client>
    {lines}
    {servers}
"""
NONE = "none"  # no line is logged
GET = "GET /path/to/file.html?q=1&r=two HTTP/1.1|Host: a.example|User-Agent: test|Connection: close||"
POST = "POST / HTTP/1.1|Host: a|Content-Length: 2|Connection: close||ab"
OK = "HTTP/1.1 200 OK|Content-Length: 2|X-Server: yes||ok"


@dataclass(frozen=True, slots=True)
class Case:
    """exact: what the client receives is compared with its fields in their order.
    log: pattern of the line to compare, if the name is not enough; NONE: there is none."""

    name: str
    lines: str = ""
    request: str = GET
    response: str = OK
    servers: str = "server s <server:server>"
    log: str = ""
    exact: bool = False
    unlike_haproxy: str = ""
    label: str = ""

    def section(self) -> str:
        text = _SECTION.replace("{name}", self.name).replace("{lines}", self.lines.strip()).replace("{servers}", self.servers)
        return block(self.name, _PRIVATE.sub(rf"<\1:{self.name}.", text))

    def __str__(self) -> str:
        return self.label or self.name


def plain(name: str, *lines: str, request: str = GET, response: str = OK) -> Case:
    return Case(name, "\n    ".join(lines), request=request, response=response)


def exactly(name: str, *lines: str, request: str = GET, servers: str = "server s <server:server>") -> Case:
    return Case(name, "\n    ".join(lines), request=request, servers=servers, exact=True)


def fetched(number: int, expression: str) -> Case:
    lines = f'http-request set-header X-Got "%[{expression}]"'
    return Case(f"fetch_{number}", lines, label=f"fetch {expression}")


def matched(number: int, criterion: str) -> Case:
    lines = f"acl it {criterion}\n    http-request set-header X-Got yes if it\n    http-request set-header X-Got no unless it"
    return Case(f"match_{number}", lines, label=f"match {criterion}")


def condition(number: int, words: str) -> Case:
    lines = f"http-request set-header X-Got yes if {words}\n    http-request set-header X-Got no unless {words}"
    return Case(f"condition_{number}", lines, label=f"condition {words}")


def formatted(number: int, text: str) -> Case:
    return Case(f"format_{number}", f'log-format "format_{number}/ {text}"', label=f"format {text}")


ERROR_PAGES = [
    *(
        exactly(f"deny_with_{status}", f"http-request deny deny_status {status}")
        for status in (200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 421, 422, 425, 429, 500, 501, 502, 503, 504)
    ),
    exactly("page_503_of_no_server", servers=""),
    exactly("page_503_of_a_refusing_server", "retries 0", servers="server s <refused:server>"),
    # Not exactly: the fields of these two come in another order than those of all its other pages.
    plain("page_400_of_a_bad_head", request="GET / HTTP/1.1|Host: a|X Y: 1||"),
    plain("page_408", "timeout http-request 100ms", request="GET /"),
    exactly("page_of_ours", "errorfile 503 <file:page>", servers=""),
    exactly("deny_to_http_1_0", "http-request deny", request="GET / HTTP/1.0||"),
    exactly("deny_to_head", "http-request deny", request="HEAD / HTTP/1.1|Host: a|Connection: close||"),
    exactly("tarpit_ends_in_its_status", "timeout tarpit 100ms", "http-request tarpit deny_status 429"),
    exactly("auth_asks_for_a_password", "http-request auth realm Ours"),
    Case("monitor_uri", "monitor-uri /alive", request="GET /alive HTTP/1.1|Host: a|Connection: close||", exact=True, log=NONE),
    exactly("return_a_string", 'http-request return status 200 content-type text/plain string "hello there" hdr X-A b'),
    exactly("return_a_formatted_string", 'http-request return status 200 content-type text/plain lf-string "%[path] %[src]"'),
    exactly("return_without_a_body", "http-request return status 204"),
    exactly("return_with_the_default_page", "http-request return status 404 default-errorfiles"),
]

REDIRECTS = [
    exactly("redirect_location", "http-request redirect location https://b/%[path]"),
    *(exactly(f"redirect_{code}", f"http-request redirect location /y code {code}") for code in (301, 302, 303, 307, 308)),
    exactly("redirect_prefix", "http-request redirect prefix https://b"),
    exactly("redirect_prefix_drop_query", "http-request redirect prefix https://b drop-query"),
    exactly("redirect_prefix_slash", "http-request redirect prefix https://b drop-query append-slash"),
    exactly("redirect_prefix_root", "redirect prefix /"),
    exactly("redirect_scheme", "http-request redirect scheme https"),
    exactly("redirect_scheme_code", "http-request redirect scheme https code 301"),
    exactly("redirect_sets_a_cookie", "http-request redirect location /y set-cookie SEEN=1"),
    exactly("redirect_clears_a_cookie", "http-request redirect location /y clear-cookie USER="),
    exactly("redirect_to_head", "http-request redirect location /y", request="HEAD / HTTP/1.1|Host: a|Connection: close||"),
    exactly("redirect_to_1_0", "http-request redirect location /y", request="GET / HTTP/1.0||"),
    exactly("redirect_of_a_post", "http-request redirect location /y", request=POST),
]

REWRITES = [
    plain("nothing_changed"),
    plain("set_header", "http-request set-header X-A 1"),
    plain("add_header_twice", "http-request add-header X-A 1", "http-request add-header X-A 2"),
    plain("del_header", "http-request del-header User-Agent"),
    plain("del_header_by_prefix", "http-request del-header User -m beg"),
    plain("replace_header", "http-request replace-header User-Agent (te)(st) \\2-\\1"),
    plain("replace_value", "http-request replace-value X-List ^b$ B", request=GET.replace("|User", "|X-List: a, b, c|User")),
    plain("replace_path", "http-request replace-path /path/(.*) /new/\\1"),
    plain("replace_uri", "http-request replace-uri ^/(.*) /u/\\1"),
    plain("set_path", "http-request set-path /other"),
    plain("set_query", "http-request set-query a=b"),
    plain("set_uri", "http-request set-uri /all/new?x=y"),
    plain("set_method", "http-request set-method PUT"),
    plain("response_set_header", "http-response set-header X-Server no"),
    plain("response_add_header", "http-response add-header X-Server more"),
    plain("response_del_header", "http-response del-header X-Server"),
    plain("response_set_status", 'http-response set-status 418 reason "I am a teapot"'),
    plain("response_deny", "http-response deny if { status 200 }"),
    plain("variable_carries_over", "http-request set-var(txn.p) path", "http-response set-header X-Path %[var(txn.p)]"),
    plain(
        "variable_unset",
        "http-request set-var(txn.p) path",
        "http-request unset-var(txn.p)",
        "http-request set-header X-P %[var(txn.p)]",
    ),
    plain("forwardfor", "option forwardfor"),
    plain("httpclose", "option httpclose", request=GET.replace("Connection: close|", "")),
    plain("rules_stop_at_allow", "http-request allow if { path_beg /path }", "http-request deny"),
    plain("capture_by_rule", "http-request capture req.hdr(user-agent) len 10"),
    plain("unique_id", "unique-id-format %ci_%ft", "unique-id-header X-Id"),
]

_EXPRESSIONS = """
    path url query method req.ver src dst fe_name be_name ssl_fc base base32 urlp(q) url_param(r) urlp(missing)
    req.hdr(host) hdr(missing) req.hdr_cnt(host) req.fhdr(user-agent) hdr_ip(x-forwarded-for) req.hdr_names
    capture.req.uri capture.req.method http_first_req nbsrv stopping req.body_size path,lower path,upper path,length
    path,field(2,/) path,field(-1,/) path,word(2,/) path,bytes(1,4) path,regsub(/,:,g) path,base64 path,base64,b64dec
    path,hex path,crc32 path,crc32c path,sdbm path,djb2 path,wt6 path,xxh32 path,xxh64 path,sha1,hex
    path,digest(sha256),hex path,url_dec path,url_enc path,json str(%41%42),url_dec path,ltrim(/) path,rtrim(l)
    str(a),concat(b) int(5),add(3) int(5),sub(7) int(7),mod(4) int(12),mul(3) int(12),div(5) int(6),and(3)
    int(6),or(3) int(6),xor(3) int(6),cpl int(0),bool int(3),even int(3),odd bool(true) bool(false),not int(-5),neg
    hdr(host),map(<file:map>,none) hdr(missing),map(<file:map>,none) hdr(host),map_beg(<file:map>,none) src,ipmask(8)
    bool(1),iif(a,b) bool(0),iif(a,b) int(86400),http_date str(10),utime(%Y) int(0),ltime(%Y) path,strcmp(txn.x)
    str(a=1&b=2),url_dec env(NOT_THERE) uuid,length date,bool rand(1) prio_class
"""
FETCHES = [fetched(number, expression) for number, expression in enumerate(_EXPRESSIONS.split())]

_CRITERIA = """
    path /path/to/file.html
    path -i /PATH/to/FILE.html
    path_beg /path
    path_end .html
    path_sub to/f
    path_dir to
    path_dom file.html
    path_reg ^/p.*ml$
    path_len 18
    path_len gt 5
    path_len 1:5 17:20
    url_beg /path
    hdr(host) a.example
    hdr(host) -i A.EXAMPLE
    hdr_beg(host) a.
    hdr_end(host) .example
    hdr_sub(host) .ex
    hdr_dom(host) example
    hdr_reg(host) ^a
    hdr_len(host) 9
    hdr_cnt(host) 1
    hdr_cnt(missing) eq 0
    hdr(missing) -m found
    hdr(host) -m found
    hdr(host) -f <file:list>
    hdr(host) -m beg -f <file:list>
    src 127.0.0.1
    src 127.0.0.0/8
    src 10.0.0.0/8 192.168.0.0/16
    src ::1
    src_port gt 1023
    dst_port gt 0
    method GET
    method POST
    url_param(q) 1
    url_param(q) -m int gt 0
    urlp(r) two
    query -m sub r=
    path -m sub to
    path -m str /other /path
    path,length gt 100
    path,lower -m beg /path
    hdr(user-agent) -m reg -i ^TEST$
    req.hdr(host) -m len ge 9
    always_true
    always_false
    ssl_fc
    req.ver 1.1
    req.ver ge 1.0
"""
MATCHES = [matched(number, line.strip()) for number, line in enumerate(_CRITERIA.strip().splitlines())]

CONDITIONS = [
    condition(number, words)
    for number, words in enumerate(
        [
            "TRUE",
            "FALSE",
            "HTTP_1.1",
            "HTTP_1.0",
            "METH_GET",
            "METH_POST",
            "LOCALHOST",
            "HTTP_URL_SLASH",
            "HTTP_URL_ABS",
            "HTTP_CONTENT",
            "{ path_beg /path } { method GET }",
            "{ path_beg /path } { method POST }",
            "{ path_beg /other } or { method GET }",
            "{ path_beg /other } || { method POST }",
            "!{ path_beg /other }",
            "! { path_beg /other } !METH_POST",
            "METH_POST or METH_GET !{ path / }",
            "{ hdr(host) -i a.example b.example }",
        ]
    )
]

FORMATS = [
    formatted(number, text)
    for number, text in enumerate(
        [
            "%ci %f %b %s",
            "%ST %tsc %ts",
            "%hr %hs",
            "%HM %HP %HQ %HU %HV",
            "%HPO",
            "%r",
            "%{+Q}r %{+Q}HU",
            "%{+E}r",
            "%{+X}ci",
            "%ft %bi %si",
            "%rc %sq %bq",
            "%ac/%fc/%bc/%sc",
            "%[src] %[dst]",
            "%CC %CS",
            "%{-Q}r",
            "%%",
            "%sslv %sslc",
            "%{+Q}o %r %ci",
            "%[int(5),add(3)] %[str(a b)]",
            "%{+Q}[str(a b)]",
        ]
    )
]

LOGS = [
    plain("log_of_200"),
    plain("log_of_304", response="HTTP/1.1 304 Not Modified|Content-Length: 0||"),
    plain("log_of_404", response="HTTP/1.1 404 Not Found|Content-Length: 0||"),
    plain("log_of_a_target_with_a_high_byte", request="GET /a\\xe9b HTTP/1.1|Host: a|Connection: close||"),
    plain("log_of_tcp", "mode tcp", "option tcplog", response="HTTP/1.0 200 OK||hello"),
    Case("log_of_clf", "option httplog clf", log='"log_of_clf"'),
    plain("log_with_tls_facts", "option httpslog"),
    plain("log_as_soon_as", "option logasap"),
    plain("log_of_an_error_with_dontlog_normal", "option dontlog-normal", "http-request deny"),
    plain("log_separate_errors", "option log-separate-errors", "http-request deny"),
    plain("log_level_by_rule", "http-request set-log-level notice"),
    plain(
        "log_of_captures",
        "capture request header Host len 20",
        "capture request header Missing len 5",
        "capture response header X-Server len 2",
    ),
]

CASES = ERROR_PAGES + REDIRECTS + REWRITES + FETCHES + MATCHES + CONDITIONS + FORMATS + LOGS
