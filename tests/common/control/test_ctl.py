"""`usher ctl`: finding the service, asking it, and what the exit code says."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.control import ctl
from common.control.ctl import DEFAULT_SOCKET, find
from common.errors import ConfigError

DEADLINE_S = 20.0


@contextmanager
def service(listener: socket.socket, answer: bytes) -> Iterator[list[bytes]]:
    """Something that answers one command, and what it was asked."""
    heard: list[bytes] = []

    def serve() -> None:
        client, _address = listener.accept()
        with client:
            client.settimeout(DEADLINE_S)
            asked = b""
            while part := client.recv(1000):
                asked += part
            heard.append(asked)
            client.sendall(answer)

    listener.settimeout(DEADLINE_S)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield heard
    finally:
        thread.join()


def unix(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"Name: usher\nVersion: 1\n\n", 0),
        (b"\n", 0),
        (b"", 0),
        (b"x" * 200_000, 0),
        (b"Success=1\n--\n", 0),
        (b"Success=0\n--\nfault\n", 1),
        (b"Unknown command: 'x'\n", 1),
        (b"Permission denied\n", 1),
        (b"No such server.\n", 1),
    ],
)
def test_an_answer_is_printed_and_a_refusal_is_1(answer: bytes, code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "s")
    with unix(path) as listener, service(listener, answer) as heard:
        assert ctl.main(["-s", path, "show", "info"]) == code
    assert heard == [b"show info\n"]
    found = capfd.readouterr()
    assert found.out.encode() == answer
    assert found.err == ""


def test_a_quoted_command_is_the_same(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with unix(path) as listener, service(listener, b"ok\n") as heard:
        assert ctl.main(["-s", path, "show stat -1 4 -1"]) == 0
    assert heard == [b"show stat -1 4 -1\n"]


@pytest.mark.parametrize("kind", ["tcp", "abns", "unix"])
def test_the_socket_may_be_any_address(kind: str, tmp_path: Path) -> None:
    name = f"usher-ctl-{os.getpid()}"
    if kind == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        where = f"127.0.0.1:{listener.getsockname()[1]}"
    else:
        listener = unix("\0" + name.ljust(107, "\0") if kind == "abns" else str(tmp_path / "s"))
        where = f"abns@{name}" if kind == "abns" else f"unix@{tmp_path}/s"
    with listener, service(listener, b"ok\n"):
        assert ctl.main(["-s", where, "show info"]) == 0


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("/nonexistent/s", "no service answers on /nonexistent/s: No such file or directory"),
        ("127.0.0.1:1", "no service answers on 127.0.0.1:1: Connection refused"),
        ("fd@3", "fd@3 is a descriptor"),
        ("nonsense@x", "nonsense@"),
    ],
)
def test_nobody_there_is_2(where: str, expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["-s", where, "show info"]) == 2
    assert expected in capfd.readouterr().err


def test_the_service_is_found_by_name_file_variable_and_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USHER_SOCKET", raising=False)
    assert find(None, []) == (DEFAULT_SOCKET, False)
    monkeypatch.setenv("USHER_SOCKET", "/run/other")
    assert find(None, []) == ("/run/other", False)
    config = tmp_path / "usher.cfg"
    config.write_text("global\n    stats socket /run/one level admin\n    stats socket /run/two\n")
    assert find(None, [str(config)]) == ("/run/one", False)
    assert find("/run/named", [str(config)]) == ("/run/named", True)


def test_a_file_without_a_socket_says_what_to_add(tmp_path: Path) -> None:
    config = tmp_path / "usher.cfg"
    config.write_text("global\n    maxconn 10\n")
    with pytest.raises(ConfigError, match=r"add `stats socket /run/usher/usher\.sock level admin`"):
        find(None, [str(config)])
    config.write_text("nonsense\n")
    with pytest.raises(ConfigError, match="has errors; see usher -c"):
        find(None, [str(config)])


def test_the_place_is_said_unless_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "s")
    monkeypatch.setenv("USHER_SOCKET", path)
    with unix(path) as listener, service(listener, b"ok\n"):
        assert ctl.main(["show", "info"]) == 0
    assert capfd.readouterr().err == f"usher ctl: {path}\n"
