"""The doors: who may come in, how many at a time, and what happens when descriptors run out."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import sys

import pytest

from common.model import Address, AddressKind
from tests.dispatcher.harness import (
    PATIENCE_S,
    FakeWorker,
    fresh_name,
    frontend,
    running,
)

ANY4 = Address(AddressKind.INET, "0.0.0.0", 0)
ANY6 = Address(AddressKind.INET6, "::", 0)
LOOPBACK6 = Address(AddressKind.INET6, "::1", 0)


# --- who may come in -------------------------------------------------------------------------------------------------

CONNECT_AS_NOBODY = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.connect(bytes.fromhex(sys.argv[1]))
client.settimeout(10)
print(client.recv(1))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
@pytest.mark.parametrize("allowed", [False, True])
def test_client_of_an_abstract_name_must_be_of_our_user_or_a_listed_one(allowed: bool) -> None:
    name = fresh_name()
    address = Address(AddressKind.ABNSZ, path=name)
    uids = (65534,) if allowed else ()
    with running(frontend(address=address), workers=1, channel_uids=uids) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        stranger = subprocess.Popen([sys.executable, "-c", CONNECT_AS_NOBODY, (b"\0" + name.encode()).hex()], stdout=subprocess.PIPE)
        try:
            if allowed:
                worker.end(worker.receive())
            else:
                assert f"process {stranger.pid} of user 65534" in dispatcher.log_line("refused")
                assert worker.poll() is None
            assert stranger.communicate(timeout=PATIENCE_S)[0] == b"b''\n"
        finally:
            stranger.kill()
            stranger.wait()


# --- shortages -------------------------------------------------------------------------------------------------------


def test_running_out_of_descriptors_is_logged_once_and_the_client_is_served_afterwards() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        dispatcher.meet(worker)
        client = socket.socket()
        dispatcher.clients.append(client)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_lowest_free(), hard))
        try:
            client.connect(dispatcher.address())
            client.sendall(b"x")
            line = dispatcher.log_line("accept on")
            assert os.strerror(errno.EMFILE) in line
            before = dispatcher.cpu_s
            dispatcher.log.settimeout(0.4)
            with pytest.raises(TimeoutError):
                dispatcher.log.recv(4096)
            assert dispatcher.cpu_s - before < 0.05
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert worker.read(worker.receive()) == b"x"


def _lowest_free() -> int:
    """A limit that leaves no descriptor to open."""
    free = os.dup(0)
    os.close(free)
    return free


def test_a_burst_is_accepted_to_the_last() -> None:
    with running(frontend(), workers=1, maxaccept=4) as (dispatcher, [worker]):
        clients = [socket.socket() for _ in range(100)]
        dispatcher.clients += clients
        for client in clients:
            client.connect(dispatcher.address())
        dispatcher.meet(worker)
        for _ in clients:
            worker.receive()


def test_a_client_that_is_gone_already_is_handed_over_as_it_is() -> None:
    with running(frontend(address=ANY4), workers=1) as (dispatcher, [worker]):
        gone = dispatcher.connect(data=b"bye")
        gone.close()
        dispatcher.meet(worker)
        assert _read_all(worker, worker.receive()) == b"bye"


def _read_all(worker: FakeWorker, number: int) -> bytes:
    received = b""
    while data := worker.read(number):
        received += data
    return received
