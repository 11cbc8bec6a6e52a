"""What a server is told of the client before the client's first byte: PROXY headers, with what the configuration adds to them.

    proxy-v2-options ssl,cert-cn,cert-key,cert-sig,ssl-cipher,authority,unique-id,crc32c       set-proxy-v2-tlv-fmt(0xE1) FORMAT

A header stands for the whole connection, so a connection whose header would be another one for the next request is not used for it
(`Announcement.varies`).

Source: HAProxy manual 5.2 "send-proxy-v2", "proxy-v2-options", "set-proxy-v2-tlv-fmt"; PROXY protocol specification, section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from common import model
from common.acl import certificates
from common.acl.facts_tls import TlsFacts
from common.wire import proxy_protocol
from common.wire.proxy_header import ProxyHeader, header_between
from common.wire.tlv import SslClient, SslInfo, TlvType, encode_ssl

if TYPE_CHECKING:
    from worker.exchange import Exchange

Formats = tuple[tuple[int, Callable[[Any], bytes]], ...]
_UNIQUE_ID_BYTES_MAX = 128


class Announcement:
    """The header of one server. varies: two requests of one client may need different ones."""

    __slots__ = ("_formats", "_options", "_plain", "_version", "varies")

    def __init__(self, server: model.Server, formats: Formats) -> None:
        self._version = server.send_proxy
        self._options = server.proxy_v2_options
        self._formats = formats
        self._plain = self._version == 1 or not (self._options or formats)
        self.varies = not self._plain and bool("unique-id" in self._options or formats)

    def bytes_for(self, exchange: Exchange) -> bytes:
        header = header_between(exchange.src, exchange.src_port, exchange.dst, exchange.dst_port)
        if self._version == 1:
            return proxy_protocol.encode_v1(header)
        tls = exchange.session.tls
        alpn = tls.alpn if tls is not None else b""
        if self._plain and not alpn:
            return proxy_protocol.encode_v2(header)
        tlvs = [(int(TlvType.ALPN), alpn)] if alpn else []
        tlvs += [(kind, make(exchange)) for kind, make in self._formats]
        tlvs += self._options_of(exchange, tls)
        return proxy_protocol.encode_v2(replace(header, tlvs=tuple(tlvs)), crc32c="crc32c" in self._options)

    def _options_of(self, exchange: Exchange, tls: TlsFacts | None) -> list[tuple[int, bytes]]:
        options = self._options
        tlvs: list[tuple[int, bytes]] = []
        if "authority" in options:
            authority = (tls.sni if tls is not None else b"") or _received_authority(exchange.session.proxy_header)
            if authority:
                tlvs.append((TlvType.AUTHORITY, authority))
        if "unique-id" in options and exchange.unique_id:
            tlvs.append((TlvType.UNIQUE_ID, exchange.unique_id[:_UNIQUE_ID_BYTES_MAX]))
        if "ssl" in options or _SSL_DETAILS & options:
            tlvs.append((TlvType.SSL, encode_ssl(_ssl(options, tls))))
        return tlvs


_SSL_DETAILS = frozenset({"cert-cn", "ssl-cipher", "cert-sig", "cert-key"})


def _received_authority(header: ProxyHeader | None) -> bytes:
    return header.tlv(TlvType.AUTHORITY) or b"" if header is not None else b""


def _ssl(options: frozenset[str], tls: TlsFacts | None) -> SslInfo:
    if tls is None:
        return SslInfo()
    client = SslClient.SSL
    peer = certificates.load(tls.peer_certificate) if tls.peer_certificate else None
    if peer is not None:
        client |= SslClient.CERT_SESS
        if tls.peer_certificate_sent:
            client |= SslClient.CERT_CONN
    name = certificates.entry(peer.subject, "CN", 1) if peer is not None and "cert-cn" in options else None
    own = certificates.load(tls.own_certificate) if {"cert-key", "cert-sig"} & options else None
    return SslInfo(
        client=client,
        verify=tls.verify_result,
        version=tls.protocol.decode(),
        cn=name.decode("utf-8", "replace") if name else None,
        cipher=tls.cipher.decode() if "ssl-cipher" in options else None,
        sig_alg=certificates.signature_algorithm(own).decode() if own is not None and "cert-sig" in options else None,
        key_alg=certificates.key_with_bits(own) if own is not None and "cert-key" in options else None,
    )
