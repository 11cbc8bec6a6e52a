"""The answer that deny, tarpit, return and http-error describe: status, payload, fields. Sans-io.

    [status <code>] [content-type <type>] [default-errorfiles | errorfile <file> | errorfiles <name> | file <file> | lf-file <file> |
    string <text> | lf-string <fmt>] [hdr <name> <fmt>]…

Source: HAProxy configuration manual 4.2 "http-request return", "http-error".
"""

from __future__ import annotations

from collections.abc import Sequence

from common.acl.logformat import Format, Purpose
from common.acl.table import did_you_mean
from common.rules.actions import Payload, Reply
from common.rules.words import Words

STATUS_MIN, STATUS_MAX = 200, 599

ERROR_STATUSES = frozenset({200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502, 503, 504})
"""Those that have an error page."""

_PAYLOADS = {payload.value: payload for payload in Payload if payload.value}
_PAGES = frozenset({Payload.DEFAULT, Payload.ERROR_FILE, Payload.ERROR_FILES})
_TEXTS = frozenset({Payload.STRING, Payload.LF_STRING})


def parse_reply(words: Words, status: int, *, statuses: Sequence[str], bare_is_default: bool) -> Reply:
    """status: unless the words say another. statuses: how that is written. bare_is_default: without more than
    `deny_status`, the old spelling, the proxy's error page."""
    payload, content, made, name = Payload.NONE, b"", None, ""
    content_type: bytes | None = None
    headers: list[tuple[bytes, Format]] = []
    customized = False
    while words:
        word = words.take("a word")
        if word in statuses:
            status = words.number("the status", STATUS_MIN, STATUS_MAX)
            customized = customized or word == "status"
            continue
        customized = True
        if word == "content-type":
            content_type = words.text("a content type")
        elif word == "hdr":
            headers.append((words.header_name(), words.format("the header's value")))
        elif word in _PAYLOADS:
            if payload is not Payload.NONE:
                raise words.fault(f'unexpected "{word}": the payload is already given by "{payload.value}"')
            payload = _PAYLOADS[word]
            content, made, name = _payload(words, payload)
        else:
            known = (*statuses, "content-type", *_PAYLOADS, "hdr")
            raise words.fault(f'unexpected "{word}"', hint=did_you_mean(word, known) or f"There are {', '.join(known)}.")
    if bare_is_default and not customized:
        payload = Payload.DEFAULT
    _check(words, payload, status, content_type, content if made is None else made.text.encode())
    return Reply(status, payload, content, made, content_type, tuple(headers), name)


def _payload(words: Words, payload: Payload) -> tuple[bytes, Format | None, str]:
    """(raw content, format, name) behind the word that announces a payload."""
    match payload:
        case Payload.STRING:
            return words.text("a string"), None, ""
        case Payload.LF_STRING:
            return b"", words.format("a string", Purpose.VALUE), ""
        case Payload.FILE | Payload.ERROR_FILE:
            name, content = words.file()
            return content, None, name
        case Payload.LF_FILE:
            name, content = words.file()
            return b"", words.format_of(content.decode("utf-8", "surrogateescape")), name
        case Payload.ERROR_FILES:
            return b"", None, _section(words)
        case _:
            return b"", None, ""


def _section(words: Words) -> str:
    name = words.take("the name of an http-errors section")
    config = words.environment.config
    if config is not None and name not in config.http_errors:
        raise words.fault(f'there is no http-errors section "{name}"', hint=did_you_mean(name, config.http_errors))
    return name


def _check(words: Words, payload: Payload, status: int, content_type: bytes | None, content: bytes) -> None:
    """What belongs together: an error page and its status, a payload and its type."""
    if payload in _PAGES:
        if status not in ERROR_STATUSES:
            known = ", ".join(map(str, sorted(ERROR_STATUSES)))
            raise words.fault(
                f"there is no error page for status {status}: there are {known}", 0, 'Write "string" with a text of your own for it.'
            )
    elif content_type is None and (payload in _TEXTS or (payload is not Payload.NONE and content)):
        raise words.fault(f'"{payload.value}" needs a content type', 0, f"Write content-type TYPE {payload.value} …")
