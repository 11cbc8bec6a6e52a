"""Verdicts in the first table are those of a running HAProxy 2.6, where it has the converter."""

from __future__ import annotations

import pytest

from common.acl.expressions import compile_expression
from common.errors import ExpressionError
from tests.common.acl.fakes import environment, facts, request, set_variables, text_of_expression


@pytest.mark.parametrize(
    "expression, result",
    [
        ('str("a,b"),length', b"3"),
        ("str( a ),length", b"3"),
        ("str(a),field(1,\\,)", b"a"),
        ("str(a),concat(,,)", b"a"),
        ("str(a),concat()", b"a"),
        ("str(a),concat", b"a"),
        ("str(a),concat(b)", b"ab"),
        ("str(a),upper()", b"A"),
        ("str(a),,upper", b"A"),
        ("str(a),bytes(-1)", None),
        ("str(aaa),regsub(a,b,)", b"baa"),
        ("str(f1_f2_f3__f5),field(5,_)", b"f5"),
        ("str(f1_f2_f3__f5),field(2,_,0)", b"f2_f3__f5"),
        ("str(f1_f2_f3__f5),field(2,_,2)", b"f2_f3"),
        ("str(f1_f2_f3__f5),field(-2,_,3)", b"f2_f3_"),
        ("str(f1_f2_f3__f5),field(-3,_,0)", b"f1_f2_f3"),
        ("str(f1_f2_f3__f5),field(9,_)", None),
        ("str(f1_f2_f3__f5),field(4,_)", b""),
        ("str(f1_f2_f3__f5),field(-9,_)", None),
        ("str(f1_f2_f3__f5),field(4,_,5)", b"_f5"),
        ("str(f1_f2_f3__f5),field(1,_,-1)", b"f1_f2_f3__f5"),
        ("str(a.b-c),field(2,.-)", b"b"),
        ("str(f1_f2_f3__f5),word(4,_)", b"f5"),
        ("str(f1_f2_f3__f5),word(2,_,0)", b"f2_f3__f5"),
        ("str(f1_f2_f3__f5),word(3,_,2)", b"f3__f5"),
        ("str(f1_f2_f3__f5),word(-2,_,3)", b"f1_f2_f3"),
        ("str(f1_f2_f3__f5),word(-3,_,0)", b"f1_f2"),
        ("str(/f1/f2/f3/f4),word(1,/)", b"f1"),
        ("str(/f1/f2//),word(-1,/)", b"f2"),
        ("str(f1_f2),word(5,_)", None),
        ("str(__),word(1,_)", None),
        ("str(aXbXc),bytes(1)", b"XbXc"),
        ("str(abcdef),bytes(1,2)", b"bc"),
        ("str(abcdef),bytes(1,20)", b"bcdef"),
        ("str(abcdef),bytes(9)", None),
        ("str(abcdef),bytes(6)", b""),
        ("str(abc),bytes(0,0)", b""),
        ("bool(1),iif(a,b)", b"a"),
        ("int(0),iif(a,b)", b"b"),
        ("str(),iif(a,b)", None),
        ("str(x),iif(a,b)", b"b"),
        ("str(Hello),language(Hello)", b"Hello"),
        ('str("fr;q=0.8, en;q=0.9, es"),language(es;fr;en)', b"es"),
        ('str("fr-CA, en;q=0.9"),language(en;fr)', b"fr"),
        ('str("fr-CA, en;q=0.9"),language(en;fr-CA)', b"fr-CA"),
        ('str("de"),language(en;fr,xx)', b"xx"),
        ('str("*"),language(en;fr,xx)', b"xx"),
        ('str("de"),language(en;fr)', None),
        ('str("en;q=0"),language(en;fr,no)', b"no"),
        ("str(  ab ),ltrim( ),length", b"3"),
        ("str( ab ),rtrim( ),length", b"3"),
        ("str(xxabxx),ltrim(x),rtrim(x)", b"ab"),
        ('str("a\\nb"),cut_crlf', b"a"),
        ("str(Example.COM:8080),host_only", b"example.com"),
        ("str([::1]:80),host_only", b"[::1]"),
        ("str([::1]),host_only", b"[::1]"),
        ("str(Example.COM:8080),port_only", b"8080"),
        ("str([::1]:80),port_only", b"80"),
        ("str(a),port_only", b"0"),
        ("str(),host_only", b""),
        ("str(a),concat(-,txn.v,.)", b"a-vv."),
        ("str(a),concat(-,txn.none,.)", b"a-."),
        ("str(a),concat(,txn.v)", b"avv"),
        ('str(a),add_item(",",txn.v)', b"a,vv"),
        ('str(),add_item(",",txn.v)', b"vv"),
        ('str(a),add_item(",",txn.none)', b"a"),
        ('str(a),add_item(",",txn.none,x)', b"a,x"),
        ('str(a),add_item(",",,x)', b"a,x"),
        ("str(a),strcmp(txn.v)", b"-21"),
        ("str(vv),strcmp(txn.v)", b"0"),
        ("str(z),strcmp(txn.v)", b"4"),
        ("str(z),strcmp(txn.none)", None),
        ("str(vvv),strcmp(txn.v)", b"1"),
        ("str(vv),secure_memcmp(txn.v)", b"1"),
        ("str(z),secure_memcmp(txn.v)", b"0"),
        ("str(z),secure_memcmp(txn.none)", None),
        ("str(/////a///b/c/xzxyz/),regsub('/+','/','g')", b"/a/b/c/xzxyz/"),
        ("str(?;&a=b),regsub([?;&]*,'')", b"a=b"),
        ('str(foo12),regsub("(foo|bar)([0-9]+)?","\\2\\1",i)', b"12foo"),
        ("str(aaa),regsub(a*,x,g)", b"xx"),
        ("str(abc),regsub(x*,-,g)", b"-a-b-c-"),
        ("str(abab),regsub(^a,x,g)", b"xbab"),
        ("str(abc),regsub(b,[\\0])", b"a[b]c"),
        ("str(abc),regsub(b,[\\5])", b"a[]c"),
        ("str(abc),regsub(B,x,gi)", b"axc"),
        ("var(txn.b),iif(t,f)", b"f"),
        ("uuid,length", b"36"),
        ("str(aBc),upper,lower,length", b"3"),
        ("str(abc),reverse", b"cba"),
        ("str(www.example.com),reverse_dom", b"com.example.www"),
        ("str(a),has_ctl", b"0"),
        ('str("a\\nb"),has_ctl', b"1"),
        ("str(a:b),port_only", b"0"),
        ("str(::1),host_only", b"::1"),
        ("str(a=1&b=2),param(b)", b"2"),
        ("str(a=1;b=2),param(b,;)", b"2"),
        ("str(a=1&b),urlp(b)", b""),
        ("str(a=1),param(b)", None),
        ("str(abcdef),bytes(txn.i)", b"f"),
        ("str(abcdef),bytes(1,txn.i)", b"bcdef"),
        ("str(abcdef),bytes(txn.none)", None),
        ("str(en;q=0.5),language(en)", b"en"),
        ("str(en;q=x),language(en)", b"en"),
    ],
)
def test_converters(expression: str, result: bytes | None) -> None:
    assert text_of_expression(expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        "str(abc),field(0,b)",
        "str(abc),field(1)",
        "str(abc),field(1,)",
        "str(abc),word(x,b)",
        "str(aaa),regsub(a,b,gx)",
        'str(a),regsub("a(",b)',
        "str(a),add_item(x)",
        "str(a),bytes(x)",
        "str(a),concat(a,foo.b)",
        "str(a),upper(x)",
        "int(1),iif(a)",
    ],
)
def test_wrong_arguments_are_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(expression, environment())


def test_tagging_as_in_the_manual() -> None:
    surroundings = environment()
    chain = compile_expression('var(req.tagged),add_item(",",req.score1,"(site1)"),add_item(",",req.score2,"(site2)")', surroundings)
    exchange = facts(request=request())
    exchange.req_variables.update(set_variables(facts(), tagged=b"", score1=7, score2=b"x").txn_variables)
    assert chain.text_getter(exchange) == b"7(site1),x(site2)"
    assert {"req.score1", "req.score2", "req.tagged"} <= surroundings.variables_read
