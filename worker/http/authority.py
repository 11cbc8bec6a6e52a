"""Host fields, authorities and the forms of a request target: validated, normalised, and made to agree. Sans-io.

Two readers that take different hosts from one request are the root of cache poisoning and routing around rules ("Host of
Troubles", 2016). So what we forward names one host, once: a Host value is a host and a port and nothing else, and an absolute
target must agree with it.

Normalised by scheme (RFC 3986 section 6.2.3): the scheme's default port and an empty port go, from target and Host both, and an
empty path becomes "/". Host in an origin-form request stays as written: no scheme says there what its default is.

Source: RFC 9112 sections 3.2 and 3.3; RFC 9110 sections 4.2.4, 7.2 and 9.3.6; RFC 3986 sections 3.2.2, 3.2.3 and 6.2.3.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

from common.errors import WireError

PORT_MAX = 65535

# reg-name without its comma: legal in RFC 3986, but a list to everyone who joins repeated fields.
_AUTHORITY = re.compile(
    rb"((?:[A-Za-z0-9\-._~!$&'()*+;=]++|%[0-9A-Fa-f]{2})*"
    rb"|\[(?:[0-9A-Fa-f:.]++|[vV][0-9A-Fa-f]++\.[A-Za-z0-9\-._~!$&'()*+;=:]++)\])"
    rb"(?::([0-9]{0,5}+))?"
)
PLAIN_HOST = re.compile(rb"[0-9A-Za-z][0-9A-Za-z\-.]*+(?::[0-9]{1,4}+)?")
"""Most Host values there are, seen quickly. What it does not match, parse_authority judges."""

_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*+)://([^/?]*+)(.*+)")
_DEFAULT_PORTS = {b"http": b"80", b"https": b"443"}


class Authority(NamedTuple):
    """host: as written (brackets kept), maybe empty. port: digits, b"" for a colon without port, None without colon."""

    host: bytes
    port: bytes | None

    def __bytes__(self) -> bytes:
        return self.host if self.port is None else self.host + b":" + self.port

    def without_port(self, *ports: bytes) -> Authority:
        """The same without its port, if that is empty or one of these."""
        return Authority(self.host, None) if self.port == b"" or self.port in ports else self


class Place(NamedTuple):
    """Where a request goes. target: normalised. host: value of the Host field to forward, None if there is none."""

    target: bytes
    host: bytes | None


def parse_authority(value: bytes) -> Authority | None:
    """host [":" port] without userinfo, or None if it is not one."""
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        return None
    host, port = match.groups()
    if port and int(port) > PORT_MAX:
        return None
    if host[:1] == b"[" and host[1:2] not in b"vV":
        try:
            IPv6Address(host[1:-1].decode("ascii"))
        except AddressValueError:
            return None
    return Authority(host, port)


def is_host(value: bytes) -> bool:
    """Whether this is a valid value of Host. The empty one is: RFC 9110 section 7.2 has clients send it where a URI has no authority."""
    return parse_authority(value) is not None


def place_request(method: bytes, target: bytes, host: bytes | None) -> Place:
    """Checks target form, Host and their agreement, and normalises both.

    Takes origin form; absolute form; `*` with OPTIONS; host:port with CONNECT. Raises WireError (400) for everything else.
    Whether Host may be absent is the caller's question: it depends on the version.
    """
    named = parse_authority(host) if host is not None else None
    if host is not None and named is None:
        raise WireError("bad_host")
    if method == b"CONNECT":
        return _place_connect(target, named)
    if target[:1] == b"/":
        return Place(target, host)
    if target == b"*":
        if method != b"OPTIONS":
            raise WireError("asterisk_target")
        return Place(target, host)
    return _place_absolute(method, target, named)


def _place_connect(target: bytes, named: Authority | None) -> Place:
    wanted = parse_authority(target)
    if wanted is None or not wanted.host or not wanted.port:
        raise WireError("connect_target")
    if named is None:
        named = wanted
    if named.host.lower() != wanted.host.lower() or (named.port or wanted.port) != wanted.port:
        raise WireError("host_mismatch")
    return Place(target, bytes(named.without_port(b"80", b"443")))


def _place_absolute(method: bytes, target: bytes, named: Authority | None) -> Place:
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise WireError("bad_target")
    scheme, written, path = match.groups()
    if b"@" in written:
        raise WireError("userinfo_in_target")
    wanted = parse_authority(written)
    if wanted is None or not wanted.host:
        raise WireError("bad_target")
    default = _DEFAULT_PORTS.get(scheme.lower())
    ports = (default,) if default is not None else ()
    plain = wanted.without_port(*ports)
    if named is not None:
        named = named.without_port(*ports)
        if named.host.lower() != plain.host.lower() or named.port != plain.port:
            raise WireError("host_mismatch")
    if default is not None and path[:1] != b"/" and (path or method != b"OPTIONS"):
        path = b"/" + path  # but OPTIONS with an empty path asks about the server as a whole (RFC 9112 section 3.2.4)
    return Place(scheme + b"://" + bytes(plain) + path, bytes(named if named is not None else plain))
