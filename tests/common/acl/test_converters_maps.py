from __future__ import annotations

import pytest

from common.acl.converters_maps import capture_length
from common.acl.environment import CompileEnvironment
from common.acl.expressions import compile_expression
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from tests.common.acl.fakes import FakeEntry, FakeExchange, FakeTable, environment, facts, proxy, reader, request, server, set_variables

MAPS = {
    "str.map": "# comment\nfoo bar\nfoo second\nspaced   two words  \nBare\n\n  indented yes\n",
    "beg.map": "/a one\n/a/b two\n/a/ three\n",
    "end.map": ".png image\n.gz packed\n.tar.gz tarball\n",
    "sub.map": "admin yes\nmin no\n",
    "dir.map": "img pictures\na/b nested\n",
    "dom.map": "example shop\n",
    "reg.map": "^/user/([0-9]+)$ /u?id=\\1\n^/([a-z]+)/(.*)$ \\2-\\1\n",
    "int.map": "7 seven\n10:20 teens\n",
    "ip.map": "10.0.0.0/8 lan\n10.1.0.0/16 site\n2001:db8::/32 doc\n",
    "num.map": "a 42\nb -1\n",
    "addr.map": "a 192.0.2.7\nb 2001:db8::1\n",
}


def of(**files: str) -> CompileEnvironment:
    return environment(read_file=reader(**{**MAPS, **files}))


def sample(text: str, value: bytes | Typed) -> object:
    return compile_expression(f"var(txn.k),{text}", of()).text_getter(set_variables(facts(), k=value))


@pytest.mark.parametrize(
    "converter, key, result",
    [
        ("map(str.map)", b"foo", b"bar"),  # the first of equal keys
        ("map_str(str.map)", b"spaced", b"two words"),
        ("map(str.map)", b"indented", b"yes"),
        ("map(str.map)", b"Bare", b""),
        ("map(str.map)", b"bare", None),
        ("map(str.map)", b"#", None),
        ("map(str.map,other)", b"nothing", b"other"),
        ("map(str.map,)", b"nothing", None),
        ("map_beg(beg.map)", b"/a/b/c", b"two"),  # the longest prefix
        ("map_beg(beg.map)", b"/ax", b"one"),
        ("map_beg(beg.map,no)", b"/", b"no"),
        ("map_end(end.map)", b"x.tar.gz", b"packed"),  # the first that matches
        ("map_end(end.map)", b"x.zip", None),
        ("map_sub(sub.map)", b"/administrator", b"yes"),
        ("map_sub(sub.map)", b"/ministry", b"no"),
        ("map_dir(dir.map)", b"/x/img/1", b"pictures"),
        ("map_dir(dir.map)", b"/x/a/b/c", b"nested"),
        ("map_dir(dir.map)", b"/x/imgs/1", None),
        ("map_dom(dom.map)", b"www.example.com", b"shop"),
        ("map_dom(dom.map)", b"www.examples.com", None),
        ("map_reg(reg.map)", b"/user/12", b"/u?id=\\1"),
        ("map_regm(reg.map)", b"/user/12", b"/u?id=12"),
        ("map_regm(reg.map)", b"/ab/cd", b"cd-ab"),
        ("map_regm(reg.map,none)", b"/", b"none"),
        ("map_int(int.map)", b"7", b"seven"),
        ("map_int(int.map)", b"15", b"teens"),
        ("map_int(int.map)", b"8", None),
        ("map_int(int.map,few)", b"x", b"few"),
        ("map_ip(ip.map)", b"10.2.3.4", b"lan"),
        ("map_ip(ip.map)", b"10.1.3.4", b"site"),
        ("map_ip(ip.map)", b"2001:db8::5", b"doc"),
        ("map_ip(ip.map,wan)", b"8.8.8.8", b"wan"),
        ("map_str_int(num.map),add(1)", b"a", b"43"),
        ("map_str_int(num.map)", b"b", b"-1"),
        ("map_str_int(num.map,7),add(1)", b"c", b"8"),
        ("map_str_ip(addr.map),ipmask(24)", b"a", b"192.0.2.0"),
        ("map_str_ip(addr.map)", b"b", b"2001:db8::1"),
        ("map_str_ip(addr.map,127.0.0.1)", b"c", b"127.0.0.1"),
        ("map_beg_str(beg.map)", b"/a/b/c", b"two"),
        ("map_beg_key(beg.map)", b"/a/b/c", b"/a/b"),
        ("map_reg_key(reg.map)", b"/user/1", b"^/user/([0-9]+)$"),
        ("map_ip_key(ip.map)", b"10.1.0.9", b"10.1.0.0/16"),
        ("map_str_key(str.map)", b"none", None),
    ],
)
def test_maps(converter: str, key: bytes, result: bytes | None) -> None:
    assert sample(converter, key) == result


@pytest.mark.parametrize(
    "expression, complaint",
    [
        ("path,map(none.map)", "none.map"),
        ("path,map", "missing <file>"),
        ("path,map_str_int(str.map)", "bar"),
        ("path,map_str_ip(str.map)", "IP address"),
        ("path,map_str_int(num.map,x)", "x"),
        ("path,map_reg(bad.map)", 'file "bad.map": regex'),
        ("src,map_str(str.map,a,b)", "at most 2"),
    ],
)
def test_what_a_map_cannot_be_is_refused(expression: str, complaint: str) -> None:
    with pytest.raises(ExpressionError, match=complaint):
        compile_expression(expression, of(**{"bad.map": "( x\n"}))


def test_one_file_is_one_list_however_often_it_is_named() -> None:
    surroundings = of()
    exact = compile_expression("path,map(str.map)", surroundings)
    prefix = compile_expression("path,map_beg(str.map)", surroundings)
    patterns = surroundings.maps.named("str.map")
    assert patterns is not None
    entry = patterns.add(b"/new", b"value")
    exchange = facts(request=request(b"/new"))
    assert exact.get(exchange) == prefix.get(exchange) == b"value"
    patterns.set(entry, b"other")
    assert exact.get(exchange) == prefix.get(exchange) == b"other"
    patterns.delete(entry)
    assert exact.get(exchange) is None and prefix.get(exchange) is None


def test_a_running_map_refuses_values_that_its_users_cannot_read() -> None:
    surroundings = of()
    expression = compile_expression("path,map_str_int(num.map)", surroundings)
    patterns = surroundings.maps.named("num.map")
    assert patterns is not None
    with pytest.raises(ExpressionError):
        patterns.add(b"/x", b"many")
    assert expression.get(facts(request=request(b"/x"))) is None


def test_replacements_of_regex_maps_follow_changes() -> None:
    surroundings = of()
    expression = compile_expression("path,map_regm(reg.map)", surroundings)
    exchange = facts(request=request(b"/user/5"))
    assert expression.get(exchange) == b"/u?id=5"
    patterns = surroundings.maps.named("reg.map")
    assert patterns is not None
    patterns.set(patterns.entries_of()[0], b"<\\1>")
    assert expression.get(exchange) == b"<5>"


def tables(**entries: FakeEntry) -> FakeExchange:
    exchange = facts(request=request()).with_session(src=b"\x0a\0\0\1")
    exchange.fake_world.tables["t"] = FakeTable(*entries.values())
    return exchange


KNOWN = Typed(SampleType.IPV4, b"\x0a\0\0\1")


@pytest.mark.parametrize(
    "converter, result",
    [
        ("table_conn_cnt(t)", 5),
        ("table_http_req_rate(t)", 9),
        ("table_kbytes_in(t)", 2),
        ("table_gpc(1,t)", 3),
        ("table_gpt0(t)", 0),
        ("table_trackers(t)", 2),
        ("table_expire(t)", 1500),
        ("table_idle(t)", 250),
        ("in_table(t)", True),
        ("table_conn_cnt(other)", 0),
        ("in_table(other)", False),
    ],
)
def test_stick_tables(converter: str, result: object) -> None:
    entry = FakeEntry(KNOWN, conn_cnt=5, http_req_rate=9, bytes_in_cnt=2500)
    entry.data["gpc", 1] = 3
    entry.trackers = 2
    assert compile_expression(f"src,{converter}", environment()).get(tables(e=entry)) == result


@pytest.mark.parametrize(
    "converter, result",
    [("table_conn_cnt(t)", 0), ("in_table(t)", False), ("table_expire(t)", None), ("table_idle(t,-1)", -1), ("table_trackers(t)", 0)],
)
def test_keys_that_a_table_does_not_have(converter: str, result: object) -> None:
    assert compile_expression(f"src,{converter}", environment()).get(tables()) == result


def test_counters_that_converters_change() -> None:
    exchange = tables(e=FakeEntry(KNOWN, gpc0=4, gpc1=0))
    assert compile_expression("src,table_inc_gpc0(t)", environment()).get(exchange) == 5
    assert compile_expression("src,table_clr_gpc0(t)", environment()).get(exchange) == 5
    assert compile_expression("src,table_gpc0(t)", environment()).get(exchange) == 0


BACKEND = proxy("app", backend=True, servers=[server("one")])


@pytest.mark.parametrize(
    "expression, result",
    [
        ("str(app),nbsrv", 1),
        ("str(none),nbsrv", None),
        ("str(app/one),srv_queue", 4),
        ("str(one),srv_queue", 4),
        ("str(app/two),srv_queue", None),
        ("str(none/one),srv_queue", None),
        ("str(app/one),srv_is_up", True),
        ("str(app),fe_exists", False),
    ],
)
def test_servers_by_name(expression: str, result: object) -> None:
    exchange = facts(backend=BACKEND)
    exchange.fake_world.proxies["app"] = BACKEND
    exchange.fake_world.counts["srv_queue", "app", "one"] = 4
    exchange.fake_world.up.add(("app", "one"))
    assert compile_expression(expression, environment()).get(exchange) == result


def test_setting_and_removing_variables_in_passing() -> None:
    surroundings = environment()
    exchange = set_variables(facts(request=request(b"/p")), old=b"x")
    assert compile_expression("path,set-var(txn.seen),length", surroundings).get(exchange) == 2
    assert exchange.txn_variables["seen"] == Typed(SampleType.STR, b"/p")
    assert surroundings.variables_set == {"txn.seen"}
    assert compile_expression("path,unset-var(txn.old)", surroundings).get(exchange) == b"/p"
    assert "old" not in exchange.txn_variables


@pytest.mark.parametrize("condition, result", [("ifnotexists", None), ("ifexists", b"/p"), ("ifnotset", None), ("ifnotempty", b"/p")])
def test_a_variable_that_is_not_set_ends_the_chain(condition: str, result: bytes | None) -> None:
    exchange = set_variables(facts(request=request(b"/p")), v=b"old")
    assert compile_expression(f"path,set-var(txn.v,{condition})", environment()).get(exchange) == result


CAPTURING = proxy(captures=[("request", "x", 3), ("response", "y", 4), ("request", "z", 10)])


def test_captures_in_passing() -> None:
    slots: list[bytes | None] = [None, None]
    exchange = facts(request=request(b"/path"), request_captures=slots)
    surroundings = environment(proxy=CAPTURING)
    assert compile_expression("path,capture-req(0),length", surroundings).get(exchange) == 5
    assert compile_expression("path,capture-req(1)", surroundings).get(exchange) == b"/path"
    assert compile_expression("path,capture-req(7)", surroundings).get(exchange) == b"/path"
    assert slots == [b"/pa", b"/path"]


def test_lengths_of_capture_slots() -> None:
    assert [capture_length(CAPTURING, "request", slot) for slot in (-1, 0, 1, 2)] == [None, 3, 10, None]
    assert capture_length(CAPTURING, "response", 0) == 4
    assert capture_length(None, "request", 0) is None


def test_debug_tells_and_passes_on() -> None:
    told: list[tuple[str, bytes]] = []
    surroundings = environment(debug=lambda sink, line: told.append((sink, line)))
    assert compile_expression("int(5),debug(here),add(1)", surroundings).get(facts()) == 6
    assert compile_expression("path,debug(p,stderr)", surroundings).get(facts(request=request())) == b"/"
    assert told[-1] == ("stderr", b"[debug] p: type=string </>")
    assert ("buf0", b"[debug] here: type=integer <5>") in told
    assert compile_expression("path,debug", environment()).get(facts(request=request())) == b"/"
