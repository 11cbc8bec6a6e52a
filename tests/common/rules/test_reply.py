"""Answers that rules describe: where their bodies come from, and what must go together."""

from __future__ import annotations

import pytest

from common.acl.absent import AbsentExchange
from common.rules.actions import Payload, Reply, Return
from tests.common.rules.parsing import parse, refusal


def reply(line: str) -> Reply:
    action = parse("http-request", f"return {line}")
    assert isinstance(action, Return)
    return action.reply


PAYLOADS = [
    ("status 418", Payload.NONE, b"", ""),
    ("status 503 default-errorfiles", Payload.DEFAULT, b"", ""),
    ("status 403 errorfile 403.http", Payload.ERROR_FILE, b"HTTP/1.1 403 No\r\n\r\n", "403.http"),
    ("status 403 errorfiles pages", Payload.ERROR_FILES, b"", "pages"),
    ("content-type text/html file page.html", Payload.FILE, b"<p>hi</p>", "page.html"),
    ("file empty", Payload.FILE, b"", "empty"),
    ("content-type text/plain string 'a %[b'", Payload.STRING, b"a %[b", ""),
]


@pytest.mark.parametrize(("line", "payload", "content", "name"), PAYLOADS)
def test_payload(line: str, payload: Payload, content: bytes, name: str) -> None:
    made = reply(line)
    assert (made.payload, made.content, made.name, made.format) == (payload, content, name, None)


@pytest.mark.parametrize(
    ("line", "text"), [("lf-string 'you are %[int(0)]'", b"you are 0"), ("lf-file greeting.txt", b"you are "), ("lf-string ''", b"")]
)
def test_formatted_payload(line: str, text: bytes) -> None:
    made = reply(f"content-type text/plain {line}")
    assert made.format is not None
    assert made.format.build(AbsentExchange()) == text


def test_content_type_and_fields() -> None:
    made = reply("hdr X-A %[int(0)] content-type text/plain string x hdr X-B b")
    assert made.content_type == b"text/plain"
    assert [(name, value.build(AbsentExchange())) for name, value in made.headers] == [(b"X-A", b"0"), (b"X-B", b"b")]


REFUSED = [
    ("string x", '"string" needs a content type', 0),
    ("lf-string ''", '"lf-string" needs a content type', 0),
    ("file page.html", '"file" needs a content type', 0),
    ("lf-file greeting.txt", '"lf-file" needs a content type', 0),
    ("content-type text/plain string a string b", "already given", 5),
    ("content-type text/plain file nowhere", "cannot be read: No such file", 4),
    ("content-type", "a content type is missing", 2),
    ("content-type text/plain lf-string %[nope]", "unknown sample fetch", 4),
    ("hdr 'X Y' b", "is not a header name", 2),
    ("hdr X", "the header's value is missing", 3),
    ("status 403 errorfiles page", 'no http-errors section "page"', 4),
    ("status 418 default-errorfiles", "no error page for status 418", 0),
    ("status 600", "from 200 to 599", 2),
]


@pytest.mark.parametrize(("line", "message", "word"), REFUSED)
def test_wrong_words_are_told_with_their_place(line: str, message: str, word: int) -> None:
    error = refusal("http-request", f"return {line}")
    assert message in str(error)
    assert error.word == word
