"""What rules and log formats may ask of this process. Connections answer for themselves (dispatcher/rules.py, sessionlog.py)."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Mapping

from common import model
from common.acl.absent import AbsentWorld
from common.model import Config
from common.observe import fields as f
from common.observe.counters import Counters
from common.process.launch import Launch


class ProcessFacts(AbsentWorld):
    """Answers common.acl.facts_world.WorldFacts, as far as a dispatcher knows: it has no stick tables."""

    def __init__(self, launch: Launch, counters: Counters) -> None:
        super().__init__()
        self._config: Config = launch.config
        self._counters = counters
        name = socket.gethostname()
        self.pid = launch.master_pid
        self.process_index = launch.number
        self.hostname = name.encode()
        self.node = (launch.config.globals.node or name).encode()
        self.environment: Mapping[str, str] = os.environ

    @property
    def connections(self) -> int:  # type: ignore[override]
        return sum(self._counters.across(0, f.SCUR))

    def date(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def gmt_offset(self, date: float) -> int:
        return time.localtime(date).tm_gmtoff

    def random_bits(self, count: int) -> int:
        return random.getrandbits(count)

    def frontend_connections(self, name: str) -> int:
        return self._current(self._counters.layout.frontends, name, backend=False)

    def backend_connections(self, name: str) -> int:
        return self._current(self._counters.layout.backends, name, backend=True)

    def bind_connections(self, bind: model.Bind) -> int:
        return sum(self._counters.across(self._counters.layout.listeners[bind.id], f.SCUR))

    def server_connections(self, backend: str, server: str) -> int:
        for index, proxy in enumerate(self._config.proxies):
            if proxy.backend and proxy.name == backend:
                for number, one in zip(self._counters.layout.servers[index], proxy.servers, strict=True):
                    if one.name == server:
                        return sum(self._counters.across(number, f.SCUR))
        return 0

    def config_proxy(self, name: str, *, backend: bool) -> model.Proxy | None:
        return self._config.proxy(name, backend=backend)

    def is_local(self, address: bytes) -> bool:
        return address[:1] == b"\x7f" or address == b"\0" * 15 + b"\x01"

    def _current(self, numbers: tuple[int, ...], name: str, *, backend: bool) -> int:
        for index, proxy in enumerate(self._config.proxies):
            if proxy.name == name and (proxy.backend if backend else proxy.frontend):
                return sum(self._counters.across(numbers[index], f.SCUR))
        return 0
