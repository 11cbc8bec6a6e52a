"""All listening sockets of the service, over all its generations.

Generations of one service listen on the same sockets: what a new configuration has in common with the one before it is
kept open, so no connection that waits in a backlog is lost and no address is ever free for a moment. Sockets belong to
the master; the death of any other process closes none of them.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

from common.errors import UsherError
from common.model import Bind, Config, Proxy
from common.net.listener import BindError, open_bind, open_channel
from common.net.sockaddr import abstract_name
from common.process.plan import Listening, Plan


class ListenError(UsherError):
    """Some sockets could not be made. faults: all of them."""

    def __init__(self, faults: list[BindError]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults

    @property
    def busy(self) -> bool:
        """Whether someone else has one of the addresses, so that asking them to let go may help."""
        return any(fault.busy for fault in self.faults)


@dataclass(slots=True)
class Bound:
    """The sockets of one generation."""

    sockets: dict[Listening, socket.socket] = field(default_factory=dict)
    keys: set[Hashable] = field(default_factory=set)


class Listeners:
    """Open sockets by what they are; shared by the generations that hold them (`open`, `release`)."""

    __slots__ = ("_holders", "_sockets")

    def __init__(self) -> None:
        self._sockets: dict[Hashable, socket.socket] = {}
        self._holders: Counter[Hashable] = Counter()

    def open(self, config: Config, plan: Plan, *, reuseport: bool = True) -> Bound:
        """Every socket that the plan needs, kept or new. Raises ListenError, then nothing has changed."""
        binds = {bind.id: (bind, proxy) for proxy in config.proxies for bind in proxy.binds}
        bound, faults, seen = Bound(), [], Counter[Hashable]()
        for listening in sorted(plan.sockets(), key=lambda at: (at.bind_id, at.shard, at.channel)):
            bind, proxy = binds[listening.bind_id]
            what = (_identity(bind), listening.shard, listening.channel)
            seen[what] += 1  # the same address twice in one file is two sockets
            key = (what, seen[what])
            try:
                if key not in self._sockets:
                    self._sockets[key] = _open(bind, proxy, config, listening, reuseport)
            except BindError as fault:
                faults.append(fault)
                continue
            self._holders[key] += 1
            bound.keys.add(key)
            bound.sockets[listening] = self._sockets[key]
        if faults:
            self.release(bound)
            raise ListenError(faults)
        return bound

    def release(self, bound: Bound) -> None:
        """One generation needs its sockets no more; those that no other holds are closed."""
        for key in bound.keys:
            self._holders[key] -= 1
            if not self._holders[key]:
                del self._holders[key]
                self._sockets.pop(key).close()
        bound.keys.clear()
        bound.sockets.clear()


def _open(bind: Bind, proxy: Proxy, config: Config, listening: Listening, reuseport: bool) -> socket.socket:
    if not listening.channel:
        return open_bind(bind, proxy, config.globals, reuseport=reuseport)
    try:
        return open_channel(abstract_name(bind.address))
    except OSError as error:
        raise BindError(bind, proxy, "cannot bind UNIX socket", error.strerror or str(error), busy=True) from error


def _identity(bind: Bind) -> Hashable:
    """What makes it the same socket: its address and every option that is set when it is made."""
    return (
        bind.address,
        *(bind.interface, bind.transparent, bind.v4v6, bind.v6only),
        *(bind.backlog, bind.defer_accept, bind.tfo, bind.tcp_ut, bind.mss),
        *(bind.mode, bind.user, bind.group, bind.uid, bind.gid),
    )
