"""What a frontend keeps of heads for its logs: `capture request header`, `capture response header`, `capture cookie`. Sans-io.

Source: HAProxy manual 4.2 "capture cookie", "capture request header", "capture response header", "declare capture".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common import model
from common.acl.environment import CompileEnvironment
from common.acl.facts import MessageFacts
from common.rules.parse_values import slot_lengths

Slots = tuple[tuple[int, bytes, int], ...]
"""(slot, lower-case field name, length) of the slots that a field fills."""


@dataclass(frozen=True, slots=True)
class Captures:
    """The slots of one frontend. lengths: of all slots; request, response: what fields fill. cookie: start of its name, length."""

    request_lengths: tuple[int, ...] = ()
    response_lengths: tuple[int, ...] = ()
    request: Slots = ()
    response: Slots = ()
    cookie: tuple[bytes, int] | None = None

    @property
    def wanted(self) -> bool:
        return bool(self.request_lengths or self.response_lengths or self.cookie)

    def of_request(self, head: MessageFacts | None) -> list[bytes | None]:
        return _captured(len(self.request_lengths), self.request, head)

    def of_response(self, head: MessageFacts | None) -> list[bytes | None]:
        return _captured(len(self.response_lengths), self.response, head)

    def cookie_of_request(self, head: MessageFacts) -> bytes | None:
        return None if self.cookie is None else _cookie(head.values(b"cookie"), self.cookie, each=True)

    def cookie_of_response(self, head: MessageFacts) -> bytes | None:
        return None if self.cookie is None else _cookie(head.values(b"set-cookie"), self.cookie, each=False)


def captures_of(environment: CompileEnvironment) -> Captures:
    """The captures of the environment's proxy, once all of its rules are parsed: rules add slots."""
    proxy = environment.proxy
    assert proxy is not None
    cookie = proxy.capture_cookie
    return Captures(
        tuple(slot_lengths(environment, "request")),
        tuple(slot_lengths(environment, "response")),
        _filled(proxy, "request"),
        _filled(proxy, "response"),
        None if cookie is None else (cookie[0].encode(), cookie[1]),
    )


def _filled(proxy: model.Proxy, kind: str) -> Slots:
    """Slots without a name are only declared."""
    of_kind = [(name, length) for direction, name, length in proxy.captures if direction == kind]
    return tuple((slot, name.lower().encode(), length) for slot, (name, length) in enumerate(of_kind) if name)


def _captured(count: int, slots: Slots, head: MessageFacts | None) -> list[bytes | None]:
    """The last value of each field."""
    captured: list[bytes | None] = [None] * count
    if head is not None:
        for slot, name, length in slots:
            values = head.values(name)
            if values:
                captured[slot] = values[-1][:length]
    return captured


def _cookie(values: Sequence[bytes], wanted: tuple[bytes, int], *, each: bool) -> bytes | None:
    """The first cookie whose name=value starts so. each: a field holds several (Cookie), else one and its attributes (Set-Cookie)."""
    start, length = wanted
    for value in values:
        for cookie in value.split(b";") if each else (value.partition(b";")[0],):
            text = cookie.strip(b" \t")
            if text.startswith(start):
                return text[:length]
    return None
