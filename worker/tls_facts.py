"""What rules and logs may ask about a TLS connection: the answering side of common/acl/facts_tls.py.

Source: HAProxy manual 7.3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from worker.session_form import id_of
from worker.tls import TlsStream

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]


class ConnectionFacts:
    """Facts of one connection, read from OpenSSL when asked."""

    __slots__ = ("_connection", "_stream")

    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream
        self._connection = stream.connection

    @property
    def handshake_done(self) -> bool:
        return self._stream.handshake_done

    @property
    def sni(self) -> bytes:
        return self._connection.get_servername() or b""

    @property
    def alpn(self) -> bytes:
        return self._connection.get_alpn_proto_negotiated()

    @property
    def npn(self) -> bytes:
        return b""

    @property
    def protocol(self) -> bytes:
        return self._connection.get_protocol_version_name().encode()

    @property
    def cipher(self) -> bytes:
        return (self._connection.get_cipher_name() or "").encode()

    @property
    def cipher_bits(self) -> int:
        return self._connection.get_cipher_bits() or 0

    @property
    def cipher_algorithm_bits(self) -> int:
        cipher = _lib.SSL_get_current_cipher(self._stream.ssl)
        if cipher == _ffi.NULL:
            return 0
        bits = _ffi.new("int *")
        _lib.SSL_CIPHER_get_bits(cipher, bits)
        return int(bits[0])

    @property
    def curve(self) -> bytes:
        name = self._connection.get_group_name()
        return name.encode() if name else b""

    @property
    def sigalg(self) -> bytes:
        return b""

    @property
    def is_resumed(self) -> bool:
        return self._stream.is_resumed

    @property
    def session_id(self) -> bytes:
        return id_of(self._stream.ssl)

    @property
    def session_key(self) -> bytes:
        return self._connection.master_key() or b""

    @property
    def unique_id(self) -> bytes:
        """RFC 5929 section 3.1: the first Finished message, the server's when the session is resumed."""
        first = self._connection.get_finished() if self.is_resumed else self._connection.get_peer_finished()
        return first or b""

    @property
    def client_random(self) -> bytes:
        return self._connection.client_random() or b""

    @property
    def server_random(self) -> bytes:
        return self._connection.server_random() or b""

    @property
    def has_early_data(self) -> bool:
        return False

    @property
    def error(self) -> int:
        return self._stream.error_code

    @property
    def error_text(self) -> bytes:
        return self._stream.error_text

    @property
    def hello(self) -> bytes:
        return self._stream.hello

    def secret(self, label: str) -> bytes:
        found = self._stream.verification
        return found.secrets.get(label, b"") if found is not None else b""

    @property
    def peer_certificate(self) -> bytes:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        return certificate.public_bytes(Encoding.DER) if certificate is not None else b""

    @property
    def peer_chain(self) -> Sequence[bytes]:
        """As OpenSSL keeps it: of a client without its own certificate, of a server with it."""
        chain = self._connection.get_peer_cert_chain(as_cryptography=True) or []
        return [certificate.public_bytes(Encoding.DER) for certificate in chain]

    @property
    def peer_root(self) -> bytes:
        chain = self._connection.get_verified_chain(as_cryptography=True)
        return chain[-1].public_bytes(Encoding.DER) if chain else b""

    @property
    def peer_certificate_sent(self) -> bool:
        return bool(self.peer_certificate) and not self.is_resumed

    @property
    def own_certificate(self) -> bytes:
        certificate = self._connection.get_certificate(as_cryptography=True)
        return certificate.public_bytes(Encoding.DER) if certificate is not None else b""

    @property
    def verify_result(self) -> int:
        return int(_lib.SSL_get_verify_result(self._stream.ssl))

    @property
    def verify_error(self) -> int:
        found = self._stream.verification
        return found.error if found is not None else 0

    @property
    def verify_ca_error(self) -> int:
        found = self._stream.verification
        return found.ca_error if found is not None else 0

    @property
    def verify_ca_error_depth(self) -> int:
        found = self._stream.verification
        return found.ca_depth if found is not None else 0
