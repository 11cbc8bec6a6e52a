"""-cc and .if: results as HAProxy's, for what 2.6 knows tried against it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.conditions import FALSE, FAULTY, TRUE, evaluate_condition
from common.config.options import LoadOptions

OPTIONS = LoadOptions(ssl_library="OpenSSL 3.0.11 19 Sep 2023")
ENVIRONMENT = {"HOME": "/root", "EMPTY": ""}

CASES = [
    ("", FALSE),
    ("0", FALSE),
    ("00", FALSE),
    ("1", TRUE),
    ("-1000", TRUE),
    ("+1", TRUE),
    ("0x10", TRUE),
    ("200rrr", FAULTY),
    ("1 1", FAULTY),
    ("!0", TRUE),
    ("!1", FALSE),
    ("!!1", TRUE),
    ("!", FAULTY),
    (" ", FAULTY),
    ("(1)", TRUE),
    ("(((0)))", FALSE),
    ("!(0)", TRUE),
    ("(1", FAULTY),
    ("1)", FAULTY),
    ("() ", FAULTY),
    ("1 && 0 || 1", TRUE),
    ("1 || 1 && 0", TRUE),
    ("0 || 0", FALSE),
    ("1&&1", TRUE),
    ("1||0", TRUE),
    ("1 &&", FAULTY),
    ("&& 1", FAULTY),
    ("1 & 1", FAULTY),
    ("0 && foo", FAULTY),
    ("1 || foo", FAULTY),
    ("foo", FAULTY),
    ("foo()", FAULTY),
    ("defined(HOME)", TRUE),
    ("defined(EMPTY)", TRUE),
    ("defined(NOPE)", FALSE),
    ("defined()", FALSE),
    ("defined(A,B)", FAULTY),
    ("feature(OPENSSL)", TRUE),
    ("feature(LINUX_SPLICE)", TRUE),
    ("feature(THREAD)", FALSE),
    ("feature(QUIC)", FALSE),
    ("feature(XYZ)", FALSE),
    ("streq(a,a)", TRUE),
    ("streq(a,b)", FALSE),
    ("streq(,)", TRUE),
    ('streq("a b",a\\ b)', TRUE),
    ("streq(a b,a b)", TRUE),
    ('streq("a,b","a,b")', FAULTY),
    ('\'streq("a,b","a,b")\'', TRUE),
    ('streq("$HOME",/root)', TRUE),
    ('"1', FAULTY),
    ("1 # x", FAULTY),
    ("   1", TRUE),
    ("\"streq('a)b','a)b')\"", TRUE),
    ("streq(a)", FAULTY),
    ("streq(a,b", FAULTY),
    ("streq(a,b,c)", FAULTY),
    ("strneq(a,b)", TRUE),
    ("strstr(abc,b)", TRUE),
    ("strstr(abc,d)", FALSE),
    ("version_atleast(2.6)", TRUE),
    ("version_atleast(3.5-dev0)", TRUE),
    ("version_atleast(3.5.0)", TRUE),
    ("version_atleast(3.5.1)", FALSE),
    ("version_atleast(4)", FALSE),
    ("version_before(3.0-dev5)", FALSE),
    ("version_before(3.5.1)", TRUE),
    ("version_atleast()", TRUE),
    ("version_atleast(foo)", TRUE),
    ("openssl_version_atleast(1.1.1)", TRUE),
    ("openssl_version_atleast(3.0.11)", TRUE),
    ("openssl_version_atleast(3.1.0)", FALSE),
    ("openssl_version_before(3.0.12)", TRUE),
    ("openssl_version_before(1.1.1w)", FALSE),
    ("ssllib_name_startswith(OpenSSL)", TRUE),
    ("ssllib_name_startswith(LibreSSL)", FALSE),
    ("enabled(SPLICE)", TRUE),
    ("enabled(FAST-FORWARD)", TRUE),
    ("enabled(nothing)", FALSE),
    ("fips_mode()", FALSE),
    ("fips_mode(1)", FAULTY),
    ("awslc_api_atleast(1)", FALSE),
    ("feature(OPENSSL) && (streq(a,b) || strneq(a,b))", TRUE),
    ("(" * 200 + "1" + ")" * 200, FAULTY),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_condition(text: str, expected: int) -> None:
    result, message = evaluate_condition(text, ENVIRONMENT, OPTIONS)
    assert result == expected
    assert bool(message) is (expected == FAULTY)


MESSAGES = [
    ("200rrr", "Failed to evaluate condition: unexpected character 'r' at the end of conditional expression '200rrr'"),
    ("(1", "Failed to evaluate condition: expected ')' after conditional expression '(1'"),
    ("foo", "Failed to evaluate condition: unparsable conditional expression 'foo'"),
    (
        "version_atlest(2)",
        "Failed to evaluate condition: unparsable conditional expression 'version_atlest(2)'; did you mean 'version_atleast' maybe ?",
    ),
    ("streq(a,b", "Failed to evaluate condition: expected ')' in argument 2 of predicate 'streq' used in conditional expression"),
    (
        "defined(A,B)",
        "Failed to evaluate condition: expected ')' before ',B)' in argument 1 of predicate 'defined' used in conditional expression",
    ),
]


@pytest.mark.parametrize(("text", "expected"), MESSAGES)
def test_message_says_what_is_wrong(text: str, expected: str) -> None:
    assert evaluate_condition(text, ENVIRONMENT, OPTIONS) == (FAULTY, expected)


@given(st.text(st.sampled_from("01!()&|,. \t\"'\\defined(HOME)streq"), max_size=40))
def test_no_text_raises(text: str) -> None:
    result, _ = evaluate_condition(text, ENVIRONMENT, OPTIONS)
    assert result in (TRUE, FALSE, FAULTY)
