from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.regexes import compile_regex, expand, matcher, parse_substitution, searcher, substitute, translate
from common.errors import ExpressionError


@pytest.mark.parametrize(
    "pattern, text, matches",
    [
        (r"^/api/v[0-9]+/", b"/api/v2/x", True),
        (r"^a.c$", b"abc", True),
        (r"^a.c$", b"abcd", False),
        (r"\.php$", b"/index.php", True),
        (r"[[:digit:]]+", b"a1", True),
        (r"(?i)ABC", b"xabcx", True),
        (r"a\hb", b"a\tb", True),
        (r"a[\h]b", b"a b", True),
        (r"a\Hb", b"a b", False),
        (r"a\Rb", b"a\r\nb", True),
        (r"a\Nb", b"a\nb", False),
        (r"end\Z", b"the end", True),
        (r"\e\[", b"\x1b[", True),
        (r"(?<year>[0-9]{4})", b"in 2026", True),
        (r"a(?#a comment)b", b"ab", True),
        (r"[]]", b"]", True),
        (r"[^]]", b"]", False),
        (r"\xe9", b"\xe9", True),
        (r"é", "é".encode(), True),
    ],
)
def test_patterns_written_for_pcre(pattern: str, text: bytes, matches: bool) -> None:
    assert (compile_regex(pattern).search(text) is not None) is matches


def test_case_is_ignored_on_demand() -> None:
    assert searcher("abc", ignore_case=True)(b"ABC")
    assert not searcher("abc")(b"ABC")


@pytest.mark.parametrize(
    "pattern, what",
    [
        (r"(a+)\1", "back-reference"),
        (r"(?=a)b", "look-around"),
        (r"(?<!a)b", "look-around"),
        (r"(?!a)b", "look-around"),
        (r"a++", "possessive"),
        (r"(?>a)b", "atomic"),
        (r"a(?R)b", "recursion"),
        (r"a\Kb", r"\K"),
    ],
)
def test_what_needs_backtracking_is_refused_with_the_reason(pattern: str, what: str) -> None:
    with pytest.raises(ExpressionError) as failure:
        compile_regex(pattern)
    assert what in str(failure.value)
    assert "stall" in str(failure.value)


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2,1}", "*", r"a\\++("])
def test_a_broken_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ExpressionError):
        compile_regex(pattern)


def test_an_exponential_pattern_is_linear_here() -> None:
    assert compile_regex("^(a+)+$").search(b"a" * 50_000 + b"b") is None


@pytest.mark.parametrize(
    "text, pieces",
    [
        (rb"my/\1", (b"my/", 1)),
        (rb"\2\1", (2, 1)),
        (rb"\\1", (rb"\1",)),
        (rb"\0", (0,)),
        (rb"\a", (b"a",)),
        (b"\\", (b"\\",)),
        (b"", ()),
    ],
)
def test_substitutions_are_cut_into_pieces(text: bytes, pieces: tuple[bytes | int, ...]) -> None:
    assert parse_substitution(text) == pieces


@pytest.mark.parametrize(
    "pattern, replacement, text, everywhere, result",
    [
        # As a running HAProxy answers.
        ("/+", b"/", b"/////a///b/c/xzxyz/", True, b"/a/b/c/xzxyz/"),
        ("[?;&]*", b"", b"?;&a=b", False, b"a=b"),
        ("(foo|bar)([0-9]+)?", rb"\2\1", b"foo12", False, b"12foo"),
        ("a*", b"x", b"aaa", True, b"xx"),
        ("x*", b"-", b"abc", True, b"-a-b-c-"),
        ("^a", b"x", b"abab", True, b"xbab"),
        ("b", rb"[\0]", b"abc", False, b"a[b]c"),
        ("b", rb"[\5]", b"abc", False, b"a[]c"),
        ("(x)?b", rb"[\1]", b"abc", False, b"a[]c"),
        ("z", b"x", b"abc", True, b"abc"),
        ("", b"-", b"", True, b"-"),
    ],
)
def test_substitution(pattern: str, replacement: bytes, text: bytes, everywhere: bool, result: bytes) -> None:
    assert substitute(compile_regex(pattern), parse_substitution(replacement), text, everywhere) == result


def test_expanding_uses_the_groups() -> None:
    match = compile_regex("(a)(b)?").search(b"ac")
    assert expand((1, b"-", 2, b"-", 9), match) == b"a--"


@given(st.text(alphabet="ab(|)*[]^$.\\?{}1,-#<", max_size=12))
def test_no_pattern_raises_anything_else(pattern: str) -> None:
    try:
        compile_regex(pattern)
    except ExpressionError:
        pass


@given(st.text(alphabet="ab[].*", max_size=8), st.binary(max_size=8))
def test_simple_patterns_agree_with_python(pattern: str, text: bytes) -> None:
    try:
        ours = compile_regex(pattern)
        theirs = re.compile(pattern.encode())
    except (ExpressionError, re.error, FutureWarning):
        return
    assert bool(ours.search(text)) is bool(theirs.search(text))


def test_translation_leaves_the_rest_alone() -> None:
    assert translate(r"a[\d]\d\.(?:x)") == r"a[\d]\d\.(?:x)"


@given(
    st.lists(st.tuples(st.sampled_from([b"a+", b"^b", b"(x)(y)?", b"C$", b"[0-9]{2}", b"", b"a|b", b"\\.php"]), st.booleans()), max_size=5),
    st.binary(max_size=12) | st.sampled_from([b"aaa", b"B", b"xy", b"abc", b"ABC", b"42", b".PHP"]),
)
def test_a_set_finds_what_its_patterns_find(patterns: list[tuple[bytes, bool]], value: bytes) -> None:
    expected = any(compile_regex(pattern, fold).search(value) is not None for pattern, fold in patterns)
    assert matcher(patterns)(value) is expected


def test_patterns_too_large_for_a_set_are_searched_one_by_one() -> None:
    patterns = [(b"(?:ab){900}", False), (b"z{900}|needle", True)]
    assert matcher(patterns)(b"a NEEDLE here") and not matcher(patterns)(b"nothing")
