from __future__ import annotations

import pytest

from common.acl.log_encoding import Encoding, ItemType
from common.acl.log_syntax import Flags, FormatParser, Node
from common.errors import ExpressionError
from tests.common.acl.fakes import environment


def parsed(text: str, merge: bool = True) -> tuple[list[Node], Flags]:
    return FormatParser(text, environment(), merge).parse()


def shape(text: str, merge: bool = True) -> list[object]:
    """A literal as bytes, a separator as None, a variable by name, an expression as (text,)."""
    nodes, _ = parsed(text, merge)
    return [
        node.variable.name if node.variable else (node.expression.text,) if node.expression else None if node.separator else node.literal
        for node in nodes
    ]


@pytest.mark.parametrize(
    "text, nodes",
    [
        ("", []),
        ("a", [b"a"]),
        ("%%a%%", [b"%a%"]),
        ("%ci:%cp", ["ci", b":", "cp"]),
        ("%ci  %cp ", ["ci", None, "cp", None]),
        (" %ci", ["ci"]),
        ("%[src]x", [("src",), b"x"]),
        ("%{+Q}[src,ipmask(24)]", [("src,ipmask(24)",)]),
        ("%[str(a]b)]", [("str(a]b)",)]),
        ("%o a", [b"a"]),
        ("%st", ["ST"]),
    ],
)
def test_nodes(text: str, nodes: list[object]) -> None:
    assert shape(text) == nodes


def test_blanks_stay_where_they_are_not_merged() -> None:
    assert shape("  a  b ", merge=False) == [b"  a  b "]


def test_flags_hold_for_one_item_and_on_o_for_the_rest() -> None:
    nodes, overall = parsed("%{+Q}ci%cp%{+Q,+E}o%ci%{-E}cp")
    assert [(node.flags.quote, node.flags.escape) for node in nodes] == [(True, False), (False, False), (True, True), (True, False)]
    assert overall == Flags(quote=True, escape=True)


def test_names_and_types() -> None:
    nodes, overall = parsed("%{+json}o%(a)ci%(b:sint)cp%{+X}(c:str)[src]%(d-e_1:bool){+X}[src]")
    assert overall.encoding is Encoding.JSON
    assert [(node.name, node.type) for node in nodes] == [
        (b"a", None), (b"b", ItemType.SINT), (b"c", ItemType.STR), (b"d-e_1", ItemType.BOOL),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["%{", "%{}", "%{+}ci", "%{+QX}ci", "%(", "%()", "%[", "%[src", "%5", "% ci", "%{+Q}", "%{+Q} ci"])
def test_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parsed(text)


def test_where_an_expression_ends_is_the_expressions_business() -> None:
    assert shape('%[str("]")]!') == [("str(])",), b"!"]
