"""The exchange of a connection in mode tcp: bytes, in which rules may look for an HTTP request all the same.

Content rules of mode tcp can use HTTP fetches (manual 4.2 "tcp-request content"): what the client has sent so far is read as a
request each time a rule asks. Three things can be the case, and a fetch tells only two of them apart: a whole request; one that
may still become whole, for which the rules wait; and bytes that never will be one, for which they must not.
"""

from __future__ import annotations

from common.errors import WireError
from worker.exchange import Exchange
from worker.http.buffered import body_so_far
from worker.http.editor import RequestEditor
from worker.http.head import Request


class RawExchange(Exchange):
    """See the module."""

    _peeked: tuple[bytes, Request | None, int, bool] = (b"", None, 0, False)  # of which bytes: request, its end, whether hopeless
    _undecided = False
    _hopeless_asked = False

    @property
    def request(self) -> Request | RequestEditor | None:
        """What the client's bytes begin with, if it is a whole request head."""
        _, request, _, self._hopeless_asked = self._peek()
        return request

    @property
    def request_body(self) -> bytes:
        _, request, end, _ = self._peek()
        return b"" if request is None else body_so_far(request.body, self.client_buffer[end:])[0]

    @property
    def undecided(self) -> bool:
        return self._undecided

    @undecided.setter
    def undecided(self, undecided: bool) -> None:
        """A fetch that found no request says that it waits for bytes; where they are not HTTP, it need not."""
        self._undecided = undecided and not self._hopeless_asked
        self._hopeless_asked = False

    def _peek(self) -> tuple[bytes, Request | None, int, bool]:
        data = self.client_buffer
        if self._peeked[0] is not data:
            self._peeked = (data, *self._read(data))
        return self._peeked

    def _read(self, data: bytes) -> tuple[Request | None, int, bool]:
        if not data:
            return None, 0, False
        try:
            found = self.frontend.reader.parse(data, 0)
        except WireError:
            return None, 0, True
        return (None, 0, False) if found is None else (*found, False)
