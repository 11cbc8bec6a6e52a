"""One finished exchange, as a log line sees it; and what of it a test wants otherwise."""

from __future__ import annotations

from typing import Any

from common.acl.absent import AbsentTimers
from tests.common.acl.fakes import FakeExchange, bind, facts, proxy, request, response, server

BACKEND = proxy("app", backend=True, mode="http")
FRONTEND = proxy("www", frontend=True, mode="http")


class Timers(AbsentTimers):
    """Nothing but what is set."""

    handshake: float | None = 0.0
    idle: float | None = 0.004
    request: float | None = 0.001
    queue: float | None = 0.020
    connect: float | None = 0.002
    response: float | None = 0.100
    total: float | None = 0.242


def exchange(**changed: Any) -> FakeExchange:
    """GET /p?q=1, answered 200 by app/s1."""
    given = {
        "request": request(b"/p?q=1"), "response": response(200), "request_line": b"GET /p?q=1 HTTP/1.1", "backend": BACKEND,
        "server": server("s1"), "timers": Timers(), "bytes_in": 90, "bytes_out": 2750, "retries": 0, "backend_queue_position": 1,
        "server_queue_position": 0, "request_after": 0.004, "request_counter": 17, "log_counter": 12, "bc_src": b"\x0a\0\0\2",
        "bc_src_port": 40000, "bc_dst": b"\xc0\0\2\1", "bc_dst_port": 80, "unique_id": b"u-1",
    }  # fmt: skip
    found = facts(**(given | changed))
    found.with_session(
        src=b"\x7f\0\0\1", src_port=33317, dst=b"\x7f\0\0\1", dst_port=8080, accept_date=1795384199.25, frontend=FRONTEND, bind=bind(id=0)
    )
    found.fake_world.connections = 6
    found.fake_world.hostname = b"lb1"
    found.fake_world.pid = 31953
    found.fake_world.counts.update({("fe_conn", "www"): 5, ("be_conn", "app"): 4, ("srv_conn", "app", "s1"): 3})
    return found
