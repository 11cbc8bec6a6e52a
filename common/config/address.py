"""Addresses as HAProxy writes them: `[stream+|dgram+][ipv4@|ipv6@|inet@|unix@|uxst@|abns@|abnsz@|fd@|tcp@…]host[:port[-port]]`.

What a place accepts differs: a bind line needs ports and takes ranges, a server line takes none, one or an offset from the client's,
a log target has a default port. `Form` says it. Names stay names; whoever opens the socket resolves them.

Facts (tried against HAProxy 2.6): the port follows the last colon, so `::1:80` is port 80 of ::1, and `:::80` port 80 of any IPv6 address;
`*`, nothing at all and `0.0.0.0` are any IPv4 address; a host that looks like numbers and dots must be an IPv4 address.
Sans-io.
Source: HAProxy configuration manual 11 (address formats), 4.2 "bind", 5.2 "server".
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum

from common.config.lexer import encode
from common.config.suggest import did_you_mean
from common.model import Address, AddressKind

PORT_MAX = 65535
PATH_BYTES_MAX = 107  # sun_path less the NUL (unix) or the leading NUL (abns)
PORTS_MAX = 1 << 12  # listeners that one range may make

_SOCKET_TYPE = re.compile(r"([a-z]+)\+")
_PREFIX = re.compile(r"([a-z0-9]*)@")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_NUMERIC = re.compile(r"[0-9.]+")
_PORT = re.compile(r"([+-]?)([0-9]+)(?:-([0-9]+))?")

_PLAIN_KINDS = {
    "ipv4": AddressKind.INET,
    "ipv6": AddressKind.INET6,
    "unix": AddressKind.UNIX,
    "abns": AddressKind.ABNS,
    "abnsz": AddressKind.ABNSZ,
    "fd": AddressKind.FD,
}
_STREAM_KINDS = {"tcp4": AddressKind.INET, "tcp6": AddressKind.INET6, "uxst": AddressKind.UNIX}
_DATAGRAM_KINDS = {"udp4": AddressKind.INET, "udp6": AddressKind.INET6, "uxdg": AddressKind.UNIX}
_REFUSED = {
    "quic4": "QUIC is not available here; TCP with TLS is: drop the prefix.",
    "quic6": "QUIC is not available here; TCP with TLS is: drop the prefix.",
    "rhttp": "Reverse HTTP is not available here; let the servers accept connections.",
    "sockpair": "Socket pairs are HAProxy's own between master and worker; use unix@ or abns@.",
    "ring": "Rings are not available here; send logs to stdout, stderr, a file descriptor or a syslog server.",
    "mptcp": "Multipath TCP is not available here; drop the prefix.",
    "mptcp4": "Multipath TCP is not available here; write ipv4@.",
    "mptcp6": "Multipath TCP is not available here; write ipv6@.",
}


class Ports(Enum):
    """What may follow the host."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Form:
    """What a place accepts. offset: "+1000", "-5" and none at all count from the client's port. zero: port 0 may be written.

    datagram: the socket is one (log targets); then stream prefixes are refused, and the other way round.
    """

    ports: Ports = Ports.REQUIRED
    ranges: bool = False
    offset: bool = False
    zero: bool = False
    fd: bool = True
    unix: bool = True
    any_host: bool = True
    names: bool = True
    datagram: bool = False
    default_port: int = 0


BIND = Form(ranges=True)
SERVER = Form(ports=Ports.OPTIONAL, offset=True, zero=True, fd=False)
SOURCE = Form(ports=Ports.OPTIONAL, ranges=True, zero=True, fd=False, unix=False)
LOG = Form(ports=Ports.OPTIONAL, datagram=True, default_port=514)
CHECK = Form(ports=Ports.OPTIONAL, zero=True, fd=False)
PEER = Form()


class AddressError(ValueError):
    """A text that is no address here. hint: what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def parse_address(text: str, form: Form) -> Address:
    """One address. Raises AddressError; a form with ranges must use `parse_addresses`."""
    addresses = parse_addresses(text, form)
    if len(addresses) != 1:
        raise AddressError(f"port range not permitted here in '{text}'", "Write one port.")
    return addresses[0]


def parse_addresses(text: str, form: Form) -> list[Address]:
    """Every address of the text: several for a port range, else one. Raises AddressError."""
    kind, rest = _kind(text, form)
    if kind is AddressKind.FD:
        return [_descriptor(text, rest, form)]
    if kind in (AddressKind.UNIX, AddressKind.ABNS, AddressKind.ABNSZ):
        return [_path(kind, text, rest, form)]
    return _inet(kind, text, rest, form)


def _kind(text: str, form: Form) -> tuple[AddressKind | None, str]:
    """The kind that the prefix or the form of the text says (None: IPv4, IPv6 or a name, by the host), and the rest."""
    typed = _SOCKET_TYPE.match(text)
    socket_type = typed[1] if typed else ""
    if socket_type not in ("", "stream", "dgram"):
        raise AddressError(f"unknown socket type '{socket_type}' in '{text}'", "Socket types are stream+ and dgram+.")
    if (socket_type == "dgram" and not form.datagram) or (socket_type == "stream" and form.datagram):
        raise AddressError(f"{socket_type}-type address not acceptable in '{text}'", "Drop the part before the '+'.")
    untyped = text[typed.end() :] if typed else text
    match = _PREFIX.match(untyped)
    if not match:
        return (AddressKind.UNIX, untyped) if untyped.startswith("/") else (None, untyped)
    family, rest = match[1], untyped[match.end() :]
    if family in _REFUSED:
        raise AddressError(f"address family '{family}@' is not supported in '{text}'", _REFUSED[family])
    if family in ("tcp", "udp", "inet") or family in _STREAM_KINDS or family in _DATAGRAM_KINDS:
        datagram = family.startswith("udp") or family == "uxdg"
        if family != "inet" and datagram is not form.datagram:
            raise AddressError(f"{'dgram' if datagram else 'stream'}-type address not acceptable in '{text}'")
        return (_STREAM_KINDS | _DATAGRAM_KINDS).get(family), rest
    if family in _PLAIN_KINDS:
        return _PLAIN_KINDS[family], rest
    near = did_you_mean(family, _PLAIN_KINDS)
    raise AddressError(f"unknown address family '{family}@' in '{text}'{near}", "Families are ipv4@, ipv6@, unix@, abns@, abnsz@ and fd@.")


def _descriptor(text: str, rest: str, form: Form) -> Address:
    if not form.fd:
        raise AddressError(f"a file descriptor is not acceptable here in '{text}'", "Write an address.")
    if not (rest.isascii() and rest.isdigit()) or len(rest) > 9:
        hint = "Is the variable set in the environment of this command?" if not rest else "Write a number, as in fd@3."
        raise AddressError(f"file descriptor '{rest}' is not a valid integer in '{text}'", hint)
    return Address(AddressKind.FD, fd=int(rest))


def _path(kind: AddressKind, text: str, rest: str, form: Form) -> Address:
    if not form.unix:
        raise AddressError(f"a unix socket is not acceptable here in '{text}'", "Write an IP address.")
    if not rest:
        raise AddressError(f"missing {'path' if kind is AddressKind.UNIX else 'name'} in '{text}'")
    if len(encode(rest)) > PATH_BYTES_MAX:
        raise AddressError(f"socket path '{rest}' too long (max {PATH_BYTES_MAX})", "Shorten it.")
    return Address(kind, path=rest)


def _inet(kind: AddressKind | None, text: str, rest: str, form: Form) -> list[Address]:
    host, port_text = _split(text, rest, form)
    kind, host = _host(kind, text, host, form)
    ports, offset = _ports(text, port_text, form)
    return [Address(kind, host=host, port=port, port_offset=offset) for port in ports]


def _split(text: str, rest: str, form: Form) -> tuple[str, str | None]:
    """Host and port; port None when there is none."""
    if rest.startswith("["):
        end = rest.find("]")
        if end < 0:
            raise AddressError(f"invalid address: '{rest.rpartition(':')[0] or rest}' in '{text}'", "Close the bracket.")
        after = rest[end + 1 :]
        if after and not after.startswith(":"):
            raise AddressError(f"invalid address: '{rest}' in '{text}'", "After the bracket there may only be a colon and a port.")
        return rest[1:end], after[1:] or None
    host, colon, port = rest.rpartition(":")
    if not colon or form.ports is Ports.NONE:
        return rest, None
    if form.ports is Ports.OPTIONAL and ":" in host and _is_ipv6(rest) and not _is_ipv6(host):
        return rest, None  # "fe80::1": the last group is no port
    return host, port or None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _host(kind: AddressKind | None, text: str, host: str, form: Form) -> tuple[AddressKind, str]:
    """The kind, decided now, and the host as written; any address in full."""
    if host in ("", "*"):
        if not form.any_host:
            raise AddressError(f"missing host in '{text}'", "Write an address or a name.")
        return (AddressKind.INET6, "::") if kind is AddressKind.INET6 else (AddressKind.INET, "0.0.0.0")
    if ":" in host:
        if kind is AddressKind.INET or not _is_ipv6(host):
            raise AddressError(f"invalid address: '{host}' in '{text}'", "IPv6 addresses with a port are written [address]:port.")
        return AddressKind.INET6, host
    if host == "0":  # how resolvers read it: any address
        return AddressKind.INET, "0.0.0.0"
    if _NUMERIC.fullmatch(host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise AddressError(f"invalid address: '{host}' in '{text}'", "An IPv4 address is four numbers from 0 to 255.") from None
        if kind is AddressKind.INET6:
            raise AddressError(f"invalid address: '{host}' in '{text}'", "ipv6@ takes an IPv6 address or a name.")
        return AddressKind.INET, host
    if not form.names or not _HOST_NAME.fullmatch(host):
        raise AddressError(f"invalid address: '{host}' in '{text}'")
    return kind or AddressKind.INET, host


def _ports(text: str, port_text: str | None, form: Form) -> tuple[range, bool]:
    """The ports, and whether they count from the client's."""
    if port_text is None:
        if form.ports is Ports.REQUIRED:
            raise AddressError(f"missing port specification in '{text}'", f"Write a port after it, as in '{text.rstrip(':')}:80'.")
        return range(form.default_port, form.default_port + 1), form.offset
    match = _PORT.fullmatch(port_text)
    if not match:
        stranger = next((letter for letter in port_text if not letter.isdigit()), "")
        raise AddressError(f"invalid character '{stranger}' in port number '{port_text}' in '{text}'")
    sign, first, last = match.groups()
    if sign and (not form.offset or last):
        raise AddressError(f"port offset not permitted here in '{text}'", "Write the port itself.")
    if last and not form.ranges:
        raise AddressError(f"port range not permitted here in '{text}'", "Write one port.")
    low, high = _port(first, form, signed=bool(sign)), _port(last or first, form, signed=bool(sign))
    if high < low or high - low >= PORTS_MAX:
        raise AddressError(f"invalid port range '{port_text}'", f"Write the lower port first; a range holds at most {PORTS_MAX} ports.")
    if sign == "-":
        return range(-low, -low + 1), True
    return range(low, high + 1), bool(sign) or (form.offset and low == 0)


def _port(text: str, form: Form, *, signed: bool) -> int:
    value = int(text) if len(text) < 10 else PORT_MAX + 1
    if value > PORT_MAX or (value == 0 and not form.zero and not signed):
        raise AddressError(f"invalid port '{text}'", f"Ports are 1 to {PORT_MAX}.")
    return value
