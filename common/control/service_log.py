"""The master's own lines in the logs of section global, beside the console.

stdout and stderr are left out: what goes there the console has said already.
"""

from __future__ import annotations

import socket

import trio

from common.control.console import Console
from common.errors import ConfigError
from common.model import Global
from common.net.logs import Logger, Outlets


class ServiceLog:
    """Opened anew with every generation, for its receivers may be others."""

    __slots__ = ("_changed", "_console", "_outlets", "_pid")

    def __init__(self, console: Console, pid: int) -> None:
        self._console = console
        self._pid = pid
        self._outlets = Outlets()
        self._changed = trio.Event()

    def open(self, settings: Global) -> None:
        """Send what the console says to these receivers from now on; a receiver that cannot be opened is said and left out."""
        outlets = Outlets()
        hostname = settings.log_send_hostname
        try:
            targets = [target for target in settings.logs if not target.stream]
            logger = Logger(targets, outlets, settings.log_tag, self._pid, hostname or socket.gethostname() if hostname is not None else "")
        except ConfigError as error:
            self._console.warning(str(error))
            return
        self._console.also = lambda level, text: logger.log(level, text.encode("utf-8", "replace"))
        self._outlets.close()
        self._outlets = outlets
        self._changed.set()
        self._changed = trio.Event()

    async def drain(self) -> None:
        """Empty backlogs, for as long as the service lives."""
        try:
            while True:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._outlets.drain)
                    await self._changed.wait()
                    nursery.cancel_scope.cancel()
        finally:
            self._console.also = None
            self._outlets.close()
