"""What a sample fetch may ask about one TLS connection, the client's or the server's. Sans-io.

Source: HAProxy configuration manual section 7.3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class TlsFacts(Protocol):
    """Facts of an OpenSSL connection. b"" and None mean "not there". Certificates are DER; common/acl/certificates.py reads them."""

    @property
    def handshake_done(self) -> bool: ...
    @property
    def sni(self) -> bytes:
        """The server name the client sent (client side), or that we sent (server side)."""

    @property
    def alpn(self) -> bytes: ...
    @property
    def npn(self) -> bytes: ...
    @property
    def protocol(self) -> bytes:
        """ "TLSv1.3"."""

    @property
    def cipher(self) -> bytes:
        """OpenSSL's name."""

    @property
    def cipher_bits(self) -> int:
        """Secret bits in use."""

    @property
    def cipher_algorithm_bits(self) -> int:
        """Bits the algorithm has."""

    @property
    def curve(self) -> bytes: ...
    @property
    def sigalg(self) -> bytes:
        """Signature algorithm of our certificate message, as OpenSSL names it."""

    @property
    def is_resumed(self) -> bool: ...
    @property
    def session_id(self) -> bytes: ...
    @property
    def session_key(self) -> bytes:
        """The master secret; of TLS 1.3 the one that resumption begins with."""

    @property
    def unique_id(self) -> bytes:
        """RFC 5929 tls-unique (the first Finished message)."""

    @property
    def client_random(self) -> bytes: ...
    @property
    def server_random(self) -> bytes: ...
    @property
    def has_early_data(self) -> bool: ...

    @property
    def error(self) -> int:
        """The first number of OpenSSL's error stack; 0 = none."""

    @property
    def error_text(self) -> bytes: ...

    @property
    def hello(self) -> bytes:
        """The client's hello as a handshake record, kept only under tune.ssl.capture-buffer-size; b"" otherwise."""

    def secret(self, label: str) -> bytes:
        """A secret in hex, by its key log label ("CLIENT_RANDOM", "SERVER_TRAFFIC_SECRET_0" …); kept only under tune.ssl.keylog."""

    @property
    def peer_certificate(self) -> bytes:
        """Of the client, or of the server. On a resumed session too, where OpenSSL keeps it."""

    @property
    def peer_chain(self) -> Sequence[bytes]:
        """What the peer sent, nearest first: a server its own certificate and its issuers, a client the issuers alone."""

    @property
    def peer_root(self) -> bytes:
        """The last certificate of the verified chain (`ssl_c_r_dn`); b"" if it was not verified."""

    @property
    def peer_certificate_sent(self) -> bool:
        """In this very handshake, not only in the one it resumes (`ssl_fc_has_crt`)."""

    @property
    def own_certificate(self) -> bytes:
        """What we showed."""

    # X509_V_ERR_… numbers, 0 = fine. `verify_*` of the leaf; `verify_ca_*` of the issuers, with its depth.
    @property
    def verify_result(self) -> int:
        """The overall verdict OpenSSL keeps."""

    @property
    def verify_error(self) -> int: ...
    @property
    def verify_ca_error(self) -> int: ...
    @property
    def verify_ca_error_depth(self) -> int: ...
