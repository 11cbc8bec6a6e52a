"""The ring of session ticket keys, made once before any process is forked.

pyOpenSSL offers no way to set ticket keys, but a context keeps for life the key that it was made with, and a fork copies it. So the zygote
makes a pool of contexts, and every worker that is ever forked from it can open the tickets that any other one has issued: resumption works
over all workers, their restarts, changes of certificates and reloads of the configuration. What a context is *for* (versions, ciphers,
certificates) is set in the worker, after the fork (worker/certs.py).

A bind has a group of contexts, its ring, found by its name, so that a reload which adds a bind leaves the others theirs. The contexts take
turns by time (tune.ssl.ticket-rotation), on a clock that all processes share. Tickets of one whose turn is over are good for as long as
sessions live (tune.ssl.lifetime): a hello that shows the name of such a key is begun with that context. OpenSSL does not tell a key's name,
so a context is asked by a handshake in memory, once, when its turn ends.

What this does not give: all keys of the ring lie in memory from the start, and after DEPTH turns they come again, until the service is
restarted. A zygote that dies takes its keys along; the next one makes others, and sessions begin anew.

Source: RFC 5077 section 4 (a ticket begins with its key's name); RFC 8446 section 4.6.1.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from math import ceil, inf
from typing import Any

from OpenSSL import SSL

from worker.session_form import ticket_of

GROUPS = 64
DEPTH = 4
KEY_NAME_BYTES = 16
_FLIGHTS_MAX = 8  # of a handshake in memory: TLS 1.2 needs four

_pool: list[list[SSL.Context]] = []
_made_at = 0.0  # on the monotonic clock, which is the same in all processes


def make_ring() -> None:
    """Fill the pool. Called once in the zygote."""
    global _made_at
    if not _pool:
        _made_at = time.monotonic()
        _pool.extend([SSL.Context(SSL.TLS_SERVER_METHOD) for _ in range(DEPTH)] for _ in range(GROUPS))


def rings(names: Sequence[str], rotation_s: float, lifetime_s: float) -> dict[str, Ring]:
    """A ring for each bind with TLS. Beyond the pool, one of this process alone."""
    found: dict[str, Ring] = {}
    free = set(range(len(_pool)))
    for name in sorted(names, key=lambda name: (_place(name), name)):
        if not free:
            found[name] = Ring([SSL.Context(SSL.TLS_SERVER_METHOD)], inf, lifetime_s, time.monotonic())
            continue
        wanted = _place(name)
        place = min(free, key=lambda one: ((one - wanted) % GROUPS))
        free.discard(place)
        found[name] = Ring(_pool[place], rotation_s, lifetime_s, _made_at)
    return found


def _place(name: str) -> int:
    return zlib.crc32(name.encode()) % GROUPS


class Ring:
    """The contexts of one bind. context: whose turn it is. until: when that ends. old: (its context, the name of its key, good until)."""

    __slots__ = (
        *("_contexts", "_index", "_key_name", "_lifetime_s", "_made_at", "_prepare", "_ready", "_rotation_s"),
        *("context", "old", "until"),
    )

    def __init__(self, contexts: Sequence[SSL.Context], rotation_s: float = inf, lifetime_s: float = 0.0, made_at: float = 0.0) -> None:
        self._contexts = contexts
        self._rotation_s = rotation_s if len(contexts) > 1 and rotation_s > 0 else inf
        self._lifetime_s = lifetime_s
        self._made_at = made_at
        self._index = 0
        self._ready: set[int] = set()
        self._prepare: Callable[[SSL.Context], None] = _nothing
        self._key_name: Callable[[SSL.Context], bytes] = _no_name
        self.context = contexts[0]
        self.until = inf
        self.old: list[tuple[SSL.Context, bytes, float]] = []

    def begin(self, now: float, prepare: Callable[[SSL.Context], None], key_name: Callable[[SSL.Context], bytes]) -> None:
        """prepare: make a context the bind's. key_name: what the key of one that is prepared is called, b"" if that is not to be known."""
        self._prepare, self._key_name = prepare, key_name
        self._index = int((now - self._made_at) / self._rotation_s)
        self._take_turn()
        reach = min(ceil(self._lifetime_s / self._rotation_s), len(self._contexts) - 1, self._index)
        for index in range(self._index - reach, self._index):
            ended = self._made_at + (index + 1) * self._rotation_s
            self._retire(self._prepared(index), ended, now)

    def turn(self, now: float) -> None:
        """The turn of the present context may be over."""
        while now >= self.until:
            self._retire(self.context, self.until, now)
            self._index += 1
            self._take_turn()
        if self.old and now >= self.old[0][2]:
            self.old = [one for one in self.old if now < one[2]]

    def context_for(self, hello: bytes) -> SSL.Context:
        """By the key whose ticket a client shows."""
        for context, name, _until in self.old:
            if name in hello:
                return context
        return self.context

    def _take_turn(self) -> None:
        self.context = self._prepared(self._index)
        self.until = self._made_at + (self._index + 1) * self._rotation_s

    def _prepared(self, index: int) -> SSL.Context:
        place = index % len(self._contexts)
        context = self._contexts[place]
        if place not in self._ready:
            self._ready.add(place)  # once: a context that has served is not to be changed
            self._prepare(context)
        return context

    def _retire(self, context: SSL.Context, ended: float, now: float) -> None:
        if now < ended + self._lifetime_s:
            name = self._key_name(context)
            if name:
                self.old.append((context, name, ended + self._lifetime_s))


def key_name_of(context: SSL.Context, ready: Callable[[SSL.Connection], None] = lambda connection: None) -> bytes:
    """The name of a context's ticket key, by a handshake in memory; b"" when that fails. ready: for the server's side, before it begins."""
    client_context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    client_context.set_cipher_list(b"ALL:@SECLEVEL=0")
    client, server = SSL.Connection(client_context, None), SSL.Connection(context, None)
    client.set_connect_state()
    server.set_accept_state()
    ready(server)
    try:
        for _ in range(_FLIGHTS_MAX):
            for one, other in ((client, server), (server, client)):
                _go_on(one.do_handshake)
                _go_on(lambda one=one, other=other: other.bio_write(one.bio_read(65536)))  # type: ignore[misc]
        _go_on(lambda: client.recv(1))  # in TLS 1.3 tickets come behind the handshake
    except SSL.Error:
        return b""
    return ticket_of(client._ssl)[:KEY_NAME_BYTES]


def _go_on(step: Callable[[], Any]) -> None:
    try:
        step()
    except SSL.WantReadError:
        pass


def _nothing(_context: SSL.Context) -> None:
    pass


def _no_name(_context: SSL.Context) -> bytes:
    return b""
