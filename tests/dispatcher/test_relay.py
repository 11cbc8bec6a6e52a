"""Connections that are relayed: the PROXY header, both directions, retries, queue, timeouts, the log line."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from common.model import Timeouts
from common.observe import fields as f
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import decode, encode_v1, encode_v2
from tests.dispatcher.harness import (
    PATIENCE_S,
    Running,
    counters_of,
    dispatcher_listen,
    fresh_name,
    padded,
    reset,
    running,
    server,
    wait_until,
)


@contextmanager
def listening(path: str, backlog: int = 64) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(padded(path))
        listener.listen(backlog)
        listener.settimeout(PATIENCE_S)
        yield listener


def accept(listener: socket.socket) -> socket.socket:
    accepted, _ = listener.accept()
    accepted.settimeout(PATIENCE_S)
    return accepted


def accept_and_close(listener: socket.socket) -> None:
    """Close a connection after its header: before it, the dispatcher would try again."""
    with accept(listener) as accepted:
        received = b""
        while b"\r\n" not in received:
            received += accepted.recv(100)


def receive_all(sock: socket.socket) -> bytes:
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


@contextmanager
def relaying(count: int = 1, **settings: object) -> Iterator[tuple[Running, list[socket.socket]]]:
    """A dispatcher that relays to so many listeners; settings are of the proxy."""
    paths = [fresh_name() for _ in range(count)]
    proxy = dispatcher_listen(*(server(f"p{number}", path, send_proxy=1) for number, path in enumerate(paths, 1)))
    proxy.options = frozenset({"tcplog"})
    for name, value in settings.items():
        setattr(proxy, name, value)
    with ExitStack() as stack:
        listeners = [stack.enter_context(listening(path)) for path in paths]
        dispatcher, _ = stack.enter_context(running(proxy, counters=True))
        yield dispatcher, listeners


def termination(line: str) -> tuple[str, str]:
    """(server, termination code) of a tcplog line."""
    match = re.search(r"dispatcher dispatcher/(\S+) \S+ \d+ (\S\S) ", line)
    assert match, line
    return match[1], match[2]


# --- who the client is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_server_hears_who_the_client_is_then_every_byte_and_each_half_close(version: int) -> None:
    with relaying() as (dispatcher, [listener]):
        dispatcher.stop()
        dispatcher.config.proxies[0].servers[0].send_proxy = version
        dispatcher.start()
        client = dispatcher.connect(data=b"hello")
        client.shutdown(socket.SHUT_WR)
        name = client.getsockname()
        with accept(listener) as accepted:
            received = receive_all(accepted)
            decoded = decode(received)
            assert decoded is not None
            header, size = decoded
            assert (header.version, header.source, header.source_port) == (version, *name)
            assert (header.destination, header.destination_port) == dispatcher.address()
            assert received[size:] == b"hello"
            accepted.sendall(b"late answer")
        assert receive_all(client) == b"late answer"
        line = dispatcher.log_line("dispatcher/p1")
        assert f"127.0.0.1:{name[1]} [" in line and " dispatcher dispatcher/p1 " in line and " 11 -- 1/1/1/1/0 0/0" in line


def test_server_may_close_first_and_still_get_the_rest() -> None:
    with relaying() as (dispatcher, [listener]):
        client = dispatcher.connect()
        with accept(listener) as accepted:
            accepted.sendall(b"banner")
            accepted.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b"banner"
            client.sendall(b"late question")
            client.close()
            assert receive_all(accepted).endswith(b"late question")


def test_header_of_the_client_is_passed_on() -> None:
    with relaying() as (dispatcher, [listener]):
        dispatcher.stop()
        dispatcher.config.proxies[0].binds[0].accept_proxy = True
        dispatcher.start()
        data = encode_v1(ProxyHeader(1, False, Family.INET, "192.0.2.1", 1111, "198.51.100.2", 2222))
        client = dispatcher.connect(data=data + b"x")
        client.shutdown(socket.SHUT_WR)
        with accept(listener) as accepted:
            assert receive_all(accepted) == data + b"x"
        assert "192.0.2.1:1111 [" in dispatcher.log_line("dispatcher/p1")


def test_version_2_carries_the_clients_own_tlvs_a_unique_id_and_a_checksum() -> None:
    with relaying(unique_id_format="%{+X}o%ci-%cp") as (dispatcher, [listener]):
        dispatcher.stop()
        proxy = dispatcher.config.proxies[0]
        proxy.binds[0].accept_proxy = True
        proxy.servers[0].send_proxy = 2
        proxy.servers[0].proxy_v2_options = frozenset({"unique-id", "crc32c", "ssl"})
        dispatcher.start()
        own = ProxyHeader(2, False, Family.INET, "192.0.2.1", 1111, "198.51.100.2", 2222, ((0x02, b"example.org"),))
        client = dispatcher.connect(data=encode_v2(own))
        client.shutdown(socket.SHUT_WR)
        with accept(listener) as accepted:
            decoded = decode(receive_all(accepted))
        assert decoded is not None
        header = decoded[0]
        assert (header.source, header.source_port) == ("192.0.2.1", 1111)
        assert header.authority == "example.org"
        assert header.unique_id == b"C0000201-0457"
        assert header.ssl is not None and not header.ssl.has_ssl
        assert header.tlv(0x03) is not None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "Received something which does not look like a PROXY protocol header"),
        (b"PROXY TCP4 1", "Truncated PROXY protocol header received"),
        (b"", "Connection closed while waiting for PROXY protocol header"),
    ],
)
def test_client_without_a_valid_header_is_refused_with_haproxys_words(data: bytes, text: str) -> None:
    with relaying() as (dispatcher, [listener]):
        dispatcher.stop()
        dispatcher.config.proxies[0].binds[0].accept_proxy = True
        dispatcher.start()
        client = dispatcher.connect(data=data)
        client.shutdown(socket.SHUT_WR)
        assert f"127.0.0.1:{client.getsockname()[1]} [" in dispatcher.log_line(text)
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [frozenset(), frozenset({"splice-auto"})], ids=["copy", "splice"])
def test_megabytes_pass_unchanged_both_ways_at_once(options: frozenset[str]) -> None:
    block, blocks = os.urandom(65536), 128
    with relaying(options=options) as (dispatcher, [listener]):
        client = dispatcher.connect(data=b"!")
        with accept(listener) as accepted:
            received = b""
            while not received.endswith(b"\r\n!"):
                received += accepted.recv(65536)
            sums: dict[socket.socket, str] = {}

            def pour(sock: socket.socket) -> None:
                for _ in range(blocks):
                    sock.sendall(block)
                sock.shutdown(socket.SHUT_WR)

            def drain(sock: socket.socket) -> None:
                digest = hashlib.sha256()
                while data := sock.recv(262144):
                    digest.update(data)
                sums[sock] = digest.hexdigest()

            threads = [threading.Thread(target=act, args=(sock,)) for act in (pour, drain) for sock in (client, accepted)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            assert set(sums.values()) == {hashlib.sha256(block * blocks).hexdigest()} and len(sums) == 2
        counters = counters_of(dispatcher)
        frontend = counters.layout.frontends[0]
        wait_until(lambda: counters.total(frontend)[f.SCUR] == 0, "it ended")
        totals = counters.total(frontend)
        assert totals[f.BIN] == blocks * len(block) + 1 and totals[f.BOUT] == blocks * len(block)
        assert bool(totals[f.H1_SPLICED_BYTES_IN]) == bool(options)


# --- servers ---------------------------------------------------------------------------------------------------------


def test_connections_go_to_the_server_with_the_fewest() -> None:
    with relaying(3) as (dispatcher, listeners), ExitStack() as stack:
        dispatcher.connect_many(9)
        accepted = [[stack.enter_context(accept(listener)) for _ in range(3)] for listener in listeners]
        counters = counters_of(dispatcher)
        servers = counters.layout.servers[0]
        assert [counters.total(number)[f.SCUR] for number in servers] == [3, 3, 3]
        for sock in (*accepted[1], *dispatcher.clients, *accepted[0], *accepted[2]):
            sock.close()
        wait_until(lambda: sum(counters.total(number)[f.SCUR] for number in servers) == 0, "all end")


def test_next_server_is_tried_when_one_refuses_and_the_log_says_so() -> None:
    with relaying(2, options=frozenset({"tcplog", "redispatch"}), retries=1, balance=("first",)) as (dispatcher, [gone, there]):
        gone.close()
        client = dispatcher.connect(data=b"x")
        client.shutdown(socket.SHUT_WR)
        with accept(there) as accepted:
            assert receive_all(accepted).endswith(b"x")
        line = dispatcher.log_line("dispatcher/p2")
        assert termination(line) == ("p2", "--") and "/+1 0/0" in line


def test_without_redispatch_the_same_server_is_tried_again_and_then_it_is_over() -> None:
    with relaying(2, retries=1, balance=("first",), timeouts=Timeouts(connect=0.1)) as (dispatcher, [gone, there]):
        gone.close()
        client = dispatcher.connect(data=b"x")
        assert termination(dispatcher.log_line("dispatcher/p1")) == ("p1", "SC")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        there.settimeout(0.05)
        with pytest.raises(TimeoutError):
            there.accept()


def test_all_servers_down_ends_with_the_last_that_was_tried() -> None:
    with relaying(2, options=frozenset({"tcplog", "redispatch"}), retries=2, timeouts=Timeouts(connect=0.1)) as (dispatcher, listeners):
        for listener in listeners:
            listener.close()
        dispatcher.connect()
        server_name, code = termination(dispatcher.log_line("SC"))
        assert server_name in ("p1", "p2") and code == "SC"


def test_every_server_disabled_is_told_at_once() -> None:
    with relaying() as (dispatcher, _):
        dispatcher.stop()
        dispatcher.config.proxies[0].servers[0].disabled = True
        dispatcher.start()
        dispatcher.connect()
        assert termination(dispatcher.log_line("dispatcher dispatcher/")) == ("<NOSRV>", "SC")


def test_places_at_a_server_are_queued_for_in_order() -> None:
    with relaying() as (dispatcher, [listener]):
        dispatcher.stop()
        dispatcher.config.proxies[0].servers[0].maxconn = 1
        dispatcher.start()
        first = dispatcher.connect(data=b"first")
        with accept(listener):
            second = dispatcher.connect(data=b"second")
            counters = counters_of(dispatcher)
            backend = counters.layout.backends[0]
            wait_until(lambda: counters.total(backend)[f.QCUR] == 1, "one waits")
            first.close()
        with accept(listener) as accepted:
            second.shutdown(socket.SHUT_WR)
            assert receive_all(accepted).endswith(b"second")
        wait_until(lambda: counters.total(backend)[f.QCUR] == 0, "nobody waits")
        assert counters.total(backend)[f.QMAX] == 1


def test_timeout_queue_ends_the_wait() -> None:
    with relaying(timeouts=Timeouts(connect=1, queue=0.2, client=5, server=5)) as (dispatcher, [listener]):
        dispatcher.stop()
        dispatcher.config.proxies[0].servers[0].maxconn = 1
        dispatcher.start()
        dispatcher.connect()
        with accept(listener):
            dispatcher.connect()
            assert termination(dispatcher.log_line("sQ")) == ("<NOSRV>", "sQ")


def test_maxconn_of_the_process_leaves_the_rest_in_the_backlog() -> None:
    with relaying() as (dispatcher, [listener]):
        dispatcher.stop()
        dispatcher.config.globals.maxconn = 1
        dispatcher.start()
        first = dispatcher.connect()
        with accept(listener):
            dispatcher.connect()
            listener.settimeout(0.1)
            with pytest.raises(TimeoutError):
                listener.accept()
            listener.settimeout(PATIENCE_S)
            first.close()
        accept_and_close(listener)


LISTEN_AS_NOBODY = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
listener = socket.socket(socket.AF_UNIX)
listener.bind(bytes.fromhex(sys.argv[1]))
listener.listen(8)
print("listening", flush=True)
listener.settimeout(10)
accepted, _ = listener.accept()
print(accepted.recv(100), flush=True)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_nothing_is_told_to_another_user_who_sits_on_the_name() -> None:
    with relaying(retries=0) as (dispatcher, [listener]):
        name = listener.getsockname()
        listener.close()
        squatter = subprocess.Popen([sys.executable, "-c", LISTEN_AS_NOBODY, name.hex()], stdout=subprocess.PIPE, text=True)
        assert squatter.stdout is not None
        try:
            assert squatter.stdout.readline() == "listening\n"
            dispatcher.connect(data=b"secret")
            assert f"process {squatter.pid} of user 65534" in dispatcher.log_line("refused")
            assert squatter.communicate(timeout=PATIENCE_S)[0] == "b''\n"
            assert termination(dispatcher.log_line("dispatcher/p1")) == ("p1", "SC")
        finally:
            squatter.kill()
            squatter.wait()


# --- ends that are not normal ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeouts", "code"),
    [
        (Timeouts(connect=1, client=0.2, server=5), "cD"),
        (Timeouts(connect=1, client=5, server=0.2), "sD"),
        (Timeouts(connect=1, client=9, server=5, tunnel=0.2), "sD"),
    ],
)
def test_silence_ends_by_the_timeout_of_the_quicker_side(timeouts: Timeouts, code: str) -> None:
    with relaying(timeouts=timeouts) as (dispatcher, [listener]):
        client = dispatcher.connect(data=b"x")
        with accept(listener) as accepted:
            assert termination(dispatcher.log_line("dispatcher/p1")) == ("p1", code)
            assert client.recv(1) == b""
            receive_all(accepted)


def test_reset_by_either_side_is_told_apart() -> None:
    with relaying() as (dispatcher, [listener]):
        client = dispatcher.connect(data=b"x")
        with accept(listener) as accepted:
            while not accepted.recv(100).endswith(b"x"):
                pass
            reset(client)
            assert termination(dispatcher.log_line("dispatcher/p1")) == ("p1", "CD")
        client = dispatcher.connect(data=b"x")
        accepted = accept(listener)
        while not accepted.recv(100).endswith(b"x"):
            pass
        client.sendall(b"unread")
        wait_until(lambda: len(accepted.recv(100, socket.MSG_PEEK)) == 6, "bytes that it will not read")
        accepted.close()
        assert termination(dispatcher.log_line("dispatcher/p1")) == ("p1", "SD")


# --- logs ------------------------------------------------------------------------------------------------------------


def test_without_a_format_the_connection_is_logged_when_it_comes() -> None:
    with relaying(options=frozenset()) as (dispatcher, [listener]):
        client = dispatcher.connect()
        port = client.getsockname()[1]
        line = dispatcher.log_line("Connect from")
        assert f"Connect from 127.0.0.1:{port} to 127.0.0.1:{dispatcher.address()[1]} (dispatcher/TCP)" in line
        accept_and_close(listener)


def test_dontlognull_hides_connections_without_a_byte() -> None:
    with relaying(options=frozenset({"tcplog", "dontlognull"})) as (dispatcher, [listener]):
        for data in (b"", b"x"):
            dispatcher.connect(data=data).close()
            with accept(listener) as accepted:
                receive_all(accepted)
        assert "dispatcher/p1" in dispatcher.log_line("127.0.0.1")
        dispatcher.log.settimeout(0.05)
        with pytest.raises(TimeoutError):
            dispatcher.log.recv(4096)


def test_log_format_may_ask_for_anything_about_the_connection() -> None:
    text = "%ci:%cp|%fi:%fp|%f|%b|%s|%ts|%B|%U|%rc|%ac/%fc/%bc/%sc|%[src]|%pid"
    with relaying(log_format=text) as (dispatcher, [listener]):
        client = dispatcher.connect(data=b"12345")
        port = client.getsockname()[1]
        with accept(listener) as accepted:
            accepted.sendall(b"123")
            accepted.shutdown(socket.SHUT_WR)
            client.shutdown(socket.SHUT_WR)
            receive_all(accepted)
        line = dispatcher.log_line("|dispatcher|")
        expected = f"127.0.0.1:{port}|127.0.0.1:{dispatcher.address()[1]}|dispatcher|dispatcher|p1|--|3|5|0|1/1/1/1|127.0.0.1|{os.getpid()}"
        assert expected in line


def test_pass_fd_on_some_servers_only_is_told_and_relayed() -> None:
    with relaying(2) as (dispatcher, listeners):
        dispatcher.stop()
        dispatcher.config.proxies[0].servers[0].pass_fd = True
        dispatcher.start()
        assert '"pass-fd" of p1 in dispatcher has no effect' in dispatcher.log_line("pass-fd")
        dispatcher.connect_many(2)
        for listener in listeners:
            accept_and_close(listener)
