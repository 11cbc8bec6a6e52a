"""Connecting to a server on the pump."""

from __future__ import annotations

import errno
import os
import socket

from common.net.outlet import Outlet, is_port_taken
from common.net.pump import Pump
from common.net.sockaddr import SockAddr
from common.net.stream import Stream


class ClientLeft(Exception):
    """Nobody waits for the connection any more."""


async def dial(
    pump: Pump,
    family: socket.AddressFamily,
    address: SockAddr,
    deadline: float,
    *,
    outlet: Outlet | None = None,
    client: Stream | None = None,
) -> Stream:
    """A connected stream. outlet: where TCP connects from, and with what options; with a range of source ports, the next one is
    taken when one is in use. Raises OSError (refused, unreachable, out of ports or descriptors), DeadlinePassed; ClientLeft when
    `client` closes its side before the connection is there.
    """
    tries = outlet.tries if outlet is not None else 1
    while True:
        tries -= 1
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        stream = Stream(pump, sock)
        stream.drained = True  # whatever the server says first comes with an event, perhaps the one that ends the connect
        try:
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if outlet is not None:
                    outlet.prepare(sock)
            error = sock.connect_ex(address)
            if error == errno.EINPROGRESS:
                if client is None:
                    await stream.writable(deadline)
                else:
                    await _writable_unless_client_leaves(stream, client, deadline)
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            elif error == errno.EAGAIN and family == socket.AF_UNIX:
                # The listener's backlog is full and unix sockets have no way to wait for a place: as if refused.
                error = errno.ECONNREFUSED
            if error:
                raise OSError(error, os.strerror(error))
            return stream
        except OSError as failed:
            stream.close()
            if not tries or not is_port_taken(failed.errno or 0):
                raise
        except BaseException:
            stream.close()
            raise


async def _writable_unless_client_leaves(stream: Stream, client: Stream, deadline: float) -> None:
    """Until the connect has succeeded or failed. Raises ClientLeft, DeadlinePassed, OSError."""
    strand = stream.pump.current
    assert strand is not None
    while not client.ended:
        client.watch_read(strand)
        try:
            await stream.writable(deadline)
        finally:
            client.reader = None
        error = stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        try:
            stream.sock.getpeername()
        except OSError:
            continue  # not connected yet: it was the client who did something
        return
    raise ClientLeft
