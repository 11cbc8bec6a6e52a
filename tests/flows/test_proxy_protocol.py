"""The PROXY protocol on both sides of the program: what it sends, what it takes, and when it gives up waiting."""

from __future__ import annotations

import re
import struct

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import Peer

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

_SECTIONS = """
listen accept
    bind <listen:accept> name front accept-proxy
    no option dontlognull
    option forwardfor
    timeout client 1s
    timeout http-request 300ms
    http-request set-header X-Source %[src]:%[src_port]
    http-request set-header X-Dest %[dst]:%[dst_port]
    server s <server:accept>
listen accept-unix
    bind <unix:accept-unix> accept-proxy
    option forwardfor
    server s <server:accept-unix>
listen accept-tcp
    mode tcp
    option tcplog
    bind <listen:accept-tcp> accept-proxy
    server s <server:accept-tcp>
listen send1
    bind <listen:send1>
    server s <server:send1> send-proxy
listen send2
    bind <listen:send2>
    server s <server:send2> send-proxy-v2
listen send-tcp
    mode tcp
    bind <listen:send-tcp>
    server s <server:send-tcp> send-proxy
listen send-unix
    mode tcp
    bind <unix:send-unix>
    server s <server:send-unix> send-proxy-v2
listen relayed
    mode tcp
    bind <listen:relayed> accept-proxy
    server s <server:relayed> send-proxy
"""
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def configuration(program: str) -> str:
    return defaults() + _SECTIONS


def v2(command: int, family: int, block: bytes) -> bytes:
    return _SIGNATURE + bytes((0x20 | command, family)) + struct.pack("!H", len(block)) + block


def inet(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    def packed(text: str) -> bytes:
        return bytes(map(int, text.split(".")))

    return packed(source) + packed(destination) + struct.pack("!HH", source_port, destination_port)


HEADERS = {
    "v1-tcp4": (b"PROXY TCP4 192.0.2.1 198.51.100.2 1111 443\r\n", "192.0.2.1:1111", "198.51.100.2:443"),
    "v1-tcp6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 443\r\n", "2001:db8::1:1111", "2001:db8::2:443"),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", r"127\.0\.0\.1:\d+", r"127\.0\.0\.1:\d+"),
    "v2-inet": (v2(1, 0x11, inet("192.0.2.1", "198.51.100.2", 1111, 443)), "192.0.2.1:1111", "198.51.100.2:443"),
    "v2-inet6": (v2(1, 0x21, bytes.fromhex("20010db8" + "00" * 11 + "01" + "20010db8" + "00" * 11 + "02") + struct.pack("!HH", 1111, 443)),
                 "2001:db8::1:1111", "2001:db8::2:443"),
    "v2-local": (v2(0, 0x00, b""), r"127\.0\.0\.1:\d+", r"127\.0\.0\.1:\d+"),
    "v2-unspec": (v2(1, 0x00, b""), r"127\.0\.0\.1:\d+", r"127\.0\.0\.1:\d+"),
    "v2-tlv": (v2(1, 0x11, inet("192.0.2.1", "198.51.100.2", 1111, 443) + b"\x02\x00\x09localhost"), "192.0.2.1:1111", "198.51.100.2:443"),
    "v2-long-tlv": (v2(1, 0x11, inet("192.0.2.1", "198.51.100.2", 1111, 443) + b"\xea\x03\xe8" + b"x" * 1000), "192.0.2.1:1111",
                    "198.51.100.2:443"),
}
HOW = ["whole", "bytewise", "alone"]
HAPROXY_CANNOT = {
    "bytewise": "HAProxy 2.6 wants the header in one piece, which the protocol allows it to",
    "v2-unspec": "HAProxy 2.6 drops the command PROXY with family UNSPEC; section 2.2 says that the receiver ignores the address",
    "port": "HAProxy 2.6 reads port 65536 as 0",
}


def skip_what_haproxy_cannot(flow: Flow, *what: str) -> None:
    if flow.instance.program.name == "haproxy":
        for reason in filter(None, map(HAPROXY_CANNOT.get, what)):
            pytest.skip(reason)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", HEADERS)
def test_header_tells_the_addresses(module_flow: Flow, name: str, how: str) -> None:
    skip_what_haproxy_cannot(module_flow, name, how)
    header, source, destination = HEADERS[name]
    client = module_flow.connect("accept")
    if how == "bytewise":
        client.send_bytewise(header + GET)
    elif how == "alone":
        client.send(header)
        client.send(GET)
    else:
        client.send(header + GET)
    server = module_flow.server("accept").accept()
    head = server.receive_until(b"\r\n\r\n").decode().lower()
    server.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 204")
    assert re.search(rf"x-source: {source}\r\n", head), head
    assert re.search(rf"x-dest: {destination}\r\n", head), head
    assert re.search(rf"x-forwarded-for: {source.rpartition(':')[0]}\r\n", head), head
    module_flow.log.expect(rf"^{source} \[[^]]+\] accept accept/s [0-9/]+ 204 ")
    client.close()
    server.close()


REFUSED = {
    "port": b"PROXY TCP4 192.0.2.1 198.51.100.2 1111 65536\r\n",
    "short": b"PROXY TCP4 192.0.2.1 198.51.100.2\r\n",
    "family": b"PROXY TCP9 192.0.2.1 198.51.100.2 1 2\r\n",
    "http": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100,
    "version": _SIGNATURE + b"\x31\x11\x00\x0c" + b"x" * 12,
    "length": _SIGNATURE + b"\x21\x11\x00\x04" + b"x" * 12,
    "endless": b"PROXY " + b"x" * 200,
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused_and_logged(module_flow: Flow, name: str) -> None:
    skip_what_haproxy_cannot(module_flow, name)
    client = module_flow.connect("accept")
    client.send(REFUSED[name])
    assert client.receive_to_end() == b""
    client.close()
    module_flow.log.expect(r"^127\.0\.0\.1:\d+ \[[^]]+\] accept/front: .*PROXY")
    assert module_flow.server("accept").idle()


def test_header_that_does_not_come_is_not_waited_for(module_flow: Flow) -> None:
    client = module_flow.connect("accept")
    client.send(b"PROXY TCP4 192.0.2.1")
    client.receive_to_end()
    client.close()
    assert module_flow.server("accept").idle()


def test_header_on_a_socket_path(module_flow: Flow) -> None:
    client = module_flow.connect("accept-unix")
    client.send(HEADERS["v1-tcp4"][0] + GET)
    server = module_flow.server("accept-unix").accept()
    assert b"x-forwarded-for: 192.0.2.1\r\n" in server.receive_until(b"\r\n\r\n").lower()
    client.close()
    server.close()


def test_header_before_tcp_is_logged_and_taken_off(module_flow: Flow) -> None:
    client = module_flow.connect("accept-tcp")
    client.send(HEADERS["v1-tcp4"][0] + b"hello")
    server = module_flow.server("accept-tcp").accept()
    assert server.receive_exactly(5) == b"hello"
    server.send(b"ok")
    assert client.receive_exactly(2) == b"ok"
    client.close()
    server.close()
    module_flow.log.expect(r"^192\.0\.2\.1:1111 \[[^]]+\] accept-tcp accept-tcp/s [0-9/]+ 2 -- ")


def own_addresses(client: Peer) -> tuple[tuple[str, int], tuple[str, int]]:
    return client.socket.getsockname(), client.socket.getpeername()


def test_send_proxy_writes_one_line_with_both_addresses(module_flow: Flow) -> None:
    client = module_flow.connect("send1")
    client.send(GET)
    server = module_flow.server("send1").accept()
    (source, source_port), (destination, destination_port) = own_addresses(client)
    assert server.receive_until(b"\r\n") == f"PROXY TCP4 {source} {destination} {source_port} {destination_port}\r\n".encode()
    assert server.receive_until(b"\r\n\r\n").startswith(b"GET / HTTP/1.1\r\n")
    client.close()
    server.close()


def test_send_proxy_v2_writes_a_header_with_both_addresses(module_flow: Flow) -> None:
    client = module_flow.connect("send2")
    client.send(GET)
    server = module_flow.server("send2").accept()
    (source, source_port), (destination, destination_port) = own_addresses(client)
    wanted = v2(1, 0x11, inet(source, destination, source_port, destination_port))
    assert server.receive_exactly(len(wanted)) == wanted
    assert server.receive_until(b"\r\n\r\n").startswith(b"GET / HTTP/1.1\r\n")
    client.close()
    server.close()


def test_server_that_speaks_first_still_gets_the_header_first(module_flow: Flow) -> None:
    client = module_flow.connect("send-tcp")
    server = module_flow.server("send-tcp").accept()
    assert server.receive_until(b"\r\n").startswith(b"PROXY TCP4 127.0.0.1 ")
    server.send(b"220 ready\r\n")
    assert client.receive_until(b"\r\n") == b"220 ready\r\n"
    client.close()
    server.close()


def test_client_of_a_socket_path_has_no_address_to_tell(module_flow: Flow) -> None:
    client = module_flow.connect("send-unix")
    client.send(b"hello")
    server = module_flow.server("send-unix").accept()
    head = server.receive_exactly(16)
    assert head[:12] == _SIGNATURE
    block = server.receive_exactly(struct.unpack("!H", head[14:16])[0])
    assert (head[12], head[13]) in ((0x20, 0x00), (0x21, 0x00), (0x21, 0x31)), head
    assert len(block) in (0, 216)
    assert server.receive_exactly(5) == b"hello"
    client.close()
    server.close()


def test_address_that_was_told_is_told_on(module_flow: Flow) -> None:
    client = module_flow.connect("relayed")
    client.send(HEADERS["v1-tcp4"][0] + b"hello")
    server = module_flow.server("relayed").accept()
    assert server.receive_until(b"\r\n") == HEADERS["v1-tcp4"][0]
    assert server.receive_exactly(5) == b"hello"
    client.close()
    server.close()
