"""Limits at the doors: who waits in the kernel, and who comes in when somebody has left."""

from __future__ import annotations

import time

from common.model import Config
from common.net.pump import Pump
from dispatcher.gates import make_gates
from tests.dispatcher.harness import dispatcher_listen, fresh_name, frontend, running, server, wait_until
from tests.dispatcher.test_relay import accept, listening
from tests.dispatcher.test_workers import receive_any


def test_without_any_limit_there_are_no_gates() -> None:
    proxy = frontend()
    pump = Pump(lambda strand, error: None)
    assert make_gates(pump, Config(proxies=[proxy]), [(0, proxy, proxy.binds[0])], 1) is None
    proxy.maxconn = 1
    assert make_gates(pump, Config(proxies=[proxy]), [(0, proxy, proxy.binds[0])], 1) is not None
    pump.epoll.close()


def test_maxconn_of_a_proxy_holds_over_its_binds_and_until_somebody_ends() -> None:
    proxy = frontend(binds=2)
    proxy.maxconn = 3
    with running(proxy, workers=2) as (dispatcher, [first, second]):
        dispatcher.meet(first, second)
        for bind in (0, 1, 0, 1):
            dispatcher.connect(bind, b"x")
        receive_any([first, second], 3)
        assert first.poll(0.1) is None and second.poll() is None
        holder = max(first, second, key=lambda worker: len(worker.clients))
        number = next(iter(holder.clients))
        holder.take(number)
        holder.end(number)
        wait_until(lambda: first.poll() is not None or second.poll() is not None, "the fourth comes in")


def test_maxconn_of_a_bind_leaves_other_binds_alone() -> None:
    proxy = frontend(binds=2)
    proxy.binds[0].maxconn = 1
    with running(proxy, workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        dispatcher.connect(0)
        dispatcher.connect(0)
        worker.receive()
        assert worker.poll(0.1) is None
        dispatcher.connect(1)
        assert worker.binds[worker.receive()] == 1
        worker.die()
        dispatcher.meet(worker)
        # The two that it had not taken are seated again; they are the same connections.
        assert sorted(worker.binds[worker.receive()] for _ in range(2)) == [0, 1]
        assert worker.poll(0.1) is None


def test_rate_limit_sessions_spreads_a_burst_over_time() -> None:
    proxy = frontend()
    proxy.rate_limit_sessions = 20
    with running(proxy, workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        started = time.monotonic()
        dispatcher.connect_many(30)
        for _ in range(30):
            worker.receive()
        assert 0.3 < time.monotonic() - started < 3


def test_limits_are_divided_among_dispatchers() -> None:
    proxy = frontend()
    proxy.maxconn = 5
    with running(proxy, workers=1, dispatchers=2) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        dispatcher.connect_many(4)
        for _ in range(3):
            worker.receive()
        assert worker.poll(0.1) is None


def test_relayed_connections_count_at_their_gate() -> None:
    path = fresh_name()
    proxy = dispatcher_listen(server("p2", path))
    proxy.maxconn = 1
    with listening(path) as listener, running(proxy) as (dispatcher, _):
        first = dispatcher.connect()
        with accept(listener) as accepted:
            dispatcher.connect()
            listener.settimeout(0.1)
            try:
                listener.accept()
            except TimeoutError:
                pass
            else:
                raise AssertionError("a second connection came in")
            first.close()
            assert accepted.recv(100)
        listener.settimeout(5)
        accept(listener).close()
