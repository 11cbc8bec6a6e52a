"""`usher ctl`: talks to the operator socket of a running service.

    usher ctl "show info"              one command (or several with ;), its answer, and an exit code for scripts
    usher ctl --json "show stat"       as JSON
    usher ctl "add map x <<" < file    a payload from standard input
    usher ctl                          a prompt, with history and completion

The socket is the one that -s names; or that of the configuration file that -f names (the first with level admin, else the first);
or that of USHER_SOCKET; or /run/usher/usher.sock.
Exit codes: 0; 1 when the command was refused or has failed; 2 when there is nobody to talk to.

Source: HAProxy management guide 9.3.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from common.config.build import load
from common.config.options import LoadOptions
from common.control.operator import SocketLine, parse_socket
from common.errors import ConfigError, UsherError
from common.model import AddressKind
from common.net.sockaddr import resolve, sockaddr
from common.observe.command_line import PAYLOAD_MARK
from common.observe.commands import completions

DEFAULT_SOCKET: Final = "/run/usher/usher.sock"
TIMEOUT_S: Final = 60.0
EXIT_REFUSED: Final = 1
EXIT_NOBODY: Final = 2
_ERROR: Final = 3  # severities up to this one are failures
_SEVERITY: Final = re.compile(r"\[([0-7])\]: ")
_PROMPT: Final = re.compile(rb"(?:^|\n)[^\n ]*> $")
_JSON: Final = ("show stat", "show info")
_PAYLOAD_END: Final = "--end-of-payload--"


class NobodyThere(UsherError):
    """No service answers."""


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(list(argv))
    try:
        line, origin = find_socket(options.socket, options.file, os.environ)
        if options.verbose:
            print(f"talking to {line.shown} ({origin})", file=sys.stderr)
        with connect(line, origin) as sock:
            if not options.command:
                return converse(sock)
            return run(sock, " ".join(options.command), as_json=options.json)
    except (NobodyThere, ConfigError) as error:
        print(f"usher ctl: {error}", file=sys.stderr)
        return EXIT_NOBODY


def find_socket(path: str | None, files: Sequence[str], environment: Mapping[str, str]) -> tuple[SocketLine, str]:
    """(the socket, who named it). Raises ConfigError."""
    if path:
        return parse_socket([path]), "-s"
    if files:
        return _socket_of_file(files), f"of {', '.join(files)}"
    if environment.get("USHER_SOCKET"):
        return parse_socket([environment["USHER_SOCKET"]]), "USHER_SOCKET"
    return parse_socket([DEFAULT_SOCKET]), "the default; -s, -f or USHER_SOCKET name another one"


def connect(line: SocketLine, origin: str) -> socket.socket:
    """Raises NobodyThere."""
    address = line.address
    if address.kind is AddressKind.FD:
        raise NobodyThere(f"{line.shown} ({origin}) is a descriptor of the service: nobody else can connect to it")
    try:
        family, where = sockaddr(resolve(address))
        sock = socket.socket(family)
        try:
            sock.settimeout(TIMEOUT_S)
            sock.connect(where)
        except OSError:
            sock.close()
            raise
    except (OSError, ConfigError) as error:
        raise NobodyThere(f"cannot talk to {line.shown} ({origin}): {getattr(error, 'strerror', None) or error}") from error
    return sock


def run(sock: socket.socket, command: str, *, as_json: bool = False) -> int:
    """One command line: print the answer, return the exit code."""
    if as_json:
        command = ";".join(_with_json(part.strip()) for part in command.split(";"))
    text = f"set severity-output number;{command}"
    if command.rstrip().endswith(PAYLOAD_MARK):
        payload = sys.stdin.read()
        text += f"{_PAYLOAD_END}\n{payload}{'' if payload.endswith(chr(10)) else chr(10)}{_PAYLOAD_END}"
    try:
        sock.sendall(text.encode("utf-8", "surrogateescape") + b"\n")
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        with sock.makefile("rb") as stream:
            received = stream.read().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise NobodyThere(f"the connection was lost: {error.strerror or error}") from error
    return _tell(received.removeprefix("\n"))


def converse(sock: socket.socket) -> int:
    """Commands typed by hand, until the end of the input or `quit`."""
    _prepare_readline()
    sock.sendall(b"prompt\n")
    prompt = _read_prompt(sock)[1]
    while prompt is not None:
        try:
            line = input(prompt)
        except EOFError:
            print()
            break
        except KeyboardInterrupt:
            print()
            continue
        sock.sendall(line.encode("utf-8", "surrogateescape") + b"\n")
        text, prompt = _read_prompt(sock)
        sys.stdout.write(text)
    return 0


def _tell(text: str) -> int:
    """Print answers; those that say that something failed go to stderr and make the exit code."""
    code = 0
    for answer in filter(str.strip, text.split("\n\n")):
        match = _SEVERITY.match(answer)
        failed = (match is not None and int(match[1]) <= _ERROR) or answer.startswith("Success=0")
        shown = answer[match.end() :] if match else answer
        print(shown.rstrip("\n"), file=sys.stderr if failed else sys.stdout)
        code = EXIT_REFUSED if failed else code
    return code


def _with_json(command: str) -> str:
    return f"{command} json" if command.startswith(_JSON) and "json" not in command.split() else command


def _socket_of_file(files: Sequence[str]) -> SocketLine:
    """The socket for operators that a configuration opens. Faults elsewhere in the file do not matter here."""
    try:
        sources = [(name, Path(name).read_bytes()) for name in files]
    except OSError as error:
        raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from error
    loaded = load(sources, dict(os.environ), options=LoadOptions())
    lines = [] if loaded.config is None else [parse_socket(words) for words in loaded.config.globals.stats_sockets]
    if not lines:
        what = "cannot be used: run `usher -c -f` on it" if loaded.config is None else "has no `stats socket` line in section global"
        raise ConfigError(f"{', '.join(files)} {what}")
    return max(lines, key=lambda line: line.level)


def _read_prompt(sock: socket.socket) -> tuple[str, str | None]:
    """What comes up to the next prompt, and that prompt; None at the end of the connection."""
    received = b""
    while True:
        match = _PROMPT.search(received)
        if match is not None or received.endswith(b"\n+ ") or received == b"+ ":
            cut = received.rfind(b"\n") + 1
            return received[:cut].decode("utf-8", "replace"), received[cut:].decode()
        data = sock.recv(65536)
        if not data:
            return received.decode("utf-8", "replace"), None
        received += data


def _prepare_readline() -> None:
    """History and Tab, where the terminal has them."""
    try:
        import readline
    except ImportError:
        return

    def complete(_text: str, state: int) -> str | None:
        words = tuple(readline.get_line_buffer()[: readline.get_endidx()].split(" "))
        found = completions(tuple(word for word in words[:-1] if word) + words[-1:])
        return f"{found[state]} " if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="usher ctl", description="Talk to a running Usher. Without a command: a prompt.")
    parser.add_argument("-s", "--socket", metavar="SOCKET", help="a path, an address with port, or abns@NAME")
    parser.add_argument("-f", "--file", metavar="FILE", action="append", default=[], help="the configuration whose socket is meant")
    parser.add_argument("--json", action="store_true", help="show stat and show info as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="say which socket is used")
    parser.add_argument("command", nargs="*", help="such as: show info")
    return parser
