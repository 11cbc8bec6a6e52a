"""Heads that break the grammar, read by h11: behind `option accept-invalid-http-request` and `-response`. Sans-io. Cold path.

Only what h11 understood is forwarded, written anew from its events, so both sides of us read the same message: framing and
connection rules still apply to it in full.
What it takes beyond worker/http/repair.py: any visible character in a target ("#" too), any Host, control characters kept in values, any
spelling of the target's form. What HAProxy's option takes and h11 does not: names that are no tokens, HTTP/0.9, other
protocol names. h11 is imported when the first such head arrives: few configurations need it.

Source: HAProxy manual, `option accept-invalid-http-request`, `option accept-invalid-http-response`.
"""

from __future__ import annotations

from worker.http.fields import field_lines


def read_request(head: bytes) -> bytes | None:
    """The head in h11's reading, spelt strictly; None if h11 refuses it too. head: up to and with its empty line."""
    import h11

    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head) + 1)
    try:
        connection.receive_data(head)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request) or not event.http_version.startswith(b"1."):
        return None
    minor = b"0" if event.http_version == b"1.0" else b"1"
    line = event.method + b" " + event.target + b" HTTP/1." + minor + b"\r\n"
    return line + field_lines(event.headers.raw_items())


def read_response(head: bytes) -> bytes | None:
    """As read_request, for a response."""
    import h11

    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=len(head) + 1)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "-")]))
    connection.send(h11.EndOfMessage())
    try:
        connection.receive_data(head)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Response | h11.InformationalResponse) or not event.http_version.startswith(b"1."):
        return None
    minor = b"0" if event.http_version == b"1.0" else b"1"
    line = b"HTTP/1.%s %d %s\r\n" % (minor, event.status_code, event.reason)
    return line + field_lines(event.headers.raw_items())
