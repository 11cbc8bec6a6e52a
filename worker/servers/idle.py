"""The book of a server's idle connections: which one may carry a request, which to keep, which to close. Sans-io.

Source: HAProxy manual 4.2 "http-reuse"; 5.2 "pool-max-conn", "pool-low-conn", "pool-purge-delay", "max-reuse"; 3.2
"tune.pool-low-fd-ratio", "tune.pool-high-fd-ratio".

What may go wrong with a reused connection: the server closes it at the moment when the request leaves. For any but the
first request of a client connection this is what the client must expect of keep-alive anyway, and it repeats by itself;
for the first one it would be an error out of the blue. Hence the strategies:

              first request of a session          other requests
    never     own connection only                 own connection only
    safe      a new one                           any idle one
    aggressive  one that was reused before, else new   any idle one
    always    any idle one                        any idle one

*Proven* connections have carried a request after having been idle: their server does support keep-alive. First requests
take proven ones first, others take unproven ones first, so that the proven ones are left to those who need them. Within a
class the last one put is the first one taken: few connections stay warm, and the rest becomes old and is purged.

A connection that carries the identity of one client (PROXY header, client's source address, an SNI made from the request) goes
only to a request of the same `key`; one on which the server authenticated the client (NTLM) is private: it never gets here,
`put` sends it back to its session.

Every pool-purge-delay half of the excess is closed, oldest first. Excess is what the busiest moment of late did not need: for
this the book counts the connections that are lent out too. pool-low-conn connections are always kept; HAProxy uses that
number to stop threads from stealing each other's last connections, and here no worker can steal.

The connections are opaque: the story reads and closes them.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from math import inf
from operator import itemgetter
from typing import Generic, TypeVar

from worker.servers.habits import Habits

C = TypeVar("C", bound=Hashable)


class Reuse(Enum):
    """`http-reuse`."""

    NEVER = "never"
    SAFE = "safe"
    AGGRESSIVE = "aggressive"
    ALWAYS = "always"


class Fate(Enum):
    """What becomes of a connection after an exchange."""

    POOL = "pool"  # it is in the book
    SESSION = "session"  # only the client connection that used it may go on to use it
    CLOSE = "close"


_NEVER, _POOL = Reuse.NEVER, Fate.POOL  # looking a member up in its class costs more than the comparison


class DescriptorShare:
    """How many idle connections all books of a process hold, and how many they may (tune.pool-low/high-fd-ratio)."""

    __slots__ = ("high", "idle", "low")

    def __init__(self, descriptors: int, low_percent: int = 20, high_percent: int = 25) -> None:
        self.low = descriptors * low_percent // 100  # above: none is kept any more
        self.high = descriptors * high_percent // 100  # above: idle ones are closed
        self.idle = 0

    @property
    def excess(self) -> int:
        return max(0, self.idle - self.high)


# connection -> (requests carried, idle since, expires): an insertion-ordered stack, newest last, with removal from the middle.
_Stack = dict[C, tuple[int, float, float]]


class IdleBook(Generic[C]):
    """One server's idle connections in one worker. `doomed`: expired ones that `take` met, for the story to close."""

    __slots__ = (
        "_first_proven_only", "_first_takes", "_fresh", "_fresh_key", "_keyed", "_keys", "_peak_lent", "_proven", "_purge_at", "_reuse",
        "_unproven",
        "count", "descriptors", "doomed", "habits", "lent", "max_reuse", "pool_low_conn", "pool_max_conn", "pool_purge_delay_s", "warm",
    )  # fmt: skip

    def __init__(
        self,
        reuse: Reuse = Reuse.SAFE,
        *,
        pool_max_conn: int = -1,
        pool_low_conn: int = 0,
        pool_purge_delay_s: float = 5.0,
        max_reuse: int = -1,
        warm: int = 0,
        descriptors: DescriptorShare | None = None,
    ) -> None:
        self._reuse = reuse
        self._first_takes = reuse in (Reuse.AGGRESSIVE, Reuse.ALWAYS)
        self._first_proven_only = reuse is Reuse.AGGRESSIVE
        self.pool_max_conn = pool_max_conn
        self.pool_low_conn = pool_low_conn
        self.pool_purge_delay_s = pool_purge_delay_s
        self.max_reuse = max_reuse
        self.warm = warm
        self.descriptors = descriptors
        self.habits = Habits()
        self._unproven: _Stack[C] = {}
        self._proven: _Stack[C] = {}
        self._fresh: _Stack[C] = {}  # opened ahead of need, for _fresh_key
        self._fresh_key: Hashable = None
        self._keyed: dict[Hashable, tuple[_Stack[C], _Stack[C]]] = {}  # key -> (unproven, proven); never empty ones
        self._keys: dict[C, Hashable] = {}  # for those in _keyed
        self.count = 0
        self.lent = 0  # connections that are open and not idle
        self._peak_lent = 0
        self._purge_at = inf
        self.doomed: list[C] = []

    # --- lending and putting back ------------------------------------------------------------------------------------

    def take(self, now: float, first: bool, key: Hashable = None) -> C | None:
        """An idle connection for a request, or None: open a new one. first: it is the first request of its client connection."""
        if not self.count:
            return None
        if first and not self._first_takes:
            return self._take_fresh(now, key) if self._fresh else None
        if key is None:
            unproven, proven = self._unproven, self._proven
        elif key in self._keyed:
            unproven, proven = self._keyed[key]
        else:
            return self._take_fresh(now, key) if self._fresh else None
        if not first:
            stacks: tuple[_Stack[C], ...] = (unproven, proven)
        else:
            stacks = (proven,) if self._first_proven_only else (proven, unproven)
        for stack in stacks:
            while stack:
                connection, (_, _, expires) = stack.popitem()
                self.count -= 1
                if self.descriptors is not None:
                    self.descriptors.idle -= 1
                if key is not None:
                    self._forget_key(connection, key)
                if expires > now:
                    self.lent += 1
                    if self.lent > self._peak_lent:
                        self._peak_lent = self.lent
                    return connection
                self.doomed.append(connection)
        return self._take_fresh(now, key) if self._fresh else None

    def _take_fresh(self, now: float, key: Hashable) -> C | None:
        """One that was opened ahead of need: as good as a new one, so whoever must not share may have it."""
        while self._fresh and key == self._fresh_key:
            connection, (_, _, expires) = self._fresh.popitem()
            self.count -= 1
            if self.descriptors is not None:
                self.descriptors.idle -= 1
            if expires > now:
                self.opened()
                return connection
            self.doomed.append(connection)
        return None

    def opened(self) -> None:
        """A new connection is open and lent to whoever opened it."""
        self.lent += 1
        if self.lent > self._peak_lent:
            self._peak_lent = self.lent

    def closed(self) -> None:
        """A lent connection was closed instead of put back."""
        self.lent -= 1

    def put(
        self,
        connection: C,
        now: float,
        requests: int,
        *,
        key: Hashable = None,
        private: bool = False,
        timeout_s: float | None = None,
        left: int | None = None,
    ) -> Fate:
        """A lent connection whose exchange is over, the server willing to go on. What is not pooled is still lent.

        requests: how many it has carried. timeout_s, left: the last `Keep-Alive: timeout=, max=`.
        """
        habits = self.habits
        if left is not None or timeout_s is not None or habits.requests_limit or habits.idle_limit_s != inf:
            if habits.requests_limit:
                habits.answered(requests - 1)
            if habits.remaining(requests, left) == 0 and (left == 0 or not habits.doubts()):
                return Fate.CLOSE
            expires = now + habits.idle_for_s(timeout_s)
            if expires <= now:
                return Fate.CLOSE
        else:
            expires = inf
        if 0 <= self.max_reuse < requests:
            return Fate.CLOSE
        if private or self._reuse is _NEVER or self.pool_max_conn == 0 or not self.pool_purge_delay_s:
            return Fate.SESSION
        if 0 < self.pool_max_conn <= self.count:
            return Fate.CLOSE
        share = self.descriptors
        if share is not None:
            if share.idle >= share.low:
                return Fate.CLOSE
            share.idle += 1
        self.lent -= 1
        if key is not None:
            self._push(connection, now, requests, key, expires)
            return _POOL
        # As in _push, spelt out: this is once per request.
        stack = self._proven if requests > 1 else self._unproven
        stack[connection] = (requests, now, expires)
        self.count += 1
        if self._purge_at == inf:
            self._purge_at = now + self.pool_purge_delay_s
        return _POOL

    def put_warm(self, connection: C, now: float, key: Hashable = None) -> None:
        """A connection that was opened ahead of need (`pool-warm`) is ready; it counted as lent while it was being opened.

        key: the same for all; when it changes, those for the old one are doomed.
        """
        self.lent -= 1
        if key != self._fresh_key:
            self.doomed += self._fresh
            for one in list(self._fresh):
                self._drop(one)
            self._fresh_key = key
        if self.descriptors is not None:
            self.descriptors.idle += 1
        self._fresh[connection] = (0, now, now + self.habits.idle_limit_s)
        self.count += 1
        if self._purge_at == inf:
            self._purge_at = now + self.pool_purge_delay_s

    def to_open(self) -> int:
        """How many connections are missing to `pool-warm`."""
        return max(0, self.warm - self.count - self.lent)

    # --- what happens to idle ones -----------------------------------------------------------------------------------

    def remove(self, connection: C, now: float) -> bool:
        """The server ended (or broke) an idle connection. False if it is not in the book."""
        since = self._drop(connection)
        if since is None:
            return False
        self.habits.closed_idle(now - since)
        return True

    def purge(self, now: float) -> list[C]:
        """What to close now: what expired, and each pool-purge-delay half of the excess, oldest first."""
        if not self.count:
            self._purge_at = inf
            return []
        closing = [one for stack in self._stacks() for one, (_, _, expires) in stack.items() if expires <= now]
        for connection in closing:
            self._drop(connection)
        if now >= self._purge_at:
            needed = max(self.lent, self._peak_lent) - self.lent
            floor = max(self.pool_low_conn, self.warm - self.lent)
            excess = self.count - max(needed, 0)
            closing += self._drop_oldest(min((excess + 1) // 2, self.count - floor))
            self._peak_lent = self.lent
            self._purge_at = now + self.pool_purge_delay_s if self.count else inf
        if self.descriptors is not None and self.descriptors.excess:
            closing += self._drop_oldest(min(self.descriptors.excess, self.count))
        return closing

    def purge_at(self) -> float:
        """When `purge` has something to do next, as far as the delay goes; inf while nothing is idle."""
        return self._purge_at

    def clear(self) -> list[C]:
        """The server is down or gone: all idle connections, to be closed."""
        closing = [one for stack in self._stacks() for one in stack]
        for connection in closing:
            self._drop(connection)
        return closing

    def connections(self) -> list[C]:
        """All idle connections, for the story to look which have ended."""
        return [one for stack in self._stacks() for one in stack]

    def check_invariants(self) -> None:
        """Raises AssertionError when the book is broken."""
        stacks = self._stacks()
        assert self.count == sum(map(len, stacks))
        assert len({one for stack in stacks for one in stack}) == self.count, "one connection is in two stacks"
        assert self.lent >= 0
        assert {one for pair in self._keyed.values() for stack in pair for one in stack} == set(self._keys)
        assert all(any(pair) for pair in self._keyed.values())
        assert self.pool_max_conn <= 0 or self.count <= max(self.pool_max_conn, self.warm)
        assert all(requests <= 1 for pair in self._pairs() for requests, _, _ in pair[0].values())
        assert all(requests > 1 for pair in self._pairs() for requests, _, _ in pair[1].values())

    # --- inside ------------------------------------------------------------------------------------------------------

    def _push(self, connection: C, now: float, requests: int, key: Hashable, expires: float) -> None:
        if key is None:
            stack = self._proven if requests > 1 else self._unproven
        else:
            stack = self._keyed.setdefault(key, ({}, {}))[requests > 1]
            self._keys[connection] = key
        stack[connection] = (requests, now, expires)
        self.count += 1
        if self._purge_at == inf:
            self._purge_at = now + self.pool_purge_delay_s

    def _pairs(self) -> list[tuple[_Stack[C], _Stack[C]]]:
        return [(self._unproven, self._proven), *self._keyed.values()]

    def _stacks(self) -> list[_Stack[C]]:
        return [self._fresh, *(stack for pair in self._pairs() for stack in pair)]

    def _drop_oldest(self, number: int) -> list[C]:
        if number <= 0:
            return []
        aged = [(since, one) for stack in self._stacks() for one, (_, since, _) in stack.items()]
        aged.sort(key=itemgetter(0))
        oldest = [one for _, one in aged[:number]]
        for connection in oldest:
            self._drop(connection)
        return oldest

    def _drop(self, connection: C) -> float | None:
        """Take a connection out of the middle. Since when it was idle; None if it is not in the book."""
        is_keyed = connection in self._keys
        pair = self._keyed[self._keys[connection]] if is_keyed else (self._unproven, self._proven)
        entry = pair[0].pop(connection, None) or pair[1].pop(connection, None) or self._fresh.pop(connection, None)
        if entry is None:
            return None
        self.count -= 1
        if self.descriptors is not None:
            self.descriptors.idle -= 1
        if is_keyed:
            self._forget_key(connection, self._keys[connection])
        return entry[1]

    def _forget_key(self, connection: C, key: Hashable) -> None:
        del self._keys[connection]
        if not any(self._keyed[key]):
            del self._keyed[key]
