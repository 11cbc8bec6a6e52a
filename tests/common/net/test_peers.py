from __future__ import annotations

import os
import socket
import struct

import pytest

from common.net.peers import is_friend, peer_credentials


def test_peer_credentials_are_the_kernels() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_credentials(ours) == (os.getpid(), os.getuid(), os.getgid())


def test_peer_credentials_of_another_process() -> None:
    name = b"\0usher-test-peer-%d" % os.getpid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        pid = os.fork()
        if pid == 0:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(name)
                client.recv(1)
            os._exit(0)
        accepted, _ = listener.accept()
        with accepted:
            assert peer_credentials(accepted)[0] == pid
        os.waitpid(pid, 0)


def test_peer_credentials_where_there_are_none() -> None:
    with socket.socket(socket.AF_INET) as sock:
        try:
            found = peer_credentials(sock)
        except (OSError, struct.error):
            return
        assert found[0] == 0, "of a TCP socket nobody is known"


class Owner:
    """Trusts some users, and remembers what it said."""

    def __init__(self, *uids: int) -> None:
        self.uids = uids
        self.logged: list[tuple[str, str]] = []

    def is_trusted(self, uid: int) -> bool:
        return uid in self.uids

    def log(self, level: str, text: str) -> None:
        self.logged.append((level, text))


def test_a_friend_is_let_in_without_a_word() -> None:
    owner = Owner(os.getuid())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert is_friend(owner, ours, "here")
        assert ours.fileno() >= 0 and not owner.logged


def test_a_stranger_is_closed_and_logged_with_the_cure() -> None:
    owner = Owner()
    ours, theirs = socket.socketpair()
    with theirs:
        assert not is_friend(owner, ours, "here")
        assert ours.fileno() == -1 and theirs.recv(1) == b""
    [(level, text)] = owner.logged
    assert level == "warning" and text.startswith(f"connection to here refused: process {os.getpid()} of user {os.getuid()} ")
    assert "channel-uids" in text


def test_who_cannot_be_asked_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(os.getuid())
    ours, theirs = socket.socketpair()

    def fails(_sock: socket.socket) -> tuple[int, int, int]:
        raise OSError

    monkeypatch.setattr("common.net.peers.peer_credentials", fails)
    with theirs:
        assert not is_friend(owner, ours, "here")
        assert ours.fileno() == -1 and not owner.logged
