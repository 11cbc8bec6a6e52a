"""The farm: who gets which connection, and what becomes of it when workers refuse, fill up, hang, drain or die."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable

import pytest

from common.observe import fields as f
from common.observe.layout import HB_PID, HB_STAMP_MS
from common.wire import handover
from common.wire.handover import Drain, Held, Load, binds_array, ids_array
from dispatcher.policy.slots import State
from tests.dispatcher.harness import PATIENCE_S, FakeWorker, Running, counters_of, explicit, frontend, running, wait_until


def receive_any(workers: list[FakeWorker], expected: int) -> list[int]:
    """Receive so many connections at whichever worker they come; how many each one holds then."""
    deadline = time.monotonic() + PATIENCE_S
    while expected:
        assert time.monotonic() < deadline, f"{expected} connections did not come"
        for worker in workers:
            while worker.poll(0.01) is not None:
                expected -= 1
    return [len(worker.clients) for worker in workers]


# --- who gets it -----------------------------------------------------------------------------------------------------


def test_two_hundred_connections_over_four_workers_differ_by_at_most_one() -> None:
    with running(frontend(), workers=4) as (dispatcher, workers):
        dispatcher.meet(*workers)
        dispatcher.connect_many(200)
        for worker in workers:
            for _ in range(50):
                worker.take(worker.receive())
            assert worker.poll() is None


def test_each_listener_is_spread_on_its_own_and_ties_go_to_the_fewest_in_all() -> None:
    with running(frontend(binds=2), workers=2) as (dispatcher, workers):
        dispatcher.meet(*workers)
        dispatcher.connect(bind=0)
        dispatcher.connect_many(3, bind=1)
        got = [sorted([worker.binds[worker.receive()], worker.binds[worker.receive()]]) for worker in workers]
        assert sorted(got) == [[0, 1], [1, 1]]


def test_after_any_ends_the_next_connections_go_where_the_fewest_are(seed: int) -> None:
    chance = random.Random(seed)
    with running(frontend(), workers=3) as (dispatcher, workers):
        dispatcher.meet(*workers)
        for _round in range(6):
            dispatcher.connect_many(30)
            counts = receive_any(workers, 30)
            assert max(counts) - min(counts) <= 1, counts
            for worker in workers:
                worker.end(*chance.sample(sorted(worker.clients), chance.randrange(min(5, len(worker.clients)))))
            wait_until(
                lambda: [dispatcher.slot(index).total for index in range(3)] == [len(worker.clients) for worker in workers],
                "the dispatcher has heard of all ends",
            )


def test_handshakes_in_progress_count_as_connections() -> None:
    with running(frontend(), workers=2, tune={"tune.dispatch.handshake-cost": ("4",)}) as (dispatcher, [busy, free]):
        dispatcher.meet(busy, free)
        busy.say(Load(2))
        wait_until(lambda: dispatcher.slot(0).handshakes == 2, "its load is known")
        dispatcher.connect_many(8)
        for _ in range(8):
            free.receive()
        assert busy.poll() is None


def test_two_dispatchers_spread_within_two() -> None:
    with running(frontend(), workers=4, dispatchers=2) as (dispatcher, workers):
        dispatcher.meet(*workers)
        first_channels = [worker.channel for worker in workers]
        for worker in workers:
            worker.channel = None
        other = Running(dispatcher.config, dispatcher.channel_names, None, dispatcher.log, 2)
        other.listeners = dispatcher.listeners
        other.start(2)
        try:
            other.meet(*workers)
            dispatcher.connect_many(200)
            counts = [0] * 4
            deadline = time.monotonic() + PATIENCE_S
            while sum(counts) < 200:
                assert time.monotonic() < deadline
                for index, worker in enumerate(workers):
                    for _ in range(2):
                        worker.channel, first_channels[index] = first_channels[index], worker.channel
                        while (number := worker.poll(0.005)) is not None:
                            counts[index] += 1
                            worker.clients.pop(number).close()  # numbers are unique per dispatcher only
            assert max(counts) - min(counts) <= 2, counts
        finally:
            other.stop()
            for channel in first_channels:
                assert channel is not None
                channel.close()


# --- full, refused, draining -----------------------------------------------------------------------------------------


def test_a_worker_that_does_not_read_its_channel_is_passed_over() -> None:
    with running(frontend(), workers=2) as (dispatcher, [stuck, awake]):
        dispatcher.meet(stuck, awake)
        for _ in range(450):  # a channel holds less than 300 messages
            dispatcher.connect_many(2)
            awake.poll(5)
            awake.poll()
        while awake.poll(0.05) is not None:
            pass
        assert len(awake.clients) > 550
        while stuck.poll(0.05) is not None:
            pass
        assert len(stuck.clients) + len(awake.clients) == 900


def test_when_all_are_full_accepting_stops_without_spinning_and_resumes_at_the_first_end() -> None:
    with running(frontend(), workers=2) as (dispatcher, workers):
        for worker in workers:
            worker.maxconn = 2
        dispatcher.meet(*workers)
        dispatcher.connect_many(7)
        assert receive_any(workers, 4) == [2, 2]
        before = dispatcher.cpu_s
        first, second = workers
        assert first.poll(0.5) is None
        assert dispatcher.cpu_s - before < 0.05
        first.end(next(iter(first.clients)))
        assert first.read(first.receive()) == b"4"
        assert first.poll(0.05) is None and second.poll() is None
        first.end(*first.clients)
        assert [first.read(first.receive()) for _ in range(2)] == [b"5", b"6"]


def test_all_channels_full_costs_next_to_nothing_and_nobody_is_lost() -> None:
    with running(frontend(), workers=1) as (dispatcher, [stuck]):
        dispatcher.meet(stuck)
        clients = dispatcher.connect_many(400)
        wait_until(lambda: dispatcher.slot(0).state is State.FULL, "the channel is full")
        before, at = dispatcher.cpu_s, time.monotonic()
        wait_until(lambda: time.monotonic() - at > 0.5, "half a second")
        assert dispatcher.cpu_s - before < 0.05
        assert [stuck.read(stuck.receive()) for _ in clients] == [b"%d" % number for number in range(400)]


def test_refused_connections_go_to_another_worker_in_their_order() -> None:
    with running(frontend(), workers=2) as (dispatcher, [first, second]):
        first.greet()
        dispatcher.connect_many(3)
        numbers = [first.receive() for _ in range(3)]
        second.greet()
        first.refuse(*numbers)
        assert [second.read(second.receive()) for _ in range(3)] == [b"0", b"1", b"2"]


def test_a_connection_that_everybody_refuses_waits_without_spinning() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        dispatcher.connect(data=b"x")
        before = dispatcher.cpu_s
        for _ in range(5):
            worker.refuse(worker.receive())
        assert dispatcher.cpu_s - before < 0.1
        assert worker.read(worker.receive()) == b"x"


def test_a_draining_worker_gets_no_more_and_keeps_what_it_has() -> None:
    with running(frontend(), workers=2) as (dispatcher, [first, second]):
        first.greet()
        dispatcher.connect(data=b"x")
        number = first.receive()
        dispatcher.meet(second)
        first.say(Drain())
        wait_until(lambda: dispatcher.slot(0).state is State.DRAINING, "it drains")
        dispatcher.connect_many(5)
        for _ in range(5):
            second.receive()
        assert first.poll() is None
        assert first.read(number) == b"x"


# --- dead, hung, restarted -------------------------------------------------------------------------------------------


def test_a_killed_worker_loses_nobody_that_it_had_not_taken() -> None:
    with running(frontend(), workers=2) as (dispatcher, [first, second]):
        first.greet()
        dispatcher.connect_many(10)
        first.take(*[first.receive() for _ in range(10)][:3])
        second.greet()
        first.die()
        dispatcher.log_line("3 of its connections ended, 7 that it had not taken")
        for number in range(3, 10):
            got = second.receive()
            assert second.read(got) == b"%d" % number
            assert second.flags[got] & handover.GiveFlag.RESEATED


def test_a_hung_worker_is_passed_over_and_comes_back_when_its_heart_beats_again() -> None:
    with running(frontend(), workers=2, counters=True) as (dispatcher, [first, second]):
        pids = {first: 4_000_001, second: 4_000_002}
        hearts = {worker: counters_of(dispatcher).heartbeat(worker.number) for worker in pids}
        for worker, pid in pids.items():
            hearts[worker][HB_PID] = pid
        first.greet(pid=pids[first])
        dispatcher.connect(data=b"hello")
        first.receive()
        second.greet(pid=pids[second])

        def beating(*workers: FakeWorker) -> Callable[[Callable[[], bool]], Callable[[], bool]]:
            def also(condition: Callable[[], bool]) -> Callable[[], bool]:
                def look() -> bool:
                    for worker in workers:
                        hearts[worker][HB_STAMP_MS] += 1
                    return condition()

                return look

            return also

        wait_until(beating(second)(lambda: dispatcher.slot(0).state is State.HUNG), "the first one hangs")
        assert second.read(second.receive()) == b"hello"
        assert "worker 1 (process 4000001) hangs: no heartbeat for 0." in dispatcher.log_line("hangs")
        dispatcher.connect_many(2)
        second.receive()
        second.receive()
        wait_until(beating(first, second)(lambda: dispatcher.slot(0).state is State.UP), "it beats again")
        assert dispatcher.slot(1).state is State.UP
        dispatcher.log_line("beats again")
        dispatcher.connect()
        assert first.receive()


def test_what_a_hung_worker_had_claimed_stays_with_it_until_it_says_or_dies() -> None:
    with running(frontend(), workers=2, counters=True) as (dispatcher, [first, second]):
        pids = {first: 4_000_001, second: 4_000_002}
        hearts = {worker: counters_of(dispatcher).heartbeat(worker.number) for worker in pids}
        for worker, pid in pids.items():
            hearts[worker][HB_PID] = pid

        def beats(*workers: FakeWorker, until: Callable[[], bool]) -> Callable[[], bool]:
            def look() -> bool:
                for worker in workers:
                    hearts[worker][HB_STAMP_MS] += 1
                return until()

            return look

        first.greet(pid=pids[first])
        clients = dispatcher.connect_many(4)
        numbers = [first.receive() for _ in clients]
        assert first.cells is not None
        for number in numbers[:3]:
            assert first.cells.claim(first.cell_of[number])
        assert first.read(numbers[0]) == b"0"
        second.greet(pid=pids[second])
        wait_until(beats(second, until=lambda: dispatcher.slot(0).state is State.HUNG), "the first one hangs")
        assert second.read(second.receive()) == b"3"
        assert second.poll(0.05) is None
        # It wakes up: one it had read, one it gives back as it found it withdrawn, and the one that moved away.
        assert first.cells.is_withdrawn(first.cell_of[numbers[1]])
        first.take(numbers[0])
        first.refuse(numbers[1], numbers[3])
        assert second.read(second.receive()) == b"1"
        wait_until(beats(first, second, until=lambda: dispatcher.slot(0).state is State.UP), "it beats again")
        # And dies: nobody knows what it has read of the third.
        first.die()
        clients[2].settimeout(PATIENCE_S)
        with pytest.raises(ConnectionResetError):  # its byte is unread in this test
            clients[2].recv(1)
        dispatcher.log_line("2 of its connections ended, 0 that it had not taken")
        assert second.poll(0.05) is None


def test_a_restarted_dispatcher_goes_on_from_the_counts_that_workers_hold() -> None:
    with running(frontend(binds=2), workers=2) as (dispatcher, [first, second]):
        ids = ids_array(range(1, 11))
        first.greet(1, Held(ids, binds_array([0] * 9 + [1])))
        dispatcher.meet(second)
        wait_until(lambda: dispatcher.slot(0).total == 10, "what the first one holds is known")
        dispatcher.connect_many(9)
        assert not {second.receive() for _ in range(9)} & set(ids)
        assert first.poll() is None
        first.say(handover.Ended(ids_array([1, 2])))
        wait_until(lambda: dispatcher.slot(0).total == 8, "two have ended")
        dispatcher.connect_many(2)
        first.receive()
        first.receive()
        assert second.poll() is None


def test_taken_connections_do_not_notice_the_end_of_the_dispatcher_and_new_ones_wait_for_the_next() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        client = dispatcher.connect(data=b"x")
        number = worker.receive()
        worker.take(number)
        assert worker.read(number) == b"x"
        wait_until(lambda: not dispatcher.slot(0).waiting, "it is taken")
        dispatcher.stop()
        worker.clients[number].sendall(b"still here")
        assert client.recv(100) == b"still here"
        dispatcher.connect(data=b"later")  # the listening socket is not the dispatcher's alone
        dispatcher.start()
        worker.greet(1, Held(ids_array([number]), binds_array([0])))
        assert worker.read(worker.receive()) == b"later"


def test_descriptors_do_not_leak_whatever_happens() -> None:
    with running(frontend(), workers=2) as (dispatcher, [first, second]):
        counts = []
        for _round in range(3):
            dispatcher.meet(first, second)
            clients = dispatcher.connect_many(20)
            assert receive_any([first, second], 20) == [10, 10]
            numbers = sorted(first.clients)
            first.take(*numbers[:3])
            first.end(*numbers[:4])  # the fourth ends without ever having been taken
            first.refuse(*numbers[4:6])
            wait_until(lambda: second.poll() is None and len(second.clients) == 12, "two are refused")
            first.die()
            wait_until(lambda: second.poll() is None and len(second.clients) == 16, "four were not taken when it died")
            second.end(*second.clients)
            second.die()
            for client in clients:
                client.close()
            wait_until(lambda: not dispatcher.slot(0).total + dispatcher.slot(1).total, "all are gone")
            wait_until(lambda: dispatcher.slot(1).state is State.DEAD, "both are dead")
            counts.append(_sockets())
        assert counts[0] == counts[1] == counts[2]


def _sockets() -> int:
    """Connected TCP sockets that this process has open; each descriptor counts."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            duplicate = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with duplicate:
            count += duplicate.family == socket.AF_INET
    return count


# --- explicit listens ------------------------------------------------------------------------------------------------


def test_explicit_backup_gets_connections_only_while_no_other_is_there() -> None:
    with explicit(2) as (dispatcher, [main, spare], proxy):
        dispatcher.stop()
        proxy.servers[1].backup = True
        dispatcher.start()
        dispatcher.meet(spare)
        dispatcher.connect(data=b"a")
        assert spare.read(spare.receive()) == b"a"
        dispatcher.meet(main)
        dispatcher.connect(data=b"b")
        assert main.read(main.receive()) == b"b"


def test_explicit_balance_line_is_followed() -> None:
    with explicit(2, balance=("roundrobin",)) as (dispatcher, workers, _):
        dispatcher.meet(*workers)
        for _ in range(4):
            dispatcher.connect_many(2)
            receive_any(workers, 2)
            workers[0].end(*workers[0].clients)  # leastconn would now prefer the first one
            wait_until(lambda: dispatcher.slot(0).total == 0, "its connections have ended")
        assert len(workers[1].clients) == 4


def test_explicit_server_maxconn_holds_beside_the_workers_own() -> None:
    with explicit(1) as (dispatcher, [worker], proxy):
        dispatcher.stop()
        proxy.servers[0].maxconn = 2
        dispatcher.start()
        dispatcher.meet(worker)
        dispatcher.connect_many(3)
        worker.receive()
        number = worker.receive()
        assert worker.poll(0.1) is None
        worker.end(number)
        worker.receive()


def test_explicit_sessions_are_counted_where_they_sit() -> None:
    with explicit(2) as (dispatcher, [first, second], _):
        counters = counters_of(dispatcher)
        layout = counters.layout

        def now() -> list[int]:
            objects = (layout.frontends[0], layout.listeners[0], layout.backends[0], *layout.servers[0])
            return [counters.total(number)[f.SCUR] for number in objects]

        dispatcher.meet(first)
        dispatcher.connect_many(4)
        numbers = [first.receive() for _ in range(4)]
        wait_until(lambda: now() == [4, 4, 4, 4, 0], "four came")
        dispatcher.meet(second)
        first.refuse(numbers[0])
        moved = second.receive()
        wait_until(lambda: now() == [4, 4, 4, 3, 1], "one was refused")
        first.take(*numbers[1:])
        first.end(numbers[1])
        wait_until(lambda: now() == [3, 3, 3, 2, 1], "one ended")
        first.die()
        wait_until(lambda: now() == [1, 1, 1, 0, 1], "two died")
        second.end(moved)
        wait_until(lambda: now() == [0, 0, 0, 0, 0], "all ended")
        assert counters.total(layout.frontends[0])[f.STOT] == 4
        assert [counters.total(number)[f.STOT] for number in layout.servers[0]] == [4, 1]


def test_explicit_client_that_nobody_takes_within_timeout_queue_is_closed_and_logged() -> None:
    with explicit(1) as (dispatcher, [worker], proxy):
        dispatcher.stop()
        proxy.timeouts.queue = 0.2
        dispatcher.start()
        dispatcher.meet(worker)
        client = dispatcher.connect()
        worker.receive()
        worker.die()
        client.settimeout(PATIENCE_S)
        assert client.recv(1) == b""
        assert "dispatcher: 1 connections closed that no worker took" in dispatcher.log_line("reason: no_worker")
