"""Connections that are handed over: to whom, and what becomes of them when workers refuse, fill up, hang or die."""

from __future__ import annotations

from common.wire import handover
from tests.dispatcher.harness import dispatcher_listen, fresh_name, frontend, running, server


def test_connection_arrives_with_its_addresses_and_every_byte() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        worker.greet()
        client = dispatcher.connect(data=b"hello")
        number = worker.receive()
        header = worker.headers[number]
        assert (header.source, header.source_port) == client.getsockname()
        assert (header.destination, header.destination_port) == dispatcher.address()
        assert worker.binds[number] == 0
        worker.clients[number].settimeout(5)
        assert worker.clients[number].recv(10) == b"hello"
        worker.take(number)
        worker.clients[number].sendall(b"world")
        assert client.recv(10) == b"world"
        client.close()
        worker.end(number)


def test_two_hundred_connections_over_four_workers_differ_by_at_most_one() -> None:
    with running(frontend(), workers=4) as (dispatcher, workers):
        for worker in workers:
            worker.greet()
        clients = [dispatcher.connect() for _ in range(200)]
        for worker in workers:
            for _ in range(50):
                worker.take(worker.receive())
            assert worker.poll() is None
        for client in clients:
            client.close()


def test_a_killed_worker_loses_nobody_that_it_had_not_taken() -> None:
    with running(frontend(), workers=2) as (dispatcher, [first, second]):
        first.greet()
        clients = [dispatcher.connect(data=b"%d" % number) for number in range(10)]
        numbers = [first.receive() for _ in range(10)]
        first.take(*numbers[:3])
        second.greet()
        first.die()
        dispatcher.log_line("3 of its connections ended, 7 that it had not taken")
        for number in range(3, 10):
            got = second.receive()
            assert second.clients[got].recv(10) == b"%d" % number
            assert second.flags[got] & handover.GiveFlag.RESEATED
        for client in clients:
            client.close()


def test_explicit_servers_are_reached_by_their_padded_names() -> None:
    path = fresh_name()
    from tests.dispatcher.harness import FakeWorker, padded

    worker = FakeWorker(padded(path), 7)
    try:
        with running(dispatcher_listen(server("p2", path, pass_fd=True))) as (dispatcher, _):
            worker.greet()
            client = dispatcher.connect(data=b"x")
            number = worker.receive()
            assert worker.binds[number] == handover.BIND_OF_CHANNEL
            worker.take(number)
            assert worker.clients[number].recv(1) == b"x"
            worker.end(number)
            assert client.recv(1) == b""
            client.close()
    finally:
        worker.close()
