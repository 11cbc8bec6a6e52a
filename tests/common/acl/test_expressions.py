from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.absent import AbsentExchange
from common.acl.environment import Where
from common.acl.expressions import compile_expression, parse_expression, parse_inside
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from tests.common.acl.fakes import environment, facts, request, set_variables


def test_a_chain_runs_from_left_to_right() -> None:
    expression = compile_expression("req.hdr(host),lower,field(1,:)", environment())
    exchange = facts(request=request(fields=[(b"Host", b"WWW.Example.com:8080")]))
    assert expression.get(exchange) == b"www.example.com"
    assert expression.type is SampleType.STR
    assert expression.converted
    assert not expression.constant


def test_nothing_found_ends_the_chain() -> None:
    assert compile_expression("req.hdr(host),lower,field(1,:)", environment()).get(facts(request=request())) is None


def test_casts_stand_where_types_differ() -> None:
    exchange = facts().with_session(src=b"\x7f\0\0\1")
    assert compile_expression("src,lower", environment()).get(exchange) == b"127.0.0.1"
    assert compile_expression("src,add(1)", environment()).get(exchange) == 0x7F000002
    assert compile_expression("str(12x),add(1)", environment()).get(exchange) == 13
    assert compile_expression("str(),add(1)", environment()).get(exchange) is None


@pytest.mark.parametrize("text", ["ssl_fc_unique_id,add(1)", "ipv6(::1),add(1)", "method,ipmask(24)", "bin(01),iif(a,b)"])
def test_types_that_do_not_go_together_are_found_at_once(text: str) -> None:
    with pytest.raises(ExpressionError, match="converter"):
        compile_expression(text, environment())


def test_a_variable_is_cast_when_it_is_read() -> None:
    exchange = set_variables(facts(), number=5, text=b"7", address=Typed(SampleType.IPV4, b"\1\2\3\4"))
    for name, result in (("number", 6), ("text", 8), ("address", 0x01020305), ("absent", None)):
        assert compile_expression(f"var(txn.{name}),add(1)", environment()).get(exchange) == result
    assert compile_expression("var(txn.number)", environment()).get(exchange) == Typed(SampleType.INT, 5)


def test_a_constant_is_computed_once() -> None:
    expression = compile_expression("str(Hello),upper,length", environment())
    assert expression.constant
    assert expression.get(AbsentExchange()) == 5
    assert list(expression.each(AbsentExchange())) == [5]
    assert list(compile_expression("str(x),hex2i", environment()).each(AbsentExchange())) == []
    assert not compile_expression("rand(5)", environment()).constant
    assert not compile_expression("str(a),concat(txn.x)", environment()).constant


def test_every_occurrence_goes_through_the_converters() -> None:
    expression = compile_expression("req.hdr(x),upper,concat(!)", environment())
    exchange = facts(request=request(fields=[(b"x", b"a, b"), (b"x", b"c")]))
    assert list(expression.each(exchange)) == [b"A!", b"B!", b"C!"]
    assert expression.get(exchange) == b"C!"
    assert list(compile_expression("src,lower", environment()).each(facts())) == []


def test_casting_at_the_end() -> None:
    exchange = facts().with_session(src=b"\1\2\3\4")
    expression = compile_expression("src", environment())
    assert expression.to(SampleType.STR)(exchange) == b"1.2.3.4"
    assert list(expression.each_to(SampleType.INT)(exchange)) == [0x01020304]
    assert expression.text_getter(exchange) == b"1.2.3.4"
    assert expression.to(SampleType.ADDR) is expression.get
    with pytest.raises(ExpressionError, match="does not convert"):
        expression.to(SampleType.BOOL)


def test_a_variables_text() -> None:
    assert compile_expression("var(txn.a)", environment()).text_getter(set_variables(facts(), a=5)) == b"5"


def test_converters_may_follow_as_words() -> None:
    words = ["src", "ipmask(24)", "table", "other"]
    expression, used = parse_expression(words, environment())
    assert used == 2
    assert expression.get(facts().with_session(src=b"\1\2\3\4")) == b"\1\2\3\0"
    assert expression.text == "src,ipmask(24)"


@pytest.mark.parametrize(
    "words, at",
    [(["src", "upper", "what"], 2), (["src,upper foo"], 0), ([], 0), (["src)"], 0)],
)
def test_what_does_not_belong_is_pointed_at(words: list[str], at: int) -> None:
    with pytest.raises(ExpressionError) as failure:
        compile_expression(words, environment())
    assert failure.value.word == at


def test_an_expression_in_brackets_ends_before_them() -> None:
    expression, end = parse_inside("%[src,lower] rest", 2, environment())
    assert end == 11
    assert expression.text == "src,lower"


@pytest.mark.parametrize(
    "text, hint",
    [("pathh", 'did you mean "path'), ("req.hdrs_cnt(x)", "did you mean"), ("src,lowre", 'did you mean "lower"?'), ("zzzzzz", "")],
)
def test_unknown_names_are_refused_with_a_suggestion(text: str, hint: str) -> None:
    with pytest.raises(ExpressionError, match="unknown") as failure:
        compile_expression(text, environment())
    assert failure.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "text, where, allowed",
    [
        ("path", Where.REQUEST, True),
        ("path", Where.RESPONSE, False),
        ("path", Where.LOG, False),
        ("path", Where.CONNECTION, False),
        ("method", Where.LOG, True),
        ("capture.req.hdr(0)", Where.LOG, True),
        ("status", Where.REQUEST, False),
        ("status", Where.RESPONSE, True),
        ("status", Where.LOG, True),
        ("res.hdr(x)", Where.RESPONSE, True),
        ("res.hdr(x)", Where.LOG, False),
        ("res.hdr(x)", Where.CHECK, True),
        ("hdr(x)", Where.REQUEST, True),
        ("hdr(x)", Where.RESPONSE, True),
        ("hdr(x)", Where.LOG, False),
        ("src", Where.CONNECTION, True),
        ("src", Where.START, False),
        ("ssl_fc_sni", Where.CONNECTION, False),
        ("ssl_fc_sni", Where.SESSION, True),
        ("be_name", Where.REQUEST, False),
        ("be_name", Where.LOG, True),
        ("srv_name", Where.REQUEST, False),
        ("srv_name", Where.SERVER_CHOICE, True),
        ("bc_src", Where.SERVER_CHOICE, False),
        ("bc_src", Where.RESPONSE, True),
        ("env(HOME)", Where.START, True),
        ("date", Where.CONNECTION, True),
        ("req.payload(0,4)", Where.REQUEST_CONTENT, True),
        ("res.payload(0,4)", Where.REQUEST_CONTENT, False),
    ],
)
def test_what_is_not_known_at_that_moment_is_refused(text: str, where: Where, allowed: bool) -> None:
    if allowed:
        compile_expression(text, environment(where))
        return
    with pytest.raises(ExpressionError, match="cannot be used in"):
        compile_expression(text, environment(where))


NAMES = st.sampled_from(["src", "path", "req.hdr(host)", "str(a)", "int(5)", "var(txn.a)", "rand", "method", "bool(1)", "bin(00ff)"])
STEPS = st.sampled_from(
    ["lower", "upper", "length", "hex", "base64", "add(1)", "mul(2)", "field(1,.)", "word(-1,.)", "sha1", "iif(a,b)", "bytes(1)"]
)


@given(NAMES, st.lists(STEPS, max_size=5), st.binary(max_size=20))
def test_whatever_compiles_also_runs(fetch: str, steps: list[str], host: bytes) -> None:
    try:
        expression = compile_expression(",".join([fetch, *steps]), environment())
    except ExpressionError:
        return
    exchange = set_variables(facts(request=request(b"/a.b", [(b"host", host)])).with_session(src=b"\1\2\3\4"), a=host)
    text = expression.text_getter(exchange)
    assert text is None or isinstance(text, bytes)
