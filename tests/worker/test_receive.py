from __future__ import annotations

import array
import os
import socket
from collections.abc import Callable

import pytest

from common.model import Bind
from common.net import fdpass
from common.net.claim_page import make_page
from common.net.stream import Stream
from common.wire import handover
from common.wire.claims import GiversCells, Withdrawn
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import encode_v2
from tests.common.net.driving import Clock, Driver, open_descriptors, receive_all, reset
from tests.worker.receiving import Receiver
from worker import receive
from worker.receive import ACCEPTS_PER_TURN, Channel, Seat, real_addresses

SAID = ProxyHeader(2, False, Family.INET, "192.0.2.1", 1111, "192.0.2.2", 443)
HEADER = encode_v2(SAID)


class Dispatcher:
    """The other end of a channel."""

    def __init__(self, driver: Driver, receiver: Receiver, bind: Bind | None = None) -> None:
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.sock, theirs):
            end.setblocking(False)
            driver.own(end)
        self.driver = driver
        fd, page = make_page()
        self.cells = GiversCells(page)
        self.send(handover.encode_page(), fd)
        os.close(fd)
        self.channel = Channel(receiver, Stream(receiver.pump, theirs), bind)
        receiver.pump.spawn(self.channel.run(), "channel")

    def give(self, number: int, bind_id: int = 0, sock: socket.socket | None = None) -> socket.socket:
        """Hand one client over; the client's end."""
        ours, theirs = socket.socketpair()
        self.driver.own(ours)
        message = handover.encode_give(number, bind_id, self.cells.lease(), HEADER)
        with sock or theirs as given, theirs:
            assert fdpass.send_descriptor(self.sock, message, given.fileno()) is fdpass.Given.SENT
        return ours

    def send(self, message: bytes, *fds: int) -> None:
        self.sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])

    def reports(self) -> list[handover.Frame]:
        self.driver.settle()
        found: list[handover.Frame] = []
        while True:
            try:
                message = self.sock.recv(handover.MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return found
            if not message:
                return found
            found.extend(handover.decode_report(message))


def ids(frame: handover.Frame) -> tuple[str, list[int]]:
    return type(frame).__name__, list(getattr(frame, "ids", ()))


def seat_of(receiver: Receiver, index: int = 0) -> Seat:
    seat = receiver.sessions[index][3]
    assert seat is not None
    return seat


# --- what is handed over ------------------------------------------------------------------------------------------------


def test_channel_says_hello_first(driver: Driver, receiver: Receiver) -> None:
    receiver.connections_here = 2
    dispatcher = Dispatcher(driver, receiver)
    assert dispatcher.reports() == [handover.Hello(3, os.getpid(), 7, 2, 100)]


def test_connection_arrives_with_its_bind_and_header_and_does_not_block(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    client = dispatcher.give(17, 5)
    driver.settle()
    [(bind, stream, header, seat, introduced)] = receiver.sessions
    assert bind is receiver.binds[5] and header == SAID and seat is not None and not introduced
    assert stream.shared and not stream.sock.getblocking()
    client.send(b"hello")
    assert stream.recv_now() == b"hello"
    stream.close()


def test_header_on_a_binds_own_channel_introduces_the_client(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver, receiver.binds[5])
    dispatcher.give(1, handover.BIND_OF_CHANNEL)
    driver.settle()
    [(bind, stream, _header, _seat, introduced)] = receiver.sessions
    assert bind is receiver.binds[5] and introduced
    stream.close()


def test_taken_and_ended_are_told_once_and_together(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    for number in (1, 2, 3):
        dispatcher.give(number)
    dispatcher.reports()
    for index in (0, 1):
        seat_of(receiver, index).taken()
        seat_of(receiver, index).taken()
    seat_of(receiver, 0).ended()
    seat_of(receiver, 2).ended()
    assert [ids(frame) for frame in dispatcher.reports()] == [("Taken", [1, 2]), ("Ended", [1, 3])]
    assert set(dispatcher.channel.seats) == {2}


def test_load_goes_along_with_the_next_report(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.give(1)
    dispatcher.reports()
    receiver.handshakes = 4
    seat_of(receiver).taken()
    reports = dispatcher.reports()
    assert handover.Load(4) in reports and len(reports) == 2


def test_more_connections_than_fit_a_turn_are_all_taken(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.reports()
    for number in range(ACCEPTS_PER_TURN + 10):
        dispatcher.give(number)
        if number % 50 == 49:
            driver.settle()
    driver.settle()
    assert len(receiver.sessions) == ACCEPTS_PER_TURN + 10


def test_reports_wait_for_a_dispatcher_that_does_not_read_and_none_is_lost(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.channel.stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    total = 300
    for number in range(total):
        dispatcher.give(number)
        driver.settle()
        seat_of(receiver, number).taken()
        driver.settle()
    assert dispatcher.channel.stream.writer is not None, "it does not wait: the test shows nothing"
    dispatcher.channel.drain()
    driver.settle()
    told: list[int] = []
    drains = 0
    while len(told) < total or not drains:
        for frame in dispatcher.reports():
            if isinstance(frame, handover.Taken):
                told.extend(frame.ids)
            drains += isinstance(frame, handover.Drain)
    assert told == list(range(total)) and drains == 1


# --- what is wrong with a message -----------------------------------------------------------------------------------------


def give_nothing(dispatcher: Dispatcher, make: Callable[[], list[int]], number: int = 9, bind_id: int = 0) -> None:
    fds = make()
    dispatcher.send(handover.encode_give(number, bind_id, 0, HEADER), *fds)
    for fd in fds:
        os.close(fd)


def two_sockets() -> list[int]:
    return [sock.detach() for sock in socket.socketpair()]


def a_pipe() -> list[int]:
    ends = os.pipe()
    os.close(ends[1])
    return [ends[0]]


def a_file() -> list[int]:
    return [os.open(os.devnull, os.O_RDONLY)]


def a_datagram_socket() -> list[int]:
    return [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach()]


def a_client() -> list[int]:
    ours, theirs = socket.socketpair()
    ours.close()
    return [theirs.detach()]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (two_sockets, "handover_descriptors"),
        (lambda: two_sockets() + two_sockets() + two_sockets(), "handover_descriptors"),
        (a_pipe, "handover_not_a_socket"),
        (a_file, "handover_not_a_socket"),
        (a_datagram_socket, "handover_not_a_socket"),
    ],
    ids=["two", "six", "pipe", "file", "datagram socket"],
)
def test_wrong_descriptors_are_closed_and_their_connection_let_go(
    driver: Driver, receiver: Receiver, make: Callable[[], list[int]], reason: str
) -> None:
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.reports()
    before = open_descriptors()
    give_nothing(dispatcher, make)
    assert [ids(frame) for frame in dispatcher.reports()] == [("Ended", [9])]
    assert not receiver.sessions and reason in receiver.logged[0]
    assert open_descriptors() == before
    dispatcher.give(10)
    driver.settle()
    assert len(receiver.sessions) == 1, "the channel goes on"


def test_connection_for_a_bind_that_nobody_knows_is_let_go(driver: Driver, receiver: Receiver) -> None:
    """Seated elsewhere it would come back without end: all workers run the same configuration."""
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.reports()
    for bind_id in (77, handover.BIND_OF_CHANNEL):
        before = open_descriptors()
        give_nothing(dispatcher, a_client, bind_id=bind_id)
        assert [ids(frame) for frame in dispatcher.reports()] == [("Ended", [9])]
        assert "handover_unknown_bind" in receiver.logged.pop()
        assert open_descriptors() == before


def test_id_that_is_in_use_costs_the_second_connection_only(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.give(9)
    dispatcher.reports()
    before = open_descriptors()
    give_nothing(dispatcher, a_client)
    assert dispatcher.reports() == [] and "handover_id_in_use" in receiver.logged[0]
    assert open_descriptors() == before
    seat_of(receiver).ended()
    assert [ids(frame) for frame in dispatcher.reports()] == [("Ended", [9])]


@pytest.mark.parametrize(
    "message", [b"\0", b"x" * 100, handover.encode_give(1, 0, 0, HEADER)[:-1], handover.encode_give(1, 0, 0, HEADER) + b"x"]
)
def test_message_that_is_none_is_logged_and_its_descriptors_are_closed(driver: Driver, receiver: Receiver, message: bytes) -> None:
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.reports()
    before = open_descriptors()
    fds = a_client()
    dispatcher.send(message, *fds)
    os.close(fds[0])
    assert dispatcher.reports() == [] and not receiver.sessions
    assert "warning: handover: message of" in receiver.logged[0]
    assert open_descriptors() == before


def test_without_room_for_descriptors_the_connection_is_given_back(clock: Clock, driver: Driver, receiver: Receiver) -> None:
    """The kernel has dropped our copy of the socket; the dispatcher still has its own, and another worker may have room."""
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.reports()
    dispatcher.send(handover.encode_give(9, 0, 0, HEADER))
    assert [ids(frame) for frame in dispatcher.reports()] == [("Refused", [9])]
    assert receiver.logged[0].startswith("emerg: handover: no descriptors")
    dispatcher.give(9)
    driver.settle()
    assert not receiver.sessions, "it takes a breath first, or the two would play ping-pong"
    clock.now += receive.ACCEPT_PAUSE_S + 0.1
    driver.settle()
    assert len(receiver.sessions) == 1


# --- when a dispatcher dies -----------------------------------------------------------------------------------------------


def test_sessions_outlive_their_dispatcher_and_the_next_one_learns_of_them(driver: Driver, receiver: Receiver) -> None:
    first = Dispatcher(driver, receiver)
    for number in (1, 2, 3):
        first.give(number, 5)
    first.reports()
    first.sock.close()
    driver.settle()
    assert len(receiver.orphans) == 3 and not receiver.channels and first.channel.stream.closed
    seat_of(receiver, 0).taken()
    seat_of(receiver, 0).ended()
    second = Dispatcher(driver, receiver)
    hello, held = second.reports()
    assert isinstance(hello, handover.Hello) and isinstance(held, handover.Held)
    assert sorted(held.ids) == [2, 3] and list(held.binds) == [5, 5]
    seat_of(receiver, 1).ended()
    assert [ids(frame) for frame in second.reports()] == [("Ended", [2])]
    assert not receiver.orphans and set(second.channel.seats) == {3}


def test_dispatcher_of_another_name_does_not_adopt(driver: Driver, receiver: Receiver) -> None:
    first = Dispatcher(driver, receiver, receiver.binds[5])
    first.give(1, handover.BIND_OF_CHANNEL)
    first.reports()
    first.sock.close()
    driver.settle()
    assert [type(frame) for frame in Dispatcher(driver, receiver).reports()] == [handover.Hello]
    assert [type(frame) for frame in Dispatcher(driver, receiver, receiver.binds[5]).reports()] == [handover.Hello, handover.Held]


def test_end_of_a_channel_ends_its_strands_also_while_it_cannot_report(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.channel.stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    for number in range(300):
        dispatcher.give(number)
        driver.settle()
        seat_of(receiver, number).taken()
        driver.settle()
    assert dispatcher.channel.stream.writer is not None
    dispatcher.sock.close()
    driver.settle()
    assert not receiver.pump.strands


# --- addresses ------------------------------------------------------------------------------------------------------------


def test_real_addresses_are_the_kernels(driver: Driver) -> None:
    stream, peer = driver.pair(tcp=True)
    there, here = stream.sock.getpeername(), stream.sock.getsockname()
    assert real_addresses(stream.sock) == (socket.inet_aton(there[0]), there[1], socket.inet_aton(here[0]), here[1])
    reset(peer)
    driver.settle()
    assert real_addresses(driver.pair()[0].sock) == (b"", 0, b"", 0)


def test_real_addresses_of_a_client_that_has_gone_are_unknown(driver: Driver) -> None:
    stream, peer = driver.pair(tcp=True)
    stream.watch()
    reset(peer)
    driver.until(lambda: stream.ended)
    with pytest.raises(OSError):
        stream.recv_now()
    assert real_addresses(stream.sock) == (b"", 0, b"", 0)
    assert receive_all(driver.pair()[1]) == b""


# --- whose a client is ----------------------------------------------------------------------------------------------------


def test_channel_that_does_not_begin_with_its_page_is_refused(driver: Driver, receiver: Receiver) -> None:
    give, page = handover.encode_give(1, 0, 0, HEADER), handover.encode_page()
    for message, fds in ((give, a_client()), (page, a_file()), (page, [])):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setblocking(False)
            driver.own(end)
        before = open_descriptors()
        channel = Channel(receiver, Stream(receiver.pump, theirs), None)
        receiver.pump.spawn(channel.run(), "channel")
        ours.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        for fd in fds:
            os.close(fd)
        driver.settle()
        assert channel not in receiver.channels and not receiver.sessions
        assert "warning: handover: channel refused, reason: handover_" in receiver.logged.pop()
        assert open_descriptors() == before - len(fds) - 1, "its own end is closed, and nothing else is left"


def test_client_that_was_withdrawn_in_the_channel_is_given_back_unread(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.reports()
    dispatcher.cells.withdraw(0)
    client = dispatcher.give(1)
    assert [ids(frame) for frame in dispatcher.reports()] == [("Refused", [1])]
    assert not receiver.sessions
    assert client.recv(1) == b"", "in this test nobody else holds it"


def test_client_that_was_withdrawn_cannot_be_claimed_and_its_end_is_a_refusal(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    dispatcher.give(1)
    dispatcher.give(2)
    dispatcher.reports()
    dispatcher.cells.withdraw(0)
    with pytest.raises(Withdrawn):
        seat_of(receiver, 0).claim()
    seat_of(receiver, 0).ended()
    seat_of(receiver, 1).claim()
    seat_of(receiver, 1).taken()
    dispatcher.cells.withdraw(1)
    seat_of(receiver, 1).claim()  # it was taken before
    seat_of(receiver, 1).ended()
    assert [ids(frame) for frame in dispatcher.reports()] == [("Taken", [2]), ("Refused", [1]), ("Ended", [2])]


def test_heartbeat_finds_what_was_withdrawn(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    for number in (1, 2, 3):
        dispatcher.give(number)
    dispatcher.reports()
    seat_of(receiver, 2).claim()
    seat_of(receiver, 2).taken()
    dispatcher.channel.look()
    assert not receiver.withdrawn
    for cell in (1, 2):
        dispatcher.cells.withdraw(cell)
    dispatcher.channel.look()
    assert {seat.id for seat in receiver.withdrawn} == {2}


def test_clients_of_a_dead_dispatcher_are_ours_but_those_it_had_withdrawn(driver: Driver, receiver: Receiver) -> None:
    dispatcher = Dispatcher(driver, receiver)
    for number in (1, 2):
        dispatcher.give(number)
    dispatcher.reports()
    dispatcher.cells.withdraw(0)
    dispatcher.sock.close()
    driver.settle()
    assert {seat.id for seat in receiver.withdrawn} == {1}
    assert seat_of(receiver, 1).is_taken
