"""Who comes in by the listening sockets of a worker, who does not, and what happens when the kernel has none to give."""

from __future__ import annotations

import errno
import os
import socket
from itertools import count

import pytest

from common.wire import handover
from tests.common.net.driving import Clock, Driver, open_descriptors
from tests.worker.receiving import Receiver
from worker.doors import ClientDoor, accept_channels
from worker.receive import ACCEPT_PAUSE_S, ACCEPTS_PER_TURN

_names = count()


def abstract_listener(driver: Driver, kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(b"\0usher-test-receive-%d-%d" % (os.getpid(), next(_names)))
    sock.listen(200)
    sock.setblocking(False)
    driver.own(sock)
    return sock


def connect(driver: Driver, listener: socket.socket) -> socket.socket:
    sock = socket.socket(listener.family, listener.type)
    sock.connect(listener.getsockname())
    sock.setblocking(False)
    driver.own(sock)
    return sock


def test_clients_are_accepted_as_they_come(driver: Driver, receiver: Receiver) -> None:
    listener = abstract_listener(driver)
    bind = receiver.binds[0]
    driver.start("listener", ClientDoor(receiver, listener, bind, check_peer=True).run())
    clients = [connect(driver, listener) for _ in range(ACCEPTS_PER_TURN + 5)]
    driver.settle()
    assert len(receiver.sessions) == len(clients)
    clients += [connect(driver, listener) for _ in range(3)]
    driver.settle()
    assert len(receiver.sessions) == len(clients)
    for of_bind, stream, header, seat, introduced in receiver.sessions:
        assert of_bind is bind and not stream.shared and header is None and seat is None and not introduced
        assert not stream.sock.getblocking()
        stream.close()


@pytest.mark.parametrize("check_peer", [True, False])
def test_strangers_on_an_abstract_name_are_refused_and_logged(driver: Driver, receiver: Receiver, check_peer: bool) -> None:
    receiver.trusted = set()
    listener = abstract_listener(driver)
    driver.start("listener", ClientDoor(receiver, listener, receiver.binds[0], check_peer=check_peer).run())
    before = open_descriptors()
    client = connect(driver, listener)
    driver.settle()
    if check_peer:
        assert not receiver.sessions and client.recv(1) == b""
        assert f"process {os.getpid()} of user {os.getuid()}" in receiver.logged[0] and "channel-uids" in receiver.logged[0]
        assert open_descriptors() == before + 1
    else:
        assert len(receiver.sessions) == 1
        receiver.sessions[0][1].close()


def test_dispatchers_are_accepted_and_strangers_are_not(driver: Driver, receiver: Receiver) -> None:
    listener = abstract_listener(driver, socket.SOCK_SEQPACKET)
    driver.start("listener", accept_channels(receiver, listener, None))
    dispatcher = connect(driver, listener)
    driver.settle()
    assert handover.decode_report(dispatcher.recv(1000))[0] == handover.Hello(3, os.getpid(), 7, 0, 100)
    receiver.trusted = set()
    stranger = connect(driver, listener)
    driver.settle()
    assert stranger.recv(1) == b"" and len(receiver.channels) == 1
    dispatcher.close()
    driver.settle()
    assert not receiver.channels


class Faulty:
    """A listening socket whose accept fails for a while."""

    def __init__(self, sock: socket.socket, *errors: int) -> None:
        self._sock = sock
        self.errors = list(errors)
        self.calls = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.calls += 1
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return self._sock.accept()

    def fileno(self) -> int:
        return self._sock.fileno()


@pytest.mark.parametrize("which", ["clients", "channels"])
@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL, errno.ENETDOWN])
def test_accept_that_fails_takes_a_breath_and_goes_on(clock: Clock, driver: Driver, receiver: Receiver, which: str, error: int) -> None:
    """It neither spins nor gives up, and says so once a second at most; not at all of a socket that an operator made listen no more."""
    said = 0 if error == errno.EINVAL else 1
    sock = abstract_listener(driver, socket.SOCK_STREAM if which == "clients" else socket.SOCK_SEQPACKET)
    listener = Faulty(sock, *[error] * 5)
    if which == "clients":
        driver.start("listener", ClientDoor(receiver, listener, receiver.binds[0], check_peer=False).run())  # type: ignore[arg-type]
    else:
        driver.start("listener", accept_channels(receiver, listener, None))  # type: ignore[arg-type]
    connect(driver, sock)
    driver.settle()
    assert listener.calls == 1 and len(receiver.logged) == said
    for _ in range(6):
        clock.now += ACCEPT_PAUSE_S + 0.02
        driver.settle()
    assert len(receiver.sessions) + len(receiver.channels) == 1 and len(receiver.logged) == said
    for session in receiver.sessions:
        session[1].close()


def test_client_that_was_gone_before_it_was_accepted_is_passed_over(driver: Driver, receiver: Receiver) -> None:
    sock = abstract_listener(driver)
    listener = Faulty(sock, errno.ECONNABORTED, errno.EPROTO, errno.EPERM)
    driver.start("listener", ClientDoor(receiver, listener, receiver.binds[0], check_peer=False).run())  # type: ignore[arg-type]
    connect(driver, sock)
    driver.settle()
    assert len(receiver.sessions) == 1 and not receiver.logged
    receiver.sessions[0][1].close()
