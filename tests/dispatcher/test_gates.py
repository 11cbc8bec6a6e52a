"""Limits at the doors: who waits in the kernel, and who comes in when somebody has left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy

import pytest

from common.model import Config, Proxy
from common.net.pump import Pump
from common.observe.counters import Counters
from common.observe.layout import G_MAXCONN, G_STATES_VERSION, Layout
from common.observe.states import F_MAXCONN, F_STATE, OPEN, STOPPED
from common.wire import handover
from dispatcher.gates import Gates, make_gates
from tests.dispatcher.harness import (
    FakeWorker,
    Running,
    counters_of,
    dispatcher_listen,
    fresh_name,
    frontend,
    running,
    server,
    wait_until,
)
from tests.dispatcher.test_relay import accept, listening
from tests.dispatcher.test_workers import receive_any


def gates_of(proxy: Proxy) -> Gates | None:
    config = Config(proxies=[proxy])
    layout = Layout.of(config, 1)
    memory = bytearray(layout.size)
    layout.write(memoryview(memory))
    pump = Pump(lambda strand, error: None)
    try:
        return make_gates(pump, config, [(0, proxy, proxy.binds[0])], Counters(memory, layout, 0))
    finally:
        pump.epoll.close()


def test_without_any_limit_there_are_no_gates() -> None:
    proxy = frontend()
    assert gates_of(proxy) is None
    proxy.maxconn = 1
    assert gates_of(proxy) is not None


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


@contextmanager
def second(dispatcher: Running, workers: list[FakeWorker]) -> Iterator[tuple[Running, list[FakeWorker]]]:
    """Another dispatcher of the same generation, with listening sockets of its own, and the workers' other ends of its channels."""
    other = Running(dispatcher.config, dispatcher.channel_names, dispatcher.counters_fd, dispatcher.log, 2)
    other.board_fd = dispatcher.board_fd
    for proxy in dispatcher.config.proxies:
        for bind in proxy.binds:
            other.listen(bind)
    twins = []
    for worker in workers:
        twin = copy(worker)
        twin.channel, twin.clients, twin.binds, twin.headers, twin.flags, twin.cell_of = None, {}, {}, {}, {}, {}
        twins.append(twin)
    other.start(2)
    try:
        other.meet(*twins)
        yield other, twins
    finally:
        other.close()
        for twin in twins:
            twin.die()


@pytest.mark.parametrize("limit", ["proxy", "bind", "global"])
def test_two_dispatchers_share_a_maxconn(limit: str) -> None:
    proxy = frontend()
    if limit == "proxy":
        proxy.maxconn = 5
    elif limit == "bind":
        proxy.binds[0].maxconn = 5
    with running(proxy, workers=1, dispatchers=2, maxconn=5 if limit == "global" else 0) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        with second(dispatcher, [worker]) as (other, [twin]):
            other.connect_many(2)
            numbers = [twin.receive() for _ in range(2)]
            dispatcher.connect_many(4)
            for _ in range(3):
                worker.receive()
            assert worker.poll(0.1) is None, "five are there"
            twin.end(numbers[0])
            worker.receive()  # the place that the other one gave back


def test_two_dispatchers_share_a_rate() -> None:
    proxy = frontend()
    proxy.rate_limit_sessions = 10
    with running(proxy, workers=1, dispatchers=2) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        with second(dispatcher, [worker]) as (other, [twin]):
            started = time.monotonic()
            other.connect_many(8)
            for _ in range(8):
                twin.receive()
            dispatcher.connect_many(7)
            for _ in range(7):
                worker.receive()
            assert 0.4 < time.monotonic() - started < 3, "fifteen at ten a second; alone each would have let in all at once"


def test_two_dispatchers_seat_by_the_counts_of_both() -> None:
    with running(frontend(binds=2), workers=4, dispatchers=2) as (dispatcher, workers):
        dispatcher.meet(*workers)
        with second(dispatcher, workers) as (other, twins):
            for round_ in range(10):
                bind = round_ % 2
                dispatcher.connect_many(3, bind)
                receive_any(workers, 3)
                other.connect_many(3, bind)
                receive_any(twins, 3)
                for index in (0, 1):
                    counts = [
                        sum(one == index for one in (*worker.binds.values(), *twin.binds.values()))
                        for worker, twin in zip(workers, twins, strict=True)
                    ]
                    assert max(counts) - min(counts) <= 1, (round_, index, counts)


def test_dispatcher_that_is_started_again_tells_the_others_what_workers_hold() -> None:
    proxy = frontend()
    proxy.maxconn = 4
    with running(proxy, workers=1, dispatchers=2) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        with second(dispatcher, [worker]) as (other, [twin]):
            other.connect_many(3)
            numbers = [twin.receive() for _ in range(3)]
            twin.take(*numbers)
            wait_until(lambda: not other.slot(0).waiting, "they are taken")
            other.stop()
            other.start(2)
            twin.greet(1, handover.Held(handover.ids_array(numbers), handover.binds_array([0, 0, 0])))
            wait_until(lambda: other.slot(0).total == 3, "it knows of them")
            dispatcher.connect_many(2)
            worker.receive()
            assert worker.poll(0.1) is None


def test_maxconn_of_the_service_holds_over_all_workers_and_listens() -> None:
    with running(frontend(), frontend("other"), workers=2, maxconn=3) as (dispatcher, workers):
        dispatcher.meet(*workers)
        for bind in (0, 1, 0, 1):
            dispatcher.connect(bind, b"x")
        receive_any(workers, 3)
        before = dispatcher.cpu_s
        assert workers[0].poll(0.2) is None and workers[1].poll() is None
        assert dispatcher.cpu_s - before < 0.05
        holder = max(workers, key=lambda worker: len(worker.clients))
        holder.end(next(iter(holder.clients)))
        receive_any(workers, 1)


def test_limits_that_an_operator_sets_hold_at_once_and_for_those_that_are_there() -> None:
    with running(frontend(), workers=1, counters=True) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        counters = counters_of(dispatcher)

        def change(action: Callable[[], None]) -> None:
            action()
            counters.globals[G_STATES_VERSION] += 1

        dispatcher.connect_many(3)
        numbers = [worker.receive() for _ in range(3)]
        state = counters.state(counters.layout.frontends[0])
        change(lambda: state.__setitem__(F_MAXCONN, 3))
        wait_until(lambda: dispatcher.world is not None and dispatcher.world.gates is not None, "it has heard")
        dispatcher.connect_many(2)
        assert worker.poll(0.1) is None
        worker.end(numbers[0])
        worker.receive()
        assert worker.poll(0.1) is None
        change(lambda: state.__setitem__(F_MAXCONN, 10))
        worker.receive()
        change(lambda: counters.globals.__setitem__(G_MAXCONN, 4))
        assert dispatcher.world is not None
        room = dispatcher.world.room
        wait_until(lambda: room.left <= 0, "it has heard")
        dispatcher.connect()
        assert worker.poll(0.1) is None
        change(lambda: counters.globals.__setitem__(G_MAXCONN, 0))
        worker.receive()


def test_frontend_that_is_disabled_refuses_until_it_is_enabled() -> None:
    with running(frontend(), frontend("other"), workers=1, counters=True) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        counters = counters_of(dispatcher)
        state = counters.state(counters.layout.frontends[0])
        kept = dispatcher.connect(data=b"x")
        number = worker.receive()

        def refuses() -> bool:
            try:
                dispatcher.connect().close()
            except ConnectionRefusedError:
                return True
            except ConnectionResetError:
                return False  # it was in the backlog when the socket stopped listening
            return False

        for _ in range(2):
            state[F_STATE] = STOPPED
            counters.globals[G_STATES_VERSION] += 1
            wait_until(refuses, "it refuses")
            before = dispatcher.cpu_s
            dispatcher.connect(1)
            while worker.binds[worker.receive()] != 1:
                pass  # those that came before it refused
            assert worker.poll(0.2) is None
            assert dispatcher.cpu_s - before < 0.05
            state[F_STATE] = OPEN
            counters.globals[G_STATES_VERSION] += 1
            wait_until(lambda: not refuses(), "it accepts again")
            assert worker.binds[worker.receive()] == 0
            while worker.poll(0.05) is not None:
                pass
        assert worker.read(number) == b"x"
        worker.clients[number].sendall(b"y")
        assert kept.recv(1) == b"y"


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
