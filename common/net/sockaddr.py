"""From the model's addresses to what the socket calls take."""

from __future__ import annotations

import socket
from dataclasses import replace

from common.errors import ConfigError
from common.model import Address, AddressKind, Server

SUN_PATH_BYTES = 108

SockAddr = tuple[str, int] | tuple[str, int, int, int] | bytes | str

PRIVILEGED_PORTS = 1024


def abstract_name(address: Address) -> bytes:
    """The kernel's name of an abstract socket.

    HAProxy's `abns@` fills the whole sun_path with NULs; `abnsz@` ends with the name. Both must be spelt alike on both ends.
    """
    name = b"\0" + address.path.encode()
    return name.ljust(SUN_PATH_BYTES, b"\0") if address.kind is AddressKind.ABNS else name


def sockaddr(address: Address) -> tuple[socket.AddressFamily, SockAddr]:
    """(family, address) for connect or bind. The host must be numeric already; raises ConfigError for `fd@`."""
    if address.kind is AddressKind.INET:
        return socket.AF_INET, (address.host or "0.0.0.0", address.port)
    if address.kind is AddressKind.INET6:
        return socket.AF_INET6, (address.host or "::", address.port, 0, 0)
    if address.kind is AddressKind.UNIX:
        return socket.AF_UNIX, address.path
    if address.kind is AddressKind.FD:
        raise ConfigError(f"fd@{address.fd} is a descriptor, not an address that one can connect to")
    return socket.AF_UNIX, abstract_name(address)


def is_numeric(address: Address) -> bool:
    """Whether nothing need be looked up."""
    if address.kind not in (AddressKind.INET, AddressKind.INET6) or not address.host:
        return True
    try:
        socket.inet_pton(socket.AF_INET6 if address.kind is AddressKind.INET6 else socket.AF_INET, address.host)
    except OSError:
        return False
    return True


def resolve(address: Address) -> Address:
    """The address with a numeric host (the resolver's first answer). Raises ConfigError when there is none."""
    if is_numeric(address):
        return address
    wanted = socket.AF_INET6 if address.kind is AddressKind.INET6 else socket.AF_UNSPEC
    try:
        found = socket.getaddrinfo(address.host, None, wanted, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"could not resolve address '{address.host}': {error.strerror or error}") from error
    family, *_, found_address = found[0]
    kind = AddressKind.INET6 if family == socket.AF_INET6 else AddressKind.INET
    return Address(kind, str(found_address[0]), address.port, port_offset=address.port_offset)


def initial(server: Server) -> Address | None:
    """Where a server is at the start, by the ways of its `init-addr`; None: it starts without an address. Raises ConfigError.

    "last" is nowhere on record, so the next way is tried.
    """
    failed: ConfigError | None = None
    for way in server.options.get("init-addr", ("libc",)):
        if way == "none":
            return None
        try:
            if way == "libc":
                return resolve(server.address)
            if way != "last":
                return resolve(replace(server.address, kind=AddressKind.INET6 if ":" in way else AddressKind.INET, host=way))
        except ConfigError as error:
            failed = error
    raise failed or ConfigError(f"could not resolve address '{server.address.host}': init-addr names no way to find it")


def packed(sock_address: object) -> tuple[bytes, int]:
    """(packed address, port) of what accept or getsockname gave; (b"", 0) for unix sockets."""
    if isinstance(sock_address, tuple) and len(sock_address) >= 2:
        host, port = sock_address[0], sock_address[1]
        if ":" in host:
            address = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
            # A v4 client of a v6 socket is a v4 client: ACLs and logs mean its own address.
            return (address[12:], port) if address.startswith(b"\0" * 10 + b"\xff\xff") else (address, port)
        return socket.inet_aton(host), port
    return b"", 0


def has_privileged_port(address: object) -> bool:
    """Whether what accept said of a client is an Internet address with a port that only privileged programs get (RFC 6335)."""
    return isinstance(address, tuple) and 0 < address[1] < PRIVILEGED_PORTS
