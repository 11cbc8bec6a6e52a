from __future__ import annotations

import pytest

from common.acl.patterns import Method, caster, default_method, new_index, parse_method, parse_patterns
from common.acl.types import SampleType
from common.errors import ExpressionError
from tests.common.acl.fakes import environment, reader

T = SampleType


@pytest.mark.parametrize(
    "words, kind, value, matches",
    [
        ("abc", T.STR, b"abc", True),
        ("a b abc", T.STR, b"abc", True),
        ("-i ABC", T.STR, b"abc", True),
        ("ABC -i abd", T.STR, b"abc", False),
        ("x -i ABC", T.STR, b"abc", True),
        ("-m beg ab", T.STR, b"abc", True),
        ("-m reg -i ^A.C$", T.STR, b"abc", True),
        ("-i -m sub B", T.STR, b"abc", True),
        ("-m len gt 2", T.STR, b"abc", True),
        ("-m len 3", T.STR, b"abc", True),
        ("-- -i", T.STR, b"-i", True),
        ("-n abc", T.STR, b"abc", True),
        ("-f list", T.STR, b"one", True),
        ("-f list extra", T.STR, b"extra", True),
        ("-i -f list", T.STR, b"ONE", True),
        ("-f list -i other", T.STR, b"ONE", False),
        ("-M -f map", T.STR, b"key", True),
        ("1 2 3", T.INT, 2, True),
        ("gt 3 lt 1", T.INT, 0, True),
        ("eq -5", T.INT, -5, True),
        ("lt -4", T.INT, -5, True),
        ("-- -5", T.INT, -5, True),
        ("10.0.0.0/8 ::1", T.ADDR, b"\x0a\1\1\1", True),
        ("-m bin 616263", T.BIN, b"abc", True),
        ("-m found", T.STR, b"", True),
        ("-m bool", T.INT, 0, False),
        ("", T.BOOL, True, True),
        ("-u 7 abc", T.STR, b"abc", True),
    ],
)
def test_flags_operators_and_values(words: str, kind: SampleType, value: object, matches: bool) -> None:
    surroundings = environment(read_file=reader(list="one\ntwo\n", map="key value\n"))
    patterns = parse_patterns(words.split(), kind, None, False, surroundings, "acl 'x'")
    assert patterns.index.matches(value) is matches


@pytest.mark.parametrize(
    "words, kind, at",
    [
        ("-m blah x", T.STR, 1),
        ("-x a", T.STR, 0),
        ("a -5", T.STR, 1),
        ("x -m beg y", T.STR, 2),
        ("-m beg -m end x", T.STR, 3),
        ("-m", T.STR, 0),
        ("-f", T.STR, 0),
        ("-f nofile", T.STR, 1),
        ("a", T.BIN, 0),
        ("a", T.ANY, 0),
        ("5 x", T.INT, 1),
        ("10.0.0.0/99", T.ADDR, 0),
        ("-m reg (", T.STR, 2),
        ("-m int 1", T.BIN, 1),
        ("-m bool", T.ADDR, 1),
        ("-u x a", T.STR, 1),
    ],
)
def test_a_fault_names_its_word(words: str, kind: SampleType, at: int) -> None:
    with pytest.raises(ExpressionError) as failure:
        parse_patterns(words.split(), kind, None, False, environment(read_file=reader()), "acl 'x'", offset=10)
    assert failure.value.word == 10 + at


def test_an_operator_is_a_value_where_text_is_matched() -> None:
    assert parse_patterns(["eq"], T.STR, None, False, environment(), "").index.matches(b"eq")


def test_versions_are_written_with_a_dot() -> None:
    index = parse_patterns(["3:3.1"], T.INT, Method.INT, True, environment(), "").index
    assert index.matches(0x30001) and not index.matches(0x30002)
    assert parse_patterns(["gt", "3.1"], T.INT, Method.INT, True, environment(), "").index.matches(0x30003)


def test_patterns_are_lists_that_an_operator_can_change() -> None:
    surroundings = environment()
    patterns = parse_patterns(["gt", "5", "lt", "1"], T.INT, None, False, surroundings, "acl 'x' line 3")
    above, below = patterns.lists
    assert surroundings.maps.find(f"#{above.id}", False) is above
    assert above.description == "acl 'x' line 3"
    assert patterns.index.matches(6) and patterns.index.matches(0)
    above.delete(above.entries_of()[0])
    assert not patterns.index.matches(6)
    below.add(b"3")
    assert patterns.index.matches(2)
    with pytest.raises(ExpressionError):
        below.add(b"x")
    assert patterns.index.find(2) is not None


def test_a_forced_id_names_the_list() -> None:
    surroundings = environment()
    parse_patterns(["-u", "7", "a"], T.STR, None, False, surroundings, "")
    found = surroundings.maps.find("#7", False)
    assert found is not None and len(found.entries) == 1


@pytest.mark.parametrize(
    "kind, methods",
    [
        (T.BOOL, "found bool int len str beg end sub dir dom reg"),
        (T.INT, "found bool int len str beg end sub dir dom reg ip"),
        (T.ADDR, "found ip int len str beg end sub dir dom reg bin"),
        (T.STR, "found bool int ip len str beg end sub dir dom reg bin"),
        (T.BIN, "found ip len str beg end sub dir dom reg bin"),
        (T.METHOD, "found len str beg end sub dir dom reg"),
    ],
)
def test_the_matrix_of_types_and_methods(kind: SampleType, methods: str) -> None:
    assert {method.value for method in Method if caster(method, kind) is not None} == set(methods.split())


@pytest.mark.parametrize(
    "kind, method", [(T.BOOL, "bool"), (T.INT, "int"), (T.ADDR, "ip"), (T.STR, "str"), (T.METHOD, "str"), (T.BIN, None), (T.ANY, None)]
)
def test_default_methods(kind: SampleType, method: str | None) -> None:
    found = default_method(kind)
    assert (found.value if found else None) == method


def test_every_method_has_an_index() -> None:
    for method in Method:
        assert parse_method(method.value) is method
        new_index(method)


def test_a_keyword_that_says_one_method_and_a_flag_that_says_another() -> None:
    surroundings = environment()
    parse_patterns(["-m", "reg", "^/x"], T.STR, Method.BEG, False, surroundings, "acl 'x'")
    assert len(surroundings.warnings) == 1
    for method in ("beg", "found"):
        parse_patterns(["-m", "beg", "/x"], T.STR, Method.BEG, False, surroundings, "acl 'x'")
        parse_patterns(["-m", method, "/x"], T.STR, Method.STR, False, surroundings, "acl 'x'")
    assert len(surroundings.warnings) == 1
