"""The spelling of field names: restricted on the way in, adjusted on the way out. Sans-io.

We forward names as they were received, which HTTP/1 peers never mind; HAProxy writes them in lower case. So
`h1-case-adjust` matters here only for the names that we and the rules add.

Source: HAProxy manual 4.2, `option http-restrict-req-hdr-names`; section 3.1, `h1-case-adjust`; `option h1-case-adjust-bogus-client`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from worker.http.editor import RequestEditor
from worker.http.message import Request

_UNUSUAL = re.compile(rb"[^0-9A-Za-z\-]")
_UNUSUAL_IN_HEAD = re.compile(rb"\n[0-9A-Za-z\-]*+[^0-9A-Za-z\-:\r\n]")
_NAME_IN_HEAD = re.compile(rb"(?<=\n)[^:\r\n]++(?=:)")


def is_unusual(name: bytes) -> bool:
    """Whether a name has a character outside [a-zA-Z0-9-]: what `option http-restrict-req-hdr-names` refuses or deletes.

    For RequestEditor.del_headers_matching, too.
    """
    return _UNUSUAL.search(name) is not None


def has_unusual_name(request: Request | RequestEditor) -> bool:
    """Whether any field has such a name."""
    if isinstance(request, Request):
        return _UNUSUAL_IN_HEAD.search(request.raw) is not None
    return any(is_unusual(name) for name, _ in request.fields)


def adjust_case(head: bytes, spellings: Mapping[bytes, bytes]) -> bytes:
    """The head with its names spelt as in `spellings` (lower-case name -> name). The start line is left alone."""
    return _NAME_IN_HEAD.sub(lambda match: spellings.get(match[0].lower(), match[0]), head)
