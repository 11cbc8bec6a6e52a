"""The limits of the configuration at the doors: who may accept now, and who is woken when somebody has ended.

The book is dispatcher/policy/admission.py; without any limit in the configuration there is none, and doors do not ask.

With several dispatchers each has its part of every limit. The kernel spreads connections evenly over their sockets, and parts
never add up to more than the whole, rounded up.

Source: HAProxy manual 3.2 "maxconnrate", "maxsessrate", "maxsslrate"; 4.2 "maxconn", "rate-limit sessions"; 5.1 "maxconn".
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, inf

from common.model import Bind, Config, Proxy
from common.net.pump import Pump, Strand
from dispatcher.handover import pause
from dispatcher.policy.admission import Admission, Limits, ListenerLimits, Permission


class Gates:
    """All doors of one process, by the ids of their binds."""

    __slots__ = ("_admission", "_closed", "_listeners", "_pump")

    def __init__(self, pump: Pump, admission: Admission, listeners: dict[int, int]) -> None:
        self._pump = pump
        self._admission = admission
        self._listeners = listeners
        self._closed: list[Strand] = []

    def may_accept(self, bind: int, wanted: int) -> Permission:
        """How many to accept now. With 0: `wait`, then ask again."""
        return self._admission.may_accept(self._pump.now, self._listeners[bind], wanted)

    async def wait(self, permission: Permission) -> None:
        if permission.wait_s == inf:
            assert self._pump.current is not None
            self._closed.append(self._pump.current)
            await self._pump.park()
        else:
            await pause(self._pump, permission.wait_s)

    def admit(self, bind: int) -> None:
        """One was accepted."""
        self._admission.admit(self._pump.now, self._listeners[bind], None)

    def ended(self, bind: int) -> None:
        """An admitted one is over."""
        if self._admission.ended(self._listeners[bind], None) and self._closed:
            strands, self._closed = self._closed, []
            for strand in strands:
                self._pump.wake(strand)

    def adopt(self, binds: Iterable[int]) -> None:
        """Connections that came before this process."""
        for bind in binds:
            listener = self._listeners.get(bind)
            if listener is not None:
                self._admission.adopt(listener, 1)


def make_gates(pump: Pump, config: Config, listening: Iterable[tuple[int, Proxy, Bind]], dispatchers: int) -> Gates | None:
    """The gates for these (index of proxy, proxy, bind); None when nothing limits them."""
    parts = max(1, dispatchers)

    def part(limit: int | None) -> int:
        return ceil((limit or 0) / parts)

    settings = config.globals
    limits = Limits(0, part(settings.maxconnrate), part(settings.maxsessrate), part(settings.maxsslrate))
    found = list(listening)
    listeners = [
        ListenerLimits(index, part(bind.maxconn), part(proxy.maxconn), part(proxy.rate_limit_sessions), bind.tls is not None)
        for index, proxy, bind in found
    ]
    limited = limits != Limits() or any(one.maxconn or one.proxy_maxconn or one.rate_limit_sessions for one in listeners)
    if not limited:
        return None
    return Gates(pump, Admission(limits, listeners), {bind.id: position for position, (_index, _proxy, bind) in enumerate(found)})
