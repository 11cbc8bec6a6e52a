"""`usher ctl`: one operator's command to the running service, its answer on stdout.

Where the service is, in this order: -s SOCKET; the first `stats socket` of -f FILE; the variable USHER_SOCKET; /run/usher/usher.sock.
Which one it was is said on stderr, unless it was named with -s.

The exit code is 0 when the service did what was asked, 1 when it answered with a refusal, 2 when nobody answered.

Source: HAProxy management guide 9.3, 9.4 (one command, an answer, and the end of the connection).
"""

from __future__ import annotations

import argparse
import os
import re
import socket
from collections.abc import Sequence

from common.config.address import BIND, AddressError, parse_address
from common.control import configuration
from common.control.arguments import Options
from common.control.console import write
from common.errors import ConfigError, UsherError
from common.model import Address, AddressKind
from common.net.sockaddr import resolve, sockaddr

DEFAULT_SOCKET = "/run/usher/usher.sock"
VARIABLE = "USHER_SOCKET"
CONNECT_WAIT_S = 5.0
EXIT_REFUSED, EXIT_NOBODY = 1, 2
# How answers begin that say that the command was not carried out.
_REFUSALS = re.compile(r"Unknown command|Permission denied|Success=0|Can't |No such |Invalid |Malformed |Missing |Require ")


class Unreachable(UsherError):
    """No service answers there."""


def main(argv: Sequence[str]) -> int:
    words = argparse.ArgumentParser(prog="usher ctl", description="Sends one command to the running service.", allow_abbrev=False)
    words.add_argument("-s", dest="socket", metavar="SOCKET", help="the operator socket: a path, or an address as on a bind line")
    words.add_argument("-f", dest="files", metavar="FILE", action="append", default=[], help="the configuration, which names the socket")
    words.add_argument("-t", dest="timeout", metavar="SECONDS", type=float, default=60.0, help="how long an answer may take (60)")
    words.add_argument("command", nargs="+", help='for example: "show info" or show info')
    given = words.parse_args(argv)
    try:
        where, told = find(given.socket, given.files)
        if not told:
            write(2, f"usher ctl: {where}\n")
        answer = ask(where, " ".join(given.command), given.timeout)
    except UsherError as error:
        write(2, f"usher ctl: {error}\n")
        return EXIT_NOBODY
    write(1, answer)
    return EXIT_REFUSED if _REFUSALS.match(answer) else 0


def find(named: str | None, files: Sequence[str]) -> tuple[str, bool]:
    """(the address of the operator socket, whether the caller named it). Raises ConfigError."""
    if named:
        return named, True
    if files:
        reading = configuration.read(Options(files=list(files)))
        if reading.config is None:
            raise ConfigError(f"{' '.join(files)} has errors; see usher -c")
        if not reading.config.globals.stats_sockets:
            raise ConfigError(f"{' '.join(files)} has no `stats socket` in section global: add `stats socket {DEFAULT_SOCKET} level admin`")
        return reading.config.globals.stats_sockets[0][0], False
    return os.environ.get(VARIABLE) or DEFAULT_SOCKET, False


def ask(where: str, command: str, timeout_s: float) -> str:
    """The whole answer. Raises Unreachable."""
    try:
        address = _address(where)
        family, target = sockaddr(resolve(address))
        with socket.socket(family) as sock:
            sock.settimeout(CONNECT_WAIT_S)
            sock.connect(target)
            sock.settimeout(timeout_s)
            sock.sendall(command.encode("utf-8", "surrogateescape") + b"\n")
            sock.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while part := sock.recv(65536):
                answer += part
    except OSError as error:
        raise Unreachable(f"no service answers on {where}: {error.strerror or error}") from error
    except (AddressError, ConfigError) as error:
        raise Unreachable(str(error)) from error
    return answer.decode("utf-8", "surrogateescape")


def _address(where: str) -> Address:
    """A path, also a relative one, or an address as on a bind line."""
    if "@" not in where and (":" not in where or "/" in where):
        return Address(AddressKind.UNIX, path=where)
    return parse_address(where, BIND)
