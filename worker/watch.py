"""What traffic shows of a server: `observe layer4` and `layer7`, told to the master, which counts for all workers together.

An error is told at once, a success only after errors. What a server did within the same few milliseconds goes in one message; many
errors are one number. The master (common/health/record.py) decides what they come to.

Source: HAProxy configuration manual 5.2 "observe", "error-limit", "on-error"; words observed from 2.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from common.health.score import good_status
from common.observe.states import S_OBSERVED
from common.process.control_channel import ControlChannel
from worker.servers.retry import Failure

if TYPE_CHECKING:
    from worker.server import Server

GATHER_S: Final = 0.01
_CONNECT_FAILED: Final = "L4 unsuccessful connection"
_WRONG_STATUS: Final = "Wrong http response"
_FAILURES: Final = {
    Failure.TIMEOUT: "Read timeout (http)",
    Failure.JUNK: "Invalid http response (headers)",
    Failure.EMPTY: "Close from server (http)",
}


class Watches:
    """One per worker: takes news to the master."""

    __slots__ = ("_dirty", "_news")

    def __init__(self) -> None:
        self._dirty: dict[Watch, None] = {}
        self._news = trio.Event()

    def of(self, server: Server, block: memoryview[int]) -> Watch | None:
        """For a server that is to be observed; block: its state. None for the others."""
        layer = server.model.options.get("observe")
        return Watch(self, server, block, layer7=layer == ("layer7",)) if layer is not None else None

    def changed(self, watch: Watch) -> None:
        self._dirty[watch] = None
        self._news.set()

    async def run(self, control: ControlChannel) -> None:
        """The trio task."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            dirty, self._dirty = self._dirty, {}
            for watch in dirty:
                await control.send(watch.told())
            await trio.sleep(GATHER_S)


class Watch:
    """One server. layer7: its answers count, else its connections."""

    __slots__ = ("_block", "_errors", "_good", "_last", "_layer7", "_server", "_watches")

    def __init__(self, watches: Watches, server: Server, block: memoryview[int], *, layer7: bool) -> None:
        self._watches = watches
        self._server = server
        self._block = block
        self._layer7 = layer7
        self._errors = 0
        self._good = False
        self._last = ""

    def connected(self) -> None:
        if not self._layer7:
            self._was_good()

    def not_connected(self) -> None:
        self._was_bad(_CONNECT_FAILED)

    def answered(self, status: int) -> None:
        if self._layer7:
            if good_status(status):
                self._was_good()
            else:
                self._was_bad(_WRONG_STATUS)

    def failed(self, failure: Failure) -> None:
        """There was no answer."""
        if self._layer7:
            self._was_bad(_FAILURES.get(failure, _FAILURES[Failure.EMPTY]))

    def told(self) -> dict[str, object]:
        """The message of what has happened since the last one."""
        message: dict[str, object] = {
            "op": "observed",
            "server": f"{self._server.backend.name}/{self._server.model.name}",
            "good": self._good,
            "errors": self._errors,
            "last": self._last,
        }
        self._errors, self._good = 0, False
        return message

    def _was_good(self) -> None:
        if self._errors or self._block[S_OBSERVED]:
            self._errors, self._good = 0, True
            self._watches.changed(self)

    def _was_bad(self, what: str) -> None:
        self._errors += 1
        self._last = what
        self._watches.changed(self)
