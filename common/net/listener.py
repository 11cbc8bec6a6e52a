"""Listening sockets: made by the master, as root, for all processes.

What can be set once on the listening socket and is inherited by every accepted one (TCP_NODELAY, keep-alive, the user
timeout) is set here and costs nothing per connection.

A unix socket is bound under a temporary name and renamed over its path: clients never find the path missing, also
when another instance listens there until now. Only a socket is ever replaced, no other kind of file.

Source: HAProxy configuration manual 4.2 "bind", "backlog", "option clitcpka", 5.1; tcp(7), ip(7), unix(7).
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from common.errors import ConfigError, UsherError
from common.model import AddressKind, Bind, Global, Proxy
from common.net.outlet import DROP_AT_CLOSE, buffers, keep_alive
from common.net.sockaddr import SUN_PATH_BYTES, abstract_name, resolve, sockaddr
from common.units import milliseconds

BACKLOG = 4096  # where neither bind, proxy nor maxconn say it; the kernel cuts it to net.core.somaxconn
BACKLOG_MAX = 65535
_DEFER_ACCEPT_S = 1  # then the connection is handed over even if the client is silent
_MSS_V4, _MSS_V6 = 1460, 1440  # of a network whose packets are 1500 bytes: what a negative `mss` counts from
_IPV6_TRANSPARENT = 75  # linux/in6.h; the socket module lacks it
_INTERNET = (AddressKind.INET, AddressKind.INET6)


class BindError(UsherError):
    """A listening socket could not be made. The message is HAProxy's: which line, which frontend, what failed and why.

    busy: someone else has the address.
    """

    def __init__(self, bind: Bind, proxy: Proxy, what: str, reason: str, *, busy: bool = False) -> None:
        where = f" [{bind.place.file}:{bind.place.line}]" if bind.place.line else ""
        kind = "proxy" if proxy.backend else "frontend"
        super().__init__(f"Binding{where} for {kind} {proxy.name}: {what} ({reason}) for [{bind.address}]")
        self.busy = busy


class _Failed(Exception):
    """A step failed. what: the step in the words of the message."""

    def __init__(self, what: str, reason: str, *, busy: bool = False) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason
        self.busy = busy


def open_bind(bind: Bind, proxy: Proxy, settings: Global, *, reuseport: bool) -> socket.socket:
    """The listening, non-blocking socket of one bind. reuseport: others may bind the same TCP address. Raises BindError."""
    backlog = backlog_of(bind, proxy, settings)
    try:
        if bind.address.kind is AddressKind.FD:
            return _adopt(bind, proxy, settings, backlog)
        if bind.address.kind is AddressKind.UNIX:
            return _unix(bind, backlog)
        if bind.address.kind in _INTERNET:
            return _internet(bind, proxy, settings, backlog, reuseport)
        with _step("cannot bind UNIX socket"):
            return _abstract(abstract_name(bind.address), socket.SOCK_STREAM, backlog)
    except _Failed as error:
        raise BindError(bind, proxy, error.what, error.reason, busy=error.busy) from error


def open_channel(name: bytes) -> socket.socket:
    """A listening SOCK_SEQPACKET socket on an abstract name (which starts with NUL): where connections are handed over.

    Raises OSError.
    """
    return _abstract(name, socket.SOCK_SEQPACKET, BACKLOG)


def pause(sock: socket.socket) -> None:
    """Listen no more, in every process that shares this socket; its address stays ours. Only TCP can go on afterwards."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RD)


def resume(sock: socket.socket, backlog: int) -> None:
    """Listen again. Raises OSError when somebody has taken the address meanwhile."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.listen(backlog)


def backlog_of(bind: Bind, proxy: Proxy, settings: Global) -> int:
    """Connections that may wait to be accepted: as said, or as many as may be open at one time."""
    wanted = bind.backlog or proxy.backlog or bind.maxconn or proxy.maxconn or settings.maxconn or BACKLOG
    return min(wanted, BACKLOG_MAX)


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Name the step in which an OSError happens."""
    try:
        yield
    except OSError as error:
        raise _Failed(what, error.strerror or str(error), busy=error.errno == errno.EADDRINUSE) from error


@contextmanager
def _fresh(family: int, kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """A new non-blocking socket, closed if the block fails."""
    with _step("cannot create listening socket"):
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        yield sock
    except BaseException:
        sock.close()
        raise


# --- TCP -------------------------------------------------------------------------------------------------------------


def _internet(bind: Bind, proxy: Proxy, settings: Global, backlog: int, reuseport: bool) -> socket.socket:
    try:
        family, address = sockaddr(resolve(bind.address))
    except ConfigError as error:
        raise _Failed("cannot bind socket", str(error)) from error
    with _fresh(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuseport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _place(sock, bind)
        _tune(sock, bind, proxy, settings, backlog)
        with _step("cannot bind socket"):
            sock.bind(address)
        with _step("cannot listen on socket"):
            _listen(sock, proxy, backlog)
        return sock


def _listen(sock: socket.socket, proxy: Proxy, backlog: int) -> None:
    """Raises OSError."""
    sock.listen(backlog)
    if "tcp-smart-accept" in proxy.options and sock.family != socket.AF_UNIX:
        # The acknowledgement of a request goes out with the answer. listen() would forget it, accepted sockets inherit it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)


def _place(sock: socket.socket, bind: Bind) -> None:
    """Options that decide which connections reach the socket."""
    v6 = sock.family == socket.AF_INET6
    if v6 and (bind.v6only or bind.v4v6):
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(bind.v6only))
    if bind.interface:
        # Going on without it would serve a private address to the world.
        with _step(f"cannot bind receiver to device '{bind.interface}'"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, bind.interface.encode())
    if bind.transparent:
        with _step("cannot make listening socket transparent"):
            if v6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
            else:
                sock.setsockopt(socket.SOL_IP, socket.IP_TRANSPARENT, 1)


def _tune(sock: socket.socket, bind: Bind, proxy: Proxy, settings: Global, backlog: int) -> None:
    """Options that accepted sockets inherit, and those of the handshake."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if proxy.options & {"clitcpka", "tcpka"}:
        for level, name, value in keep_alive(proxy, "clitcpka"):
            sock.setsockopt(level, name, value)
    if "nolinger" in proxy.options:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DROP_AT_CLOSE)
    for level, name, value in buffers(settings, "client"):
        sock.setsockopt(level, name, value)
    if bind.tcp_ut:
        with _step("cannot set TCP user timeout"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds(bind.tcp_ut))
    if bind.mss:
        usual = _MSS_V6 if sock.family == socket.AF_INET6 else _MSS_V4
        with _step("cannot set MSS"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, bind.mss if bind.mss > 0 else usual + bind.mss)
    if bind.defer_accept:
        with _step("cannot enable DEFER_ACCEPT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER_ACCEPT_S)
    if bind.tfo:
        with _step("cannot enable TCP_FASTOPEN"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, backlog)


# --- unix and abstract sockets, inherited descriptors ----------------------------------------------------------------


def _unix(bind: Bind, backlog: int) -> socket.socket:
    path = os.fsencode(bind.address.path)
    temporary = path + b".%d.tmp" % os.getpid()
    with _step("cannot bind UNIX socket"):
        _check_replaceable(path)
    if len(temporary) >= SUN_PATH_BYTES:
        # No room for another name beside it: the path is missing for a moment.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        temporary = path
    with _fresh(socket.AF_UNIX) as sock:
        with _step("cannot bind UNIX socket"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            sock.bind(temporary)
        try:
            _permit(temporary, bind)
            with _step("cannot listen on UNIX socket"):
                sock.listen(backlog)
                os.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        return sock


def _check_replaceable(path: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "the path exists and is not a socket")


def _permit(path: bytes, bind: Bind) -> None:
    """Owner first: a change of owner clears bits of the mode."""
    try:
        uid = bind.uid if bind.uid is not None else pwd.getpwnam(bind.user).pw_uid if bind.user else -1
        gid = bind.gid if bind.gid is not None else grp.getgrnam(bind.group).gr_gid if bind.group else -1
    except KeyError as error:
        raise _Failed("cannot change UNIX socket ownership", str(error.args[0])) from error
    if uid != -1 or gid != -1:
        with _step("cannot change UNIX socket ownership"):
            os.chown(path, uid, gid)
    if bind.mode is not None:
        with _step("cannot change UNIX socket permissions"):
            os.chmod(path, bind.mode)


def _abstract(name: bytes, kind: int, backlog: int) -> socket.socket:
    with _fresh(socket.AF_UNIX, kind) as sock:
        sock.bind(name)
        sock.listen(backlog)
        return sock


def _adopt(bind: Bind, proxy: Proxy, settings: Global, backlog: int) -> socket.socket:
    """A socket that whoever started us bound, listening already or not. The given descriptor stays open, for a reload."""
    with _step(f"cannot use file descriptor '{bind.address.fd}'"):
        sock = socket.socket(fileno=os.dup(bind.address.fd))
    try:
        if sock.type != socket.SOCK_STREAM:
            raise _Failed("cannot bind socket", "the descriptor is not a stream socket")
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            _tune(sock, bind, proxy, settings, backlog)
        with _step("cannot listen on socket"):
            _listen(sock, proxy, backlog)
    except BaseException:
        sock.close()
        raise
    return sock
