"""What an `expect` step looks for: text, binary, status, header fields. Sans-io.

A negated expectation fails as soon as what is unwanted is there, and is sure of its absence only at the end of the answer; a plain one
the other way round.

Source: HAProxy configuration manual 4.2 "tcp-check expect", "http-check expect".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from common.acl.facts import Facts
from common.acl.regexes import searcher
from common.health.answer import BadAnswer, HttpAnswer, read_answer
from common.health.outcome import Outcome, printable
from common.health.steps import MORE, Judge, Text, Verdict
from common.health.talk import CheckFacts

MIN_RECV_CONCLUSIVE: Final = 0  # whatever has come decides
_PASSED: Final = Verdict(True, True)
_FAILED: Final = Verdict(True, False)

Finder = Callable[[Facts, bytes], object]


def find_text(text: Text) -> Finder:
    return lambda facts, data: text(facts) in data


def find_hex(text: Text) -> Finder:
    """A format that makes hexadecimal digits; what is none matches nothing."""

    def find(facts: Facts, data: bytes) -> bool:
        try:
            return bytes.fromhex(text(facts).decode("ascii")) in data
        except ValueError:
            return False

    return find


def find_regex(pattern: str) -> Finder:
    search = searcher(pattern)
    return lambda facts, data: search(data)


def find_hex_regex(pattern: str) -> Finder:
    """The pattern runs over the upper-case hexadecimal form."""
    search = searcher(pattern)
    return lambda facts, data: search(data.hex().upper().encode())


def bytes_judge(find: Finder, *, negated: bool, min_recv: int) -> Judge:
    """Over the bytes of a tcp-check. min_recv: so many decide; -1: what does not match yet may do so later."""

    def judge(facts: Facts, data: bytes, ended: bool) -> Verdict:
        return (
            _verdict(bool(data) and bool(find(facts, data)), negated, ended or len(data) >= min_recv, ended or min_recv >= 0)
            if (data or ended)
            else MORE
        )

    return judge


def body_judge(find: Finder, method: bytes, *, negated: bool, min_recv: int) -> Judge:
    """Over the body of an HTTP answer."""
    said = "HTTP check matched unwanted content" if negated else "HTTP content check did not match"
    mismatch = Outcome("L7RSP", 0, said)
    no_body = Outcome("L7RSP", 0, "HTTP content check could not find a response body")

    def judge(facts: Facts, answer: HttpAnswer) -> Verdict:
        if answer.complete and not answer.body:
            return Verdict(True, False, no_body)
        found = bool(find(facts, answer.body))
        enough = answer.complete or len(answer.body) >= min_recv
        verdict = _verdict(found, negated, enough, answer.complete or min_recv == MIN_RECV_CONCLUSIVE)
        return Verdict(True, False, mismatch) if verdict is _FAILED else verdict

    return _http(judge, method)


def head_judge(matches: Callable[[Facts, HttpAnswer], object], method: bytes, *, negated: bool) -> Judge:
    """Over the head of an HTTP answer. A failure tells status and reason."""

    def judge(facts: Facts, answer: HttpAnswer) -> Verdict:
        if bool(matches(facts, answer)) is not negated:
            return Verdict(True, True, Outcome("L7OK", answer.status))
        return Verdict(True, False, Outcome("L7STS", answer.status, printable(answer.reason)))

    return _http(judge, method)


def status_in(text: str) -> Callable[[Facts, HttpAnswer], bool]:
    """`status 200-399,404`."""
    ranges = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        ranges.append((int(low), int(high or low)))
    return lambda facts, answer: any(low <= answer.status <= high for low, high in ranges)


def status_like(pattern: str) -> Callable[[Facts, HttpAnswer], object]:
    search = searcher(pattern)
    return lambda facts, answer: search(b"%d" % answer.status)


def method_of(name: str, text: Text | None, pattern: str, *, ignore_case: bool) -> Callable[[Facts, bytes], object]:
    """`-m str|beg|end|sub|reg`: how a name or value is compared. text: makes what it is compared with; None: pattern is a regex."""
    if text is None:
        search = searcher(pattern, ignore_case)
        return lambda facts, value: search(value)
    tests: dict[str, Callable[[bytes, bytes], object]] = {
        "str": bytes.__eq__,
        "beg": bytes.startswith,
        "end": bytes.endswith,
        "sub": bytes.__contains__,
    }
    test = tests[name]
    if ignore_case:
        return lambda facts, value: test(value.lower(), text(facts).lower())
    return lambda facts, value: test(value, text(facts))


def field_like(
    name: Callable[[Facts, bytes], object], value: Callable[[Facts, bytes], object] | None, *, whole: bool
) -> Callable[[Facts, HttpAnswer], bool]:
    """`hdr` and `fhdr` (whole: commas do not part a value)."""

    def matches(facts: Facts, answer: HttpAnswer) -> bool:
        for field, text in answer.fields:
            if name(facts, field):
                parts = [text] if whole else [part.strip(b" \t") for part in text.split(b",")]
                if value is None or any(value(facts, part) for part in parts):
                    return True
        return False

    return matches


def _http(judge: Callable[[Facts, HttpAnswer], Verdict], method: bytes) -> Judge:
    def over_bytes(facts: Facts, data: bytes, ended: bool) -> Verdict:
        try:
            answer = read_answer(data, ended, method)
        except BadAnswer:
            return Verdict(True, False, Outcome("L7RSP"))
        if answer is None:
            return Verdict(True, False, Outcome("L7RSP")) if ended else MORE
        assert isinstance(facts, CheckFacts)
        facts.response, facts.response_body = answer, answer.body
        return judge(facts, answer)

    return over_bytes


def _verdict(found: bool, negated: bool, enough: bool, conclusive: bool) -> Verdict:
    if not enough:
        return MORE
    if found:
        return _FAILED if negated else _PASSED
    if not conclusive:
        return MORE
    return _PASSED if negated else _FAILED
