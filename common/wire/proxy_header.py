"""A PROXY header as a value: who the client is, by the word of the proxy in front. Sans-io.

Source: PROXY protocol specification, sections 2 and 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from common.wire.address_text import as_inet6, inet6_packed, inet6_text, inet_packed, inet_text
from common.wire.tlv import SslInfo, Tlvs, TlvType, decode_ssl, printable


class Family(Enum):
    """The address family; the value is its half of a version 2 header's 14th byte."""

    UNSPEC = 0
    INET = 1
    INET6 = 2
    UNIX = 3


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """One header.

    local: it carries no client (LOCAL of version 2, UNKNOWN of version 1, an unspecified family or transport): the
    connection's own addresses count. Family is then UNSPEC, the addresses are "" and the ports 0.
    source, destination: the text of the address; for UNIX the path, with a leading NUL for an abstract name.
    tlvs: all of them as (type, value) in the order received, unknown ones, NOOP and CRC32C included.
    datagram: the client's transport is SOCK_DGRAM.
    """

    version: int
    local: bool
    family: Family
    source: str = ""
    source_port: int = 0
    destination: str = ""
    destination_port: int = 0
    tlvs: Tlvs = ()
    datagram: bool = False

    def tlv(self, kind: int) -> bytes | None:
        """The value of the last TLV of that type (HAProxy's choice too); None when there is none. Opaque: escape before logging."""
        for candidate, value in reversed(self.tlvs):
            if candidate == kind:
                return value
        return None

    @property
    def source_packed(self) -> bytes:
        """4 or 16 bytes; b"" for UNIX and without an address."""
        return self._packed(self.source)

    @property
    def destination_packed(self) -> bytes:
        return self._packed(self.destination)

    @property
    def authority(self) -> str | None:
        """The host name that the client asked for (SNI); None also when the value is no printable text."""
        return self._text(TlvType.AUTHORITY)

    @property
    def alpn(self) -> bytes | None:
        return self.tlv(TlvType.ALPN)

    @property
    def unique_id(self) -> bytes | None:
        """Opaque bytes, at most 128: escape before logging."""
        return self.tlv(TlvType.UNIQUE_ID)

    @property
    def netns(self) -> str | None:
        """The network namespace's name; None also when the value is no printable text."""
        return self._text(TlvType.NETNS)

    @property
    def ssl(self) -> SslInfo | None:
        """The client's TLS as the proxy saw it; None also when the TLV is malformed."""
        value = self.tlv(TlvType.SSL)
        return None if value is None else decode_ssl(value)

    def _text(self, kind: int) -> str | None:
        value = self.tlv(kind)
        return None if value is None else printable(value)

    def _packed(self, text: str) -> bytes:
        if self.family is Family.INET:
            return inet_packed(text) or b""
        if self.family is Family.INET6:
            return inet6_packed(text) or b""
        return b""


# The constructor of a frozen dataclass goes through object.__setattr__ for each field: 1.2 µs, more than half of decoding the
# commonest header. The slots' own setters do the same for half of that.
_new = object.__new__
_set_version, _set_local, _set_family, _set_source, _set_source_port, _set_destination, _set_destination_port, _set_tlvs, _set_datagram = (
    ProxyHeader.__dict__[name].__set__ for name in ProxyHeader.__slots__
)
_INET = Family.INET


def tcp4_header(source: str, source_port: int, destination: str, destination_port: int) -> ProxyHeader:
    """Equal to ProxyHeader(2, False, Family.INET, source, source_port, destination, destination_port). Hot."""
    header = _new(ProxyHeader)
    _set_version(header, 2)
    _set_local(header, False)
    _set_family(header, _INET)
    _set_source(header, source)
    _set_source_port(header, source_port)
    _set_destination(header, destination)
    _set_destination_port(header, destination_port)
    _set_tlvs(header, ())
    _set_datagram(header, False)
    return header


def header_between(source: bytes, source_port: int, destination: bytes, destination_port: int) -> ProxyHeader:
    """The header of a TCP client with these packed addresses; LOCAL where one is missing (b""), as with a unix socket."""
    if len(source) == len(destination) == 4:
        return tcp4_header(inet_text(source), source_port, inet_text(destination), destination_port)
    if source and destination:
        return ProxyHeader(
            2, False, Family.INET6, inet6_text(as_inet6(source)), source_port, inet6_text(as_inet6(destination)), destination_port
        )
    return ProxyHeader(2, True, Family.UNSPEC)
