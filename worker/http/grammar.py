"""The grammar of HTTP/1 heads as compiled patterns. Sans-io.

Every repetition of a character is possessive and no two alternatives begin alike, so matching costs one pass over the bytes,
whatever a peer sends. Repetitions of groups are not possessive: up to Python 3.11.4 a possessive group that fails half way
keeps what that half had read (Debian 12 has 3.11.2); and they need not be, for after a whole field there is one way on.

Three layers, from hot to cold:

- `REQUEST_HEAD` and `RESPONSE_HEAD` match a whole head that breaks no rule at all. They validate; what they capture is the start line.
- `SPECIAL_FIELDS` then lists the few fields that framing, routing and the connection depend on. Every other field is
  carried, not understood.
- The `TOLERANT_` patterns read what RFC 9112 lets a recipient repair (section 2.2 bare LF, section 3 whitespace in the start
  line, section 5.2 line folding, RFC 9110 section 5.5 control characters in values); worker/http/repair.py uses them.

Source: RFC 9112 sections 2 to 5, RFC 9110 sections 5.5, 5.6.2 and 9.1.
"""

from __future__ import annotations

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""tchar. RFC 9110 section 5.6.2."""

VALUE = rb"[\t -~\x80-\xff]"
"""What a field value may hold: HTAB, SP, VCHAR, obs-text. RFC 9110 section 5.5."""

TARGET = rb'[!"$-~]'
"""A byte of a request target: visible ASCII but "#". Wider than RFC 3986 by the characters that browsers leave unescaped
("<>\\^`{|}), as HAProxy; a fragment never belongs to a target (RFC 9112 section 3.2)."""

REQUEST_HEAD = re.compile(
    rb"(" + TOKEN + rb"++) (" + TARGET + rb"++) HTTP/1\.([01])\r\n"  # request line
    rb"(?:" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*\r\n"  # fields, empty line
)

RESPONSE_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) (" + VALUE + rb"*+)\r\n"  # status line
    rb"(?:" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*\r\n"
)

SPECIAL_FIELDS = re.compile(
    rb"\n(?=[HhCcTtUuKkPpEe])(?i:(host|con(?:nection|tent-length)|t(?:ransfer-encoding|e)|upgrade|keep-alive|proxy-connection|expect"
    rb"|http2-settings)):[ \t]*+([^\r]*+)"
)
"""(name as received, value with OWS still at its end) of each field that has a meaning for the message itself."""

FIELD = re.compile(rb"\n([^:\r\n]++):[ \t]*+([^\r]*+)")
"""(name, value with OWS still at its end) of every field of a validated head."""

EMPTY_LINES = re.compile(rb"(?:\r?+\n)*")

HEAD_END = re.compile(rb"\n\r?+\n")
"""The end of a head whose lines may end in a bare LF. Its first match is the end; the line before it may be the start line."""

TOLERANT_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb"++)[ \t]++([^\x00-\x20\x7f]++)[ \t]++([^\x00-\x20\x7f]++)")
TOLERANT_STATUS_LINE = re.compile(rb"(HTTP/[0-9]\.[0-9]) ([1-9][0-9][0-9])(?: (" + VALUE + rb"*+))?")
HTTP_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
TARGET_ONLY = re.compile(TARGET + rb"++")
TOKEN_ONLY = re.compile(TOKEN + rb"++")

TOLERANT_FIELD_LINE = re.compile(rb"(" + TOKEN + rb"++):([^\x00\r\n]*+)")

CONTROLS_TO_SPACE = bytes(0x20 if (byte < 0x20 and byte != 0x09) or byte == 0x7F else byte for byte in range(256))
"""For bytes.translate: what may not stand in a field value becomes SP."""

REQUEST_LINE_BEGUN = re.compile(rb"(?:" + TOKEN + rb"++(?:[ \t]++(?:[!-~]++(?:[ \t]++(?:[!-~]++\r?+)?)?)?)?)?")
"""What an unfinished first line of a request may look like: to refuse garbage (a TLS hello, say) before its head is complete."""

STATUS_LINE_BEGUN = re.compile(rb"(?:H(?:T(?:T(?:P(?:/[ -~\x80-\xff\t]*+\r?+)?)?)?)?)?")
