"""A TLS client on the system's libssl itself, for what Python's ssl module cannot do: KeyUpdate.

It lives between two memory buffers; the test carries the bytes.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import socket
from collections.abc import Callable
from typing import Any

import pytest

_KEY_UPDATE_REQUESTED = 1
_SSL_CTRL_SET_MIN_PROTO_VERSION, _TLS1_3 = 123, 0x0304
_POINTERS = ("TLS_client_method", "SSL_CTX_new", "SSL_new", "BIO_s_mem", "BIO_new")


def load() -> Any:
    """The library, or the test is skipped: it comes with the package openssl."""
    name = ctypes.util.find_library("ssl")
    if name is None:
        pytest.skip("needs libssl: apt-get install openssl")
    library = ctypes.CDLL(name)
    for function in _POINTERS:
        getattr(library, function).restype = ctypes.c_void_p
    return library


class RawClient:
    """A TLS 1.3 client. `flush` gives what it has to say, `feed` takes what it is told."""

    def __init__(self) -> None:
        self._lib = library = load()
        self._context = self._call("SSL_CTX_new", self._pointer(library.TLS_client_method()))
        self._call("SSL_CTX_ctrl", self._context, _SSL_CTRL_SET_MIN_PROTO_VERSION, ctypes.c_long(_TLS1_3), None)
        self._ssl = self._call("SSL_new", self._context)
        memory = self._pointer(library.BIO_s_mem())
        self._in, self._out = self._call("BIO_new", memory), self._call("BIO_new", memory)
        self._call("SSL_set_bio", self._ssl, self._in, self._out)
        self._call("SSL_set_connect_state", self._ssl)

    def handshake(self) -> bool:
        return bool(self._call("SSL_do_handshake", self._ssl).value == 1)

    def feed(self, data: bytes) -> None:
        self._call("BIO_write", self._in, data, len(data))

    def flush(self) -> bytes:
        buffer = ctypes.create_string_buffer(1 << 20)
        count = int(self._lib.BIO_read(self._out, buffer, len(buffer)))
        return buffer.raw[: max(count, 0)]

    def write(self, data: bytes) -> None:
        assert self._lib.SSL_write(self._ssl, data, len(data)) == len(data)

    def read(self) -> bytes:
        buffer = ctypes.create_string_buffer(1 << 20)
        found = b""
        while (count := int(self._lib.SSL_read(self._ssl, buffer, len(buffer)))) > 0:
            found += buffer.raw[:count]
        return found

    def update_keys(self) -> None:
        """Ask for new keys both ways; what goes with it is in `flush`."""
        assert self._lib.SSL_key_update(self._ssl, _KEY_UPDATE_REQUESTED) == 1
        assert self._lib.SSL_do_handshake(self._ssl) == 1

    def establish(self, sock: socket.socket, until: Callable[[Callable[[], bool]], None]) -> None:
        """Shake hands over that socket; until: drives the other end."""
        done = False

        def step() -> bool:
            nonlocal done
            try:
                self.feed(sock.recv(65536))
            except BlockingIOError:
                pass
            done = done or self.handshake()
            data = self.flush()
            if data:
                sock.send(data)
            return done

        until(step)

    def close(self) -> None:
        self._call("SSL_free", self._ssl)
        self._call("SSL_CTX_free", self._context)

    @staticmethod
    def _pointer(value: int) -> ctypes.c_void_p:
        return ctypes.c_void_p(value)

    def _call(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        return ctypes.c_void_p(getattr(self._lib, name)(*arguments))
