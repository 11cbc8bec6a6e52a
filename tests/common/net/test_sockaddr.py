from __future__ import annotations

import socket

import pytest

from common.errors import ConfigError
from common.model import Address, AddressKind
from common.net.sockaddr import SUN_PATH_BYTES, abstract_name, packed, resolve, sockaddr

INET, INET6, UNIX = AddressKind.INET, AddressKind.INET6, AddressKind.UNIX


def test_abns_fills_the_whole_path_and_abnsz_ends_with_the_name() -> None:
    padded = abstract_name(Address(AddressKind.ABNS, path="p2"))
    assert padded == b"\0p2" + b"\0" * (SUN_PATH_BYTES - 3) and len(padded) == SUN_PATH_BYTES
    assert abstract_name(Address(AddressKind.ABNSZ, path="p2")) == b"\0p2"


def test_both_spellings_of_a_name_are_two_sockets_and_can_be_bound() -> None:
    for kind in (AddressKind.ABNS, AddressKind.ABNSZ):
        family, address = sockaddr(Address(kind, path="usher-test-spelling"))
        with socket.socket(family) as first, socket.socket(family) as second:
            first.bind(address)
            first.listen()
            second.connect(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (Address(INET, "192.0.2.1", 80), (socket.AF_INET, ("192.0.2.1", 80))),
        (Address(INET, "", 80), (socket.AF_INET, ("0.0.0.0", 80))),
        (Address(INET6, "2001:db8::1", 80), (socket.AF_INET6, ("2001:db8::1", 80, 0, 0))),
        (Address(INET6, "", 80), (socket.AF_INET6, ("::", 80, 0, 0))),
        (Address(UNIX, path="/run/a.sock"), (socket.AF_UNIX, "/run/a.sock")),
        (Address(AddressKind.ABNSZ, path="n"), (socket.AF_UNIX, b"\0n")),
    ],
)
def test_address_becomes_what_the_calls_take(address: Address, expected: tuple[int, object]) -> None:
    assert sockaddr(address) == expected


def test_descriptor_is_no_address_to_connect_to() -> None:
    with pytest.raises(ConfigError, match="fd@3"):
        sockaddr(Address(AddressKind.FD, fd=3))


@pytest.mark.parametrize(
    "address",
    [
        Address(INET, "192.0.2.1", 80),
        Address(INET, "", 80),
        Address(INET6, "2001:db8::1", 80),
        Address(UNIX, path="/run/a.sock"),
        Address(AddressKind.ABNS, path="n"),
    ],
)
def test_numeric_address_is_not_looked_up(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("looked up"))
    assert resolve(address) is address


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [
        (INET, (socket.AF_INET, ("192.0.2.7", 0)), Address(INET, "192.0.2.7", 80)),
        (INET, (socket.AF_INET6, ("2001:db8::7", 0, 0, 0)), Address(INET6, "2001:db8::7", 80)),
        (INET6, (socket.AF_INET6, ("2001:db8::7", 0, 0, 0)), Address(INET6, "2001:db8::7", 80)),
    ],
)
def test_name_becomes_the_first_answer(
    kind: AddressKind, answer: tuple[int, tuple[object, ...]], expected: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def getaddrinfo(host: str, _port: None, family: int, _type: int) -> list[tuple[object, ...]]:
        asked.append((host, family))
        return [(answer[0], socket.SOCK_STREAM, 6, "", answer[1])]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert resolve(Address(kind, "app.example", 80)) == expected
    assert asked == [("app.example", socket.AF_INET6 if kind is INET6 else socket.AF_UNSPEC)]


def test_port_offset_survives_the_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))])
    assert resolve(Address(INET, "app.example", 80, port_offset=True)).port_offset


def test_name_that_nobody_knows_is_an_error_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ConfigError, match=r"app\.invalid.*Name or service not known"):
        resolve(Address(INET, "app.invalid", 80))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("192.0.2.1", 80), (bytes([192, 0, 2, 1]), 80)),
        (("2001:db8::1", 80, 0, 0), (socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 80)),
        (("::ffff:192.0.2.1", 80, 0, 0), (bytes([192, 0, 2, 1]), 80)),
        (("fe80::1%eth0", 80, 0, 2), (socket.inet_pton(socket.AF_INET6, "fe80::1"), 80)),
        ("/run/a.sock", (b"", 0)),
        (b"\0n", (b"", 0)),
        ("", (b"", 0)),
    ],
)
def test_packed_is_what_rules_and_headers_use(address: object, expected: tuple[bytes, int]) -> None:
    assert packed(address) == expected
