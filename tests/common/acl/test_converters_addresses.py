"""Verdicts in the first table are those of a running HAProxy 2.6, where it has the converter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.converters_addresses import parse_forwarded, parse_node
from common.acl.expressions import compile_expression
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from tests.common.acl.fakes import environment, facts, set_variables, text_of_expression


@pytest.mark.parametrize(
    "expression, result",
    [
        ("str(1.2.3.4),ipmask(24)", b"1.2.3.0"),
        ("ipv6(::ffff:1.2.3.4),ipmask(24)", b"1.2.3.0"),
        ("ipv6(2001:db8::1),ipmask(24,32)", b"2001:db8::"),
        ("ipv6(2001:db8::1),ipmask(24)", None),
        ("ipv4(1.2.3.4),ipmask(255.255.0.0)", b"1.2.0.0"),
        ("int(16909060),ipmask(32)", b"1.2.3.4"),
        ("str(x),ipmask(24)", None),
    ],
)
def test_converters(expression: str, result: bytes | None) -> None:
    assert text_of_expression(expression) == result


@pytest.mark.parametrize("expression", ["src,ipmask(33)", "src,ipmask", "src,ipmask(24,129)", "str(a),rfc7239_field(foo)"])
def test_wrong_arguments_are_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(expression, environment())


VALID = [
    b"for=192.0.2.43",
    b'for="[2001:db8:cafe::17]:4711"',
    b"for=192.0.2.60;proto=http;by=203.0.113.43",
    b"for=192.0.2.43, for=198.51.100.17",
    b'For="_gazonk"',
    b'for=unknown;host="example.com:80";proto=https',
    b'for="192.0.2.43:47011"',
    b'for="_\\x"',
]


@pytest.mark.parametrize("value", VALID)
def test_forwarded_values_of_the_rfc_are_valid(value: bytes) -> None:
    assert parse_forwarded(value) is not None
    assert text_of_expression("var(txn.v),rfc7239_is_valid", set_variables(facts(), v=value)) == b"1"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"for",
        b"for=",
        b"for=1.2.3.999",
        b"for=1.2.3.4 x",
        b"for=::1",
        b"for=1.2.3.4;for=1.2.3.5",
        b"for=1.2.3.4,",
        b"for=1.2.3.4:99999",
        b"proto=1x",
        b'for="1.2.3.4',
    ],
)
def test_other_values_are_not(value: bytes) -> None:
    assert parse_forwarded(value) is None
    assert text_of_expression("var(txn.v),rfc7239_is_valid", set_variables(facts(), v=value)) == b"0"


@pytest.mark.parametrize(
    "converters, result",
    [
        ("rfc7239_field(for)", b"[2001:db8::17]:4711"),
        ("rfc7239_field(proto)", b"https"),
        ("rfc7239_field(host)", b"example.com"),
        ("rfc7239_field(by)", None),
        ("rfc7239_field(for),rfc7239_n2nn", b"2001:db8::17"),
        ("rfc7239_field(for),rfc7239_n2np", b"4711"),
        ("rfc7239_field(for),rfc7239_n2nn,rfc7239_nn", b"[2001:db8::17]"),
        ("rfc7239_field(for),rfc7239_n2np,rfc7239_np", b"4711"),
    ],
)
def test_parts_of_a_forwarded_value(converters: str, result: bytes | None) -> None:
    value = b'for="[2001:db8::17]:4711";proto=https;host=example.com'
    assert text_of_expression(f"var(txn.v),{converters}", set_variables(facts(), v=value)) == result


@pytest.mark.parametrize(
    "node, name, port",
    [
        (b"192.0.2.1", Typed(SampleType.IPV4, b"\xc0\0\2\1"), None),
        (b"192.0.2.1:80", Typed(SampleType.IPV4, b"\xc0\0\2\1"), Typed(SampleType.INT, 80)),
        (b"[::1]", Typed(SampleType.IPV6, b"\0" * 15 + b"\1"), None),
        (b"unknown", Typed(SampleType.STR, b"unknown"), None),
        (b"_hidden:_port", Typed(SampleType.STR, b"_hidden"), Typed(SampleType.STR, b"_port")),
    ],
)
def test_nodes(node: bytes, name: Typed, port: Typed | None) -> None:
    assert parse_node(node) == (name, port)


@pytest.mark.parametrize("node", [b"", b"::1", b"[::x]", b"a.b", b"1.2.3.4:65536", b"[::1"])
def test_what_is_no_node(node: bytes) -> None:
    assert parse_node(node) is None


@pytest.mark.parametrize(
    "expression, result",
    [
        ("src,rfc7239_nn", b"127.0.0.1"),
        ("ipv6(::1),rfc7239_nn", b"[::1]"),
        ("str(unknown),rfc7239_nn", b"unknown"),
        ("str(_x),rfc7239_nn", b"_x"),
        ("str(a.b),rfc7239_nn", None),
        ("int(5),rfc7239_nn", None),
        ("int(80),rfc7239_np", b"80"),
        ("int(99999),rfc7239_np", None),
        ("str(_x),rfc7239_np", b"_x"),
        ("str(x),rfc7239_np", None),
    ],
)
def test_making_nodes(expression: str, result: bytes | None) -> None:
    assert text_of_expression(expression, facts().with_session(src=b"\x7f\0\0\1")) == result


@given(st.binary(max_size=60))
def test_no_value_breaks_the_parser(value: bytes) -> None:
    parse_forwarded(value)
    parse_node(value)
