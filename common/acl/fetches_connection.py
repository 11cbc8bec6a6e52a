"""Fetches of the connections, the client's and the server's: addresses, ports, PROXY header, errors, kernel counters. Sans-io.

Source: HAProxy configuration manual 7.3.3.
"""

from __future__ import annotations

from collections.abc import Callable

from common.acl.connection_errors import message
from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts, SessionFacts
from common.acl.table import FetchTable, Getter
from common.acl.types import SampleType
from common.errors import ExpressionError

TABLE = FetchTable()

_LAYER4 = "7.3.3"
_PP2_AUTHORITY, _PP2_UNIQUE_ID = 0x02, 0x05


@TABLE.plain("src", SampleType.ADDR, Needs.CLIENT, _LAYER4, "The client's address, after the PROXY header and set-src.")
def src(facts: Facts) -> bytes | None:
    return facts.src or None


@TABLE.plain("src_port", SampleType.INT, Needs.CLIENT, _LAYER4, "The client's port, after the PROXY header and set-src-port.")
def src_port(facts: Facts) -> int | None:
    return facts.src_port if facts.src else None


@TABLE.plain("dst", SampleType.ADDR, Needs.CLIENT, _LAYER4, "The address the client connected to, after the PROXY header and set-dst.")
def dst(facts: Facts) -> bytes | None:
    return facts.dst or None


@TABLE.plain("dst_port", SampleType.INT, Needs.CLIENT, _LAYER4, "The port the client connected to, likewise.")
def dst_port(facts: Facts) -> int | None:
    return facts.dst_port if facts.dst else None


@TABLE.plain("src_is_local", SampleType.BOOL, Needs.CLIENT, _LAYER4, "The client's address is one of this machine's.")
def src_is_local(facts: Facts) -> bool | None:
    return facts.world.is_local(facts.src) if facts.src else None


@TABLE.plain("dst_is_local", SampleType.BOOL, Needs.CLIENT, _LAYER4, "The address the client connected to is one of this machine's.")
def dst_is_local(facts: Facts) -> bool | None:
    return facts.world.is_local(facts.dst) if facts.dst else None


@TABLE.plain("fc_src", SampleType.ADDR, Needs.CLIENT, _LAYER4, "The client connection's own source address.")
def fc_src(facts: Facts) -> bytes | None:
    return facts.session.fc_src or None


@TABLE.plain("fc_src_port", SampleType.INT, Needs.CLIENT, _LAYER4, "The client connection's own source port.")
def fc_src_port(facts: Facts) -> int | None:
    return facts.session.fc_src_port if facts.session.fc_src else None


@TABLE.plain("fc_dst", SampleType.ADDR, Needs.CLIENT, _LAYER4, "The client connection's own destination address.")
def fc_dst(facts: Facts) -> bytes | None:
    return facts.session.fc_dst or None


@TABLE.plain("fc_dst_port", SampleType.INT, Needs.CLIENT, _LAYER4, "The client connection's own destination port.")
def fc_dst_port(facts: Facts) -> int | None:
    return facts.session.fc_dst_port if facts.session.fc_dst else None


@TABLE.plain("fc_src_is_local", SampleType.BOOL, Needs.CLIENT, _LAYER4, "fc_src is one of this machine's addresses.")
def fc_src_is_local(facts: Facts) -> bool | None:
    return facts.world.is_local(facts.session.fc_src) if facts.session.fc_src else None


@TABLE.plain("fc_dst_is_local", SampleType.BOOL, Needs.CLIENT, _LAYER4, "fc_dst is one of this machine's addresses.")
def fc_dst_is_local(facts: Facts) -> bool | None:
    return facts.world.is_local(facts.session.fc_dst) if facts.session.fc_dst else None


@TABLE.plain("fc_http_major", SampleType.INT, Needs.CLIENT, _LAYER4, "The HTTP major version on the client's connection: 1 or 2.")
def fc_http_major(facts: Facts) -> int:
    return facts.session.http_major


@TABLE.plain("fc_err", SampleType.INT, Needs.CLIENT, _LAYER4, "The client connection's error number; 0 = none.")
def fc_err(facts: Facts) -> int:
    return facts.session.fc_err


@TABLE.plain("fc_err_str", SampleType.STR, Needs.CLIENT, _LAYER4, "The client connection's error as a sentence.")
def fc_err_str(facts: Facts) -> bytes:
    return message(facts.session.fc_err)


@TABLE.plain("fc_rcvd_proxy", SampleType.BOOL, Needs.CLIENT, _LAYER4, "The client sent a PROXY header.")
def fc_rcvd_proxy(facts: Facts) -> bool:
    return facts.session.proxy_header is not None


def _tlv(facts: Facts, wanted: int) -> bytes | None:
    header = facts.session.proxy_header
    return None if header is None else header.tlv(wanted)


@TABLE.plain("fc_pp_authority", SampleType.STR, Needs.CLIENT, _LAYER4, "The authority TLV of the client's PROXY header.")
def fc_pp_authority(facts: Facts) -> bytes | None:
    return _tlv(facts, _PP2_AUTHORITY)


@TABLE.plain("fc_pp_unique_id", SampleType.STR, Needs.CLIENT, _LAYER4, "The unique-id TLV of the client's PROXY header.")
def fc_pp_unique_id(facts: Facts) -> bytes | None:
    return _tlv(facts, _PP2_UNIQUE_ID)


TLV_NAMES = {"ALPN": 0x01, "AUTHORITY": 0x02, "CRC32C": 0x03, "NOOP": 0x04, "UNIQUE_ID": 0x05, "SSL": 0x20, "NETNS": 0x30}


@TABLE.row(
    "fc_pp_tlv", SampleType.STR, Needs.CLIENT, _LAYER4,
    "A TLV of the client's PROXY header, by number (0xE1) or name; in ACLs, all of that type.",
    arguments="id:string",
    each=lambda environment, identity: _make_tlv_each(identity),
)  # fmt: skip
def make_tlv(environment: CompileEnvironment, identity: bytes) -> Getter:
    wanted = parse_tlv_id(identity.decode("utf-8", "replace"))
    return lambda facts: _tlv(facts, wanted)


def _make_tlv_each(identity: bytes) -> Getter:
    wanted = parse_tlv_id(identity.decode("utf-8", "replace"))

    def each(facts: Facts) -> list[bytes]:
        header = facts.session.proxy_header
        return [] if header is None else [value for kind, value in header.tlvs if kind == wanted]

    return each


def parse_tlv_id(text: str) -> int:
    """A TLV type by number, decimal or 0x…, or by the name the PROXY specification gives it."""
    if text.upper() in TLV_NAMES:
        return TLV_NAMES[text.upper()]
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= 255:
        raise ExpressionError(f'"{text}" is not a TLV type: a number from 0 to 255 such as 0xE1, or one of {", ".join(TLV_NAMES)}')
    return number


def _add_tcp_info() -> None:
    """fc_rtt, fc_lost … and the same for the server's connection."""
    docs = {
        "rtt": "round-trip time, in ms or <unit> us",
        "rttvar": "round-trip time's variance, in ms or <unit> us",
        "unacked": "unacknowledged segments",
        "sacked": "selectively acknowledged segments",
        "lost": "lost segments",
        "retrans": "retransmitted segments",
        "fackets": "forward-acknowledged segments",
        "reordering": "reordering counter",
    }
    for name, doc in docs.items():
        for prefix, whose, needs in (("fc", "client", Needs.CLIENT), ("bc", "server", Needs.SERVER_CONNECTION)):
            if name.startswith("rtt"):
                TABLE.row(
                    f"{prefix}_{name}", SampleType.INT, needs, _LAYER4, f"The {whose} connection's {doc}, by the kernel.",
                    arguments="unit:string", required=0,
                )(_make_time(prefix, name))  # fmt: skip
            elif prefix == "fc":
                TABLE.row(f"{prefix}_{name}", SampleType.INT, needs, _LAYER4, f"The {whose} connection's {doc}, by the kernel.")(
                    _make_counter(name)
                )


def _make_counter(name: str) -> Callable[..., Getter]:
    def make(environment: CompileEnvironment) -> Getter:
        return lambda facts: facts.session.tcp_info(name)

    return make


def _make_time(prefix: str, name: str) -> Callable[..., Getter]:
    def make(environment: CompileEnvironment, unit: bytes | None) -> Getter:
        if unit not in (None, b"ms", b"us"):
            raise ExpressionError(f'{prefix}_{name} counts in ms or us, not "{unit.decode("utf-8", "replace")}"')
        divisor = 1 if unit == b"us" else 1000

        def get(facts: Facts) -> int | None:
            value = facts.session.tcp_info(name) if prefix == "fc" else facts.bc_tcp_info(name)
            return None if value is None else value // divisor

        return get

    return make


_add_tcp_info()


@TABLE.plain("bc_src", SampleType.ADDR, Needs.SERVER_CONNECTION, _LAYER4, "The address we connected to the server from.")
def bc_src(facts: Facts) -> bytes | None:
    return facts.bc_src or None


@TABLE.plain("bc_src_port", SampleType.INT, Needs.SERVER_CONNECTION, _LAYER4, "The port we connected to the server from.")
def bc_src_port(facts: Facts) -> int | None:
    return facts.bc_src_port if facts.bc_src else None


@TABLE.plain("bc_dst", SampleType.ADDR, Needs.SERVER_CONNECTION, _LAYER4, "The server's address.")
def bc_dst(facts: Facts) -> bytes | None:
    return facts.bc_dst or None


@TABLE.plain("bc_dst_port", SampleType.INT, Needs.SERVER_CONNECTION, _LAYER4, "The server's port.")
def bc_dst_port(facts: Facts) -> int | None:
    return facts.bc_dst_port if facts.bc_dst else None


@TABLE.plain("bc_http_major", SampleType.INT, Needs.SERVER_CONNECTION, _LAYER4, "The HTTP major version on the server's connection.")
def bc_http_major(facts: Facts) -> int:
    return facts.bc_http_major


@TABLE.plain("bc_err", SampleType.INT, Needs.SERVER_CONNECTION, _LAYER4, "The server connection's error number; 0 = none.")
def bc_err(facts: Facts) -> int:
    return facts.bc_err


@TABLE.plain("bc_err_str", SampleType.STR, Needs.SERVER_CONNECTION, _LAYER4, "The server connection's error as a sentence.")
def bc_err_str(facts: Facts) -> bytes:
    return message(facts.bc_err)


@TABLE.plain("bc_reused", SampleType.BOOL, Needs.SERVER_CONNECTION, _LAYER4, "The server's connection had served before.")
def bc_reused(facts: Facts) -> bool:
    return facts.bc_reused


@TABLE.plain("so_id", SampleType.INT, Needs.LISTENER, _LAYER4, "The listening socket's id.")
def so_id(facts: Facts) -> int | None:
    return bind_id(facts.session) or None


def bind_id(session: SessionFacts) -> int:
    """The `id` keyword, or its place among the binds of its proxy, counted from 1; 0 where nobody listens."""
    bind, proxy = session.bind, session.frontend
    if bind is None or bind.label.isdigit():
        return 0 if bind is None else int(bind.label)
    return next((place for place, one in enumerate(proxy.binds if proxy is not None else (), 1) if one.id == bind.id), bind.id + 1)


@TABLE.plain("so_name", SampleType.STR, Needs.LISTENER, _LAYER4, "The listening socket's name.")
def so_name(facts: Facts) -> bytes | None:
    bind = facts.session.bind
    return bind.name.encode("utf-8", "surrogateescape") if bind is not None and bind.name else None


@TABLE.plain("dst_conn", SampleType.INT, Needs.LISTENER, _LAYER4, "Connections on the same listening socket.")
def dst_conn(facts: Facts) -> int | None:
    bind = facts.session.bind
    return None if bind is None else facts.world.bind_connections(bind)
