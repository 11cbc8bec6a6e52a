"""Sections: defaults and what they hand on, names, ids, order of files."""

from __future__ import annotations

import pytest

from common.config.build import load
from common.config.diagnostics import Severity
from common.config.options import LoadOptions
from common.model import Config, LogStep, StoredCertificate, User
from tests.common.config.test_build import alerts, good, loaded


def warnings(text: str) -> list[str]:
    return [found.message for found in loaded(text).diagnostics if found.severity is Severity.WARNING]


def test_section_starts_from_the_last_defaults() -> None:
    config = good("defaults\n mode http\n retries 5\ndefaults\n mode tcp\nlisten a\n bind :1\n")
    assert (config.proxies[0].mode, config.proxies[0].retries) == ("tcp", 3)


def test_from_names_another_defaults_section() -> None:
    config = good("defaults one\n mode http\ndefaults two\n mode tcp\nlisten a from one\n bind :1\nlisten b\n bind :2\n")
    assert [(proxy.mode, proxy.defaults) for proxy in config.proxies] == [("http", "one"), ("tcp", "two")]


def test_defaults_can_start_from_defaults() -> None:
    config = good("defaults a\n retries 5\n timeout client 3s\ndefaults b from a\n retries 6\nlisten x from b\n bind :1\n")
    assert (config.proxies[0].retries, config.proxies[0].timeouts.client) == (6, 3.0)


def test_sections_do_not_share_what_they_inherit() -> None:
    config = good(
        "defaults\n log 127.0.0.1 local0\n default-server check weight 5\n option httplog\n timeout client 3s\n"
        "listen a\n bind :1\n log 127.0.0.2 local0\n timeout client 9s\n server x 192.0.2.1:1\n default-server weight 7\n"
        " server y 192.0.2.1:1 no-check\n"
        "listen b\n bind :2\n server z 192.0.2.1:1\n"
    )
    first, second = config.proxies
    assert ([len(first.logs), len(second.logs)], first.timeouts.client, second.timeouts.client) == ([2, 1], 9.0, 3.0)
    assert [(server.weight, server.check) for server in (*first.servers, *second.servers)] == [(5, True), (7, False), (5, True)]


def test_no_log_drops_inherited_targets() -> None:
    config = good("global\n log 127.0.0.1 local0\ndefaults\n log global\nlisten a\n bind :1\n no log\n log 127.0.0.9 local1\n")
    assert [str(target.address) for target in config.proxies[0].logs] == ["127.0.0.9:514"]


def test_log_global_stands_for_the_targets_of_global_wherever_they_are() -> None:
    config = good("defaults\n log global\nlisten a\n bind :1\n log global\nglobal\n log 127.0.0.1 local0\n log 127.0.0.2 local0\n")
    assert [str(target.address) for target in config.proxies[0].logs] == ["127.0.0.1:514", "127.0.0.2:514"]


def test_options_are_switched_off_by_no_and_default() -> None:
    config = good(
        "defaults\n option dontlognull\n option splice-auto\n option redispatch 3\nlisten a\n bind :1\n no option dontlognull\n"
        " default option redispatch\n"
    )
    assert config.proxies[0].options == {"splice-auto"}
    assert "redispatch" not in config.proxies[0].option_args


def test_last_connection_mode_log_kind_and_check_kind_hold() -> None:
    config = good(
        "defaults\n mode http\n log 127.0.0.1 local0\nlisten a\n bind :1\n option httpclose\n option http-server-close\n"
        " option tcplog\n option httplog clf\n"
        " option tcp-check\n option httpchk GET /x\n"
    )
    assert config.proxies[0].options == {"http-server-close"}
    assert config.proxies[0].option_args == {"httplog": ("clf",), "httpchk": ("GET", "/x")}


def test_check_steps_of_a_section_replace_inherited_ones() -> None:
    config = good(
        "defaults\n option httpchk\n http-check expect status 200\nbackend a\n http-check send meth GET uri /\n"
        " http-check expect status 204\nbackend b\n"
    )
    assert config.proxies[0].extra["http-check"] == (("send", "meth", "GET", "uri", "/"), ("expect", "status", "204"))
    assert config.proxies[1].extra["http-check"] == (("expect", "status", "200"),)


def test_rules_of_named_defaults_come_first_with_acls_of_their_own() -> None:
    config = good(
        "defaults d\n mode http\n acl here src 10.0.0.1\n http-request deny if here\n http-request set-header A %[acl(here)]\n"
        "frontend f from d\n bind :1\n acl here src 10.0.0.2\n http-request allow if !here { path /x }\n"
    )
    proxy = config.proxies[0]
    assert [(acl.name, acl.words) for acl in proxy.acls] == [("d/here", ("src", "10.0.0.1")), ("here", ("src", "10.0.0.2"))]
    assert [rule.words for rule in proxy.rules] == [("deny",), ("set-header", "A", "%[acl(d/here)]"), ("allow",)]
    assert [rule.condition.words if rule.condition else () for rule in proxy.rules] == [("d/here",), (), ("!here", "{", "path", "/x", "}")]


def test_frontend_and_backend_may_share_a_name() -> None:
    assert good("frontend a\n bind :1\nbackend a\n").proxies[1].name == "a"
    assert alerts("listen a\n bind :1\nbackend a\n") == [(3, 9, "proxy 'a' has the same name as proxy 'a' declared at t.cfg:1.")]


def test_ids_count_in_file_order_around_given_ones() -> None:
    config = good("listen a\n bind :1\nlisten b\n id 1\n bind :2\n server x 192.0.2.1:1 id 1\n server y 192.0.2.1:1\nlisten c\n bind :3\n")
    assert [proxy.id for proxy in config.proxies] == [2, 1, 3]
    assert [server.id for server in config.proxies[1].servers] == [1, 2]


def test_a_stats_socket_takes_the_first_id() -> None:
    config = good("global\n stats socket /tmp/x\nlisten a\n bind :1\n")
    assert config.proxies[0].id == 2


def test_bind_ids_run_over_all_sections() -> None:
    config = good("listen a\n bind :1,:2\n bind :3-4\nlisten b\n bind :5\n")
    assert [[bind.id for bind in proxy.binds] for proxy in config.proxies] == [[0, 1, 2, 3], [4]]


def test_global_may_repeat_and_first_maxconn_holds() -> None:
    result = loaded("global\n maxconn 10\nlisten a\n bind :1\n timeout client 1s\nglobal\n maxconn 20\n nbproc 2\n")
    assert result.config is not None
    assert (result.config.globals.maxconn, result.config.globals.nbproc) == (10, 2)
    assert [found.message for found in result.diagnostics] == ["'maxconn' already specified. Continuing."]


def test_section_ends_with_its_file() -> None:
    result = load([("a", b"global\n"), ("b", b"maxconn 3\n")], {}, options=LoadOptions())
    assert [found.message for found in result.diagnostics] == ["unknown keyword 'maxconn' out of section."]


def test_workers_of_the_command_line_override_the_file() -> None:
    assert load([("a", b"global\n workers 2\n")], {}, options=LoadOptions(workers=7)).config == Config(
        files=("a",), globals=good("global\n workers 7\n").globals
    )


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        ("1", {1}),
        ("2-3", {2, 3}),
        ("odd", {1, 3}),
        ("even", {2, 4}),
        ("all", {1, 2, 3, 4}),
        ("3-", {3, 4}),
        ("1 process 4", {1, 4}),
        ("2/1-4", {2}),
    ],
)
def test_process_sets(line: str, numbers: set[int]) -> None:
    assert good(f"global\n nbproc 4\nlisten a\n bind :1 process {line}\n").proxies[0].binds[0].processes == numbers


def test_server_template_makes_servers() -> None:
    servers = good("backend a\n server-template s 2-4 192.0.2.1:80 check weight 3\n").proxies[0].servers
    assert [(server.name, server.weight, server.options["template"]) for server in servers] == [
        ("s2", 3, ("s", "2")),
        ("s3", 3, ("s", "3")),
        ("s4", 3, ("s", "4")),
    ]


def test_tls_defaults_of_global_fill_what_lines_leave_open() -> None:
    config = good(
        "global\n ssl-default-bind-ciphers A\n ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets\n"
        " ssl-default-server-options no-tlsv13\n"
        " ssl-server-verify none\nlisten a\n bind :1 ssl crt x\n bind :2 ssl crt x ciphers B ssl-min-ver TLSv1.2\n"
        " server s 192.0.2.1:1 ssl\n"
    )
    one, two = (bind.tls for bind in config.proxies[0].binds)
    server = config.proxies[0].servers[0].tls
    assert one is not None
    assert two is not None
    assert server is not None
    assert (one.ciphers, one.min_version, one.tickets) == ("A", "TLSv1.3", False)
    assert (two.ciphers, two.min_version, two.tickets) == ("B", "TLSv1.2", False)
    assert (server.verify, server.max_version) == ("none", "TLSv1.2")


def test_tls_of_checks_follows_the_traffic_unless_they_go_elsewhere() -> None:
    config = good(
        "backend a\n default-server ssl verify none check\n server a 192.0.2.1:1\n server b 192.0.2.1:1 port 2\n"
        " server c 192.0.2.1:1 port 2 check-ssl\n"
        " server d 192.0.2.1:1 no-ssl\n server e 192.0.2.1:1 no-check\n"
    )
    assert [(server.tls is not None, server.tls_check is not None) for server in config.proxies[0].servers] == [
        (True, True),
        (True, False),
        (True, True),
        (False, False),
        (True, False),
    ]


def test_relative_certificates_start_at_the_bases() -> None:
    config = good(
        "global\n crt-base /c\n ca-base /a/\nlisten a\n bind :1 ssl crt x crt /y ca-file z verify required\n"
        " bind :2 ssl crt x ca-file @system-ca\n"
    )
    one, two = (bind.tls for bind in config.proxies[0].binds)
    assert one is not None
    assert two is not None
    assert (one.certificates, one.ca_file, two.ca_file) == (["/c/x", "/y"], "/a/z", "@system-ca")


def test_unix_bind_presets_sockets() -> None:
    bind = good("global\n unix-bind prefix /run/u mode 660 user root\nlisten a\n bind /x mode 600\n").proxies[0].binds[0]
    assert (bind.address.path, bind.mode, bind.user) == ("/run/u/x", 0o600, "root")


def test_last_error_page_of_a_status_holds() -> None:
    config = good(
        "http-errors site\n errorfile 503 /s/503\n errorfile 400 /dev/null\ndefaults\n errorfile 503 /d/503\n errorfile 500 /d/500\n"
        "listen a\n bind :1\n"
        " errorfiles site\n errorloc303 500 /x\nlisten b\n bind :2\n http-error status 503 content-type text/plain string x\n"
        " errorfiles site 400\n"
    )
    first, second = config.proxies
    assert (first.error_files, first.error_locations) == ({503: "/s/503", 400: ""}, {500: (303, "/x")})
    assert (second.error_files, second.http_errors) == ({500: "/d/500", 400: ""}, {503: ("content-type", "text/plain", "string", "x")})


def test_side_sections() -> None:
    config = good(
        "userlist u\n group g users a\n user a password $6$x$y\n user b insecure-password z groups g\n"
        "resolvers r\n nameserver n 10.0.0.1\n nameserver t tcp@10.0.0.2:54\n hold nx 5s\n timeout retry 2s\n"
        "peers p\n table t type ip size 1k\n"
        "crt-store web\n crt-base /c\n key-base /k\n load crt a.pem alias one key a.key\n"
        'log-profile l\n log-tag t\n on error format "%ci"\n on any drop\n'
    )
    assert config.userlists == {"u": [User("a", "$6$x$y", True, ("g",)), User("b", "z", False, ("g",))]}
    resolvers = config.resolvers["r"]
    assert [(str(one.address), one.stream) for one in resolvers.nameservers] == [("10.0.0.1:53", False), ("10.0.0.2:54", True)]
    assert (resolvers.hold["nx"], resolvers.timeout_retry) == (5.0, 2.0)
    assert config.peers["p"].tables == {"t": ("type", "ip", "size", "1k")}
    assert config.crt_stores["web"] == [StoredCertificate("/c/a.pem", "one", "/k/a.key")]
    assert config.log_profiles["l"].steps == {"error": LogStep(format="%ci"), "any": LogStep(drop=True)}


def test_defaults_used_both_ways_is_told_and_no_warning() -> None:
    text = "defaults d\n mode http\n timeout client 1s\nfrontend a from d\n bind :1\nfrontend b\n bind :2\n"
    found = load([("t.cfg", text.encode())], {}, options=LoadOptions()).diagnostics
    assert [(one.severity, one.slug) for one in found] == [(Severity.NOTICE, "mixed-defaults")]


def test_default_path_says_where_relative_names_start() -> None:
    paths: list[str] = []

    def read(path: str) -> bytes:
        paths.append(path)
        return b"10.0.0.1\n"

    def directory(policy: str, file: str = "/etc/usher/a.cfg") -> str:
        text = f"global\n default-path {policy}\nlisten a\n mode http\n bind :1\n http-request deny if {{ src -f bad.lst }}\n"
        config = load([(file, text.encode())], {}, options=LoadOptions(read_file=read)).config
        assert config is not None
        return config.directory

    assert [directory("current"), directory("config"), directory("parent"), directory("origin /srv")] == [
        "",
        "/etc/usher/",
        "/etc/usher/..",
        "/srv",
    ]
    assert directory("config", "a.cfg") == "."
    assert paths == ["bad.lst", "/etc/usher/bad.lst", "/etc/usher/../bad.lst", "/srv/bad.lst", "./bad.lst"]


def test_default_path_cannot_mean_two_directories() -> None:
    result = load([("/a/x", b"global\n default-path config\n"), ("/b/y", b"global\n daemon\n")], {}, options=LoadOptions())
    assert [found.message for found in result.diagnostics] == [
        "'default-path' means another directory for this file than for those before."
    ]


def test_zero_means_no_limit() -> None:
    proxy = good("defaults\n timeout client 3s\n maxconn 5\nlisten a\n bind :1\n timeout client 0\n maxconn 0\n").proxies[0]
    assert (proxy.timeouts.client, proxy.maxconn) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        "http-request track-sc0 src",
        "http-request deny if { src_conn_cnt gt 1 }",
        "http-request deny if { srv_is_up(s) }",
        "http-request deny if { path_begg /x }",
    ],
)
def test_defaults_cannot_need_a_table_or_server_of_the_section(line: str) -> None:
    text = f"defaults d\n mode http\n {line}\nfrontend f from d\n bind :1\n stick-table type ip size 1k store conn_cnt\n"
    assert [place[0] for place in alerts(text)] == [3]


def test_faulty_acl_of_defaults_is_told_once() -> None:
    text = (
        "defaults d\n mode http\n acl a path_begg /x\n http-request deny if a\nfrontend f from d\n bind :1\nfrontend g from d\n bind :2\n"
    )
    assert [place[0] for place in alerts(text)] == [3]
