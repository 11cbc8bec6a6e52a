from __future__ import annotations

import pytest

from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.acl.fetches_connection import bind_id, parse_tlv_id
from common.errors import ExpressionError
from common.model import Place, Proxy
from tests.common.acl.fakes import FakeExchange, FakeSession, bind, environment, facts, sample, samples

V4, OTHER, REAL = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\3"


class Header:
    """A PROXY header with two TLVs of one type."""

    tlvs = ((0x02, b"example.com"), (0xE1, b"one"), (0xE1, b"two"), (0x05, b"id"))

    def tlv(self, kind: int) -> bytes | None:
        return next((value for found, value in reversed(self.tlvs) if found == kind), None)


def connected() -> FakeExchange:
    exchange = facts().with_session(
        src=V4, src_port=1111, dst=OTHER, dst_port=443, fc_src=REAL, fc_src_port=2222, fc_dst=OTHER, fc_dst_port=8443,
        http_major=2, fc_err=11, proxy_header=Header(), bind=bind(name="tls", id=4),
    )  # fmt: skip
    exchange.fake_world.local.add(OTHER)
    exchange.fake_world.counts["bind", "tls"] = 12
    return exchange


@pytest.mark.parametrize(
    "text, result",
    [
        ("src", V4),
        ("src_port", 1111),
        ("dst", OTHER),
        ("dst_port", 443),
        ("src_is_local", False),
        ("dst_is_local", True),
        ("fc_src", REAL),
        ("fc_src_port", 2222),
        ("fc_dst", OTHER),
        ("fc_dst_port", 8443),
        ("fc_src_is_local", False),
        ("fc_dst_is_local", True),
        ("fc_http_major", 2),
        ("fc_err", 11),
        ("fc_err_str", b"Connection closed while waiting for PROXY protocol header"),
        ("fc_rcvd_proxy", True),
        ("fc_pp_authority", b"example.com"),
        ("fc_pp_unique_id", b"id"),
        ("fc_pp_tlv(0xE1)", b"two"),
        ("fc_pp_tlv(225)", b"two"),
        ("fc_pp_tlv(AUTHORITY)", b"example.com"),
        ("fc_pp_tlv(NETNS)", None),
        ("so_id", 5),
        ("so_name", b"tls"),
        ("dst_conn", 12),
    ],
)
def test_a_connected_client(text: str, result: object) -> None:
    assert sample(text, connected(), Where.CONNECTION) == result


def test_every_tlv_of_a_type_is_tried_in_acls() -> None:
    assert samples("fc_pp_tlv(0xE1)", connected()) == [b"one", b"two"]
    assert samples("fc_pp_tlv(0xE1)", facts()) == []


@pytest.mark.parametrize(
    "text",
    [
        "src",
        "src_port",
        "dst",
        "dst_port",
        "src_is_local",
        "dst_is_local",
        "fc_src",
        "fc_src_port",
        "fc_dst",
        "fc_dst_port",
        "fc_src_is_local",
        "fc_dst_is_local",
        "fc_pp_authority",
        "fc_pp_unique_id",
        "fc_pp_tlv(1)",
        "fc_rtt",
        "fc_lost",
        "so_id",
        "so_name",
        "dst_conn",
    ],
)
def test_what_a_unix_client_does_not_have(text: str) -> None:
    assert sample(text, facts()) is None


@pytest.mark.parametrize(
    "text", ["bc_src", "bc_src_port", "bc_dst", "bc_dst_port", "bc_rtt"]
)  # fmt: skip
def test_without_a_server_connection(text: str) -> None:
    assert sample(text, facts(), Where.LOG) is None


def test_the_servers_connection() -> None:
    exchange = facts(bc_src=V4, bc_src_port=1, bc_dst=OTHER, bc_dst_port=80, bc_err=3, bc_http_major=1, bc_reused=True)
    found = {name: sample(name, exchange, Where.LOG) for name in ("bc_src", "bc_src_port", "bc_dst", "bc_dst_port", "bc_err", "bc_reused")}
    assert found == {"bc_src": V4, "bc_src_port": 1, "bc_dst": OTHER, "bc_dst_port": 80, "bc_err": 3, "bc_reused": True}
    assert sample("bc_http_major", exchange, Where.LOG) == 1
    assert sample("bc_err_str", exchange, Where.LOG) != sample("bc_err_str", facts(), Where.LOG)


def test_counters_of_the_kernel() -> None:
    class Measured(FakeExchange):
        def bc_tcp_info(self, name: str) -> int | None:
            return 7000

    exchange = Measured()
    exchange.with_session(tcp_info=lambda name: {"rtt": 1500, "rttvar": 300, "lost": 2}.get(name))
    assert sample("fc_rtt", exchange) == 1
    assert sample("fc_rtt(us)", exchange) == 1500
    assert sample("fc_rttvar(ms)", exchange) == 0
    assert sample("fc_lost", exchange) == 2
    assert sample("fc_retrans", exchange) is None
    assert sample("bc_rtt(us)", exchange, Where.RESPONSE) == 7000


@pytest.mark.parametrize("text", ["fc_rtt(s)", "fc_pp_tlv(256)", "fc_pp_tlv(ABC)", "fc_pp_tlv", "bc_src"])
def test_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text, environment(Where.CONNECTION))


def test_tlv_numbers() -> None:
    assert [parse_tlv_id(text) for text in ("0", "0xff", "unique_id", "SSL")] == [0, 255, 5, 32]


def test_ids_of_listeners() -> None:
    """By `id`, or by the place in the proxy."""
    session = FakeSession()
    assert bind_id(session) == 0
    first, second = bind(id=7), bind(id=8)
    session.frontend = Proxy(Place(), "fe", True, False, binds=[first, second])
    session.bind = second
    assert bind_id(session) == 2
    session.bind = bind(id=9, label="30")
    assert bind_id(session) == 30
