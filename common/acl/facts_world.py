"""What a sample fetch may ask about the process and the machine: clocks, chance, counters, server states, tables. Sans-io.

Source: HAProxy configuration manual section 7.3.2, and 7.3.3 for stick tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from common import model
from common.acl.types import Typed, Variables


class StickEntry(Protocol):
    """One entry of a stick table: counters by the names of manual 4.2 "stick-table": "conn_cnt", "http_req_rate", "gpc0", "gpt0" …

    Arrays ("gpc", "gpc_rate", "gpt") take an index; for all else it is 0.
    """

    @property
    def key(self) -> Typed: ...

    @property
    def trackers(self) -> int: ...

    def get(self, data: str, index: int = 0) -> int | None:
        """The counter, or the rate computed for now; None if the table does not store it."""

    def text(self, data: str) -> bytes | None:
        """The text of data that is not a number: "server_key"."""

    def increase(self, data: str, index: int = 0, by: int = 1) -> int | None:
        """Adds to "gpc0", "gpc1", "gpc" (and their rates) or "conn_cnt"; the new value, or None if not stored."""

    def set(self, data: str, value: int, index: int = 0) -> None:
        """Sets "gpt0" or "gpt"; nothing if not stored."""

    def clear(self, data: str, index: int = 0) -> int | None:
        """Sets to zero; the value before, or None if not stored."""

    @property
    def expires_in(self) -> float:
        """Seconds until it is purged."""

    @property
    def idle(self) -> float:
        """Seconds since it was last refreshed."""


class StickTable(Protocol):
    @property
    def used(self) -> int: ...
    @property
    def available(self) -> int: ...

    def lookup(self, key: Typed) -> StickEntry | None:
        """The entry for the key, cast to the table's type; None if there is none. Does not refresh it."""

    def enter(self, key: Typed) -> StickEntry | None:
        """The same, made if need be and refreshed; None when the table is full or the key does not cast."""

    def begin(self, key: Typed, *, asked: bool) -> StickEntry | None:
        """As `enter`; it is tracked from now on, which counts as a connection, and (asked) as a request."""


class WorldFacts(Protocol):
    def date(self) -> float:
        """Wall clock, seconds since 1970, as good as it is (fractions count)."""

    def monotonic(self) -> float: ...

    def random_bits(self, count: int) -> int:
        """A random number of so many bits."""

    @property
    def environment(self) -> Mapping[str, str]: ...
    @property
    def hostname(self) -> bytes:
        """The machine's name."""

    @property
    def node(self) -> bytes:
        """`node` of section global, else the hostname."""

    @property
    def pid(self) -> int:
        """The pid that log lines carry."""

    @property
    def process_index(self) -> int:
        """1-based number of this process among its like (`proc`)."""

    @property
    def stopping(self) -> bool: ...
    @property
    def variables(self) -> Variables:
        """Scope proc."""

    def gmt_offset(self, date: float) -> int:
        """Seconds to add to UTC for local time at that date."""

    @property
    def connections(self) -> int:
        """Connections of the whole program (%ac)."""

    # Counters of frontends and listeners.
    def frontend_connections(self, name: str) -> int: ...
    def frontend_request_rate(self, name: str) -> int: ...
    def frontend_session_rate(self, name: str) -> int: ...
    def bind_connections(self, bind: model.Bind) -> int: ...

    # Counters of backends; `backend_queue` includes the queues of its servers.
    def backend_connections(self, name: str) -> int: ...
    def backend_session_rate(self, name: str) -> int: ...
    def backend_queue(self, name: str) -> int: ...
    def usable_servers(self, backend: str) -> int:
        """`nbsrv`: servers that would get traffic now."""

    # Servers, by the names of backend and server.
    def server_connections(self, backend: str, server: str) -> int: ...
    def server_session_rate(self, backend: str, server: str) -> int: ...
    def server_queue(self, backend: str, server: str) -> int: ...
    def server_is_up(self, backend: str, server: str) -> bool: ...
    def server_weight(self, backend: str, server: str) -> int:
        """The effective weight, slow start applied."""

    def server_user_weight(self, backend: str, server: str) -> int:
        """The weight as last set by an operator."""

    def stick_table(self, name: str) -> StickTable | None: ...

    def config_proxy(self, name: str, *, backend: bool) -> model.Proxy | None:
        """The proxy of that name that has a backend (or frontend) side."""

    def is_local(self, address: bytes) -> bool:
        """One of this machine's own addresses."""
