"""Cases of test_differential.py about rules: every action at every moment that it has, evaluation order, what ends what."""

from __future__ import annotations

from dataclasses import replace

from tests.flows.differential_cases import NONE, POST, Case, exactly, plain

_HEAD = "HTTP/1.1 200 OK|Content-Length: 2|X-Server: yes|X-List: a, b|X-List: c|Set-Cookie: s=1; path=/|Cache-Control: private||ok"
_AUTH = "GET /x HTTP/1.1|Host: a|Authorization: Basic dXNlcjpwYXNz|Connection: close||"
_TARGET = "GET {} HTTP/1.1|Host: a.example|Connection: close||"


def _requests(name: str, *lines: str, target: str = "/x/y?q=1") -> Case:
    return plain(name, *lines, request=_TARGET.format(target))


NORMALIZERS = [
    plain(
        f"normalize_{number}",
        "option accept-invalid-http-request",
        f"http-request normalize-uri {normalizer}",
        request=_TARGET.format(target),
    )
    for number, (normalizer, target) in enumerate(
        (normalizer, target)
        for normalizer in (
            "path-merge-slashes",
            "path-strip-dot",
            "path-strip-dotdot",
            "path-strip-dotdot full",
            "percent-to-uppercase",
            "percent-to-uppercase strict",
            "percent-decode-unreserved",
            "percent-decode-unreserved strict",
            "query-sort-by-name",
            "fragment-strip",
            "fragment-encode",
        )
        for target in ("/a//b/./c/../d?z=1&a=2&a=1&b", "/../x/../../y/.", "/%7e%41%2f%zz?%7e", "//x/..//./", "/.?.")
    )
]

REQUEST_RULES = [
    _requests("allow_ends_the_section", "http-request set-header X-A 1", "http-request allow", "http-request set-header X-A 2"),
    _requests("allow_with_condition", "http-request allow if { path /no }", "http-request set-header X-A 2"),
    exactly("deny_after_edit", "http-request set-header X-A 1", "http-request deny if TRUE", "http-request set-header X-B 1"),
    exactly("deny_with_a_text", 'http-request deny status 429 content-type text/plain lf-string "%[src] no" hdr Retry-After 5'),
    exactly("return_file", "http-request return status 200 content-type text/x file <file:list>"),
    exactly("return_lf_file", "http-request return status 201 content-type text/x lf-file <file:list>"),
    exactly("return_errorfile", "http-request return status 503 errorfile <file:page>"),
    exactly("return_with_fields", 'http-request return status 200 hdr X-One "%[path]" hdr X-Two two hdr X-One again'),
    exactly(
        "return_to_head",
        "http-request return status 200 content-type text/plain string hi",
        request="HEAD / HTTP/1.1|Host: a|Connection: close||",
    ),
    exactly("return_404_default", "http-request return status 404 default-errorfiles"),
    exactly("return_of_a_post", "http-request return status 200 content-type text/plain string hi", request=POST),
    exactly("return_lf_string_json", """http-request return status 200 content-type application/json lf-string '{"p":"%[path,json]"}'"""),
    exactly("reject", "http-request reject"),
    exactly("reject_if", "http-request reject if { path /no }"),
    exactly("tarpit_with_text", "timeout tarpit 100ms", "http-request tarpit status 503 content-type text/plain string slow"),
    exactly("auth_without", "http-request auth unless { http_auth_group(people) staff }"),
    Case("auth_right", "http-request auth realm x unless { http_auth(people) }", request=_AUTH),
    exactly("redirect_keeps_query", "http-request redirect prefix /new"),
    exactly("redirect_location_format", "http-request redirect location %[path,lower]?%[query] code 307"),
    exactly("redirect_ignore_empty", "http-request redirect location %[req.hdr(x-none)] ignore-empty"),
    exactly("redirect_prefix_format", "http-request redirect prefix https://%[hdr(host)]:8443 code 308"),
    exactly("redirect_scheme_format", "http-request redirect scheme %[str(https)] code 302"),
    exactly("redirect_rule_condition", "redirect prefix https://b if { hdr(host) a.example }"),
    exactly("redirect_after_http_request", "redirect location /second", "http-request redirect location /first"),
    exactly("redirect_clear_cookie_path", "http-request redirect location / clear-cookie A=x"),
    exactly("redirect_crlf", "http-request redirect location /%[str(a%0d%0aX:1),url_dec]"),
    _requests("set_method_format", "http-request set-method %[str(PATCH)]"),
    _requests("set_path_format", "http-request set-path /v2%[path]"),
    _requests("set_path_with_query_kept", "http-request set-path /n", target="/x?y=1"),
    _requests("set_pathq", "http-request set-pathq /n?z=2", target="/x?y=1"),
    _requests("set_query_off", "http-request set-query %[str()]", target="/x?y=1"),
    _requests("set_query_format", "http-request set-query %[query]&b=2", target="/x?y=1"),
    _requests("set_uri_absolute", "http-request set-uri http://b.example/z?1"),
    _requests("replace_path_part", "http-request replace-path (.*)/y(.*) \\1/z\\2"),
    _requests("replace_path_keeps_query", "http-request replace-path ^/x /w", target="/x/y?q=/x"),
    _requests("replace_pathq", "http-request replace-pathq ([^?]*)(\\?(.*))? \\1/foo\\2"),
    _requests("replace_uri_absolute", "http-request replace-uri ^http://[^/]*(.*) \\1", target="http://b/x?y"),
    _requests("replace_uri_all", "http-request replace-uri .* /fixed"),
    _requests("replace_path_no_match", "http-request replace-path ^/none /w"),
    _requests("set_host", "http-request set-header Host b.example"),
    _requests(
        "del_header_reg",
        "http-request add-header X-Ab 1",
        "http-request add-header X-Cd 2",
        "http-request del-header ^x-[ab] -m reg",
    ),
    _requests("del_header_sub", "http-request add-header X-Ab 1", "http-request del-header -a -m sub"),
    _requests("del_header_end", "http-request add-header X-Ab 1", "http-request del-header Ab -m end"),
    _requests("del_header_str", "http-request add-header X-Ab 1", "http-request del-header x-ab -m str"),
    _requests("variables_of_scopes", "http-request set-var(sess.a) path", "http-response set-header X-A %[var(sess.a)]"),
    _requests("req_scope_ends", "http-request set-var(req.a) path", "http-response set-header X-A <%[var(req.a)]>"),
    _requests("res_scope", "http-response set-var(res.a) status", "http-response set-header X-A <%[var(res.a)]>"),
    plain("body_waited_for", "http-request wait-for-body time 1s", "http-request set-header X-Len %[req.body_len]", request=POST),
    plain("body_param", "option http-buffer-request", "http-request set-header X-B %[req.body]", request=POST),
    plain("buffer_at_least", "http-request wait-for-body time 1s at-least 1", "http-request set-header X-B %[req.body]", request=POST),
    _requests("capture_twice", "http-request capture path len 3", "http-request capture url len 20"),
    _requests(
        "declared_capture",
        "declare capture request len 4",
        "http-request capture path id 0",
        "declare capture response len 3",
        "http-response capture res.hdr(x-server) id 0",
    ),
    _requests("log_level_silent_not", "http-request set-log-level err"),
    _requests("wait_for_handshake", "http-request wait-for-handshake", "http-request set-header X-A 1"),
    _requests("strict_mode_failed_rewrite", "http-request strict-mode off", "http-request set-header X-A 1"),
    _requests(
        "http_request_order",
        "http-request set-header X-A 1 if { req.hdr(x-a) -m found }",
        "http-request set-header X-A 2",
        "http-request set-header X-B 1 if { req.hdr(x-a) 2 }",
    ),
    _requests("monitor_fail_not_asked", "monitor-uri /alive", "monitor fail if TRUE"),
    exactly("block_by_acl_file", "http-request deny if { hdr(host) -i -f <file:list> }"),
    _requests("retry_disabled", "http-request disable-l7-retry"),
    _requests("cookie_rewrite", "http-request replace-header Cookie foo=([^;]*);(.*) foo=\\1;ip=x;\\2"),
]


def _response(name: str, *lines: str, response: str = _HEAD) -> Case:
    return plain(name, *lines, response=response)


RESPONSE_RULES = [
    _response("response_allow", "http-response set-header X-A 1", "http-response allow", "http-response set-header X-A 2"),
    _response("response_add", "http-response add-header X-List d"),
    _response("response_set_list", "http-response set-header X-List d"),
    _response("response_del_list", "http-response del-header X-List"),
    _response("response_del_beg", "http-response del-header x- -m beg"),
    _response("response_replace_header", "http-response replace-header X-List (.*)b(.*) \\1B\\2"),
    _response("response_replace_value", "http-response replace-value X-List ^b$ B"),
    _response("response_replace_cookie", "http-response replace-header Set-Cookie (.*) \\1;\\ Secure"),
    _response("response_status", 'http-response set-status 503 reason "Slow Down"'),
    _response("response_status_unknown", "http-response set-status 799"),
    _response("response_status_known", "http-response set-status 404"),
    _response("response_deny_status", "http-response deny status 503"),
    _response("response_deny_text", "http-response deny status 429 content-type text/plain string no if { res.hdr(x-server) yes }"),
    _response("response_return", 'http-response return status 200 content-type text/plain lf-string "%[status] %[res.hdr(x-server)]"'),
    _response("response_redirect", "http-response redirect location /login if { status 200 }"),
    _response("response_variables", "http-response set-var(txn.s) status", "http-response set-header X-S %[var(txn.s),add(1)]"),
    _response("response_capture", "declare capture response len 9", "http-response capture res.hdr(x-list) id 0"),
    _response(
        "response_if_unless",
        "http-response set-header X-A 1 if { status 200 } { res.hdr_cnt(x-list) 3 }",
        "http-response set-header X-B 1 unless { status ge 200 }",
    ),
    _response("response_body", "http-response wait-for-body time 1s", "http-response set-header X-Len %[res.body_len]"),
    _response("response_body_text", "http-response wait-for-body time 1s", "http-response set-header X-Body %[res.body]"),
    _response("response_cookies", "http-response set-header X-C %[res.cook(s)]-%[res.cook_cnt(s)]-%[res.cook_val(s)]-%[scook(s)]"),
    _response(
        "response_fetches",
        'http-response set-header X-F "%[status] %[res.ver] %[res.fhdr(x-list,1)] %[res.fhdr_cnt(x-list)] %[res.hdr_names]"',
    ),
    _response(
        "response_request_facts", 'http-response set-header X-F "%[capture.req.method] %[capture.req.uri] %[capture.req.ver] %[method]"'
    ),
    _response("response_names", 'http-response set-header X-F "%[be_name] %[srv_name] %[fe_name] %[srv_id] %[be_id]"'),
    _response("response_log_level", "http-response set-log-level crit"),
    _response("response_nice_mark", "http-response set-nice 3", "http-response set-mark 5", "http-response set-tos 0x10"),
    _response("after_response", "http-after-response set-header X-After 1"),
    _response("after_response_order", "http-response set-header X-A 1", "http-after-response replace-value X-A 1 2"),
    _response("after_response_of_denied", "http-request deny", "http-after-response set-header X-After %[status]"),
    _response("after_response_of_redirect", "http-request redirect location /x", "http-after-response set-header X-After %[status]"),
    _response("after_response_status", "http-after-response set-status 299 reason Odd"),
    _response("after_response_allow", "http-after-response allow", "http-after-response set-header X-After 1"),
    _response("after_response_del", "http-after-response del-header X-Server", "http-after-response add-header X-List e"),
    _response("after_response_variable", "http-request set-var(txn.a) path", "http-after-response set-header X-A %[var(txn.a)]"),
    _response("after_response_strict", "http-after-response strict-mode on", "http-after-response set-header X-A 1"),
    _response("response_strict", "http-response strict-mode on", "http-response set-header X-A 1"),
    _response("response_split_value", "http-response set-header X-A %[str(a%0d%0ab:1),url_dec]"),
    _response("response_no_body_status", "http-response set-header X-A 1", response="HTTP/1.1 204 No Content|X-B: 1||"),
    _response("response_304", "http-response set-header X-A 1", response="HTTP/1.1 304 Not Modified|ETag: x||"),
    _response("tcp_response_accept", "tcp-response content accept if { res.ver 1.1 }", "tcp-response content reject"),
    _response("tcp_response_set_var", "tcp-response content set-var(txn.s) status", "http-response set-header X-S %[var(txn.s)]"),
    _response("tcp_response_close", "tcp-response content close if { status 500 }"),
]

CONNECTION_RULES = [
    exactly("tcp_connection_accept", "tcp-request connection accept if { src 127.0.0.1 }", "tcp-request connection reject"),
    Case("tcp_connection_reject", "tcp-request connection reject if { src 127.0.0.0/8 }", log=NONE),
    Case("tcp_session_reject", "tcp-request session reject if { src 127.0.0.0/8 }", log=NONE),
    plain("tcp_session_accept", "tcp-request session accept", "tcp-request session reject"),
    plain(
        "tcp_connection_vars",
        "tcp-request connection set-var(sess.a) src",
        "tcp-request session set-var(sess.b) var(sess.a),ipmask(8)",
        "http-request set-header X-A %[var(sess.a)]-%[var(sess.b)]",
    ),
    plain(
        "tcp_connection_set_src",
        "tcp-request connection set-src str(10.9.8.7)",
        "tcp-request connection set-src-port int(77)",
        "http-request set-header X-A %[src]:%[src_port]",
        "http-request set-src str(127.0.0.1)",
    ),
    plain(
        "tcp_session_set_src",
        "tcp-request session set-src str(10.9.8.7)",
        "http-request set-header X-A %[src]-%[fc_src]",
        "http-request set-src str(127.0.0.1)",
    ),
    plain(
        "tcp_connection_set_dst",
        "tcp-request connection set-dst str(10.9.8.6)",
        "tcp-request connection set-dst-port int(78)",
        "http-request set-header X-A %[dst]:%[dst_port]",
    ),
    plain("tcp_session_var_fmt", 'tcp-request session set-var-fmt(sess.a) "%[src]/%[dst]"', "http-request set-header X-A %[var(sess.a)]"),
    plain(
        "tcp_unset",
        "tcp-request session set-var(sess.a) src",
        "tcp-request session unset-var(sess.a)",
        "http-request set-header X-A <%[var(sess.a)]>",
    ),
    plain("tcp_content_accept", "tcp-request inspect-delay 1s", "tcp-request content accept if HTTP", "tcp-request content reject"),
    exactly("tcp_content_reject", "tcp-request inspect-delay 1s", "tcp-request content reject if { path_beg /path }"),
    plain("tcp_content_set_var", "tcp-request content set-var(txn.a) path", "http-request set-header X-A %[var(txn.a)]"),
    plain(
        "tcp_content_set_src",
        "tcp-request content set-src str(10.9.8.7)",
        "http-request set-header X-A %[src]",
        "http-request set-src str(127.0.0.1)",
    ),
    plain("tcp_content_capture", "tcp-request content capture req.hdr(host) len 8"),
    plain("tcp_content_priority", "tcp-request content set-priority-class int(3)", "http-request set-header X-A %[prio_class]"),
    plain(
        "tcp_content_mark_tos",
        "tcp-request content set-mark 1",
        "tcp-request content set-tos 2",
        "tcp-request content set-nice 5",
        "tcp-request content set-log-level notice",
    ),
    plain("tcp_content_wait_end", "tcp-request inspect-delay 100ms", "tcp-request content accept if WAIT_END"),
    plain(
        "tcp_mode_switch",
        "mode tcp",
        "option tcplog",
        "tcp-request inspect-delay 1s",
        "tcp-request content accept if { req.len gt 5 }",
        response="HTTP/1.0 200 OK||hello",
    ),
    plain(
        "tcp_mode_reject",
        "mode tcp",
        "option tcplog",
        "tcp-request inspect-delay 1s",
        "tcp-request content reject if { req.payload(0,3) -m str GET }",
    ),
    plain(
        "tcp_mode_payload_no",
        "mode tcp",
        "option tcplog",
        "tcp-request inspect-delay 1s",
        "tcp-request content reject if { req.payload(0,4) -m str POST }",
        response="HTTP/1.0 200 OK||hello",
    ),
    plain(
        "tcp_mode_proto_http",
        "mode tcp",
        "option tcplog",
        "tcp-request inspect-delay 1s",
        "tcp-request content reject if !HTTP",
        response="HTTP/1.0 200 OK||hello",
    ),
    plain(
        "tcp_mode_response_reject",
        "mode tcp",
        "option tcplog",
        "tcp-response inspect-delay 1s",
        "tcp-response content reject if { res.payload(0,4) -m str HTTP }",
    ),
    plain(
        "tcp_mode_response_close",
        "mode tcp",
        "option tcplog",
        "tcp-response inspect-delay 1s",
        "tcp-response content close if { res.payload(0,4) -m str XXXX }",
        response="HTTP/1.0 200 OK||hello",
    ),
    plain(
        "tcp_mode_response_accept",
        "mode tcp",
        "option tcplog",
        "tcp-response inspect-delay 1s",
        "tcp-response content accept if { res.len gt 3 }",
        "tcp-response content reject",
        response="HTTP/1.0 200 OK||hello",
    ),
    plain(
        "tcp_mode_req_len_wait",
        "mode tcp",
        "option tcplog",
        "tcp-request inspect-delay 200ms",
        "tcp-request content reject if { req.len gt 10000 }",
        response="HTTP/1.0 200 OK||hello",
    ),
]

SWITCHING = [
    Case("use_backend_by_map", "use_backend %[path,map_beg(<file:backends>,nobody)]\n    use_backend other if TRUE"),
    Case("use_backend_lower", "use_backend %[hdr(host),lower]"),
    Case("use_server", "use-server two if { path_beg /path }", servers="server one <refused:server>\n    server two <server:server>"),
    Case(
        "use_server_unless", "use-server two unless { path_beg /no }", servers="server one <refused:server>\n    server two <server:server>"
    ),
    Case("force_persist_alone", "force-persist if { path /x }"),
    Case(
        "ignore_persist_alone", "cookie S insert\n    ignore-persist if { path_beg /path }", servers="server s <server:server> cookie one"
    ),
]

_UNLIKE = {
    "response_return": "HAProxy 2.6 makes the text of http-response return as if there were no response",
    "tcp_response_accept": "HAProxy 2.6 runs tcp-response content rules before it has parsed the head",
    "tcp_response_set_var": "HAProxy 2.6 runs tcp-response content rules before it has parsed the head",
    "tcp_content_reject": "HAProxy logs <BADREQ> for a request that tcp-request content rejects",
}


def _marked(case: Case) -> Case:
    return replace(case, unlike_haproxy=_UNLIKE.get(case.name, ""))


RULE_CASES = [*map(_marked, NORMALIZERS + REQUEST_RULES + RESPONSE_RULES + CONNECTION_RULES + SWITCHING)]
