"""Redirects: the Location of each kind, its options, the answer. Sans-io.

Source: HAProxy manual 4.2, `redirect` and `http-request redirect`; the answer's bytes were observed from HAProxy 2.6.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker.http import url
from worker.http.answers import Answer
from worker.http.editor import RequestEditor, clean_value
from worker.http.message import Request

CODES = (301, 302, 303, 307, 308)

_REASONS = {
    301: b"Moved Permanently",
    302: b"Found",
    303: b"See Other",
    307: b"Temporary Redirect",
    308: b"Permanent Redirect",
}
_NOT_CACHED = frozenset({302, 303, 307})


@dataclass(frozen=True, slots=True)
class Redirect:
    """One redirect rule. kind: location, prefix or scheme. set_cookie: NAME or NAME=value; clear_cookie: NAME or NAME=."""

    kind: str
    code: int = 302
    drop_query: bool = False
    append_slash: bool = False
    ignore_empty: bool = False
    set_cookie: bytes | None = None
    clear_cookie: bytes | None = None

    def answer(self, text: bytes, request: Request | RequestEditor) -> Answer | None:
        """The answer to this request. text: the rule's argument, evaluated. None: it is empty and the rule says ignore-empty."""
        if not text and self.ignore_empty:
            return None
        fields = [(b"content-length", b"0"), (b"location", clean_value(self.location(text, request)))]
        if self.code in _NOT_CACHED:
            fields.append((b"cache-control", b"no-cache"))
        if self.set_cookie is not None:
            fields.append((b"set-cookie", clean_value(self.set_cookie) + b"; path=/;"))
        elif self.clear_cookie is not None:
            fields.append((b"set-cookie", clean_value(self.clear_cookie) + b"; path=/; Max-Age=0;"))
        return Answer(self.code, _REASONS[self.code], tuple(fields))

    def location(self, text: bytes, request: Request | RequestEditor) -> bytes:
        """The value of Location."""
        if self.kind == "location":
            return text
        rest = self._path_and_query(request.target)
        if self.kind == "scheme":
            return text + b"://" + (request.first(b"host") or b"") + rest
        return rest if text == b"/" else text + rest

    def _path_and_query(self, target: bytes) -> bytes:
        held = url.split(target)
        path = held.path if held.path not in (b"", b"*") else b"/"
        pathq = path if held.query is None or self.drop_query else path + b"?" + held.query
        # As HAProxy: without drop-query the slash goes behind the query.
        if self.append_slash and not (self.drop_query and pathq.endswith(b"/")):
            pathq += b"/"
        return pathq
