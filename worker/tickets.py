"""Session ticket contexts, made once before any process is forked.

pyOpenSSL offers no way to set ticket keys, but a context keeps for life the key that it was made with, and a fork copies
it. So the zygote makes a pool of contexts, and every worker that is ever forked from it can open the tickets that any
other one has issued: resumption works over all workers, their restarts and certificate reloads. What a context
is *for* (versions, ciphers, certificates) is set in the worker, after the fork (worker/certs.py).

A context serves one bind. A bind takes the one with its own running number among the binds with TLS.
"""

from __future__ import annotations

from OpenSSL import SSL

POOL_SIZE = 64

_pool: list[SSL.Context] = []


def make_ring() -> None:
    """Fill the pool. Called once in the zygote."""
    while len(_pool) < POOL_SIZE:
        _pool.append(SSL.Context(SSL.TLS_SERVER_METHOD))


def context_for(number: int) -> SSL.Context:
    """The context with the shared key for the TLS bind of that number; beyond the pool, one of this process alone."""
    return _pool[number] if number < len(_pool) else SSL.Context(SSL.TLS_SERVER_METHOD)
