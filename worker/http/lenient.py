"""Heads that break the grammar, read by h11: behind `option accept-invalid-http-request` and `-response`. Sans-io. Cold path.

Only what was understood here is forwarded, written anew from h11's events, so that both sides of us read the same message.
Host, target form, framing and connection rules still apply to it in full.

What it takes beyond worker/http/repair.py:

- in a target any visible character ("#" too), and bytes above 127, which are percent-encoded;
- names of any visible characters and bytes above 127: h11 refuses those, so they are put aside and come last, as they are;
- control characters in a reason phrase.

What HAProxy's option takes and this does not: HTTP/0.9, other protocol names, white space in names.
h11 is imported when the first such head arrives: few configurations need it.

Source: HAProxy manual 4.2, `option accept-invalid-http-request`, `option accept-invalid-http-response`.
"""

from __future__ import annotations

import re

from worker.http.fields import Fields, field_lines
from worker.http.grammar import CONTROLS_TO_SPACE, TOKEN_ONLY

_ODD_NAME = re.compile(rb"[!-9;-~\x80-\xff]++")
_ABOVE_ASCII = re.compile(rb"[\x80-\xff]")


def read_request(head: bytes) -> bytes | None:
    """The head in h11's reading, spelt strictly; None if it is refused here too. head: up to and with its empty line."""
    import h11

    line, newline, rest = head.partition(b"\n")
    line = _ABOVE_ASCII.sub(lambda match: b"%%%02X" % match[0][0], line)
    split = _put_aside(rest)
    if split is None:
        return None
    plain, odd = split
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=3 * len(head) + 1)
    try:
        connection.receive_data(line + newline + plain)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request) or not event.http_version.startswith(b"1."):
        return None
    minor = b"0" if event.http_version == b"1.0" else b"1"
    return event.method + b" " + event.target + b" HTTP/1." + minor + b"\r\n" + field_lines([*event.headers.raw_items(), *odd])


def read_response(head: bytes) -> bytes | None:
    """As read_request, for a response."""
    import h11

    line, newline, rest = head.partition(b"\n")
    split = _put_aside(rest)
    if split is None:
        return None
    plain, odd = split
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=len(head) + 1)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "-")]))
    connection.send(h11.EndOfMessage())
    try:
        connection.receive_data(line + newline + plain)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Response | h11.InformationalResponse) or not event.http_version.startswith(b"1."):
        return None
    minor = b"0" if event.http_version == b"1.0" else b"1"
    reason = event.reason.translate(CONTROLS_TO_SPACE)
    return b"HTTP/1.%s %d %s\r\n" % (minor, event.status_code, reason) + field_lines([*event.headers.raw_items(), *odd])


def _put_aside(section: bytes) -> tuple[bytes, Fields] | None:
    """(the section without the fields whose names h11 would refuse, those fields); None if one of them is folded or not even odd."""
    plain: list[bytes] = []
    odd: Fields = []
    behind_odd = False
    for line in section.split(b"\n"):
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t") and behind_odd:
            return None
        behind_odd = bool(colon) and TOKEN_ONLY.fullmatch(name) is None and _ODD_NAME.fullmatch(name) is not None
        if not behind_odd:
            plain.append(line)
        elif b"\x00" in value or b"\r" in value.removesuffix(b"\r"):
            return None
        else:
            odd.append((name, value.removesuffix(b"\r").translate(CONTROLS_TO_SPACE).strip(b" \t")))
    return b"\n".join(plain), odd
