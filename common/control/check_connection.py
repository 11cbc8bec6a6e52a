"""One connection of a health check: connect, PROXY header, TLS, then bytes. In the master, over trio.

Checks close with a reset where nobody asked for `linger`: nothing of value is on its way, and no port is left waiting.

Source: HAProxy configuration manual 5.2 "check", "check-ssl", "check-sni", "check-alpn", "check-send-proxy", "addr", "port".
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path

import trio

from common.errors import ConfigError
from common.model import Address, AddressKind, Tls
from common.net.outlet import IP_BIND_ADDRESS_NO_PORT
from common.net.sockaddr import SockAddr, sockaddr
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_v1 import encode_v1
from common.wire.proxy_v2 import encode_v2

READ_BYTES = 16384
_RESET = struct.pack("ii", 1, 0)
_VERSIONS = {
    "TLSv1.0": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class HandshakeFailed(Exception):
    """TLS was not agreed upon. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a check goes, and in what wrapping. proxy_version: of the PROXY header, 0 without one."""

    address: Address
    source: Address | None = None
    proxy_version: int = 0
    context: ssl.SSLContext | None = None
    server_name: str = ""
    linger: bool = False


class CheckConnection:
    """An open connection. `close` never waits."""

    __slots__ = ("_linger", "_socket", "_stream", "_was_reset")

    def __init__(self, sock: trio.socket.SocketType, stream: trio.abc.Stream, *, linger: bool, was_reset: bool = False) -> None:
        """was_reset: connecting said so, and said it for the only time."""
        self._was_reset = was_reset
        self._socket = sock
        self._stream = stream
        self._linger = linger

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def receive(self) -> bytes:
        """What came, b"" at the end. A TLS peer that ends without saying so has ended too."""
        if self._was_reset:
            raise trio.BrokenResourceError from ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        try:
            return bytes(await self._stream.receive_some(READ_BYTES))
        except trio.BrokenResourceError as error:
            if isinstance(error.__cause__, ssl.SSLEOFError):
                return b""
            raise

    def close(self) -> None:
        if not self._linger:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()


async def connect(target: Target) -> tuple[trio.socket.SocketType, CheckConnection]:
    """A connection on which nothing was said yet but the PROXY header. Raises OSError. `secure` wraps it."""
    family, where = sockaddr(target.address)
    sock = trio.socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.source is not None and family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            await sock.bind(sockaddr(target.source)[1])
        was_reset = False
        try:
            await sock.connect(where)
        except ConnectionResetError:
            was_reset = True  # it was accepted and then reset: whoever speaks next is to notice
        stream = trio.SocketStream(sock)
        if target.proxy_version:
            await stream.send_all(_proxy_header(sock, target.proxy_version))
    except BaseException:
        sock.close()
        raise
    return sock, CheckConnection(sock, stream, linger=target.linger, was_reset=was_reset)


async def secure(sock: trio.socket.SocketType, target: Target) -> CheckConnection:
    """TLS over that connection. Raises HandshakeFailed."""
    assert target.context is not None
    stream = trio.SSLStream(trio.SocketStream(sock), target.context, server_hostname=target.server_name or None, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        raise HandshakeFailed(_why(error.__cause__)) from error
    return CheckConnection(sock, stream, linger=target.linger)


def _why(cause: BaseException | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"SSL handshake failure ({cause.verify_message})"
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        return f"SSL handshake failure ({cause.strerror})"
    return "SSL handshake failure"


def _proxy_header(sock: trio.socket.SocketType, version: int) -> bytes:
    """Version 2 says that nobody is behind it (LOCAL); version 1 has no word for that and tells our own addresses."""
    if version == 2:
        return encode_v2(ProxyHeader(2, True, Family.UNSPEC))
    own, peer = sock.getsockname(), sock.getpeername()
    if sock.family == socket.AF_UNIX:
        return encode_v1(ProxyHeader(1, True, Family.UNSPEC))
    family = Family.INET6 if sock.family == socket.AF_INET6 else Family.INET
    return encode_v1(ProxyHeader(1, False, family, _host(own), own[1], _host(peer), peer[1]))


def _host(address: SockAddr) -> str:
    return str(address[0]).partition("%")[0]


def check_context(settings: Tls, alpn: tuple[str, ...], *, verify_default: bool) -> ssl.SSLContext:
    """The TLS settings of a server line, for its checks. Raises ConfigError for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.minimum_version = _VERSIONS.get(settings.min_version, ssl.TLSVersion.TLSv1_2)
        if settings.max_version in _VERSIONS:
            context.maximum_version = _VERSIONS[settings.max_version]
        if settings.ciphers:
            context.set_ciphers(settings.ciphers)
        if settings.certificates:
            context.load_cert_chain(settings.certificates[0])
        if settings.verify == "required" or (not settings.verify and verify_default):
            _trust(context, settings)
        if alpn:
            context.set_alpn_protocols(list(alpn))
    except (OSError, ValueError) as error:
        raise ConfigError(f"TLS of health checks: {error}") from error
    return context


def _trust(context: ssl.SSLContext, settings: Tls) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    if settings.ca_file in (None, "@system-ca"):
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    elif Path(settings.ca_file or "").is_dir():
        for file in sorted(Path(settings.ca_file or "").glob("*.[pc][er][mrt]*")):
            context.load_verify_locations(file)
    else:
        context.load_verify_locations(settings.ca_file)
    if settings.crl_file:
        context.load_verify_locations(settings.crl_file)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    context.check_hostname = bool(settings.verifyhost)


def is_internet(address: Address) -> bool:
    return address.kind in (AddressKind.INET, AddressKind.INET6)
