"""TLS on the pump. The one file that touches pyOpenSSL's connections.

`TlsStream` offers what `common.net.stream.Stream` offers. pyOpenSSL's own `recv` and `send` cost about 5 µs a call
(a buffer per read, four checks per result), so the two hot calls go to the functions underneath (`SSL_read`,
`SSL_write`), with one buffer for the whole process; everything else uses pyOpenSSL as it is meant.

Errors of the TLS layer become `TlsError(slug)`; a peer that vanishes without close_notify reads as the end of the stream,
as a plain socket's would: HTTP framing says whether something is missing.
"""

from __future__ import annotations

import socket
from math import inf
from typing import Any

from OpenSSL import SSL

from common.net.pump import Pump
from common.net.stream import READ_SIZE, Stream

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]
_read = _lib.SSL_read
_write = _lib.SSL_write
_get_error = _lib.SSL_get_error
_buffer = _ffi.new("char[]", READ_SIZE)
_buffer_view = memoryview(_ffi.buffer(_buffer))

_WANT_READ = SSL._lib.SSL_ERROR_WANT_READ  # type: ignore[attr-defined]
_WANT_WRITE = SSL._lib.SSL_ERROR_WANT_WRITE  # type: ignore[attr-defined]
_ZERO_RETURN = SSL._lib.SSL_ERROR_ZERO_RETURN  # type: ignore[attr-defined]
_RELEASE_BUFFERS = _lib.SSL_MODE_RELEASE_BUFFERS

# A single SSL_write makes one record (at most 16 KiB) because partial writes are on.
RECORD_BYTES_MAX = 16384


class TlsError(ConnectionError):
    """The TLS layer gave up. slug: stable reason for logs; detail: OpenSSL's words."""

    def __init__(self, slug: str, detail: str = "", code: int = 0) -> None:
        super().__init__(detail or slug)
        self.slug = slug
        self.detail = detail or slug
        self.code = code


# OpenSSL's reason texts that mean something to an operator, by part of the text.
_REASONS = (
    ("http request", "tls_http_request"),
    ("https proxy request", "tls_http_request"),
    ("wrong version number", "tls_wrong_version"),
    ("unsupported protocol", "tls_unsupported_protocol"),
    ("no shared cipher", "tls_no_shared_cipher"),
    ("no suitable", "tls_no_shared_parameters"),
    ("certificate verify failed", "tls_certificate_verify_failed"),
    ("peer did not return a certificate", "tls_no_client_certificate"),
    ("alert", "tls_peer_alert"),
    ("unexpected eof", "tls_closed_in_handshake"),
    ("callback failed", "tls_unknown_server_name"),
)


def take_error() -> TlsError:
    """The oldest error of OpenSSL's queue, which is emptied."""
    first = _lib.ERR_get_error()
    _lib.ERR_clear_error()
    if not first:
        return TlsError("tls_closed_in_handshake", "connection closed")
    text = _ffi.string(_lib.ERR_reason_error_string(first) or _ffi.new("char[]", b"unknown")).decode("latin-1")
    slug = next((slug for part, slug in _REASONS if part in text.lower()), "tls_protocol_error")
    return TlsError(slug, text, int(first))


class TlsStream(Stream):
    """A TLS connection over a socket of ours. connection is pyOpenSSL's, for everything that is not hot."""

    __slots__ = (
        "broken",
        "connection",
        "error_code",
        "error_text",
        "handshake_done",
        "ssl",
        "verify_ca_error",
        "verify_ca_error_depth",
        "verify_error",
    )

    tls = True

    def __init__(self, pump: Pump, sock: socket.socket, context: SSL.Context, *, server_side: bool, shared: bool = False) -> None:
        super().__init__(pump, sock, shared=shared)
        self.connection = SSL.Connection(context, sock)
        self.ssl = self.connection._ssl
        self.handshake_done = False
        self.broken = False
        self.error_code = 0
        self.error_text = b""
        # Filled by the verification callback (worker/certs.py): the first fault of the leaf and of its issuers.
        self.verify_error = self.verify_ca_error = self.verify_ca_error_depth = 0
        if server_side:
            self.connection.set_accept_state()
        else:
            self.connection.set_connect_state()

    @classmethod
    def over(cls, stream: Stream, context: SSL.Context, *, server_side: bool) -> TlsStream:
        """TLS over a plain stream, which must not be used any more."""
        shared = stream.shared
        sock = stream.detach()
        return cls(stream.pump, sock, context, server_side=server_side, shared=shared)

    async def handshake(self, deadline: float) -> None:
        """Raises TlsError, DeadlinePassed."""
        while True:
            result = _lib.SSL_do_handshake(self.ssl)
            if result == 1:
                self.handshake_done = True
                return
            error = _get_error(self.ssl, result)
            if error == _WANT_READ:
                if self.ended and self._at_end():
                    self.broken = True
                    raise TlsError("tls_closed_in_handshake", "connection closed during the handshake")
                await self.readable(deadline)
            elif error == _WANT_WRITE:
                await self.writable(deadline)
            else:
                self.broken = True
                failure = take_error()
                self.error_code, self.error_text = failure.code, failure.detail.encode()
                raise failure

    def recv_now(self, size: int = READ_SIZE) -> bytes | None:
        if self.drained:
            return None
        count = _read(self.ssl, _buffer, size if size < READ_SIZE else READ_SIZE)
        if count > 0:
            return _buffer_view[:count].tobytes()
        error = _get_error(self.ssl, count)
        if error == _WANT_READ:
            if self.ended:
                return b"" if self._at_end() else None
            self.drained = True
            return None
        if error == _ZERO_RETURN:
            return b""
        if error == _WANT_WRITE:
            return None
        self.broken = True
        take_error()
        return b""

    def peek_end(self) -> bool:
        """An idle TLS connection that got anything is looked at by reading: tickets are swallowed, data or an end is not wanted."""
        if self.drained:
            return False
        return self.recv_now(1) is not None

    def send_now(self, data: bytes | memoryview) -> int:
        total = len(data)
        if total <= RECORD_BYTES_MAX:
            count = _write(self.ssl, data if isinstance(data, bytes) else _ffi.from_buffer(data), total)
            if count == total:
                return total
            return self._sent(count)
        done = 0
        whole = _ffi.from_buffer(data)
        while done < total:
            count = _write(self.ssl, whole + done, total - done)
            if count <= 0:
                self._sent(count)
                break
            done += count
        return done

    def _sent(self, count: int) -> int:
        if count > 0:
            return int(count)
        error = _get_error(self.ssl, count)
        if error in (_WANT_WRITE, _WANT_READ):
            return 0
        self.broken = True
        raise take_error()

    def _at_end(self) -> bool:
        """Whether the socket below has nothing left but its end."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def shutdown_write(self) -> None:
        self._close_notify()
        super().shutdown_write()

    def close(self) -> None:
        if not self.closed:
            self._close_notify()
        super().close()

    def _close_notify(self) -> None:
        """Tell the peer that nothing is missing. One try: a peer that does not read does not hold us."""
        if self.handshake_done and not self.broken:
            if _lib.SSL_shutdown(self.ssl) < 0:
                _lib.ERR_clear_error()
            self.broken = True


def release_buffers(context: SSL.Context) -> None:
    """Idle connections give their read and write buffers back (34 KiB each)."""
    context.set_mode(_RELEASE_BUFFERS)


async def connect_tls(
    stream: Stream, context: SSL.Context, server_name: bytes | None, session: SSL.Session | None, deadline: float = inf
) -> TlsStream:
    """A client's handshake over a connected stream. Raises TlsError, DeadlinePassed; the stream is closed then."""
    tls = TlsStream.over(stream, context, server_side=False)
    try:
        if server_name:
            tls.connection.set_tlsext_host_name(server_name)
        if session is not None:
            tls.connection.set_session(session)
        await tls.handshake(deadline)
    except BaseException:
        tls.close()
        raise
    return tls
