"""Verdicts in the first table are those of a running HAProxy 2.6, where it has the converter."""

from __future__ import annotations

import pytest

from common.acl.expressions import compile_expression
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from tests.common.acl.fakes import environment, facts, request, set_variables, text_of_expression


@pytest.mark.parametrize(
    "expression, result",
    [
        ("str(a\\ b+c%20d?e+f),url_dec", b"a b+c d?e f"),
        ("str(a+b%20c?d+e),url_dec(1)", b"a b c?d e"),
        ("str(a%zzb%2),url_dec", None),
        ("str(a%00b),url_dec,hex", b"610062"),
        ('str("a b&c=d/e?f~g-h_i.j*k"),url_enc', b"a%20b%26c%3Dd%2Fe%3Ff~g-h_i.j%2Ak"),
        ('str(Very "Ugly" UA 1/2),json(utf8s)', b"Very Ugly UA 1\\/2"),
        ("bin(c3a9c328),json(utf8s)", b"\\u00e9("),
        ("bin(c3a9c328),json(utf8)", None),
        ("bin(c3a9),json(ascii)", b"\\u00c3\\u00a9"),
        ("bin(c3a9),json", b"\\u00c3\\u00a9"),
        ("bin(e282ac0a09),json(utf8)", b"\\u20ac\\n\\t"),
        ("bin(f09f9880),json(utf8)", None),
        ("bin(f09f9880),json(utf8s)", b""),
        ("bin(c080),json(utf8p)", b"\\u0000"),
        ("bin(c080),json(utf8s)", b""),
        ('str("{\\"integer\\":4}"),json_query("$.integer","int"),add(1)', b"5"),
        ('str("{\\"my.key\\":\\"myvalue\\"}"),json_query("$.my\\\\.key")', b"myvalue"),
        ('str("{\\"a\\":{\\"b\\":[1,2.5,\\"x\\"]}}"),json_query("$.a.b[1]")', b"2.5"),
        ('str("{\\"a\\":{\\"b\\":[1,2.5,\\"x\\"]}}"),json_query("$.a.b[2]")', b"x"),
        ('str("{\\"a\\":{\\"b\\":[1,2.5,\\"x\\"]}}"),json_query("$.a.b[0]")', b"1"),
        ('str("{\\"a\\":{\\"b\\":[1,2.5,\\"x\\"]}}"),json_query("$.a")', None),
        ('str("{\\"f\\":false,\\"t\\":true,\\"n\\":null}"),json_query("$.f")', b"0"),
        ('str("{\\"f\\":false,\\"t\\":true,\\"n\\":null}"),json_query("$.t")', b"1"),
        ('str("{\\"f\\":false,\\"t\\":true,\\"n\\":null}"),json_query("$.n")', None),
        ('str("{\\"s\\":\\"12\\",\\"b\\":\\"12x\\"}"),json_query("$.s","int")', b"12"),
        ('str("{\\"s\\":12.7}"),json_query("$.s","int")', b"12"),
        ('str("{\\"s\\":12.7}"),json_query("$.s")', b"12.7"),
        ('str("{\\"s\\":1e3}"),json_query("$.s")', b"1000"),
        ('str("[1,2]"),json_query("$[1]")', b"2"),
        ('str("bad"),json_query("$.x")', None),
        ('str("{\\"s\\":true}"),json_query("$.s","int")', b"1"),
        ("bin(00ff80),url_enc", b"%00%FF%80"),
        (r"""str("<a href=\"x\">'&"),html""", b"&lt;a href=&quot;x&quot;&gt;&#x27;&amp;"),
        ("bin(c3),json(utf8s)", b""),
        ("bin(c3),json(utf8)", None),
        ("bin(80),json(utf8s)", b""),
        ("bin(f8),json(utf8s)", b""),
        ("bin(eda080),json(utf8)", None),
        ("bin(e0808a),json(utf8p)", b"\\n"),
        ('str("{\\"a\\":{\\"b\\":[1,2.5,\\"x\\"]}}"),json_query("$.a.b")', b'[1,2.5,"x"]'),
        ('str("{\\"b\\":\\"12x\\"}"),json_query("$.b","int")', None),
        ('str("{\\"b\\":99999999999999999999}"),json_query("$.b")', b"99999999999999999999"),
        ('str("{\\"b\\":1e300}"),json_query("$.b","int")', None),
        ('str("[]"),json_query("$","int")', None),
    ],
)
def test_converters(expression: str, result: bytes | None) -> None:
    assert text_of_expression(expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        "str(a),json(foo)",
        "str(a),json_query($.a,foo)",
        "str(a),json_query(.a)",
        "str(a),url_enc(path)",
        "str(a),jwt_verify(XX256,key)",
        "str(a),jwt_verify(RS256,/no/such/file)",
        "str(a),jwt_verify_cert(txn.alg,/no/such/file)",
    ],
)
def test_wrong_arguments_are_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(expression, environment())


TOKEN = b"eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJtZSIsIm4iOjd9.kAt_RaLrsR-8nSKQKnDVmRHUjjgGSPPDmr-UmKbMsZo"


@pytest.mark.parametrize(
    "converter, result",
    [
        ("jwt_header_query", b'{"alg":"HS256"}'),
        ("jwt_header_query($.alg)", b"HS256"),
        ("jwt_payload_query($.iss)", b"me"),
        ("jwt_payload_query($.n,int)", b"7"),
        ("jwt_payload_query($.none)", None),
    ],
)
def test_parts_of_a_token(converter: str, result: bytes | None) -> None:
    assert text_of_expression(f"var(txn.token),{converter}", set_variables(facts(), token=TOKEN)) == result
    assert text_of_expression(f"var(txn.token),{converter}", set_variables(facts(), token=b"a.b")) is None


def test_a_tokens_signature() -> None:
    exchange = set_variables(facts(), token=TOKEN, alg=b"HS256", none=b"none")
    for arguments, result in (("HS256,wrong", b"0"), ("txn.alg,wrong", b"0"), ("txn.none,secret", b"-1"), ("txn.absent,x", None)):
        assert text_of_expression(f"var(txn.token),jwt_verify({arguments})", exchange) == result


def test_types_of_json_values_are_kept() -> None:
    document = b'{"t":true,"n":5,"s":"x"}'
    for path, typed in (("t", Typed(SampleType.BOOL, True)), ("n", Typed(SampleType.INT, 5)), ("s", Typed(SampleType.STR, b"x"))):
        exchange = facts(request=request(), request_body=document)
        assert compile_expression(f"req.body,json_query($.{path})", environment()).get(exchange) == typed
