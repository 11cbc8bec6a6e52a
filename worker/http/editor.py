"""Changes that rules make to a head: headers, target, method, status. Sans-io.

A head itself never changes: others may share it. The first rule that changes something makes an editor, later ones and
fetches use it in the head's place (it reads like one), and at the end it gives the bytes to forward.

Nothing can get a CR, LF or NUL into a head, whatever a log-format expression produced: such bytes become spaces in values, and names
that are no tokens are refused.

What delimits the body is not for rules to change: edits of Content-Length and Transfer-Encoding do nothing, or the next
reader would take another message from the same bytes. What else a rule sets stays, also where the client's Connection field
names it (clean.py); the fields that belong to a connection itself (Connection, Upgrade, ...) are ours alone: `Connection: close`
set by a rule is obeyed (`closes`), others are not sent.

Source: HAProxy manual 4.2, `http-request add-header`, `set-header`, `del-header`, `replace-header`, `replace-value`, `set-method`,
`set-path`, `set-pathq`, `set-query`, `set-uri`, `http-response set-status`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from worker.http import url
from worker.http.clean import HOP_BY_HOP, clean_request, clean_response, forwarded_request, forwarded_response, forwarded_version
from worker.http.framing import tokens
from worker.http.grammar import CONTROLS_TO_SPACE, TARGET_ONLY, TOKEN_ONLY
from worker.http.message import Head, Request, Response
from worker.http.reasons import reason_of

_LOWER: dict[bytes, bytes] = {}
"""Names that were checked, with their lower case: rules come again and again with the few that the configuration has."""
_LOWER_MAX = 1024

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
SPECIAL = _FRAMING | {b"host"}
"""Names that `HeadEditor.put` does not take."""
_BODYLESS = frozenset({204, 304})
_NOT_IN_TARGET = re.compile(rb'[^!"$-~]')
_MEMBER = re.compile(rb'(?:^|(?<=,))((?:[^",]++|"(?:[^"\\]++|\\.)*"?+)*)')

Replace = Callable[[bytes], bytes | None]
"""Gives the new text for a value, or None to leave it. A rule's regex and its format are behind it."""


_Field = tuple[bytes, bytes, bytes]
"""(lower-case name, name, value)"""


class HeadEditor:
    """A head under edit. What no rule changes reads as in the head itself; the rest of it is at `head` in the subclasses.

    Most rules only add: then the fields that were received stay as they are, cleaned once for all who share the head, and what
    was set is spliced behind them. The received fields are taken apart when a rule touches one of them.
    """

    __slots__ = ("_forwarded", "_head", "_received", "_set", "body", "keep_alive", "special", "version")

    def __init__(self, head: Head) -> None:
        self.version = head.version
        self.body = head.body
        self.keep_alive = head.keep_alive
        self.special = head.special
        self._head = head
        self._received: list[_Field] | None = None  # None: as in the head
        self._set: list[_Field] = []  # what rules have written, behind the others
        self._forwarded: bytes | None = None

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        received = self._head.fields if self._received is None else [field[1:] for field in self._received]
        return received + [field[1:] for field in self._set]

    def values(self, name_lower: bytes) -> list[bytes]:
        """Every value of the field of that name, in order."""
        received = self._received
        if received is None:
            found = self._head.values(name_lower)
        else:
            found = [value for lower, _, value in received if lower == name_lower]
        return found + [value for lower, _, value in self._set if lower == name_lower] if self._set else found

    def first(self, name_lower: bytes) -> bytes | None:
        """The first value of the field of that name."""
        found = self.values(name_lower)
        return found[0] if found else None

    @property
    def closes(self) -> bool:
        """A rule set `Connection: close`: the connection that this head goes to closes after this exchange."""
        return any(lower == b"connection" and b"close" in tokens(value) for lower, _, value in self._set)

    def add_header(self, name: bytes, value: bytes) -> None:
        """One more field at the end. Raises ValueError if the name is no token."""
        lower = self._lower(name)
        if lower not in _FRAMING:
            self._set.append((lower, name, clean_value(value)))

    def set_header(self, name: bytes, value: bytes) -> None:
        """This field once, at the end, in the place of all of that name. Raises ValueError if the name is no token."""
        self.del_header(name)
        self.add_header(name, value)

    def put(self, lower: bytes, name: bytes, value: bytes) -> None:
        """As set_header, for what was checked when the rule was read: a token, in lower case and as written, of no special meaning
        (neither framing nor Host), and a clean value."""
        self._forwarded = None
        if self._set:
            self._set = [field for field in self._set if field[0] != lower]
        if self._received is not None or self._head.has(lower):
            self._received = [field for field in self._apart() if field[0] != lower]
        self._set.append((lower, name, value))

    def del_header(self, name: bytes) -> None:
        """Without the fields of this name."""
        lower = self._lower(name)
        if lower in _FRAMING:
            return
        if self._set:
            self._set = [field for field in self._set if field[0] != lower]
        if self._received is not None or self._head.has(lower):
            self._received = [field for field in self._apart() if field[0] != lower]

    def del_headers_matching(self, matches: Callable[[bytes], bool]) -> None:
        """Without the fields whose lower-case name matches (`del-header NAME -m beg|end|sub|reg|str`)."""
        self._forwarded = None
        self._received = [field for field in self._apart() if field[0] in _FRAMING or not matches(field[0])]
        self._set = [field for field in self._set if not matches(field[0])]

    def replace_header(self, name: bytes, replace: Replace) -> None:
        """Each whole value of this name through `replace`."""
        lower = self._lower(name)
        if lower not in _FRAMING and self.values(lower):
            self._received = [_replaced(field, lower, replace) for field in self._apart()]
            self._set = [_replaced(field, lower, replace) for field in self._set]

    def map_header(self, lower: bytes, change: Callable[[bytes], bytes]) -> None:
        """Each value of this name, given in lower case, through `change`; a field whose value becomes empty goes."""
        self._forwarded = None
        self._received = _mapped(self._apart(), lower, change)
        self._set = _mapped(self._set, lower, change)

    def replace_value(self, name: bytes, replace: Replace) -> None:
        """Each comma-separated member of the values of this name through `replace`."""
        self.replace_header(name, lambda value: _replace_members(value, replace))

    def _lower(self, name: bytes) -> bytes:
        self._forwarded = None
        lower = _LOWER.get(name)
        return _checked(name) if lower is None else lower

    def _apart(self) -> list[_Field]:
        """The received fields, taken apart."""
        received = self._received
        if received is None:
            self._received = received = [(name.lower(), name, value) for name, value in self._head.fields]
        return received

    def _with_set(self, head: bytes, start_line: bytes | None) -> bytes:
        """This cleaned head with what rules have set. start_line: a new one. Fields of the connection are ours alone to send."""
        if start_line is not None:
            head = start_line + head[head.index(b"\r\n") :]
        lines = [name + b": " + value + b"\r\n" for lower, name, value in self._set if lower not in HOP_BY_HOP]
        return head[:-2] + b"".join(lines) + b"\r\n" if lines else head


class RequestEditor(HeadEditor):
    """A request under edit."""

    __slots__ = ("head", "method", "target")

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.head = request
        self.method = request.method
        self.target = request.target

    @property
    def host(self) -> bytes | None:
        return self.first(b"host") if self.head.host is not None else None

    def set_method(self, method: bytes) -> None:
        """Another method. Raises ValueError if it is no token."""
        if TOKEN_ONLY.fullmatch(method) is None:
            raise ValueError(f"not a method: {method!r}")
        self._forwarded = None
        self.method = method

    def set_path(self, path: bytes) -> None:
        """Another path; the query stays. "?" in it is kept as it is, as HAProxy does."""
        held = url.split(self.target)
        self._set_target(bytes(held._replace(path=_rooted(path))))

    def set_pathq(self, pathq: bytes) -> None:
        """Another path and query."""
        held = url.split(self.target)
        self._set_target(bytes(held._replace(path=_rooted(pathq), query=None)))

    def set_query(self, query: bytes) -> None:
        """Another query, without its "?". An empty one leaves "?" where one was, as HAProxy does."""
        held = url.split(self.target)
        if query or held.query is not None:
            self._set_target(bytes(held._replace(query=query)))

    def set_uri(self, uri: bytes) -> None:
        """Another whole target. An absolute one sets Host too: the two must agree."""
        self._set_target(uri)
        authority = url.split(self.target).authority
        if authority:
            super().set_header(b"Host", authority)

    def set_header(self, name: bytes, value: bytes) -> None:
        """As HeadEditor.set_header. A Host sets the authority of an absolute target too."""
        super().set_header(name, value)
        if name.lower() == b"host":
            held = url.split(self.target)
            if held.origin:
                self._set_target(bytes(held._replace(origin=held.scheme + b"://" + clean_value(value))))

    def _set_target(self, target: bytes) -> None:
        self._forwarded = None
        self.target = _clean_target(target)

    @property
    def forwarded(self) -> bytes:
        """The whole head as it goes to a server. See clean.clean_request."""
        head = self._forwarded
        if head is None:
            received = self._received
            if received is None:
                head = forwarded_request(self.head)
            else:
                head = clean_request(self.head, [(name, value) for _, name, value in received])
            line = None
            if self.method is not self.head.method or self.target is not self.head.target:
                line = b"%s %s HTTP/1.%d" % (self.method, self.target, forwarded_version(self.head) - 10)
            head = self._forwarded = self._with_set(head, line)
        return head


class ResponseEditor(HeadEditor):
    """A response under edit."""

    __slots__ = ("head", "interim", "reason", "status")

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.head = response
        self.interim = response.interim
        self.status = response.status
        self.reason = response.reason

    def set_status(self, status: int, reason: bytes | None = None) -> None:
        """Another status; its usual reason if none is given.

        The body stays framed as the server framed it. So where one of the two statuses has no body and the other has, the
        connection must close after this response: see `closes`.
        """
        self._forwarded = None
        self.status = status
        self.reason = reason_of(status) if reason is None else clean_value(reason)

    @property
    def closes(self) -> bool:
        """As HeadEditor.closes; also when the new status says otherwise whether there is a body."""
        return super().closes or (self.status in _BODYLESS) != (self.head.status in _BODYLESS)

    @property
    def forwarded(self) -> bytes:
        """The whole head as it goes to a client. See clean.clean_response."""
        head = self._forwarded
        if head is None:
            received = self._received
            if received is None:
                head = forwarded_response(self.head)
            else:
                head = clean_response(self.head, [(name, value) for _, name, value in received])
            line = None
            if self.status != self.head.status or self.reason is not self.head.reason:
                line = b"HTTP/1.1 %d %s" % (self.status, self.reason)
            head = self._forwarded = self._with_set(head, line)
        return head


def _checked(name: bytes) -> bytes:
    """The name in lower case. Raises ValueError if it is no token."""
    if TOKEN_ONLY.fullmatch(name) is None:
        raise ValueError(f"not a header name: {name!r}")
    lower = name.lower()
    if len(_LOWER) < _LOWER_MAX:
        _LOWER[name] = lower
    return lower


def clean_value(value: bytes) -> bytes:
    """The value as it may stand in a head: control characters become spaces, and none is left at the ends."""
    return value.translate(CONTROLS_TO_SPACE).strip(b" \t")


def _clean_target(target: bytes) -> bytes:
    """The target with every byte that may not stand in one percent-encoded."""
    if TARGET_ONLY.fullmatch(target) is not None:
        return target
    return _NOT_IN_TARGET.sub(lambda match: b"%%%02X" % match[0][0], target) or b"/"


def _rooted(path: bytes) -> bytes:
    return path if path[:1] == b"/" or path == b"*" else b"/" + path


def _replaced(field: _Field, lower: bytes, replace: Replace) -> _Field:
    if field[0] != lower or (value := replace(field[2])) is None:
        return field
    return field[0], field[1], clean_value(value)


def _mapped(fields: list[_Field], lower: bytes, change: Callable[[bytes], bytes]) -> list[_Field]:
    mapped = []
    for field in fields:
        value = change(field[2]) if field[0] == lower else field[2]
        if value or field[0] != lower:
            mapped.append((field[0], field[1], value))
    return mapped


def _replace_members(value: bytes, replace: Replace) -> bytes | None:
    """The list with each member replaced; None if none was."""
    members = _MEMBER.findall(value)
    replaced = [replace(member.strip(b" \t")) for member in members]
    if all(new is None for new in replaced):
        return None
    return b",".join(member if new is None else new for member, new in zip(members, replaced, strict=True))
