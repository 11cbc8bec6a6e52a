"""Reading HTTP field values and targets the way sample fetches do: lists, cookies, parameters, target parts. Sans-io.

These take values out; they are no validators (worker/http has the strict grammar).

Source: RFC 9110 section 5.6.1 (lists), RFC 6265 sections 4.1.1 and 4.2.1 (cookies), RFC 9112 section 3.2 (targets); HAProxy
configuration manual 7.3.6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from common.errors import ExpressionError

BLANKS = b" \t"


def split_list(value: bytes) -> list[bytes]:
    """The comma-separated members of a field value, blanks around them stripped. Commas inside "quoted strings" do not split."""
    if b"," not in value:
        return [value]
    members = value.split(b",") if b'"' not in value else _split_quoted(value, 0x2C)
    return [member.strip(BLANKS) for member in members]


def _split_quoted(value: bytes, separator: int) -> list[bytes]:
    """Splits where the separator stands outside of "quoted strings"."""
    parts: list[bytes] = []
    start = position = 0
    quoted = False
    while position < len(value):
        byte = value[position]
        if quoted and byte == 0x5C:
            position += 1
        elif byte == 0x22:
            quoted = not quoted
        elif byte == separator and not quoted:
            parts.append(value[start:position])
            start = position + 1
        position += 1
    parts.append(value[start:])
    return parts


def target_path_start(target: bytes) -> int:
    """Index of the first slash of the path; -1 if the target has none ("*", authority form)."""
    if target.startswith(b"/"):
        return 0
    scheme = target.find(b"://")
    return target.find(b"/", scheme + 3) if scheme > 0 else -1


def target_path_and_query(target: bytes) -> bytes | None:
    start = target_path_start(target)
    return target if start == 0 else target[start:] if start > 0 else None


def target_path(target: bytes) -> bytes | None:
    """Without the query; None if there is no path."""
    path = target_path_and_query(target)
    if path is None:
        return None
    end = path.find(b"?")
    return path if end < 0 else path[:end]


def target_query(target: bytes) -> bytes | None:
    """What follows the first question mark; None without one."""
    start = target.find(b"?")
    return None if start < 0 else target[start + 1 :]


def target_authority(target: bytes) -> bytes:
    """host:port of an absolute-form or authority-form target; b"" for the others."""
    if target.startswith(b"/") or target == b"*":
        return b""
    scheme = target.find(b"://")
    if scheme < 0:
        return target if b"/" not in target else b""
    end = target.find(b"/", scheme + 3)
    query = target.find(b"?", scheme + 3)
    if end < 0 or 0 <= query < end:
        end = query
    authority = target[scheme + 3 :] if end < 0 else target[scheme + 3 : end]
    return authority.rpartition(b"@")[2]


def query_parameters(query: bytes, delimiters: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, value) as written, not decoded; what has no "=" is no parameter."""
    if len(delimiters) > 1:
        query = query.translate(bytes.maketrans(delimiters, delimiters[:1] * len(delimiters)))
    for part in query.split(delimiters[:1]):
        name, equal, value = part.partition(b"=")
        if equal:
            yield name, value


def name_test(name: bytes | None, modifier: bytes | None) -> Callable[[bytes], bool]:
    """Whether a parameter is the one asked for; without a name each is. modifier: b"i" ignores case."""
    if modifier not in (None, b"i"):
        raise ExpressionError(f'the modifier of a parameter name is "i", not "{modifier.decode("utf-8", "replace")}"')
    if name is None:
        return lambda found: True
    if modifier is None:
        return lambda found: found == name
    lower = name.lower()
    return lambda found: found.lower() == lower


def request_cookies(value: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, value) of a Cookie field. Quotes around a value stay, and semicolons inside them do not split. A part without "=" is no
    cookie."""
    for part in value.split(b";") if b'"' not in value else _split_quoted(value, 0x3B):
        name, equal, content = part.partition(b"=")
        if equal:
            yield name.strip(BLANKS), content.strip(BLANKS)


def response_cookie(value: bytes) -> tuple[bytes, bytes] | None:
    """(name, value) of one Set-Cookie field, attributes left out."""
    name, equal, content = value.partition(b";")[0].partition(b"=")
    return (name.strip(BLANKS), content.strip(BLANKS)) if equal else None
