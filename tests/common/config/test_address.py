"""Addresses by place: what is accepted, what it becomes, and what the refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.address import BIND, CHECK, LOG, SERVER, SOURCE, AddressError, Form, parse_address, parse_addresses
from common.model import Address, AddressKind

INET, INET6, UNIX, ABNS, ABNSZ, FD = (
    AddressKind.INET,
    AddressKind.INET6,
    AddressKind.UNIX,
    AddressKind.ABNS,
    AddressKind.ABNSZ,
    AddressKind.FD,
)

GOOD = [
    (BIND, ":80", Address(INET, "0.0.0.0", 80)),
    (BIND, "*:80", Address(INET, "0.0.0.0", 80)),
    (BIND, "127.0.0.1:80", Address(INET, "127.0.0.1", 80)),
    (BIND, ":::80", Address(INET6, "::", 80)),
    (BIND, "::1:80", Address(INET6, "::1", 80)),
    (BIND, "[::1]:80", Address(INET6, "::1", 80)),
    (BIND, "ipv6@:80", Address(INET6, "::", 80)),
    (BIND, "ipv6@site:80", Address(INET6, "site", 80)),
    (BIND, "ipv4@:80", Address(INET, "0.0.0.0", 80)),
    (BIND, "tcp@:80", Address(INET, "0.0.0.0", 80)),
    (BIND, "tcp6@:80", Address(INET6, "::", 80)),
    (BIND, "stream+ipv4@:80", Address(INET, "0.0.0.0", 80)),
    (BIND, "stream+fd@3", Address(FD, fd=3)),
    (BIND, "localhost:80", Address(INET, "localhost", 80)),
    (BIND, "my_host.example.org:80", Address(INET, "my_host.example.org", 80)),
    (BIND, "/run/x.sock", Address(UNIX, path="/run/x.sock")),
    (BIND, "unix@x.sock", Address(UNIX, path="x.sock")),
    (BIND, "uxst@/x", Address(UNIX, path="/x")),
    (BIND, "abns@p2", Address(ABNS, path="p2")),
    (BIND, "abnsz@p2", Address(ABNSZ, path="p2")),
    (BIND, "fd@12", Address(FD, fd=12)),
    (SERVER, "192.0.2.1:80", Address(INET, "192.0.2.1", 80)),
    (SERVER, "192.0.2.1", Address(INET, "192.0.2.1", 0, port_offset=True)),
    (SERVER, "192.0.2.1:", Address(INET, "192.0.2.1", 0, port_offset=True)),
    (SERVER, "192.0.2.1:0", Address(INET, "192.0.2.1", 0, port_offset=True)),
    (SERVER, "192.0.2.1:+1000", Address(INET, "192.0.2.1", 1000, port_offset=True)),
    (SERVER, "192.0.2.1:-5", Address(INET, "192.0.2.1", -5, port_offset=True)),
    (SERVER, "app.example.org:8080", Address(INET, "app.example.org", 8080)),
    (SERVER, "2001:db8::1", Address(INET6, "2001:db8::1", 0, port_offset=True)),
    (SERVER, "[2001:db8::1]:80", Address(INET6, "2001:db8::1", 80)),
    (SERVER, "stream+127.0.0.1:80", Address(INET, "127.0.0.1", 80)),
    (SERVER, "abns@w", Address(ABNS, path="w")),
    (BIND, "stream+fd@5", Address(FD, fd=5)),
    (LOG, "127.0.0.1", Address(INET, "127.0.0.1", 514)),
    (LOG, "127.0.0.1:515", Address(INET, "127.0.0.1", 515)),
    (LOG, "::1", Address(INET6, "::1", 514)),
    (LOG, "udp@loghost:10514", Address(INET, "loghost", 10514)),
    (LOG, "/dev/log", Address(UNIX, path="/dev/log")),
    (LOG, "fd@1", Address(FD, fd=1)),
    (SOURCE, "192.0.2.1", Address(INET, "192.0.2.1", 0)),
    (CHECK, "192.0.2.1:0", Address(INET, "192.0.2.1", 0)),
]


@pytest.mark.parametrize(("form", "text", "expected"), GOOD)
def test_address_is_read(form: Form, text: str, expected: Address) -> None:
    assert parse_address(text, form) == expected


def test_range_makes_one_address_per_port() -> None:
    assert [address.port for address in parse_addresses("127.0.0.1:8000-8003", BIND)] == [8000, 8001, 8002, 8003]
    assert [address.port for address in parse_addresses("192.0.2.1:1000-1001", SOURCE)] == [1000, 1001]


BAD = [
    (BIND, "127.0.0.1", "missing port specification in '127.0.0.1'"),
    (BIND, ":", "missing port specification in ':'"),
    (BIND, "[::1]", "missing port specification in '[::1]'"),
    (BIND, ":0", "invalid port '0'"),
    (BIND, ":70000", "invalid port '70000'"),
    (BIND, ":99999999999999", "invalid port '99999999999999'"),
    (BIND, ":a", "invalid character 'a' in port number 'a' in ':a'"),
    (BIND, ":90-80", "invalid port range '90-80'"),
    (BIND, ":1-65535", "invalid port range '1-65535'"),
    (BIND, ":+80", "port offset not permitted here in ':+80'"),
    (BIND, "1.2.3.256:80", "invalid address: '1.2.3.256' in '1.2.3.256:80'"),
    (BIND, "-1:80", "invalid address: '-1' in '-1:80'"),
    (BIND, "[::1:80", "invalid address: '[::1' in '[::1:80'"),
    (BIND, "[::1]x:80", "invalid address: '[::1]x:80' in '[::1]x:80'"),
    (BIND, "ipv4@::1:80", "invalid address: '::1' in 'ipv4@::1:80'"),
    (BIND, "ipv6@1.2.3.4:80", "invalid address: '1.2.3.4' in 'ipv6@1.2.3.4:80'"),
    (BIND, "udp@:80", "dgram-type address not acceptable in 'udp@:80'"),
    (BIND, "dgram+ipv4@:80", "dgram-type address not acceptable in 'dgram+ipv4@:80'"),
    (BIND, "quic4@:443", "address family 'quic4@' is not supported in 'quic4@:443'"),
    (BIND, "foo@:80", "unknown address family 'foo@' in 'foo@:80'"),
    (BIND, "abn@x", "unknown address family 'abn@' in 'abn@x'; did you mean 'abns' maybe ?"),
    (BIND, "nothing+ipv4@:80", "unknown socket type 'nothing' in 'nothing+ipv4@:80'"),
    (BIND, "abns@", "missing name in 'abns@'"),
    (BIND, "unix@", "missing path in 'unix@'"),
    (BIND, "/" + "x" * 107, "socket path '/" + "x" * 107 + "' too long (max 107)"),
    (BIND, "fd@", "file descriptor '' is not a valid integer in 'fd@'"),
    (BIND, "fd@x", "file descriptor 'x' is not a valid integer in 'fd@x'"),
    (SERVER, "192.0.2.1:80-90", "port range not permitted here in '192.0.2.1:80-90'"),
    (SERVER, "@foo:80", "unknown address family '@' in '@foo:80'"),
    (SERVER, "a b:80", "invalid address: 'a b' in 'a b:80'"),
    (SOURCE, "fd@3", "a file descriptor is not acceptable here in 'fd@3'"),
    (SOURCE, "/tmp/x", "a unix socket is not acceptable here in '/tmp/x'"),
    (LOG, "stream+127.0.0.1:514", "stream-type address not acceptable in 'stream+127.0.0.1:514'"),
    (LOG, "ring@x", "address family 'ring@' is not supported in 'ring@x'"),
]


@pytest.mark.parametrize(("form", "text", "message"), BAD)
def test_address_is_refused(form: Form, text: str, message: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text, form)
    assert caught.value.message == message


@given(st.text(max_size=60), st.sampled_from([BIND, SERVER, SOURCE, LOG, CHECK]))
def test_no_text_raises_anything_else(text: str, form: Form) -> None:
    try:
        addresses = parse_addresses(text, form)
    except AddressError as error:
        assert error.message
        return
    assert addresses
