"""Did you mean: what is near enough, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.suggest import did_you_mean, nearest

WORDS = ["bind", "balance", "backlog", "server", "use_backend", "default_backend", "http-request", "http-response", "maxconn", "acl", "id"]

CASES = [
    ("bnid", "bind"),
    ("Bind", "bind"),
    ("balanc", "balance"),
    ("balanace", "balance"),
    ("blance", "balance"),
    ("sevrer", "server"),
    ("use-backend", "use_backend"),
    ("default_bakend", "default_backend"),
    ("http_request", "http-request"),
    ("http-reqest", "http-request"),
    ("maxcon", "maxconn"),
    ("acls", "acl"),
    ("xyzzy", None),
    ("frontend", None),
    ("", None),
    ("x" * 100, None),
]


@pytest.mark.parametrize(("word", "expected"), CASES)
def test_nearest(word: str, expected: str | None) -> None:
    assert nearest(word, WORDS) == expected


def test_message_ends_with_the_suggestion_or_what_is_asked_for() -> None:
    assert did_you_mean("bnid", WORDS) == "; did you mean 'bind' maybe ?"
    assert did_you_mean("xyzzy", WORDS) == ""
    assert did_you_mean("xyzzy", WORDS, otherwise=".") == "."


@given(st.sampled_from(WORDS), st.data())
def test_one_changed_letter_is_forgiven(word: str, data: st.DataObject) -> None:
    if len(word) < 3:
        return
    position = data.draw(st.integers(0, len(word) - 1))
    changed = word[:position] + "#" + word[position + 1 :]
    assert nearest(changed, WORDS) == word
