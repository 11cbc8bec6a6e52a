from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import model
from common.acl.arguments import Call, bind, parse_calls
from common.acl.environment import CompileEnvironment
from common.acl.table import Argument, ArgumentKind, Row
from common.errors import ExpressionError
from tests.common.acl.fakes import PLACE


@pytest.mark.parametrize(
    "text, calls",
    [
        ("src", [("src", None)]),
        ("src()", [("src", ("",))]),
        ("hdr(host),lower", [("hdr", ("host",)), ("lower", None)]),
        ("base32+src", [("base32+src", None)]),
        ("str(a),,upper", [("str", ("a",)), ("upper", None)]),
        # The second level of quoting, as a running HAProxy reads it.
        (r"str(a\1b)", [("str", (r"a\1b",))]),
        (r'str("a\1b")', [("str", (r"a\1b",))]),
        (r"str(a\nb)", [("str", ("a\nb",))]),
        (r"str(a\x41b)", [("str", (r"a\x41b",))]),
        (r"str(a\\b)", [("str", (r"a\b",))]),
        ('str(a"b)c"d)', [("str", ("ab)cd",))]),
        ('str("a,b")', [("str", ("a,b",))]),
        ("str('a,b)')", [("str", ("a,b)",))]),
        (r'str("a\"b")', [("str", ('a"b',))]),
        (r"str('a\nb')", [("str", (r"a\nb",))]),
        (r"str(a\.b)", [("str", (r"a\.b",))]),
        (r"str(a\ b)", [("str", ("a b",))]),
        ("str( a )", [("str", (" a ",))]),
        ("field(1,\\,)", [("field", ("1", "\\", ""))]),
        ("concat(,txn.v,)", [("concat", ("", "txn.v", ""))]),
        ("regsub('/+','/','g')", [("regsub", ("/+", "/", "g"))]),
    ],
)
def test_expressions_are_cut_into_calls(text: str, calls: list[tuple[str, Any]]) -> None:
    found, end = parse_calls(text)
    assert [(call.name, call.arguments) for call in found] == calls
    assert end == len(text)


@pytest.mark.parametrize("text, end", [("str(a)b", 6), ("str(a) upper", 6), ("str(a(b)c)", 8), ("src]x", 3), ("src,-m x", 6)])
def test_what_is_no_part_of_it_ends_the_expression(text: str, end: int) -> None:
    assert parse_calls(text)[1] == end


@pytest.mark.parametrize("text", ["", "(", "!src", "str(a", 'str("a)', "str('a)", ",upper"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_calls(text)


def test_an_expression_inside_text_starts_where_it_is_told() -> None:
    assert parse_calls("%[src,lower]", 2) == ([Call("src", None), Call("lower", None)], 11)


KIND = ArgumentKind


def row(*arguments: tuple[str, ArgumentKind], required: int = 0, many: bool = False) -> Row:
    return Row("thing", tuple(Argument(name, kind) for name, kind in arguments), required, "7.3", "A thing.", many)


def surroundings() -> CompileEnvironment:
    backend = model.Proxy(
        PLACE, "be", frontend=False, backend=True, servers=[model.Server(PLACE, "s1", model.Address(model.AddressKind.INET))]
    )
    backend.stick_table = ("type", "ip")
    frontend = model.Proxy(PLACE, "fe", frontend=True, backend=False)
    return CompileEnvironment(config=model.Config(proxies=[frontend, backend], userlists={"users": []}), proxy=backend)


@pytest.mark.parametrize(
    "kind, text, value",
    [
        (KIND.STRING, "é", "é".encode()),
        (KIND.INTEGER, "-5", -5),
        (KIND.INTEGER, "9" * 30, 2**63 - 1),
        (KIND.VARIABLE, "txn.a", "txn.a"),
        (KIND.INTEGER_OR_VARIABLE, "5", 5),
        (KIND.INTEGER_OR_VARIABLE, "req.a", "req.a"),
        (KIND.STRING_OR_VARIABLE, "txn.a", "txn.a"),
        (KIND.STRING_OR_VARIABLE, "secret", b"secret"),
        (KIND.REGEX, "a+", "a+"),
        (KIND.IPV4, "1.2.3.4", b"\1\2\3\4"),
        (KIND.IPV6, "::1", b"\0" * 15 + b"\1"),
        (KIND.MASK4, "24", 24),
        (KIND.MASK6, "64", 64),
        (KIND.FRONTEND, "fe", "fe"),
        (KIND.BACKEND, "be", "be"),
        (KIND.SERVER, "s1", (None, "s1")),
        (KIND.SERVER, "be/s1", ("be", "s1")),
        (KIND.TABLE, "be", "be"),
        (KIND.USERLIST, "users", "users"),
        (KIND.FILE, "/etc/hosts.map", "/etc/hosts.map"),
    ],
)
def test_arguments_are_read_by_their_kind(kind: ArgumentKind, text: str, value: Any) -> None:
    assert bind(row(("x", kind)), Call("thing", (text,)), surroundings(), "sample fetch") == [value]


@pytest.mark.parametrize(
    "kind, text",
    [
        (KIND.INTEGER, "x"),
        (KIND.INTEGER, "0x10"),
        (KIND.VARIABLE, "a"),
        (KIND.VARIABLE, "txn."),
        (KIND.VARIABLE, "txn.a-b"),
        (KIND.INTEGER_OR_VARIABLE, "x"),
        (KIND.REGEX, "("),
        (KIND.IPV4, "999.1.1.1"),
        (KIND.IPV6, "1.2.3.4"),
        (KIND.MASK4, "33"),
        (KIND.FRONTEND, "be"),
        (KIND.BACKEND, "fe"),
        (KIND.SERVER, "be/nope"),
        (KIND.SERVER, "nope/s1"),
        (KIND.SERVER, "nope"),
        (KIND.TABLE, "fe"),
        (KIND.USERLIST, "nobody"),
    ],
)
def test_an_argument_of_another_kind_is_refused(kind: ArgumentKind, text: str) -> None:
    with pytest.raises(ExpressionError, match="<x>"):
        bind(row(("x", kind)), Call("thing", (text,)), surroundings(), "sample fetch")


def test_a_close_name_is_suggested() -> None:
    with pytest.raises(ExpressionError) as failure:
        bind(row(("x", KIND.USERLIST)), Call("thing", ("user",)), surroundings(), "sample fetch")
    assert failure.value.hint == 'did you mean "users"?'


OPTIONAL = row(("a", KIND.STRING), ("b", KIND.INTEGER), ("c", KIND.STRING), required=1)


@pytest.mark.parametrize(
    "given, values",
    [
        (("x",), [b"x", None, None]),
        (("x", "", "y"), [b"x", None, b"y"]),
        (("",), [b"", None, None]),
        (("x", "5", ""), [b"x", 5, None]),
    ],
)
def test_what_is_left_out_is_none(given: tuple[str, ...], values: list[Any]) -> None:
    assert bind(OPTIONAL, Call("thing", given), CompileEnvironment(), "converter") == values


@pytest.mark.parametrize(
    "line, given",
    [
        (OPTIONAL, None),
        (OPTIONAL, ("a", "1", "b", "c")),
        (row(), ("a",)),
        (row(("n", KIND.INTEGER), required=1), ("",)),
        (row(("n", KIND.INTEGER), required=1), None),
    ],
)
def test_wrong_counts_are_refused_with_the_signature(line: Row, given: tuple[str, ...] | None) -> None:
    with pytest.raises(ExpressionError, match="thing"):
        bind(line, Call("thing", given), CompileEnvironment(), "converter")


def test_empty_parentheses_are_no_argument() -> None:
    assert bind(row(), Call("thing", ("",)), CompileEnvironment(), "converter") == []


def test_a_repeating_argument_takes_as_many_as_come() -> None:
    many = row(("v", KIND.VARIABLE), ("cond", KIND.STRING), required=1, many=True)
    assert bind(many, Call("thing", ("txn.a", "x", "y", "z")), CompileEnvironment(), "converter") == ["txn.a", b"x", b"y", b"z"]


def test_variables_that_are_read_are_remembered() -> None:
    environment = CompileEnvironment()
    bind(row(("x", KIND.VARIABLE)), Call("thing", ("txn.a",)), environment, "converter")
    assert environment.variables_read == {"txn.a"}


def test_a_signature_reads_like_the_manual() -> None:
    assert OPTIONAL.signature == "thing(<a>[,<b>[,<c>]])"
    assert row().signature == "thing"
    assert row(("a", KIND.STRING), required=1, many=True).signature == "thing(<a>[,…])"


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        calls, end = parse_calls(text)
    except ExpressionError:
        return
    assert calls
    assert 0 < end <= len(text)
