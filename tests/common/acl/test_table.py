from __future__ import annotations

import pytest

from common.acl.environment import Needs
from common.acl.table import ArgumentKind, ConverterTable, FetchTable, did_you_mean
from common.acl.types import SampleType


def test_a_row_is_found_by_each_of_its_names() -> None:
    table = FetchTable()
    table.plain("req.len req_len", SampleType.INT, Needs.NOTHING, "7.3.5", "Length.")(lambda facts: 1)
    assert table.rows["req.len"] is table.rows["req_len"]
    assert table.rows["req_len"].name == "req.len"
    assert table.rows["req.len"].names == ("req.len", "req_len")


def test_a_name_has_one_row() -> None:
    table = FetchTable()
    table.plain("a", SampleType.INT, Needs.NOTHING, "7.3.2", "One.")(lambda facts: 1)
    with pytest.raises(AssertionError, match="two rows"):
        table.plain("b a", SampleType.INT, Needs.NOTHING, "7.3.2", "Two.")(lambda facts: 2)


def test_arguments_are_required_unless_told_otherwise() -> None:
    table = ConverterTable()
    table.row("a", SampleType.STR, SampleType.STR, "A.", arguments="x:string y:integer_or_variable")(lambda *given: str)
    table.row("b", SampleType.STR, SampleType.STR, "B.", arguments="x:string y:integer z:string", required=1, many=True)(lambda *given: str)
    first, second = table.rows["a"], table.rows["b"]
    assert (first.required, first.signature) == (2, "a(<x>,<y>)")
    assert first.arguments[1].kind is ArgumentKind.INTEGER_OR_VARIABLE
    assert (second.required, second.signature) == (1, "b(<x>[,<y>[,<z>[,…]]])")


@pytest.mark.parametrize(
    "word, hint",
    [("ulr", 'did you mean "url"?'), ("zzz", ""), ("pth_beg", 'did you mean "path_beg" or "path_end"?')],
)
def test_hints(word: str, hint: str) -> None:
    assert did_you_mean(word, ["path_beg", "path_end", "path", "url"]) == hint
