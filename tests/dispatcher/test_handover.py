"""A worker's channel: who may speak on it, what may be said, and how its end is told from its reports."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time

import pytest

from common.wire import handover
from common.wire.handover import Drain, Ended, Held, Hello, Load, Taken, binds_array, encode_report, ids_array
from tests.dispatcher.harness import FakeWorker, explicit, frontend, running, wait_until

HELLO = encode_report([Hello(1, 1, 1, 0, 0)])[0]


def test_connection_arrives_with_its_addresses_and_every_byte() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        worker.greet()
        client = dispatcher.connect(data=b"hello")
        number = worker.receive()
        header = worker.headers[number]
        assert (header.source, header.source_port) == client.getsockname()
        assert (header.destination, header.destination_port) == dispatcher.address()
        assert worker.binds[number] == 0
        assert worker.read(number) == b"hello"
        worker.take(number)
        worker.clients[number].sendall(b"world")
        assert client.recv(10) == b"world"
        client.close()
        worker.end(number)


def test_descriptor_arrives_non_blocking() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        worker.greet()
        with dispatcher.connect():
            assert not os.get_blocking(worker.clients[worker.receive()].fileno())


def test_explicit_servers_are_reached_by_their_padded_names_with_the_channels_own_bind() -> None:
    with explicit(1) as (dispatcher, [worker], _):
        worker.greet()
        client = dispatcher.connect(data=b"x")
        number = worker.receive()
        assert worker.binds[number] == handover.BIND_OF_CHANNEL
        worker.take(number)
        assert worker.read(number) == b"x"
        worker.end(number)
        assert client.recv(1) == b""
        client.close()


MALFORMED = {
    "handover_no_hello": encode_report([Taken(ids_array([1]))])[0],
    "handover_second_hello": HELLO + HELLO,
    "handover_bad_type": HELLO + b"\x07\0\0\0",
    "handover_truncated": HELLO + encode_report([Ended(ids_array([1]))])[0][:-1],
    "handover_bad_flags": HELLO + b"\xb6\x01\0\0",
    "handover_bad_version": struct.pack("=BBHHHIIII", 0xB1, 0, 0, 99, 1, 1, 1, 0, 0),
    "handover_wrong_worker": encode_report([Hello(9, 1, 1, 0, 0)])[0],
    "handover_wrong_generation": encode_report([Hello(1, 1, 0, 0, 0)])[0],
}


@pytest.mark.parametrize("slug", MALFORMED)
def test_malformed_report_is_logged_with_its_reason_and_the_channel_is_made_anew(slug: str) -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        channel = worker.accept()
        channel.send(MALFORMED[slug])
        line = dispatcher.log_line(f"reason: {slug}")
        assert "channel to worker 1 dropped" in line
        assert channel.recv(1) == b""
        channel.close()
        worker.greet()
        with dispatcher.connect(data=b"x"):
            assert worker.read(worker.receive()) == b"x"


def test_worker_that_greets_and_talks_nonsense_again_and_again_is_given_time() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        before = dispatcher.cpu_s
        started = time.monotonic()
        for _ in range(6):
            worker.accept_and_say(HELLO + b"\xff")
        assert time.monotonic() - started > 0.1
        assert dispatcher.cpu_s - before < 0.1


def test_report_longer_than_any_is_refused() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        channel = worker.accept()
        channel.send(HELLO + encode_report([Drain()])[0] * 20000)
        dispatcher.log_line("reason: handover_truncated")
        channel.close()


def test_connections_of_a_channel_that_is_dropped_for_nonsense_go_elsewhere() -> None:
    with running(frontend(), workers=2) as (dispatcher, [first, second]):
        first.greet()
        client = dispatcher.connect(data=b"hello")
        first.receive()
        second.greet()
        assert first.channel is not None
        first.channel.send(b"\0\0\0\0\0")
        assert second.read(second.receive()) == b"hello"
        client.close()


def test_reports_about_connections_that_are_not_the_workers_change_nothing() -> None:
    with running(frontend(), workers=2) as (dispatcher, [first, second]):
        dispatcher.meet(first, second)
        with dispatcher.connect(data=b"a") as one, dispatcher.connect(data=b"b") as two:
            at_first, at_second = first.receive(), second.receive()
            ids = ids_array([at_second, 0, 4_000_000_000])
            first.say(Taken(ids), Ended(ids), handover.Refused(ids), Held(ids_array([at_second]), binds_array([77])), Load(1))
            assert {first.read(at_first), second.read(at_second)} == {b"a", b"b"}
            first.take(at_first)
            first.end(at_first)
            wait_until(lambda: dispatcher.slot(0).total == 0, "the first worker has none")
            second.die()
            first.receive()  # the second worker's connection was its own to the end
            assert one.fileno() >= 0 and two.fileno() >= 0


def test_what_a_dying_worker_reported_counts_although_its_death_is_told_first() -> None:
    """Unread messages in a dead peer's queue reset the channel: the kernel reports that before what the peer still sent."""
    with running(frontend(), workers=2) as (dispatcher, [first, second]):
        first.greet()
        dispatcher.connect_many(10)
        taken = [first.receive() for _ in range(3)]
        wait_until(lambda: dispatcher.slot(0).total == 10, "all ten were given")
        # The other seven stay unread in the channel.
        first.take(*taken)
        first.die()
        second.greet()
        assert [second.read(second.receive()) for _ in range(7)] == [b"%d" % number for number in range(3, 10)]
        assert second.poll() is None
        dispatcher.log_line("3 of its connections ended, 7 that it had not taken")


def test_worker_that_comes_back_is_used_again() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        for generation in (1, 2, 2, 5):
            worker.greet(generation)
            with dispatcher.connect(data=b"x"):
                number = worker.receive()
                worker.take(number)
                assert worker.read(number) == b"x"
                worker.end(number)
            worker.die()


def test_clients_that_came_while_no_worker_was_there_are_served_in_their_order() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        dispatcher.connect_many(5)
        worker.greet()
        assert [worker.read(worker.receive()) for _ in range(5)] == [b"%d" % number for number in range(5)]


LISTEN_AS_NOBODY = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(bytes.fromhex(sys.argv[1]))
listener.listen(8)
print("listening", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_channel_of_another_user_is_refused_and_logged_once() -> None:
    with explicit(1) as (dispatcher, [worker], _):
        worker.listener.close()  # the name is free again: somebody else takes it
        squatter = subprocess.Popen(
            [sys.executable, "-c", LISTEN_AS_NOBODY, worker.name.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert squatter.stdin is not None and squatter.stdout is not None
        try:
            assert squatter.stdout.readline() == "listening\n"
            with dispatcher.connect(data=b"secret") as client:
                line = dispatcher.log_line("refused")
                assert f"process {squatter.pid} of user 65534" in line and "channel-uids" in line
                squatter.stdin.close()
                squatter.wait(5)
                rightful = FakeWorker(worker.name)
                try:
                    rightful.greet()
                    assert rightful.read(rightful.receive()) == b"secret"
                finally:
                    rightful.close()
                assert client.fileno() >= 0
        finally:
            squatter.kill()
            squatter.wait()
            squatter.stdin.close()
            squatter.stdout.close()

