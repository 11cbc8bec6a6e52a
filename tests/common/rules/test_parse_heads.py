"""Rewriting of heads: what the words give, and what is said about wrong ones."""

from __future__ import annotations

import pytest

from common.acl.absent import AbsentExchange
from common.rules.actions import (
    AddHeader,
    DeleteHeader,
    DeleteHeaders,
    NormalizeUri,
    Part,
    ReplaceHeader,
    ReplaceTarget,
    SetHeader,
    SetMethod,
    SetStatus,
    SetTarget,
    StrictMode,
)
from tests.common.acl.fakes import request
from tests.common.rules.parsing import parse, refusal


def test_header_name_and_value() -> None:
    added = parse("http-request", "add-header X-A a%[int(0)]b")
    assert isinstance(added, AddHeader)
    assert added.name == b"X-A"
    assert added.value.build(AbsentExchange()) == b"a0b"
    assert isinstance(parse("http-after-response", "set-header X-A if"), SetHeader)


@pytest.mark.parametrize("method", ["beg", "end", "sub", "reg"])
def test_del_header_matches_names_without_case(method: str) -> None:
    action = parse("http-request", f"del-header X-Foo -m {method}")
    assert isinstance(action, DeleteHeaders)
    assert action.method == method
    names = [b"x-foo", b"x-foo-more", b"my-x-foo", b"my-x-foo-more", b"foo"]
    wanted = {
        "beg": [b"x-foo", b"x-foo-more"],
        "end": [b"x-foo", b"my-x-foo"],
        "sub": names[:4],
        "reg": names[:4],
    }
    assert [name for name in names if action.matches(name)] == wanted[method]


@pytest.mark.parametrize("line", ["del-header X-A", "del-header X-A -m str"])
def test_del_header_of_one_name(line: str) -> None:
    assert parse("http-response", line) == DeleteHeader(b"X-A")


def test_replace_header_and_replace_value() -> None:
    whole = parse("http-request", r"replace-header Cookie 'foo=([^;]*);(.*)' 'foo=\1;ip=%[int(0)];\2'")
    assert isinstance(whole, ReplaceHeader)
    assert (whole.name, whole.each_value) == (b"Cookie", False)
    match = whole.regex.search(b"foo=bar; rest")
    assert whole.replacement.fill(AbsentExchange(), match) == b"foo=bar;ip=0; rest"
    each = parse("http-request", "replace-value X-A a b")
    assert isinstance(each, ReplaceHeader) and each.each_value


@pytest.mark.parametrize("part", list(Part))
def test_set_part_of_the_target(part: Part) -> None:
    action = parse("http-request", f"set-{part.value} /x%[path]")
    assert isinstance(action, SetTarget)
    facts = AbsentExchange()
    facts.request = request(b"/a\nb c")
    assert action.part is part
    assert action.text.build(facts) == b"/x/a%0Ab%20c"


@pytest.mark.parametrize("part", [Part.PATH, Part.PATHQ, Part.URI])
def test_replace_part_of_the_target(part: Part) -> None:
    action = parse("http-request", f"replace-{part.value} ^/a /b")
    assert isinstance(action, ReplaceTarget)
    assert action.part is part


def test_query_has_no_replace() -> None:
    assert "unknown action" in str(refusal("http-request", "replace-query a b"))


NORMALIZERS = [
    ("fragment-encode", "fragment-encode"),
    ("path-strip-dotdot", "path-strip-dotdot"),
    ("path-strip-dotdot full", "path-strip-dotdot full"),
    ("percent-to-uppercase strict", "percent-to-uppercase strict"),
    ("query-sort-by-name", "query-sort-by-name"),
]


@pytest.mark.parametrize(("words", "name"), NORMALIZERS)
def test_normalizer_with_its_option(words: str, name: str) -> None:
    assert parse("http-request", f"normalize-uri {words}") == NormalizeUri(name)


def test_status_and_reason() -> None:
    assert parse("http-response", "set-status 431") == SetStatus(431)
    assert parse("http-after-response", "set-status 503 reason 'Slow Down'") == SetStatus(503, b"Slow Down")


def test_strict_mode() -> None:
    assert parse("http-request", "strict-mode on") == StrictMode(True)
    assert parse("http-request", "strict-mode off") == StrictMode(False)


def test_method_is_kept_as_it_comes_so_that_a_wrong_one_fails_instead_of_becoming_another() -> None:
    action = parse("http-request", "set-method '%[str(A B)]'")
    assert isinstance(action, SetMethod)
    assert action.method.build(AbsentExchange()) == b"A B"


REFUSED = [
    ("http-request", "set-header", "the header's name is missing", 1),
    ("http-request", "set-header 'X Y' b", '"X Y" is not a header name', 1),
    ("http-request", "set-header X-A", "the header's value is missing", 2),
    ("http-request", "set-header X-A %[nope]", 'unknown sample fetch "nope"', 2),
    ("http-request", "set-header X-A %[res.hdr(a)]", "cannot be used in http-request", 2),
    ("http-response", "set-header X-A %[path]", "cannot be used in http-response", 2),
    ("http-request", "del-header X-A -m dom", '"dom" is not a matching method', 3),
    ("http-request", "del-header '(a' -m reg", 'regex "(a" is invalid', 1),
    ("http-request", "replace-header X-A '(a(?=b))' c", "look-around", 2),
    ("http-request", "replace-header X-A a", "what to write instead is missing", 3),
    ("http-request", "replace-path a %[nope]", 'unknown sample fetch "nope"', 2),
    ("http-request", "normalize-uri path-strip-dots", '"path-strip-dots" is not a normalizer', 1),
    ("http-request", "normalize-uri path-strip-dot full", 'unexpected "full"', 2),
    ("http-response", "set-status 99", "must be a number from 100 to 999", 1),
    ("http-response", "set-status 1000", "must be a number from 100 to 999", 1),
    ("http-response", "set-status -200", "must be a number from 100 to 999", 1),
    ("http-response", "set-status 200 reason", "the reason is missing", 3),
    ("http-request", "strict-mode maybe", '"maybe" is not a mode', 1),
]


@pytest.mark.parametrize(("ruleset", "line", "message", "word"), REFUSED)
def test_wrong_words_are_told_with_their_place(ruleset: str, line: str, message: str, word: int) -> None:
    error = refusal(ruleset, line)
    assert message in str(error)
    assert error.word == word
