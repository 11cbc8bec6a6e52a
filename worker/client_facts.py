"""The client's connection as rules see it before there is an exchange: tcp-request connection and session.

Source: HAProxy manual 4.2 "tcp-request connection", "tcp-request session".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.acl.facts_world import StickTable
from common.acl.types import Typed
from common.tables.samples import SampleTable
from worker.facts import ExchangeFacts

if TYPE_CHECKING:
    from worker.session import Session


class ClientFacts(ExchangeFacts):
    """Stands for an exchange before there is one: in tcp-request connection and session rules. What is set is the session's."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.frontend = session.proxy
        self.world = session.world
        self.stream = session.stream
        self.head = None
        self.started_at = session.accepted_at

    def set_source(self, address: bytes, port: int) -> None:
        self.session.src, self.session.src_port = address, port

    def set_destination(self, address: bytes, port: int) -> None:
        self.session.dst, self.session.dst_port = address, port

    def track(self, index: int, table: StickTable, key: Typed) -> None:
        assert isinstance(table, SampleTable)
        entry = table.begin(key, asked=False)
        if entry is not None:
            if self.session.tracked is None:
                self.session.tracked = {}
            self.session.tracked[index] = entry

    @property
    def expects_proxy(self) -> bool:
        return self.session.awaits_header

    @expects_proxy.setter
    def expects_proxy(self, expects: bool) -> None:
        """`expect-proxy layer4`; not where the header has already come another way."""
        self.session.awaits_header = expects and self.session.proxy_header is None
