"""TLS on the pump. The one file that touches pyOpenSSL's connections.

`TlsStream` offers what `common.net.stream.Stream` offers. pyOpenSSL's own `recv` and `send` cost about 5 µs a call
(a buffer per read, four checks per result), so the two hot calls go to the functions underneath (`SSL_read`,
`SSL_write`), with one buffer for the whole process; everything else uses pyOpenSSL as it is meant.

Errors of the TLS layer become `TlsError(slug)`; a peer that ends its stream without close_notify reads as one that ended
it, as on a plain socket: HTTP framing says whether something is missing. A reset is an error, as there.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Awaitable
from typing import Any

from OpenSSL import SSL

from common.acl.x509_errors import name_of_error
from common.net.pump import Pump, Strand
from common.net.stream import READ_SIZE, Stream

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]
_read = _lib.SSL_read
_write = _lib.SSL_write
_get_error = _lib.SSL_get_error
_buffer = _ffi.new("char[]", READ_SIZE)
_buffer_view = memoryview(_ffi.buffer(_buffer))

_WANT_READ = _lib.SSL_ERROR_WANT_READ
_WANT_WRITE = _lib.SSL_ERROR_WANT_WRITE
_ZERO_RETURN = _lib.SSL_ERROR_ZERO_RETURN
_SYSCALL = _lib.SSL_ERROR_SYSCALL
_ROOM = select.EPOLLOUT | select.EPOLLET
_RELEASE_BUFFERS = _lib.SSL_MODE_RELEASE_BUFFERS

# A single SSL_write makes one record (at most 16 KiB) because partial writes are on.
RECORD_BYTES_MAX = 16384
SMALL_RECORDS_BYTES = 65536
"""After a pause, so much is sent in records of tune.ssl.maxrecord: the client can begin to read before a whole large record is there."""


class TlsError(ConnectionError):
    """The TLS layer gave up. slug: stable reason for logs; detail: OpenSSL's words; errno: the system's, 0 if it was not at fault."""

    def __init__(self, slug: str, detail: str = "", code: int = 0, number: int = 0) -> None:
        super().__init__(number, detail or slug)
        self.slug = slug
        self.detail = detail or slug
        self.code = code


CLOSED = "tls_closed_in_handshake"

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
    ("unexpected eof", CLOSED),
    ("callback failed", "tls_unknown_server_name"),
)


_SYSTEM_FLAG = 0x8000_0000  # of an error that is the system's: the rest is its number


def take_error(number: int = 0) -> TlsError:
    """The oldest error of OpenSSL's queue, which is emptied. number: the system's, where OpenSSL says that it is at fault."""
    first = _lib.ERR_get_error()
    _lib.ERR_clear_error()
    if first & _SYSTEM_FLAG:
        number = first & ~_SYSTEM_FLAG
    if number or not first:
        return TlsError(CLOSED, os.strerror(number) if number else "connection closed", number=number)
    text = _ffi.string(_lib.ERR_reason_error_string(first) or _ffi.new("char[]", b"unknown")).decode("latin-1")
    slug = next((slug for part, slug in _REASONS if part in text.lower()), "tls_protocol_error")
    return TlsError(slug, text, int(first))


class Verification:
    """What OpenSSL's callbacks noted. error, ca_error, ca_depth: the first fault of the peer's own certificate and of its issuers.

    Faults are X509_V_ERR numbers. secrets: by key log label, in hexadecimal, under tune.ssl.keylog.
    """

    __slots__ = ("ca_depth", "ca_error", "error", "secrets")

    def __init__(self) -> None:
        self.error = self.ca_error = self.ca_depth = 0
        self.secrets: dict[str, bytes] = {}


class TlsStream(Stream):
    """A TLS connection over a socket of ours. connection is pyOpenSSL's, for everything that is not hot.

    verification: filled by the callback (worker/tls_policy.py) where the peer's certificate is verified. answer_waits: reading
    needs to write first, an answer to a key update, and the socket is full.
    """

    __slots__ = (
        "answer_waits",
        "blocked",
        "broken",
        "connection",
        "error_code",
        "error_text",
        "handshake_done",
        "hello",
        "sent_at",
        "sent_bytes",
        "ssl",
        "verification",
    )

    tls = True
    # Of the whole process (`limit_records`).
    record_max = RECORD_BYTES_MAX
    small_record = 0
    idle_s = 0.0

    def __init__(
        self,
        pump: Pump,
        sock: socket.socket,
        context: SSL.Context,
        *,
        server_side: bool,
        shared: bool = False,
        verification: Verification | None = None,
    ) -> None:
        super().__init__(pump, sock, shared=shared)
        self.connection = SSL.Connection(context, sock)
        self.ssl = self.connection._ssl
        self.handshake_done = False
        self.answer_waits = False
        self.blocked = 0
        self.sent_at = self.sent_bytes = 0.0
        self.broken = False
        self.error_code = 0
        self.error_text = b""
        self.hello = b""
        self.verification = verification
        if verification is not None:
            self.connection.set_app_data(verification)
        if server_side:
            self.connection.set_accept_state()
        else:
            self.connection.set_connect_state()

    @classmethod
    def over(
        cls, stream: Stream, context: SSL.Context, *, server_side: bool, verification: Verification | None = None
    ) -> TlsStream:
        """TLS over a plain stream, which must not be used any more."""
        shared = stream.shared
        sock = stream.detach()
        try:
            return cls(stream.pump, sock, context, server_side=server_side, shared=shared, verification=verification)
        except BaseException:
            sock.close()
            raise

    @property
    def is_resumed(self) -> bool:
        return bool(_lib.SSL_session_reused(self.ssl))

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
                    raise self._broken(TlsError(CLOSED, "connection closed during the handshake"))
                await self.readable(deadline)
            elif error == _WANT_WRITE:
                await self.writable(deadline)
            else:
                raise self._broken(self._failure(error))

    def _failure(self, error: int) -> TlsError:
        """What has gone wrong, after SSL_get_error said that something has."""
        failure = take_error(_ffi.errno if error == _SYSCALL else 0)
        if failure.slug == "tls_certificate_verify_failed":
            failure.detail += ": " + name_of_error(_lib.SSL_get_verify_result(self.ssl))
        return failure

    def _broken(self, failure: TlsError) -> TlsError:
        """Nothing more can be said on this connection, not even good-bye."""
        self.broken = True
        self.error_code, self.error_text = failure.code, failure.detail.encode()
        return failure

    # --- reading ---------------------------------------------------------------------------------------------------------

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
            self.answer_waits = self.drained = True
            return None
        failure = self._broken(self._failure(error))
        if failure.slug == CLOSED and not failure.errno:
            return b""
        raise failure

    def readable(self, deadline: float) -> Awaitable[None]:  # type: ignore[override]  # a coroutine is all that is waited for
        if self.answer_waits:
            return self.pump.wait_any((self,), (), deadline)
        return Stream.readable(self, deadline)

    def watch_read(self, strand: Strand) -> None:
        super().watch_read(strand)
        if self.answer_waits:
            self.watch_write()

    def watch_write(self) -> None:
        """While an answer waits, only for room to write: what lies unread in the socket would ring at each registration anew."""
        if not self.answer_waits:
            super().watch_write()
            return
        if self.mask:
            self.pump.epoll.modify(self.fd, _ROOM)
        else:
            self.pump.epoll.register(self.fd, _ROOM)
            self.pump.streams[self.fd] = self
        self.mask = _ROOM

    def answer(self) -> None:
        self.answer_waits = self.drained = False
        self.watch_write()

    def peek_end(self) -> bool:
        """An idle TLS connection that got anything is looked at by reading: tickets are swallowed, data or an end is not wanted."""
        if self.drained:
            return False
        try:
            return self.recv_now(1) is not None
        except OSError:
            return True

    def _at_end(self) -> bool:
        """Whether the socket below has nothing left but its end."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    # --- writing ---------------------------------------------------------------------------------------------------------

    def send_now(self, data: bytes | memoryview) -> int:
        if self.small_record:
            return self._send_small(data)
        total = len(data)
        if total <= self.record_max:
            count = _write(self.ssl, data if isinstance(data, bytes) else _ffi.from_buffer(data), total) if total else 0
            if count == total:
                return total
            return self._sent(count)
        done = 0
        whole = _ffi.from_buffer(data)
        record_max = self.record_max
        while done < total:
            left = total - done
            count = _write(self.ssl, whole + done, left if left < record_max else record_max)
            if count <= 0:
                self._sent(count)
                break
            done += count
        return done

    def _send_small(self, data: bytes | memoryview) -> int:
        """As send_now, in small records after a pause. A record that would block is tried again with the same size: OpenSSL insists."""
        now = self.pump.now
        if now - self.sent_at > self.idle_s:
            self.sent_bytes = 0
        self.sent_at = now
        whole, total, done = _ffi.from_buffer(data), len(data), 0
        while done < total:
            size = self.blocked or (self.small_record if self.sent_bytes < SMALL_RECORDS_BYTES else self.record_max)
            size = min(size, total - done)
            count = _write(self.ssl, whole + done, size)
            if count <= 0:
                self.blocked = size
                self._sent(count)
                break
            self.blocked = 0
            done += count
            self.sent_bytes += count
        return done

    def _sent(self, count: int) -> int:
        if count > 0:
            return int(count)
        error = _get_error(self.ssl, count)
        if error in (_WANT_WRITE, _WANT_READ):
            return 0
        raise self._broken(self._failure(error))

    # --- ending ----------------------------------------------------------------------------------------------------------

    def shutdown_write(self) -> None:
        self._close_notify()
        super().shutdown_write()

    def close(self) -> None:
        if not self.closed:
            self._close_notify()
            _lib.SSL_set_fd(self.ssl, -1)  # OpenSSL knows the number only, which is soon somebody else's
        super().close()

    def abort(self) -> None:
        self.broken = True  # a close_notify would say that nothing is missing
        super().abort()

    def _close_notify(self) -> None:
        """Tell the peer that nothing is missing. One try: a peer that does not read does not hold us."""
        if self.handshake_done and not self.broken:
            if _lib.SSL_shutdown(self.ssl) < 0:
                _lib.ERR_clear_error()
            self.broken = True


def limit_records(max_record: int, hard_max_record: int, idle_s: float) -> None:
    """tune.ssl.maxrecord and tune.ssl.hard-maxrecord, bytes; 0 = no limit of ours. idle_s: what counts as a pause."""
    TlsStream.record_max = min(hard_max_record or RECORD_BYTES_MAX, RECORD_BYTES_MAX)
    TlsStream.small_record = min(max_record, TlsStream.record_max)
    TlsStream.idle_s = idle_s


def release_buffers(context: SSL.Context) -> None:
    """Idle connections give their read and write buffers back (34 KiB each)."""
    context.set_mode(_RELEASE_BUFFERS)
