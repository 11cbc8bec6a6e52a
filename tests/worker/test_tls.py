from __future__ import annotations

import os
import select
import socket
import ssl
from math import inf

import pytest
from OpenSSL import SSL

from common.net.pump import DeadlinePassed
from common.net.relay import Flow, Idle, relay
from common.net.stream import READ_SIZE
from tests.common.net.driving import Clock, Driver, open_descriptors, receive_all, reset
from tests.worker.authority import Authority
from tests.worker.raw_tls import RawClient
from tests.worker.tls_peers import Peer, accept, bind_tls, client_context
from worker.certs import BindTls
from worker.tls import CLOSED, RECORD_BYTES_MAX, TlsError, TlsStream

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


@pytest.fixture(scope="session")
def bind(authority: Authority) -> BindTls:
    return bind_tls(authority.pem("a.example"))


def talk(driver: Driver, bind: BindTls, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, *, tcp: bool = True) -> tuple[TlsStream, Peer]:
    """An established connection."""
    context = client_context(minimum_version=version, maximum_version=version)
    stream, peer, failure = accept(driver, bind, context, tcp=tcp)
    assert failure is None and peer.done
    while stream.recv_now() is not None:
        pass
    if version is ssl.TLSVersion.TLSv1_3:
        select.select([peer.sock], [], [], 5)
        peer.receive()  # takes the tickets: closing with anything unread would be a reset
    return stream, peer


# --- talking ---------------------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("size", [1, RECORD_BYTES_MAX, RECORD_BYTES_MAX + 1, 1_000_000])
def test_bytes_go_both_ways_whole(driver: Driver, bind: BindTls, version: ssl.TLSVersion, size: int) -> None:
    stream, peer = talk(driver, bind, version)
    data = os.urandom(size)

    async def echo() -> None:
        left = size
        while left:
            found = await stream.recv()
            left -= len(found)
            await stream.send(found)

    driver.start("echo", echo())
    rest, found = memoryview(data), b""
    while len(found) < size:
        if rest:
            try:
                rest = rest[peer.sock.send(rest[:50_000]) :]
            except ssl.SSLWantWriteError:
                pass
        driver.pump.turn()
        found += peer.receive() or b""
    assert found == data
    peer.close()
    stream.close()


def test_read_takes_no_more_than_it_is_asked_for_and_loses_nothing(driver: Driver, bind: BindTls) -> None:
    """What OpenSSL holds decrypted rings no event any more: it must not count as drained."""
    stream, peer = talk(driver, bind)
    peer.sock.send(b"abcdefgh")
    driver.until(lambda: select.select([stream.sock], [], [], 0)[0])
    stream.drained = False
    assert stream.recv_now(3) == b"abc" and not stream.drained
    assert driver.run(stream.recv(100)) == b"defgh"


def test_sent_to_a_peer_that_does_not_read_is_taken_up_where_it_stopped(driver: Driver, bind: BindTls) -> None:
    """OpenSSL insists on the same bytes after a write that would block."""
    stream, peer = talk(driver, bind)
    data = os.urandom(8_000_000)

    async def story() -> None:
        await stream.send(data)
        stream.close()

    driver.start("story", story())
    driver.settle()
    assert "story" not in driver.results
    found = bytearray()
    while len(found) < len(data):
        driver.pump.turn()
        found += peer.receive() or b""
    assert bytes(found) == data
    assert driver.results["story"] is None


@pytest.mark.parametrize("kind", [bytes, memoryview, bytearray])
def test_nothing_and_other_kinds_of_bytes_can_be_sent(driver: Driver, bind: BindTls, kind: type[bytes]) -> None:
    stream, peer = talk(driver, bind)
    assert stream.send_now(kind(b"")) == 0
    data = memoryview(kind(b"x" * 20_000))
    assert stream.send_now(data) == 20_000
    assert stream.send_now(data[5:10]) == 5
    driver.until(lambda: select.select([peer.sock], [], [], 0)[0])
    found = b""
    while len(found) < 20_005:
        found += peer.receive() or b""
    assert found == b"x" * 20_005


@pytest.mark.parametrize("splice", [False, True])
def test_relay_of_a_tls_client_and_a_plain_server(driver: Driver, bind: BindTls, splice: bool) -> None:
    stream, peer = talk(driver, bind)
    server, server_peer = driver.pair()
    up, down = Flow(stream, server, splice=splice), Flow(server, stream, splice=splice)

    async def story() -> str:
        await relay(driver.pump, stream, server, up, down, Idle())
        stream.close()
        server.close()
        return "over"

    driver.start("relay", story())
    question, answer = os.urandom(700_000), os.urandom(900_000)
    left, found, left_answer, found_answer = memoryview(question), b"", memoryview(answer), b""
    while len(found) < len(question) or len(found_answer) < len(answer):
        if left:
            try:
                left = left[peer.sock.send(left) :]
            except ssl.SSLWantWriteError:
                pass
        if left_answer:
            try:
                left_answer = left_answer[server_peer.send(left_answer) :]
            except BlockingIOError:
                pass
        driver.pump.turn()
        found += receive_all(server_peer)
        found_answer += peer.receive() or b""
    assert (found, found_answer) == (question, answer)
    server_peer.close()
    driver.until(lambda: peer.receive() == b"")
    peer.sock.unwrap()
    peer.close()
    driver.until(lambda: driver.results)
    assert driver.results == {"relay": "over"} and up.moved == len(question)


# --- ends ------------------------------------------------------------------------------------------------------------


@VERSIONS
def test_close_says_that_nothing_is_missing(driver: Driver, bind: BindTls, version: ssl.TLSVersion) -> None:
    stream, peer = talk(driver, bind, version)
    stream.send_now(b"last words")
    stream.close()
    select.select([peer.sock], [], [], 5)
    assert peer.receive() == b"last words"
    assert peer.receive() == b"", "without close_notify Python's ssl raises here"


@VERSIONS
def test_half_close_still_receives(driver: Driver, bind: BindTls, version: ssl.TLSVersion) -> None:
    stream, peer = talk(driver, bind, version)
    stream.send_now(b"question")
    stream.shutdown_write()
    select.select([peer.sock], [], [], 5)
    assert peer.receive() == b"question" and peer.receive() == b""
    peer.sock.send(b"answer")
    assert driver.run(stream.recv(deadline=driver.pump.now + 5)) == b"answer"


def test_abort_does_not_say_that_nothing_is_missing(driver: Driver, bind: BindTls) -> None:
    stream, peer = talk(driver, bind)
    stream.send_now(b"half of it")
    stream.abort()
    with pytest.raises(OSError):
        while peer.receive() is None or True:
            select.select([peer.sock], [], [], 5)


@VERSIONS
@pytest.mark.parametrize("politely", [True, False], ids=["close_notify", "bare end"])
def test_end_of_the_peer_reads_as_the_end(driver: Driver, bind: BindTls, version: ssl.TLSVersion, politely: bool) -> None:
    """A peer that just closes is common; HTTP framing says whether something is missing."""
    stream, peer = talk(driver, bind, version)
    peer.sock.send(b"last words")
    if politely:
        with pytest.raises(ssl.SSLWantReadError):
            peer.sock.unwrap()
    else:
        peer.sock.shutdown(socket.SHUT_WR)

    async def story() -> list[bytes]:
        return [await stream.recv(), await stream.recv(), await stream.recv()]

    assert driver.run(story()) == [b"last words", b"", b""]


@VERSIONS
def test_reset_of_the_peer_is_an_error_not_an_end(driver: Driver, bind: BindTls, version: ssl.TLSVersion) -> None:
    """Else a body that ends with its connection would pass for whole."""
    stream, peer = talk(driver, bind, version)

    async def story() -> bytes:
        return await stream.recv()

    driver.start("story", story())
    reset(socket.socket(fileno=peer.sock.detach()))
    driver.until(lambda: driver.results)
    error = driver.results["story"]
    assert isinstance(error, TlsError) and error.errno, error
    driver.crashes.clear()


def test_writing_to_a_peer_that_is_gone_is_an_error_with_its_number(driver: Driver, bind: BindTls) -> None:
    stream, peer = talk(driver, bind)
    reset(socket.socket(fileno=peer.sock.detach()))
    select.select([stream.sock], [], [], 5)
    with pytest.raises(TlsError) as raised:
        stream.send_now(b"x")
    assert raised.value.errno


def test_garbage_instead_of_a_record_is_an_error_and_spoils_no_other_connection(driver: Driver, bind: BindTls) -> None:
    stream, peer = talk(driver, bind)
    other, other_peer = talk(driver, bind)
    raw = socket.socket(fileno=os.dup(peer.sock.fileno()))
    raw.send(b"\x17\x03\x03\x00\x05hello")
    with raw:
        with pytest.raises(TlsError) as raised:
            driver.run(stream.recv())
        assert raised.value.slug == "tls_protocol_error" and stream.broken
        other_peer.sock.send(b"fine")
        assert driver.run(other.recv()) == b"fine", "OpenSSL's queue of errors is one for all"


def test_closed_stream_never_touches_the_next_owner_of_its_number(driver: Driver, bind: BindTls) -> None:
    stream, _peer = talk(driver, bind)
    number = stream.fd
    stream.close()
    bystander, bystander_peer = driver.pair()
    assert number in (bystander.fd, bystander_peer.fileno())
    for end in (bystander.sock, bystander_peer):
        end.send(b"not for you")
    with pytest.raises(OSError):
        stream.recv_now()
    with pytest.raises(OSError):
        stream.send_now(b"not from you")
    assert receive_all(bystander.sock) == receive_all(bystander_peer) == b"not for you"


@VERSIONS
@pytest.mark.parametrize(
    ("does", "of_no_use"), [("nothing", False), ("speaks", True), ("close_notify", True), ("closes", True), ("resets", True)]
)
def test_idle_connection_is_of_no_use_once_its_peer_moves(
    driver: Driver, bind: BindTls, version: ssl.TLSVersion, does: str, of_no_use: bool
) -> None:
    stream, peer = talk(driver, bind, version)
    assert not stream.peek_end()
    if does == "speaks":
        peer.sock.send(b"unasked")
    elif does == "close_notify":
        with pytest.raises(ssl.SSLWantReadError):
            peer.sock.unwrap()
    elif does == "closes":
        peer.close()
    elif does == "resets":
        reset(socket.socket(fileno=peer.sock.detach()))
    if of_no_use:
        driver.until(lambda: not stream.drained)
    assert stream.peek_end() is of_no_use


def test_descriptors_are_all_given_back(driver: Driver, bind: BindTls) -> None:
    before = open_descriptors()
    for _ in range(5):
        stream, peer = talk(driver, bind)
        stream.close()
        peer.close()
    assert open_descriptors() == before


def test_stream_whose_tls_cannot_be_set_up_is_closed(driver: Driver) -> None:
    plain, _ = driver.pair()
    before = open_descriptors()
    with pytest.raises(TypeError):
        TlsStream.over(plain, None, server_side=True)  # type: ignore[arg-type]
    assert open_descriptors() == before - 1


# --- handshakes ------------------------------------------------------------------------------------------------------


def begin(driver: Driver, bind: BindTls, deadline: float = inf) -> tuple[TlsStream, socket.socket]:
    """Our side of a handshake, with a plain socket at the other end."""
    plain, peer = driver.pair(tcp=True)
    stream = bind.over(plain)

    async def story() -> None:
        try:
            await stream.handshake(deadline)
        finally:
            stream.close()

    driver.start("handshake", story())
    return stream, peer


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = client_hello()


@pytest.mark.parametrize("sent", [b"", HELLO[:1], HELLO[:5], HELLO[:100], HELLO], ids=["nothing", "1", "5", "100", "whole hello"])
@pytest.mark.parametrize("how", ["closes", "resets", "half-closes"])
def test_client_that_vanishes_in_the_handshake_is_an_error_and_leaks_nothing(driver: Driver, bind: BindTls, sent: bytes, how: str) -> None:
    before = open_descriptors()
    _stream, peer = begin(driver, bind)
    peer.send(sent)
    driver.settle()
    if how == "closes":
        peer.close()
    elif how == "resets":
        reset(peer)
    else:
        peer.shutdown(socket.SHUT_WR)
    driver.until(lambda: driver.results)
    error = driver.results["handshake"]
    assert isinstance(error, TlsError) and error.slug == CLOSED
    assert error.errno or how != "resets"
    driver.crashes.clear()
    peer.close()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("sent", "slug"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "tls_http_request"),
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", "tls_http_request"),
        (b"SSH-2.0-OpenSSH_9.2\r\n" + b"x" * 20, "tls_wrong_version"),
        (b"\x00" * 50, None),
        (b"\x99\x04\xf1\x00\x7f" + b"\xff" * 60, None),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + HELLO, None),
        (HELLO[:60] + b"\xff" * 400, None),
    ],
    ids=["http", "connect", "ssh", "nothing", "noise", "proxy header", "hello and noise"],
)
def test_what_is_no_tls_is_refused_with_a_reason(driver: Driver, bind: BindTls, sent: bytes, slug: str | None) -> None:
    _stream, peer = begin(driver, bind)
    peer.send(sent)
    peer.shutdown(socket.SHUT_WR)
    driver.until(lambda: driver.results)
    error = driver.results["handshake"]
    assert isinstance(error, TlsError) and error.slug.startswith("tls_") and error.detail
    assert slug is None or error.slug == slug, error.detail
    driver.crashes.clear()


def test_hello_that_arrives_byte_by_byte_is_understood(driver: Driver, bind: BindTls) -> None:
    _stream, peer = begin(driver, bind)
    for number in range(len(HELLO)):
        assert not receive_all(peer)
        peer.send(HELLO[number : number + 1])
        driver.settle()
    driver.until(lambda: select.select([peer], [], [], 0)[0])
    assert receive_all(peer)[:1] == b"\x16", "a server hello"
    reset(peer)
    driver.until(lambda: driver.results)
    driver.crashes.clear()


def test_silent_client_passes_the_deadline(clock: Clock, driver: Driver, bind: BindTls) -> None:
    _stream, peer = begin(driver, bind, clock.now + 5)
    peer.send(HELLO)
    driver.settle()
    clock.now += 6
    driver.settle()
    assert isinstance(driver.results["handshake"], DeadlinePassed)


def test_client_that_tears_records_apart_and_does_not_read_holds_nobody_up(clock: Clock, driver: Driver, bind: BindTls) -> None:
    """Several clients in the middle of their handshakes do not see each other."""
    begun = [begin(driver, bind, clock.now + 5) for _ in range(8)]
    for _, peer in begun:
        peer.send(HELLO[:50])
    driver.settle()
    stream, _other = talk(driver, bind)
    assert stream.handshake_done
    clock.now += 6
    driver.settle()
    assert isinstance(driver.results["handshake"], DeadlinePassed)


def test_old_version_is_refused(driver: Driver, bind: BindTls) -> None:
    """A TLS 1.0 hello, as it was sent in 2008."""
    body = b"\x03\x01" + bytes(32) + b"\x00" + b"\x00\x04\x00\x2f\x00\x35" + b"\x01\x00"
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    _stream, peer = begin(driver, bind)
    peer.send(b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello)
    driver.until(lambda: driver.results)
    error = driver.results["handshake"]
    assert isinstance(error, TlsError) and error.slug == "tls_unsupported_protocol"
    driver.crashes.clear()


def test_renegotiation_is_refused(driver: Driver, bind: BindTls) -> None:
    """RFC 5246 has it; it is a way to let a server work, and to mix two clients' words."""
    plain, sock = driver.pair(tcp=True)
    context = SSL.Context(SSL.TLSv1_2_METHOD)
    client = SSL.Connection(context, sock)
    client.set_connect_state()
    stream = bind.over(plain)

    async def story() -> bytes:
        await stream.handshake(inf)
        return await stream.recv()

    driver.start("story", story())

    def step() -> bool:
        try:
            client.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    driver.until(step)
    client.renegotiate()
    refused: list[Exception] = []

    def again() -> bool:
        try:
            client.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            refused.append(error)
        return True

    driver.until(lambda: again() and (refused or driver.results))
    assert refused and "renegotiation" in str(refused[0])
    stream.close()
    driver.settle()
    driver.crashes.clear()


def test_read_size_is_bounded(driver: Driver, bind: BindTls) -> None:
    stream, peer = talk(driver, bind)
    peer.sock.send(b"x" * 10)
    assert driver.run(stream.recv(10 * READ_SIZE)) == b"x" * 10


# --- key updates (RFC 8446 section 4.6.3) ------------------------------------------------------------------------------


def raw_talk(driver: Driver, bind: BindTls) -> tuple[TlsStream, RawClient, socket.socket]:
    plain, sock = driver.pair()
    client = RawClient()
    stream = bind.over(plain)
    driver.start("handshake", stream.handshake(inf))
    client.establish(sock, driver.until)
    driver.until(lambda: "handshake" in driver.results)
    driver.results.clear()
    while stream.recv_now() is not None:
        pass
    return stream, client, sock


def test_key_update_is_answered_while_idle_and_the_talk_goes_on(driver: Driver, bind: BindTls) -> None:
    stream, client, sock = raw_talk(driver, bind)

    async def echo() -> None:
        while data := await stream.recv():
            await stream.send(data)

    strand = driver.start("echo", echo())
    for number in range(5):
        client.update_keys()
        sock.send(client.flush())
        driver.settle()
        client.write(b"message %d" % number)
        sock.send(client.flush())
        found = b""
        while not found:
            driver.pump.turn()
            try:
                client.feed(sock.recv(65536))
            except BlockingIOError:
                continue
            found = client.read()
        assert found == b"message %d" % number
    driver.pump.end(strand)
    stream.close()
    client.close()


def test_key_update_alone_does_not_make_an_idle_connection_useless(driver: Driver, bind: BindTls) -> None:
    stream, client, sock = raw_talk(driver, bind)
    assert stream.mask and stream.drained
    client.update_keys()
    sock.send(client.flush())
    driver.until(lambda: not stream.drained)
    assert not stream.peek_end()
    stream.close()
    client.close()


def fill(driver: Driver, bind: BindTls) -> tuple[TlsStream, RawClient, socket.socket]:
    """A connection whose socket takes nothing more, without a record that waits within OpenSSL.

    (One that waits makes OpenSSL fail when it has to answer a key update: "bad length". Such a connection is lost.)
    """
    stream, client, _ = raw_talk(driver, bind)
    records = 0
    while stream.send_now(b"x" * RECORD_BYTES_MAX):
        records += 1
    stream.close()
    client.close()
    stream, client, sock = raw_talk(driver, bind)
    for _ in range(records):
        assert stream.send_now(b"x" * RECORD_BYTES_MAX)
    return stream, client, sock


@pytest.mark.parametrize("behind", [b"", b"after the updates"])
@pytest.mark.parametrize("waits_with", ["recv", "wait_any", "wait_any to write as well"])
def test_key_update_that_cannot_be_answered_yet_waits_for_room_and_nobody_spins(
    driver: Driver, bind: BindTls, waits_with: str, behind: bytes
) -> None:
    """Reading needs to write first then. A client that asks for keys and does not read must not keep the pump in a loop."""
    stream, client, sock = fill(driver, bind)
    read: list[bytes] = []

    async def story() -> None:
        while not read:
            data = stream.recv_now()
            if data is not None:
                read.append(data)
            elif waits_with == "recv":
                await stream.readable(inf)
            else:
                await driver.pump.wait_any((stream,), () if waits_with == "wait_any" else (stream,), inf)

    driver.start("story", story())
    for _ in range(20):
        client.update_keys()
    if behind:
        client.write(behind)
    sock.send(client.flush())
    driver.until(lambda: stream.answer_waits)
    driver.settle()
    assert not read and stream.reader is not None
    client.write(b".")
    sock.send(client.flush())
    driver.settle()
    while not read:
        try:
            client.feed(sock.recv(1 << 20))
            client.read()
        except BlockingIOError:
            pass
        driver.pump.turn()
    assert b"".join(read) == behind[: len(read[0])] or read == [b"."]
    assert not stream.answer_waits and stream.reader is None and stream.writer is None
    stream.close()
    client.close()


def test_answer_that_waits_and_a_writer_beside_are_both_resumed(driver: Driver, bind: BindTls) -> None:
    """As in a relay: one strand reads from the client, another one writes to it."""
    stream, client, sock = fill(driver, bind)
    driver.start("read", stream.recv())
    for _ in range(20):
        client.update_keys()
    client.write(b"question")
    sock.send(client.flush())
    driver.until(lambda: stream.answer_waits)
    driver.start("write", stream.writable(inf))  # type: ignore[arg-type]
    while len(driver.results) < 2:
        try:
            client.feed(sock.recv(1 << 20))
            client.read()
        except BlockingIOError:
            pass
        driver.pump.turn()
    assert driver.results == {"read": b"question", "write": None}
    stream.close()
    client.close()
