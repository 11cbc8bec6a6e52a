"""Which words of a table's entries each event of a connection counts in, worked out once. Sans-io.

Source: HAProxy manual 4.2 "stick-table"; which event counts where was seen by asking a stock HAProxy.
"""

from __future__ import annotations

from common.tables.definition import Place, TableDefinition

Places = tuple[Place, ...]


class Plans:
    """connection: one that is tracked from now on. session: one that was accepted after that. asked: the same as `connection` and
    `request`, for what rules on a request track. current: the word of conn_cur, 0 = not stored."""

    __slots__ = ("asked", "bytes_in", "bytes_out", "connection", "current", "error", "failure", "request", "session")

    def __init__(self, definition: TableDefinition) -> None:
        def both(stem: str, count: str = "cnt") -> Places:
            found = (definition.place(f"{stem}_{count}"), definition.place(f"{stem}_rate"))
            return tuple(place for place in found if place is not None)

        self.connection = both("conn")
        self.session = both("sess")
        self.request = both("http_req")
        self.error = both("http_err")
        self.failure = both("http_fail")
        self.bytes_in = both("bytes_in")
        self.bytes_out = both("bytes_out")
        self.asked = self.connection + self.request
        current = definition.place("conn_cur")
        self.current = current.word if current is not None else 0
