"""The request of an HTTP check. Sans-io.

Source: HAProxy configuration manual 4.2 "option httpchk", "http-check send", "http-check send-state"; the form on the wire observed
from 2.6.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.acl.facts import Facts
from common.health.steps import Text

STATE_FIELD = b"x-haproxy-server-state"
_FRAMING = (b"content-length", b"transfer-encoding", b"connection")


def _slash(_facts: Facts) -> bytes:
    return b"/"


@dataclass(frozen=True, slots=True)
class Request:
    """target, body and field values are made at the moment of sending. state: with X-Haproxy-Server-State."""

    method: str = "OPTIONS"
    target: Text = _slash
    version: str = "HTTP/1.0"
    fields: tuple[tuple[bytes, Text], ...] = ()
    body: Text | None = None
    state: bool = False
    comment: str = ""

    @classmethod
    def of_option(cls, words: tuple[str, ...], *, state: bool) -> Request:
        """`option httpchk [METHOD] [URI] [VERSION [HOST]]`; old files have fields behind the version, after CR LF."""
        if not words:
            return cls(state=state)
        method, target = ("", words[0]) if len(words) == 1 else words[:2]
        version, *lines = (words[2] if len(words) > 2 else "HTTP/1.0").split("\r\n")
        fields = [line.partition(":")[::2] for line in lines if ":" in line]
        if len(words) > 3:
            fields.insert(0, ("host", words[3]))
        made = tuple((name.strip().lower().encode(), _constant(value.strip().encode())) for name, value in fields)
        return cls(method or "OPTIONS", _constant(target.encode("utf-8", "surrogateescape")), version or "HTTP/1.0", made, state=state)

    def host(self, facts: Facts) -> bytes:
        """What its Host field says, b"" without one."""
        return next((text(facts) for name, text in self.fields if name == b"host"), b"")

    def build(self, facts: Facts) -> bytes:
        """The bytes. A length that somebody wrote is left out: the body has its own. Whoever writes Connection only gets rid of ours."""
        lines = [b"%b %b %b" % (self.method.encode(), self.target(facts) or b"/", self.version.encode())]
        written = [(name, text(facts)) for name, text in self.fields if name not in _FRAMING]
        if self.state:
            written.append((STATE_FIELD, str(getattr(facts, "state", "")).encode()))
        body = b"" if self.body is None else self.body(facts)
        if self.body is not None:
            written.append((b"content-length", b"%d" % len(body)))
        if self.version != "HTTP/1.0" and not any(name == b"connection" for name, _ in self.fields):
            written.append((b"connection", b"close"))
        lines += [b"%b: %b" % field for field in written]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _constant(data: bytes) -> Text:
    return lambda facts: data


def name_in(host: bytes) -> str:
    """The name in a Host field, for TLS; "" for an address, which is none there (RFC 6066 section 3)."""
    name = host.partition(b":")[0]
    return name.decode("ascii", "ignore") if name.strip(b"0123456789.") and not host.startswith(b"[") else ""
