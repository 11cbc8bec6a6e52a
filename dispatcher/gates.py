"""The limits of the configuration at the doors: who may accept now, and who is woken when somebody has ended.

The book is dispatcher/policy/admission.py; without any limit there is none, and doors do not ask. Several dispatchers share
limits by what each writes on the board (dispatcher/policy/board.py). An operator may change limits: a version in shared memory tells.

Source: HAProxy manual 3.2 "maxconnrate", "maxsessrate", "maxsslrate", "maxsslconn"; 4.2 "maxconn", "rate-limit sessions"; 5.1 "maxconn";
management guide 9.3 "set maxconn frontend", "set rate-limit".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from common.model import Bind, Config, Proxy
from common.net.pump import Pump, Strand
from common.observe.counters import Counters
from common.observe.layout import G_RATE_CONNECTIONS, G_RATE_SESSIONS, G_RATE_SSL
from common.observe.states import F_MAXCONN
from dispatcher.policy.admission import Admission, Limits, ListenerLimits, Permission
from dispatcher.policy.board import Board


class Gates:
    """All doors of one process, by the ids of their binds."""

    __slots__ = ("_admission", "_board", "_closed", "_listeners", "_pump")

    def __init__(self, pump: Pump, admission: Admission, listeners: dict[int, int], board: Board | None = None) -> None:
        self._board = board
        self._pump = pump
        self._admission = admission
        self._listeners = listeners
        self._closed: list[Strand] = []

    def may_accept(self, bind: int, wanted: int) -> Permission:
        """How many to accept now. With 0: `wait`, then ask again."""
        if self._board is not None:
            for one, listener in self._listeners.items():
                news = self._board.news(one)
                if news:
                    self._admission.learn(self._pump.now, listener, news)
            wanted = 1  # the fewer at a time, the less two dispatchers can take too many together
        return self._admission.may_accept(self._pump.now, self._listeners[bind], wanted)

    async def wait(self, permission: Permission) -> None:
        if permission.wait_s == inf:
            assert self._pump.current is not None
            self._closed.append(self._pump.current)
            await self._pump.park()
        else:
            await self._pump.sleep(permission.wait_s)

    def admit(self, bind: int) -> None:
        """One was accepted."""
        listener = self._listeners[bind]
        self._admission.admit(self._pump.now, listener, None)
        if self._board is not None:
            self._board.came(bind)
            self._board.holds(bind, self._admission.of_listener(listener))

    def ended(self, bind: int) -> None:
        """An admitted one is over."""
        listener = self._listeners[bind]
        if self._admission.ended(listener, None):
            self.look_again()
        if self._board is not None:
            self._board.holds(bind, self._admission.of_listener(listener))

    def change(self, limits: Limits, listeners: list[ListenerLimits]) -> None:
        """Other limits from now on."""
        self._admission.change(limits, listeners)
        self.look_again()

    def look_again(self) -> None:
        """Doors that were closed by a limit ask anew."""
        if self._closed:
            strands, self._closed = self._closed, []
            for strand in strands:
                self._pump.wake(strand)

    def adopt(self, binds: Iterable[int]) -> None:
        """Connections that came before this process."""
        for bind in binds:
            listener = self._listeners.get(bind)
            if listener is not None:
                self._admission.adopt(listener, 1)
                if self._board is not None:
                    self._board.holds(bind, self._admission.of_listener(listener))


Listening = Sequence[tuple[int, Proxy, Bind]]
"""The binds that a process accepts from: index of the proxy, proxy, bind."""


def make_gates(pump: Pump, config: Config, listening: Listening, counters: Counters, board: Board | None = None) -> Gates | None:
    """The gates for these; None when nothing limits them."""
    limits, listeners = limits_of(config, listening, counters)
    if not limits_anything(limits, listeners):
        return None
    positions = {bind.id: position for position, (_index, _proxy, bind) in enumerate(listening)}
    if board is None:
        return Gates(pump, Admission(limits, listeners), positions)
    binds = list(positions)
    admission = Admission(limits, listeners, lambda listener: board.held_elsewhere(binds[listener]))
    return Gates(pump, admission, positions, board)


def limits_anything(limits: Limits, listeners: Sequence[ListenerLimits]) -> bool:
    return limits != Limits() or any(one.maxconn or one.proxy_maxconn or one.rate_limit_sessions for one in listeners)


def limits_of(config: Config, listening: Listening, counters: Counters) -> tuple[Limits, list[ListenerLimits]]:
    """What the configuration says, and what operators have said since."""
    settings, words = config.globals, counters.globals
    limits = Limits(
        0,
        words[G_RATE_CONNECTIONS] or settings.maxconnrate,
        words[G_RATE_SESSIONS] or settings.maxsessrate,
        words[G_RATE_SSL] or settings.maxsslrate,
        settings.maxsslconn,
    )
    listeners = [
        ListenerLimits(
            index,
            bind.maxconn or 0,
            counters.state(counters.layout.frontends[index])[F_MAXCONN] or proxy.maxconn or 0,
            proxy.rate_limit_sessions or 0,
            bind.tls is not None,
        )
        for index, proxy, bind in listening
    ]
    return limits, listeners
