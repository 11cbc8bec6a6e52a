from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.log_rendering import protect_header, protect_log, protect_target
from common.acl.logformat import Purpose, compile_format
from tests.common.acl.fakes import environment, facts, set_variables

MANY = bytes(range(256))


@given(st.binary())
def test_protected_values_say_what_they_replaced(value: bytes) -> None:
    logged, header, target = protect_log(value), protect_header(value), protect_target(value)
    assert not any(byte < 32 or byte == 127 for byte in logged)
    assert not any((byte < 32 and byte != 9) or byte == 127 for byte in header)
    assert all(0x21 <= byte <= 0x7E for byte in target)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_printable_text_is_left_alone(text: str) -> None:
    value = text.encode()
    assert protect_log(value) == protect_header(value) == protect_target(value) == value


def test_replacements() -> None:
    assert protect_log(b"a\tb\x7f\xe9 c") == b"a#09b#7F\xe9 c"
    assert protect_header(b"a\tb\x7f\xe9 c\0") == b"a\tb%7F\xe9 c%00"
    assert protect_target(b"a\tb\x7f\xe9 c") == b"a%09b%7F%E9%20c"


@pytest.mark.parametrize(
    "flags, text",
    [("", b'a\\b"c]'), ("{+Q}", b'"a\\b"c]"'), ("{+E}", b'a\\\\b\\"c\\]'), ("{+Q,+E}", b'"a\\\\b\\"c\\]"'), ("{+M}", b'a\\b"c]')],
)
def test_quotes_and_backslashes(flags: str, text: bytes) -> None:
    exchange = set_variables(facts(), v=b'a\\b"c]')
    assert compile_format(f"%{flags}[var(txn.v)]", environment()).build(exchange) == text


@pytest.mark.parametrize(
    "purpose, flags, missing",
    [
        (Purpose.LOG, "", b"-"),
        (Purpose.LOG, "{+Q}", b'""'),
        (Purpose.HEADER, "", b""),
        (Purpose.HEADER, "{+M}", b"-"),
        (Purpose.HEADER, "{+Q}", b""),
        (Purpose.VALUE, "", b""),
        (Purpose.VALUE, "{+Q}", b'""'),
    ],
)
def test_missing_samples(purpose: Purpose, flags: str, missing: bytes) -> None:
    for text in (f"%{flags}[var(txn.none)]", f"%{flags}[src]"):
        assert compile_format(text, environment(), purpose).build(facts()) == missing


def test_numbers_are_quoted_only_as_samples() -> None:
    made = compile_format("%{+Q}[int(5)] %{+Q}ST %{+Q}B", environment()).build(facts())
    assert made == b'"5" 0 0'
