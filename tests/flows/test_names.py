"""Servers by name: `resolvers`, templates, service records, `init-addr`, state files; both programs tell the same stories."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import dns.rcode
import pytest

from tests.flows.answering import AnsweringServer
from tests.flows.harness import Flow, defaults
from tests.flows.nameserver import NameServer
from tests.flows.peers import eventually
from tests.flows.programs import PROGRAMS, USHER, Program

_CONFIGURATION = (
    defaults(global_lines="stats socket <unix:operator> level admin")
    + """
resolvers dns
    nameserver ns1 127.0.0.1:{port}
    timeout resolve 100ms
    timeout retry 100ms
    resolve_retries 2
    hold nx 100ms
    hold timeout 100ms
    hold refused 100ms
    hold other 100ms
    hold obsolete 100ms
listen web
    bind <listen:web>
    retries 0
    server s a.test:<serverport:web> resolvers dns init-addr none resolve-prefer ipv4
backend template
    server-template w 1-3 c.test:8080 resolvers dns init-addr none resolve-prefer ipv4
backend service
    server-template v 3 _http._tcp.d.test resolvers dns init-addr none resolve-prefer ipv4
backend net
    server s e.test:80 resolvers dns init-addr none resolve-prefer ipv4 resolve-net 127.3.0.0/16
backend six
    server s f.test:80 resolvers dns init-addr none
backend twice
    server a g.test:80 resolvers dns init-addr none resolve-prefer ipv4 resolve-opts allow-dup-ip
    server b g.test:80 resolvers dns init-addr none resolve-prefer ipv4 resolve-opts allow-dup-ip
backend given
    server s nowhere.test:80 init-addr libc,127.4.4.4
"""
)


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer()
    server.records.update(
        {
            ("a.test", "A"): ["127.0.0.1"],
            ("c.test", "A"): ["127.0.0.3", "127.0.0.4"],
            ("_http._tcp.d.test", "SRV"): ["10 256 8081 e1.d.test.", "10 512 8082 e2.d.test."],
            ("e1.d.test", "A"): ["127.0.0.5"],
            ("e2.d.test", "A"): ["127.0.0.6"],
            ("e.test", "A"): ["127.1.0.1", "127.3.0.1", "127.2.0.1"],
            ("f.test", "A"): ["127.0.0.1"],
            ("f.test", "AAAA"): ["::1"],
            ("g.test", "A"): ["127.0.0.9"],
        }
    )
    yield server
    server.stop()


@pytest.fixture
def flow(program: Program, names: NameServer, tmp_path: Path) -> Iterator[Flow]:
    with Flow(tmp_path, (program, _CONFIGURATION.replace("{port}", str(names.port)))) as flow:
        yield flow


def operate(flow: Flow, line: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(flow.places.address("operator")))
        sock.sendall(line.encode() + b"\n")
        with sock.makefile("rb") as stream:
            return stream.read().decode()


def states(flow: Flow, backend: str) -> dict[str, tuple[str, int, str, int]]:
    """server -> (address, administrative state, name, port)"""
    rows = [line.split() for line in operate(flow, f"show servers state {backend}").splitlines()]
    return {row[3]: (row[4], int(row[6]), row[17], int(row[18])) for row in rows if len(row) > 18 and row[0].isdigit()}


def become(flow: Flow, backend: str, expected: dict[str, tuple[str, int, str, int]]) -> None:
    eventually(lambda: states(flow, backend) == expected, f"{backend} becomes {expected}", deadline_s=8)


def get(flow: Flow) -> bytes:
    client = flow.connect("web")
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    status = client.receive_to_end().partition(b"\r\n")[0]
    client.close()
    return status


def test_a_name_comes_moves_and_goes(flow: Flow, names: NameServer) -> None:
    server = AnsweringServer(flow.server("web"))
    try:
        for line in (
            r"^web/s changed its IP from \(none\) to 127\.0\.0\.1 by dns/ns1\.$",
            r"^Server web/s \('a\.test'\) is UP/READY \(resolves again\)\.$",
            r"^Server web/s administratively READY thanks to valid DNS answer\.$",
        ):
            assert flow.log.expect(line).severity == 5
        assert get(flow) == b"HTTP/1.1 200 OK"
        names.records["a.test", "A"] = ["127.0.0.2"]
        assert flow.log.expect(r"^web/s changed its IP from 127\.0\.0\.1 to 127\.0\.0\.2 by dns/ns1\.$").severity == 5
        eventually(lambda: get(flow) == b"HTTP/1.1 503 Service Unavailable", "the old address is asked no more")
        names.records["a.test", "A"] = []
        down = flow.log.expect(r"^Server web/s is going DOWN for maintenance \(DNS NX status\)\. 0 active and 0 backup servers left\.")
        assert down.severity == 1
        assert flow.log.expect("^proxy web has no server available!$").severity == 0
        names.records["a.test", "A"] = ["127.0.0.1"]
        flow.log.expect(r"^Server web/s administratively READY")
        eventually(lambda: get(flow) == b"HTTP/1.1 200 OK", "the server is back")
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("fault", "why"), [("mute", "DNS timeout status"), ("REFUSED", "DNS refused status"), ("SERVFAIL", "unspecified DNS error")]
)
def test_a_name_server_that_fails_takes_servers_away_after_the_hold(flow: Flow, names: NameServer, fault: str, why: str) -> None:
    flow.log.expect("^Server web/s administratively READY")
    names.mute = fault == "mute"
    names.rcode = None if names.mute else dns.rcode.from_text(fault)
    flow.log.expect(rf"^Server web/s is going DOWN for maintenance \({why}\)\.")
    names.mute, names.rcode = False, None
    flow.log.expect("^Server web/s administratively READY")


def test_a_template_shares_the_addresses_of_its_name(flow: Flow, names: NameServer) -> None:
    up = {"w1": ("127.0.0.3", 0, "c.test", 8080), "w2": ("127.0.0.4", 0, "c.test", 8080), "w3": ("-", 32, "c.test", 8080)}
    eventually(lambda: {address for address, *_ in states(flow, "template").values()} == {"127.0.0.3", "127.0.0.4", "-"}, "two addresses")
    assert sorted(states(flow, "template").values()) == sorted(up.values())
    names.records["c.test", "A"] = ["127.0.0.4", "127.0.0.9", "127.0.0.10"]
    eventually(lambda: sorted(one[0] for one in states(flow, "template").values()) == ["127.0.0.10", "127.0.0.4", "127.0.0.9"], "three")
    names.records["c.test", "A"] = ["127.0.0.9"]
    eventually(lambda: sorted(one[:2] for one in states(flow, "template").values()) == [("-", 32), ("-", 32), ("127.0.0.9", 0)], "one")
    flow.log.expect(r"^Server template/w\d is going DOWN for maintenance \(No IP for server \)\.")


def test_a_service_record_names_servers_and_ports(flow: Flow, names: NameServer) -> None:
    first, second = ("127.0.0.5", 64, "e1.d.test", 8081), ("127.0.0.6", 64, "e2.d.test", 8082)
    flow.log.expect(r"^service/v1 changed its FQDN from \(null\) to e1\.d\.test by 'SRV record'$")
    become(flow, "service", {"v1": first, "v2": second, "v3": ("-", 32, "-", 0)})
    assert re.search(r"service/v2 \(#\d+\): |^2 \(initial 1\)", operate(flow, "get weight service/v2"))
    names.records["_http._tcp.d.test", "SRV"] = ["10 256 8081 e1.d.test."]
    flow.log.expect(r"^Server service/v2 is going DOWN for maintenance \(entry removed from SRV record\)\.")
    become(flow, "service", {"v1": first, "v2": ("-", 96, "-", 0), "v3": ("-", 32, "-", 0)})


def test_which_address_is_chosen(flow: Flow) -> None:
    become(flow, "net", {"s": ("127.3.0.1", 0, "e.test", 80)})
    become(flow, "six", {"s": ("::1", 0, "f.test", 80)})
    become(flow, "twice", {"a": ("127.0.0.9", 0, "g.test", 80), "b": ("127.0.0.9", 0, "g.test", 80)})
    become(flow, "given", {"s": ("127.4.4.4", 0, "nowhere.test", 80)})


def test_an_operator_gives_another_name(flow: Flow) -> None:
    become(flow, "net", {"s": ("127.3.0.1", 0, "e.test", 80)})
    operate(flow, "set server net/s fqdn g.test")
    eventually(lambda: states(flow, "net")["s"][0::2] == ("127.0.0.9", "g.test"), "the address of the other name", deadline_s=8)


def test_an_answer_too_big_for_a_datagram_comes_over_a_stream(names: NameServer, tmp_path: Path) -> None:
    if "usher" not in PROGRAMS:
        pytest.skip("HAProxy has no such fall-back")
    names.truncates = True
    with Flow(tmp_path, (USHER, _CONFIGURATION.replace("{port}", str(names.port)))) as flow:
        flow.log.expect("^Server web/s administratively READY")


def test_what_was_found_stands_over_a_reload(names: NameServer, tmp_path: Path) -> None:
    if "usher" not in PROGRAMS:
        pytest.skip("HAProxy needs a state file for it")
    with Flow(tmp_path, (USHER, _CONFIGURATION.replace("{port}", str(names.port)))) as flow:
        server = AnsweringServer(flow.server("web"))
        flow.log.expect(r"^web/s changed its IP from \(none\)")
        flow.log.expect("^Server web/s administratively READY")
        become(flow, "net", {"s": ("127.3.0.1", 0, "e.test", 80)})
        assert operate(flow, "reload").startswith("Success=1")
        assert get(flow) == b"HTTP/1.1 200 OK"
        assert states(flow, "net") == {"s": ("127.3.0.1", 0, "e.test", 80)}
        assert not flow.log.seen(r"^web/s changed its IP from \(none\)"), "expect has taken the first one"
        server.stop()


def test_a_name_that_nobody_knows_stops_the_start_and_the_cure_is_named(program: Program, tmp_path: Path) -> None:
    text = defaults() + "listen web\n    bind <listen:web>\n    server s nowhere.invalid:80\n"
    with pytest.raises(AssertionError) as failed, Flow(tmp_path, (program, text)):
        pass
    assert "could not resolve address 'nowhere.invalid'" in str(failed.value)
    if program is USHER:
        assert "none" in str(failed.value)


_STATES = (
    defaults(global_lines="stats socket <unix:operator> level admin\n    server-state-file <file:states>")
    + """
backend farm
    load-server-state-from-file global
    server a 127.0.0.1:8001 check inter 20s
    server b 127.0.0.1:8002
    server c 127.0.0.1:8003 weight 10
listen web
    bind <listen:web>
"""
)


def test_states_are_loaded_again_from_a_file(program: Program, tmp_path: Path) -> None:
    (tmp_path / "states").write_text("")
    with Flow(tmp_path, (program, _STATES)) as flow:
        for line in ("set server farm/b state maint", "set server farm/c weight 5", "set server farm/a state drain"):
            operate(flow, line)
        before = states(flow, "farm")
        (tmp_path / "states").write_text(operate(flow, "show servers state"))
    assert before["b"][1] == 1 and before["a"][1] == 8
    with Flow(tmp_path, (program, _STATES)) as flow:
        assert states(flow, "farm") == before
        assert operate(flow, "get weight farm/c").startswith("5 (initial 10)")


BAD_STATES = {
    "empty": "",
    "nonsense": "nonsense\n",
    "version": "2\n# be_id\n",
    "short": "1\n# x\n1 farm x y\n",
    "numbers": "1\n3 farm 1 a 127.0.0.1 9 9 999 1 1 1 1 1 1 1 0 0 - 99999999\n",
}


@pytest.mark.parametrize("content", BAD_STATES)
def test_a_state_file_that_cannot_be_used_changes_nothing(program: Program, tmp_path: Path, content: str) -> None:
    (tmp_path / "states").write_text(BAD_STATES[content])
    with Flow(tmp_path, (program, _STATES)) as flow:
        assert states(flow, "farm")["a"][:2] == ("127.0.0.1", 0)
