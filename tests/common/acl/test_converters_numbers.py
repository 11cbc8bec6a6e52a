"""Verdicts in the first table are those of a running HAProxy 2.6, where it has the converter."""

from __future__ import annotations

import pytest

from common.acl.expressions import compile_expression
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from tests.common.acl.fakes import environment, facts, set_variables, text_of_expression


@pytest.mark.parametrize(
    "expression, result",
    [
        ("str(a),add(txn.x)", None),
        ("int(16909060),htonl,hex", b"01020304"),
        ("int(0),http_date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        ("int(0),http_date(3600)", b"Thu, 01 Jan 1970 01:00:00 GMT"),
        ("int(1500),http_date(0,ms)", b"Thu, 01 Jan 1970 00:00:01.500 GMT"),
        ("int(1500000),http_date(0,us)", b"Thu, 01 Jan 1970 00:00:01.500000 GMT"),
        ("int(86400),utime(%Y-%m-%dT%H:%M:%S%z)", b"1970-01-02T00:00:00+0000"),
        ("int(86400),utime(%d/%b/%Y,3600)", b"02/Jan/1970"),
        ("int(86400),ltime(%c)", b"Fri Jan  2 00:00:00 1970"),
        ("int(5),add(3)", b"8"),
        ("int(5),sub(8)", b"-3"),
        ("int(9223372036854775807),add(1)", b"9223372036854775807"),
        ("int(-9223372036854775808),sub(1)", b"-9223372036854775808"),
        ("int(9223372036854775807),mul(2)", b"9223372036854775807"),
        ("int(-9223372036854775808),mul(2)", b"-9223372036854775808"),
        ("int(7),div(2)", b"3"),
        ("int(-7),div(2)", b"-3"),
        ("int(7),div(0)", b"9223372036854775807"),
        ("int(-7),div(0)", b"9223372036854775807"),
        ("int(-7),mod(3)", b"-1"),
        ("int(7),mod(0)", b"0"),
        ("int(5),and(3)", b"1"),
        ("int(5),or(3)", b"7"),
        ("int(5),xor(3)", b"6"),
        ("int(5),cpl", b"-6"),
        ("int(5),neg", b"-5"),
        ("int(-9223372036854775808),neg", b"9223372036854775807"),
        ("int(5),not", b"0"),
        ("int(0),not", b"1"),
        ("int(5),bool", b"1"),
        ("int(5),odd", b"1"),
        ("int(5),even", b"0"),
        ("int(-9223372036854775808),div(-1)", b"9223372036854775807"),
        ("int(-1),div(2)", b"0"),
        ("int(3),add(txn.i)", b"8"),
        ("int(3),add(txn.v)", b"3"),
        ("var(txn.i),mul(2)", b"10"),
        ("var(txn.ip),add(0)", b"2130706433"),
        ("int(1500),ms_utime(%Y-%m-%dT%H:%M:%S)", b"1970-01-01T00:00:01"),
        ("int(1500000),us_utime(%S.%f)", b"01.500000"),
        ("int(10),x509_v_err_str", b"X509_V_ERR_CERT_HAS_EXPIRED"),
        ("int(0),x509_v_err_str", b"X509_V_OK"),
        ("int(9999),x509_v_err_str", b"9999"),
        ("int(9223372036854775807),utime(%Y)", None),
        ("int(784111777),http_date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        ("int(-1),http_date", b"Wed, 31 Dec 1969 23:59:59 GMT"),
        ("int(6),div(txn.i)", b"1"),
        ("int(6),div(txn.none)", None),
    ],
)
def test_converters(expression: str, result: bytes | None) -> None:
    assert text_of_expression(expression) == result


@pytest.mark.parametrize(
    "expression", ["str(a),add(x)", "int(1),http_date(0,h)", "int(1),utime", "bin(00),add(1)", "int(1),x509_v_err_str(1)"]
)
def test_wrong_arguments_are_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(expression, environment())


def test_local_time_is_the_worlds() -> None:
    exchange = facts().with_world(offset=3600)
    assert compile_expression("int(0),ltime(%H:%M %z)", environment()).get(exchange) == b"01:00 +0100"
    assert compile_expression("int(1500),ms_ltime(%H:%M:%S,1000)", environment()).get(exchange) == b"01:00:02"


def test_operands_are_cast_like_samples() -> None:
    exchange = set_variables(facts(), text=b"4x", address=Typed(SampleType.IPV4, b"\0\0\0\2"), data=Typed(SampleType.BIN, b"1"))
    for name, result in (("text", 5), ("address", 3), ("data", None)):
        assert compile_expression(f"int(1),add(txn.{name})", environment()).get(exchange) == result
