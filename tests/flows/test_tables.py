"""Stick tables: what is counted where, as `show table` tells it, in both programs; stickiness; several workers, killed and reloaded."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.peers import Peer, eventually
from tests.flows.programs import Program
from tests.flows.serving import ServingThread
from tests.flows.test_cookies import setting

STORE = (
    "gpc0,gpc0_rate(10s),gpc1,gpt0,conn_cnt,conn_rate(10s),conn_cur,sess_cnt,sess_rate(10s),http_req_cnt,http_req_rate(10s),"
    "http_err_cnt,http_err_rate(10s),http_fail_cnt,http_fail_rate(10s),bytes_in_cnt,bytes_out_rate(10s)"
)
ALL = f"stick-table type ip size 10 expire 60s store {STORE}"
ONE = "server s1 <server:s1>"
TWO = "server s1 <server:s1>\n    server s2 <server:s2>"

SECTIONS = {
    "request": f"{ALL}\n    http-request track-sc0 src\n    {ONE}",
    "connection": (
        f"{ALL}\n    tcp-request connection track-sc0 src\n    http-request deny if {{ path /deny }}\n"
        f"    http-request sc-inc-gpc0(0) if {{ path /inc }}\n    http-request sc-set-gpt0(0) 7 if {{ path /gpt }}\n"
        f"    http-response sc-inc-gpc1(0) if {{ status 200 }}\n    {ONE}"
    ),
    "session": f"{ALL}\n    tcp-request session track-sc0 src\n    {ONE}",
    "content": f"{ALL}\n    tcp-request content track-sc0 src\n    {ONE}",
    "response": f"{ALL}\n    http-response track-sc0 src if {{ status 404 }}\n    {ONE}",
    "arrays": (
        "stick-table type ip size 10 expire 60s store gpc(2),gpc_rate(2,10s),gpt(2)\n    http-request track-sc0 src\n"
        f"    http-request sc-inc-gpc(1,0)\n    http-request sc-set-gpt(1,0) 9\n    {ONE}"
    ),
    "strings": f"stick-table type string len 20 size 10 store gpc0,gpt0\n    http-request track-sc0 path\n    {ONE}",
    "blocks": f"stick-table type binary len 4 size 10 store gpc0\n    http-request track-sc0 path\n    {ONE}",
    "six": f"stick-table type ipv6 size 10 store conn_cur\n    http-request track-sc0 src\n    {ONE}",
    "numbers": f"stick-table type integer size 10 store gpc0\n    http-request track-sc0 hdr(x-n)\n    {ONE}",
    "small": f"stick-table type integer size 3 expire 60s store gpc0\n    http-request track-sc0 hdr(x-n)\n    {ONE}",
    "peers": f"tcp-request connection track-sc1 src table pp/t1\n    {ONE}",
    "fetches": (
        "stick-table type ip size 10 expire 60s store http_req_cnt,gpc0,gpt0\n    http-request track-sc0 src\n"
        "    http-request sc-inc-gpc0(0)\n    http-request set-header X-Set "
        '"v=%[sc_http_req_cnt(0)],%[sc0_get_gpc0],%[src_get_gpc0],%[src,table_gpc0(fetches)],%[src,in_table(fetches)],'
        '%[table_cnt],%[table_avl],%[sc_tracked(0)],%[sc_tracked(1)],%[str(192.0.2.9),table_gpc0(fetches)],%[src_inc_gpc0],'
        f'%[sc0_clr_gpc0],%[sc0_get_gpc0]"\n    {ONE}'
    ),
    "limited": (
        "stick-table type ip size 10 expire 60s store http_req_rate(60s)\n    http-request track-sc0 hdr_ip(x-from)\n"
        f"    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 3 }}\n    {ONE}"
    ),
    "stick": f"stick-table type string len 20 size 10 expire 60s\n    stick on hdr(x-user)\n    {TWO}",
    "learned": (
        "stick-table type string size 10 expire 60s\n    stick match req.cook(SID)\n    stick store-response res.cook(SID)\n"
        f"    {TWO}"
    ),
    "conditional": f"stick-table type string size 10 expire 60s\n    stick on hdr(x-user) if {{ path /in }}\n    {TWO}",
    "gone": "stick-table type string size 10 expire 60s\n    stick on hdr(x-user)\n    retries 1\n    option redispatch\n" f"    {TWO}",
    "tcp": f"mode tcp\n    option tcplog\n    stick-table type ip size 10 expire 60s\n    stick on src\n    {TWO}",
    "tcp-again": f"mode tcp\n    option tcplog\n    stick match src table tcp\n    {TWO}",
}


def configuration(program: str) -> str:
    listens = "".join(f"listen {name}\n    bind <listen:{name}>\n    {lines}\n" for name, lines in SECTIONS.items())
    peers = "peers pp\n    peer local <refused:peer>\n    table t1 type ip size 5 store gpc0\n"
    return (
        defaults(global_lines=f"localpeer local\n    stats socket <unix:operator> level admin\n    {one_worker(program)}") + listens + peers
    )


@pytest.fixture(scope="module")
def serving(module_flow: Flow) -> Iterator[Flow]:
    threads = [ServingThread(module_flow.server(name), setting(name)) for name in ("s1", "s2")]
    yield module_flow
    for thread in threads:
        thread.stop()


@pytest.fixture(autouse=True)
def empty_tables(serving: Flow) -> None:
    """Tests share one program: each begins with tables in which nothing of the others is left."""
    tables = [name for name, lines in SECTIONS.items() if "stick-table" in lines] + ["pp/t1"]

    def emptied(table: str) -> bool:
        operator(serving, f"clear table {table}")
        return "used:0" in operator(serving, f"show table {table}")

    for table in tables:
        eventually(lambda table=table: emptied(table), f"nothing in {table}")  # type: ignore[misc]


def operator(flow: Flow, line: str) -> str:
    peer = flow.connect("operator")
    peer.send(line.encode() + b"\n")
    return peer.receive_to_end().decode()


_VARYING = (
    (r"0x[0-9a-f]+:", "0x:"),
    (r"exp=[1-9]\d+", "exp=E"),
    (r"(bytes_\w+(?:\(10000\))?)=[1-9]\d*", r"\1=B"),
)


def shown(flow: Flow, line: str) -> list[str]:
    text = operator(flow, line)
    for pattern, instead in _VARYING:
        text = re.sub(pattern, instead, text)
    return [line for line in text.split("\n") if line]


def ask(flow_or_peer: Flow | Peer, section: str, path: str = "/", *fields: str, host: str = "a") -> dict[str, str]:
    peer = flow_or_peer.connect(section) if isinstance(flow_or_peer, Flow) else flow_or_peer
    peer.send("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode())
    head = peer.receive_until(b"\r\n\r\n").decode()
    found = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.rstrip().split("\r\n")[1:])}
    peer.receive_exactly(int(found.get("content-length", "0")))
    if isinstance(flow_or_peer, Flow):
        peer.close()
    return found | {"status": head.split(" ")[1]}


def counters(**given: int) -> str:
    """The data of an entry of the tables with everything; what is not given is 0, byte counts are left open."""
    order = (
        "gpt0 gpc0 gpc0_rate conn_cnt conn_rate conn_cur sess_cnt sess_rate http_req_cnt http_req_rate http_err_cnt http_err_rate "
        "bytes_in_cnt bytes_out_rate gpc1 http_fail_cnt http_fail_rate"
    )
    rates = {name: given.get(name.removesuffix("_rate") + "_cnt", given.get(name.removesuffix("_rate"), 0)) for name in order.split()}
    parts = []
    for name in order.split():
        value = "B" if name.startswith("bytes") else str(rates[name] if name.endswith("_rate") else given.get(name, 0))
        parts.append(f"{name}{'(10000)' if name.endswith('_rate') else ''}={value}")
    return " ".join(parts)


def entry(flow: Flow, table: str, use: int = 0, **given: int) -> None:
    """The one entry of the table becomes this."""
    wanted = [f"# table: {table}, type: ip, size:10, used:1", f"0x: key=127.0.0.1 use={use} exp=E {counters(**given)}"]
    eventually(lambda: shown(flow, f"show table {table}") == wanted, "what was to be seen")


def test_what_a_request_counts_that_rules_track(serving: Flow) -> None:
    ask(serving, "request")
    entry(serving, "request", conn_cnt=1, http_req_cnt=1)
    peer = serving.connect("request")
    ask(peer, "request")
    ask(peer, "request")
    entry(serving, "request", conn_cnt=3, http_req_cnt=3)


def test_what_a_connection_counts_that_rules_track(serving: Flow) -> None:
    peer = serving.connect("connection")
    ask(peer, "connection")
    entry(serving, "connection", 1, conn_cnt=1, conn_cur=1, sess_cnt=1, http_req_cnt=1, gpc1=1)
    ask(peer, "connection", "/inc")
    ask(peer, "connection", "/gpt")
    peer.close()
    entry(serving, "connection", conn_cnt=1, sess_cnt=1, http_req_cnt=3, gpc1=3, gpc0=1, gpt0=7)
    assert ask(serving, "connection", "/deny")["status"] == "403"
    entry(serving, "connection", conn_cnt=2, sess_cnt=2, http_req_cnt=4, http_err_cnt=1, gpc1=3, gpc0=1, gpt0=7)


def test_what_sessions_and_contents_count(serving: Flow) -> None:
    ask(serving, "session")
    entry(serving, "session", conn_cnt=1, sess_cnt=1, http_req_cnt=1)
    ask(serving, "content")
    entry(serving, "content", conn_cnt=1, http_req_cnt=1)
    ask(serving, "response")
    assert shown(serving, "show table response") == ["# table: response, type: ip, size:10, used:0"]


def test_arrays_of_counters_and_tags(serving: Flow) -> None:
    for _ in range(3):
        ask(serving, "arrays")
    line = "0x: key=127.0.0.1 use=0 exp=E gpt0=0 gpt1=9 gpc0=0 gpc1=3 gpc0_rate(10000)=0 gpc1_rate(10000)=3"
    eventually(lambda: shown(serving, "show table arrays")[1:] == [line], "what was to be seen")


def test_keys_of_every_type(serving: Flow) -> None:
    for path in ("/x", "/a%20b", "/tab\\", "/verylongpaththatexceedstwenty"):
        ask(serving, "strings", path)
        ask(serving, "blocks", path)
    ask(serving, "six")
    for number in ("7", "4294967295", "4294967296", "x", "-1"):
        ask(serving, "numbers", "/", f"X-N: {number}")

    def keys(table: str) -> list[str]:
        return re.findall(r"key=(\S+) use=0", operator(serving, f"show table {table}"))

    eventually(lambda: keys("strings") == ["/a%20b", "/tab\\\\", "/verylongpaththatexc", "/x"], "what was to be seen")
    eventually(lambda: keys("blocks") == ["2F612532", "2F746162", "2F766572", "2F780000"], "what was to be seen")
    eventually(lambda: keys("six") == ["::ffff:127.0.0.1"], "what was to be seen")
    eventually(lambda: keys("numbers") == ["0", "7", "4294967295"], "what was to be seen")


def test_a_full_table_lets_the_oldest_go(serving: Flow) -> None:
    def keys() -> list[str]:
        return re.findall(r"key=(\d+) use=0", operator(serving, "show table small"))

    for number in (1, 2, 3, 1, 4):
        ask(serving, "small", "/", f"X-N: {number}")
        eventually(lambda number=number: str(number) in keys(), "it is there")  # type: ignore[misc]
    assert keys() == ["1", "3", "4"]


def test_tables_of_peers_sections(serving: Flow) -> None:
    ask(serving, "peers")
    assert "# table: pp/t1, type: ip, size:5, used:1" in shown(serving, "show table")
    assert shown(serving, "show table pp/t1")[1:] == ["0x: key=127.0.0.1 use=0 exp=0 gpc0=0"]


def test_fetches_and_converters_of_tables(serving: Flow) -> None:
    peer = serving.connect("fetches")
    seen = [ask(peer, "fetches")["set-cookie"] for _ in range(2)]
    assert seen == ["v=1,1,1,1,1,1,9,1,0,0,2,2,0", "v=2,1,1,1,1,1,9,1,0,0,2,2,0"]


def test_a_limit_of_requests_per_source(serving: Flow) -> None:
    for source in ("10.0.0.1", "10.0.0.2"):
        statuses = [ask(serving, "limited", "/", f"X-From: {source}")["status"] for _ in range(5)]
        assert statuses == ["200", "200", "200", "429", "429"]


def test_stick_on_a_header(serving: Flow) -> None:
    first = {user: ask(serving, "stick", "/", f"X-User: {user}")["x-server"] for user in ("ann", "bob", "cid")}
    assert set(first.values()) == {"s1", "s2"}
    for _ in range(3):
        assert {user: ask(serving, "stick", "/", f"X-User: {user}")["x-server"] for user in first} == first
    lines = shown(serving, "show table stick")[1:]
    assert lines == [f"0x: key={user} use=0 exp=E server_id={server[1]} server_key={server}" for user, server in sorted(first.items())]
    assert "set-cookie" not in ask(serving, "stick", "/", "X-User: ann")


def test_stick_follows_what_an_operator_says(serving: Flow) -> None:
    assert operator(serving, "set table stick key dan data.server_id 2").strip() == ""
    assert [ask(serving, "stick", "/", "X-User: dan")["x-server"] for _ in range(3)] == ["s2"] * 3
    operator(serving, "clear table stick key dan")
    assert shown(serving, "show table stick key dan") == []


def test_stick_on_what_the_response_said(serving: Flow) -> None:
    server = ask(serving, "learned", "/", "X-Set: SID=abc; path=/")["x-server"]
    assert [ask(serving, "learned", "/", "Cookie: SID=abc")["x-server"] for _ in range(3)] == [server] * 3
    assert {ask(serving, "learned", "/", "Cookie: SID=other")["x-server"] for _ in range(4)} == {"s1", "s2"}


def test_stick_under_a_condition(serving: Flow) -> None:
    server = ask(serving, "conditional", "/in", "X-User: ann")["x-server"]
    assert [ask(serving, "conditional", "/in", "X-User: ann")["x-server"] for _ in range(3)] == [server] * 3
    assert {ask(serving, "conditional", "/out", "X-User: ann")["x-server"] for _ in range(4)} == {"s1", "s2"}


def test_a_server_in_maintenance_loses_its_sticky_clients(serving: Flow) -> None:
    server = ask(serving, "gone", "/", "X-User: ann")["x-server"]
    other = {"s1": "s2", "s2": "s1"}[server]
    operator(serving, f"set server gone/{server} state maint")
    eventually(lambda: ask(serving, "gone", "/", "X-User: ann")["x-server"] == other, "the other one serves")
    operator(serving, f"set server gone/{server} state ready")
    assert [ask(serving, "gone", "/", "X-User: ann")["x-server"] for _ in range(3)] == [other] * 3


def test_tcp_and_a_second_listener_of_the_same_table(serving: Flow) -> None:
    server = ask(serving, "tcp")["x-server"]
    assert [ask(serving, section)["x-server"] for section in ("tcp", "tcp-again", "tcp", "tcp-again")] == [server] * 4


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("show table nowhere", "No such table"),
        ("show table request key", "Key value expected"),
        ("show table request foo", 'Optional argument only supports "data.<store_data_type>" <operator> <value> and key <key>'),
        ("show table request data.zz gt 0", "Filter entry #1: Unknown data type"),
        ("show table request data.server_id gt 0", "Filter entry #1: Data type not stored in this table"),
        ("show table request data.gpc0 xx 0", 'Filter entry #1: Require and operator among "eq", "ne", "le", "ge", "lt", "gt"'),
        ("show table request data.gpc0 gt", "Filter entry #1: Require a valid integer value to compare against"),
        ("show table request data.gpc0 ge 0 data.conn_cnt ge x", "Filter entry #2: Require a valid integer value to compare against"),
        ("set table nowhere key 1.2.3.4 data.gpc0 1", "No such table"),
        ("set table request key", "Key value expected"),
        ("set table numbers key -1 data.gpc0 4", "Invalid key"),
        ("set table numbers key 99999999999", "Invalid key"),
        ("set table six key ::9 data.gpc0 5", "Data type not stored in this table"),
        ("set table six key ::9 data.zz 5", "Unknown data type"),
        ("set table six key ::9 data.conn_cur x", "Require a valid integer value to store"),
        ("set table six key ::9 conn_cur 1", '"data.<type>" followed by a value expected'),
        ("set table six data.conn_cur 1", 'content-based lookup is only supported with the "show" and "clear" actions'),
        ("clear table nowhere", "No such table"),
        ("clear table", 'Required arguments: <table> "data.<store_data_type>" <operator> <value> or <table> key <key>'),
    ],
)
def test_commands_that_make_no_sense(serving: Flow, line: str, answer: str) -> None:
    assert operator(serving, line).strip() == answer


def test_entries_are_found_set_and_cleared(serving: Flow) -> None:
    for key, value in (("1.2.3.4", 5), ("9.9.9.9", 6), ("200.0.0.1", 7)):
        operator(serving, f"set table arrays key {key} data.gpc 1")
        operator(serving, f"set table content key {key} data.gpc0 {value} data.http_req_rate 3")
    found = re.findall(r"key=(\S+) .* gpc0=(\d+) .*http_req_rate\(10000\)=(\d+)", operator(serving, "show table content data.gpc0 gt 5"))
    assert found == [("9.9.9.9", "6", "3"), ("200.0.0.1", "7", "3")]
    operator(serving, "clear table content data.gpc0 ge 6 data.gpc0 le 6")
    assert re.findall(r"key=(\S+)", operator(serving, "show table content data.gpc0 gt 0")) == ["1.2.3.4", "200.0.0.1"]
    assert len(shown(serving, "show table content key 200.0.0.1")) == 2
    peer = serving.connect("connection")
    ask(peer, "connection")
    assert operator(serving, "clear table connection key 127.0.0.1").strip() == "Entry currently in use, cannot remove"
    operator(serving, "clear table content")
    assert len(shown(serving, "show table content")) == 1


# --- several workers, Usher alone --------------------------------------------------------------------------------------

_CROWD = """
global
    workers 3
    stats socket <unix:operator> level admin
    log <log> local0
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 5s
listen web
    bind <listen:web>
    stick-table type ip size 100 expire 5m store conn_cur,http_req_cnt,gpc0
    tcp-request connection track-sc0 src
    http-request sc-inc-gpc0(0)
    http-request deny deny_status 429 if { sc_conn_cur(0) gt 12 }
    server s1 <server:s1>
"""


@pytest.fixture(scope="module")
def crowd(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    if program.name != "usher":
        pytest.skip("several worker processes")
    with Flow(tmp_path_factory.mktemp("crowd"), (program, _CROWD)) as flow:
        thread = ServingThread(flow.server("s1"), setting("s1"))
        yield flow
        thread.stop()


def _value(flow: Flow, name: str) -> int:
    found = re.search(rf" {name}=(\d+)", operator(flow, "show table web"))
    return int(found[1]) if found else 0


def test_counts_are_exact_over_all_workers_kills_and_reloads(crowd: Flow) -> None:
    total = 60

    def many() -> None:
        for _ in range(total // 3):
            ask(crowd, "web")

    threads = [threading.Thread(target=many) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = ("http_req_cnt", "gpc0", "conn_cur")
    eventually(lambda: [_value(crowd, name) for name in names] == [total, total, 0], "all counted")
    peers = [crowd.connect("web") for _ in range(12)]
    assert [ask(peer, "web")["status"] for peer in peers] == ["200"] * 12
    one_more = crowd.connect("web")
    assert ask(one_more, "web")["status"] == "429"
    one_more.close()
    eventually(lambda: _value(crowd, "conn_cur") == 12, "one has left")
    workers = [int(pid) for pid in re.findall(r"(?m)^(\d+)\s+worker", operator(crowd, "show proc"))]
    assert len(workers) == 3, operator(crowd, "show proc")
    os.kill(workers[0], signal.SIGKILL)
    eventually(lambda: _value(crowd, "conn_cur") < 12, "what the dead one held is given back")
    alive = sum(_answers(peer) for peer in peers)
    eventually(lambda: _value(crowd, "conn_cur") == alive == _value(crowd, "use"), "what was to be seen")
    counted = _value(crowd, "http_req_cnt")
    operator(crowd, "reload")
    eventually(lambda: ask(crowd, "web")["status"] == "200", "the next generation serves")
    assert _value(crowd, "http_req_cnt") > counted
    for peer in peers:
        peer.close()
    eventually(lambda: _value(crowd, "conn_cur") == 0, "what was to be seen")


def _answers(peer: Peer) -> bool:
    try:
        ask(peer, "web")
        return True
    except (OSError, AssertionError, IndexError):
        return False


