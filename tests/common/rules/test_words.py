"""The cursor over a rule's words."""

from __future__ import annotations

import pytest

from common.acl.environment import CompileEnvironment
from common.errors import ExpressionError
from common.rules.rulesets import Ruleset
from common.rules.words import Words


def words(*given: str, arguments: tuple[str, ...] | None = None) -> Words:
    return Words(Ruleset.HTTP_REQUEST, given[0], arguments, given, CompileEnvironment())


def test_cursor_moves_over_the_words() -> None:
    cursor = words("action", "a", "b")
    assert cursor and cursor.peek() == "a"
    assert not cursor.accept("b") and cursor.accept("a")
    assert cursor.take("something") == "b"
    assert not cursor and cursor.peek() == ""
    cursor.end()


def test_end_refuses_what_is_left() -> None:
    with pytest.raises(ExpressionError) as caught:
        words("action", "a").end()
    assert caught.value.word == 1 and "if or unless" in caught.value.hint


def test_missing_word_is_told_behind_the_last_one() -> None:
    cursor = words("action", "a")
    cursor.take("x")
    with pytest.raises(ExpressionError, match="the thing is missing") as caught:
        cursor.take("the thing")
    assert caught.value.word == 2


NUMBERS = [("0", 0), ("42", 42), ("0x1F", 31), ("-5", -5), ("007", 7)]


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_number(text: str, number: int) -> None:
    assert words("action", text).number("n", -10, 100) == number


@pytest.mark.parametrize("text", ["", "x", "1x", "101", "-11", "0x", "--5", "+5", "٣"])
def test_no_number(text: str) -> None:
    with pytest.raises(ExpressionError, match="from -10 to 100"):
        words("action", text).number("n", -10, 100)


def test_expression_takes_the_words_of_its_converters() -> None:
    cursor = words("action", "src", "ipmask(24)", "table", "x")
    assert cursor.expression().text == "src,ipmask(24)"
    assert cursor.peek() == "table"


@pytest.mark.parametrize(("arguments", "names"), [(("1", "2"), "a,b"), (("x",), "a")])
def test_inside_the_parentheses(arguments: tuple[str, ...], names: str) -> None:
    assert words("action", arguments=arguments).inside(names) == arguments


@pytest.mark.parametrize("arguments", [None, ("",), ("1",), ("1", "2", "3"), ("1", "")])
def test_wrong_number_of_arguments_in_the_parentheses(arguments: tuple[str, ...] | None) -> None:
    with pytest.raises(ExpressionError, match=r"it is written action\(<a>,<b>\)"):
        words("action", arguments=arguments).inside("a,b")
