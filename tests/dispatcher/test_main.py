"""The life of the process: start, stop, and what the master hears."""

from __future__ import annotations

import os
import socket

from common.model import Address, AddressKind, LogTarget, Place
from common.observe import fields as f
from common.observe.layout import HB_GENERATION, HB_NUMBER, HB_PID, HB_ROLE, HB_STAMP_MS
from common.process import messages
from common.process.launch import CONTROL, DISPATCHER, Launch
from common.process.zygote import EXIT_BROKEN
from common.wire.handover import Drain
from dispatcher import main
from tests.dispatcher.harness import (
    PATIENCE_S,
    counters_of,
    dispatcher_listen,
    fresh_name,
    frontend,
    running,
    server,
    wait_until,
)
from tests.dispatcher.test_relay import accept, listening


def test_soft_stop_waits_for_those_that_nobody_has_taken() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        client = dispatcher.connect()
        number = worker.receive()
        dispatcher.ask_to_stop()
        wait_until(lambda: dispatcher.world is not None and dispatcher.world.stopping, "it was told")
        worker.die()
        worker.greet()
        client.sendall(b"x")
        again = worker.receive()
        assert worker.read(again) == b"x"
        worker.take(again)
        dispatcher.join()
        worker.clients[again].sendall(b"y")
        assert client.recv(1) == b"y"
        del number


def test_soft_stop_with_nobody_there_ends_at_once() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        dispatcher.connect()
        worker.take(worker.receive())
        wait_until(lambda: not dispatcher.slot(0).waiting, "it is taken")
        dispatcher.stop(soft=True)


def test_soft_stop_closes_those_that_no_worker_will_ever_take() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        client = dispatcher.connect()
        number = worker.receive()
        worker.say(Drain())
        worker.refuse(number)
        wait_until(lambda: not dispatcher.slot(0).total, "it is refused")
        dispatcher.stop(soft=True)
        assert client.recv(1) == b""
        dispatcher.log_line("reason: no_worker")


def test_soft_stop_takes_who_is_in_the_backlog_already_and_nobody_after() -> None:
    with running(frontend(), workers=1, start=False) as (dispatcher, [worker]):
        dispatcher.start()
        dispatcher.meet(worker)
        world = dispatcher.world
        assert world is not None
        # Told in the same turn in which they come: no event has rung for them yet.
        clients = [socket.socket() for _ in range(50)]
        dispatcher.clients += clients
        for client in clients:
            client.setblocking(False)
        told = False
        for client in clients:
            client.connect_ex(dispatcher.address())
            if not told and client is clients[25]:
                dispatcher.ask_to_stop()
                told = True
        wait_until(lambda: world.stopping, "it was told")
        numbers = []
        while (number := worker.poll(0.2)) is not None:
            numbers.append(number)
        assert len(numbers) >= 25
        worker.take(*numbers)
        dispatcher.join()


def test_soft_stop_waits_for_relayed_sessions_and_hard_stop_does_not() -> None:
    path = fresh_name()
    with listening(path) as listener, running(dispatcher_listen(server("p2", path))) as (dispatcher, _):
        client = dispatcher.connect()
        with accept(listener) as accepted:
            dispatcher.ask_to_stop()
            client.sendall(b"x")
            while accepted.recv(100)[-1:] != b"x":
                pass
            client.close()
        dispatcher.join()
        dispatcher.start()
        client = dispatcher.connect()
        with accept(listener) as accepted:
            dispatcher.stop()
            while accepted.recv(100):
                pass
        assert client.recv(1) == b""


def test_heartbeat_says_who_it_is_and_goes_on() -> None:
    with running(frontend(), workers=1, counters=True) as (dispatcher, _):
        heart = counters_of(dispatcher).heartbeat(0)
        assert heart[HB_PID] and (heart[HB_ROLE], heart[HB_NUMBER], heart[HB_GENERATION]) == (1, 1, 1)
        stamp = heart[HB_STAMP_MS]
        wait_until(lambda: heart[HB_STAMP_MS] >= stamp + 500, "two beats")


def test_process_counters_tell_doors() -> None:
    with running(frontend(binds=3), workers=1, counters=True) as (dispatcher, _):
        block = counters_of(dispatcher, 0).process()
        wait_until(lambda: block[f.P_LISTENERS] == 3, "three doors")


def test_death_of_the_master_changes_nothing() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        dispatcher.cut_control()
        dispatcher.connect(data=b"x")
        assert worker.read(worker.receive()) == b"x"
        assert dispatcher.world is not None
        dispatcher.world.pump.stop()
        dispatcher.join()


def test_a_process_whose_master_died_before_it_was_ready_leaves() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with running(frontend(), workers=0, start=False) as (dispatcher, _):
        launch = Launch(dispatcher.config, DISPATCHER, 1, generation=1, master_pid=1, fds={CONTROL: theirs.detach()})
        assert main.run(launch) == 0


def test_a_configuration_that_cannot_be_used_is_told_to_the_master() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(PATIENCE_S)
    with ours, running(frontend(), workers=0, start=False) as (dispatcher, _):
        bad = LogTarget(Place(), Address(AddressKind.FD, fd=9999))
        dispatcher.config.globals.logs = [bad]
        launch = Launch(dispatcher.config, DISPATCHER, 1, generation=1, master_pid=1, fds={CONTROL: theirs.detach()})
        assert main.run(launch) == 1
        received = messages.receive_blocking(ours, messages.Assembler())
        assert received is not None and received[0]["op"] == "failed" and "fd@9999" in received[0]["text"]


def test_a_fault_of_ours_at_a_door_ends_the_process_without_a_traceback() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        world = dispatcher.world
        assert world is not None
        door = world._doors[0][0]

        def broken(fd: int, address: object) -> None:
            os.close(fd)
            raise KeyError("bug")

        door.take = broken
        dispatcher.connect()
        line = dispatcher.log_line("internal error")
        assert "in door 127.0.0.1:0 at test_main.py:" in line and "KeyError" in line
        dispatcher.join(EXIT_BROKEN)


def test_a_fault_of_ours_in_a_relayed_session_costs_that_session() -> None:
    path = fresh_name()
    with listening(path) as listener, running(dispatcher_listen(server("p2", path))) as (dispatcher, _):
        assert dispatcher.world is not None
        proxy = dispatcher.world.relays[0]
        targets, proxy.targets = proxy.targets, []
        client = dispatcher.connect()
        line = dispatcher.log_line("internal error")
        assert "only this connection is lost" in line
        assert client.recv(1) == b""
        proxy.targets = targets
        dispatcher.connect()
        accept(listener).close()
