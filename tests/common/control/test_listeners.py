"""Listening sockets shared by generations."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.control.listeners import Bound, ListenError, Listeners
from common.model import Address, AddressKind, Bind, Config, Place, Proxy
from common.process.plan import Listening, plan


def unix(folder: Path, name: str) -> Address:
    return Address(AddressKind.UNIX, path=str(folder / name))


def tcp() -> Address:
    return Address(AddressKind.INET, "127.0.0.1", 0)


def abstract() -> Address:
    return Address(AddressKind.ABNS, path=f"usher-listeners-{os.getpid()}")


def config(*binds: tuple[Address, set[int]], **settings: object) -> Config:
    made = [
        Bind(Place("f", number + 1), address, id=number, processes=frozenset(processes), **settings)  # type: ignore[arg-type]
        for number, (address, processes) in enumerate(binds)
    ]
    return Config(proxies=[Proxy(Place(), "www", True, False, mode="http", binds=made)])


class Opened(Listeners):
    """Listeners whose generations are all released at the end of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds: list[Bound] = []

    def of(self, made: Config) -> Bound:
        self.bounds.append(self.open(made, plan(made, 1)))
        return self.bounds[-1]

    def inodes(self, made: Config) -> dict[Listening, int]:
        """The inode of each socket that a generation of that configuration gets."""
        return {at: os.fstat(sock.fileno()).st_ino for at, sock in self.of(made).sockets.items()}


@pytest.fixture
def listeners() -> Iterator[Opened]:
    opened = Opened()
    yield opened
    for bound in opened.bounds:
        opened.release(bound)


def test_two_generations_share_what_they_have_in_common(listeners: Opened, tmp_path: Path) -> None:
    first = listeners.of(config((unix(tmp_path, "a"), set()), (unix(tmp_path, "b"), set())))
    second = listeners.of(config((unix(tmp_path, "b"), set()), (unix(tmp_path, "c"), set())))
    shared = second.sockets[Listening(0)]
    assert shared is first.sockets[Listening(1)]
    gone = first.sockets[Listening(0)]
    listeners.release(first)
    assert gone.fileno() == -1
    assert shared.fileno() != -1
    listeners.release(second)
    assert shared.fileno() == -1
    listeners.release(second)


def test_other_options_make_another_socket(listeners: Opened, tmp_path: Path) -> None:
    first = listeners.inodes(config((unix(tmp_path, "a"), set())))
    assert listeners.inodes(config((unix(tmp_path, "a"), set()))) == first
    assert listeners.inodes(config((unix(tmp_path, "a"), set()), mode=0o600)) != first


def test_the_same_address_twice_in_one_file_is_two_sockets(listeners: Opened, tmp_path: Path) -> None:
    found = listeners.inodes(config((unix(tmp_path, "a"), set()), (unix(tmp_path, "a"), set())))
    assert len(set(found.values())) == 2


def test_an_abstract_bind_of_a_worker_has_a_channel_beside_it(listeners: Opened) -> None:
    bound = listeners.of(made := config((abstract(), {2})))
    stream, channel = bound.sockets[Listening(0)], bound.sockets[Listening(0, channel=True)]
    assert stream.getsockname() == channel.getsockname()
    assert stream.type != channel.type
    with pytest.raises(ListenError) as caught:
        Listeners().open(made, plan(made, 1))
    assert caught.value.busy
    assert len(caught.value.faults) == 2


def test_each_process_has_its_own_shard_of_a_tcp_bind(listeners: Opened) -> None:
    assert set(listeners.of(config((tcp(), {1, 2}))).sockets) == {Listening(0, 0), Listening(0, 1)}


def test_a_failure_reports_every_fault_and_changes_nothing(listeners: Opened, tmp_path: Path) -> None:
    first = listeners.of(old := config((unix(tmp_path, "a"), set())))
    bad = config((unix(tmp_path, "a"), set()), (unix(tmp_path, "n/x"), set()), (unix(tmp_path, "b"), set()), (unix(tmp_path, "n/y"), set()))
    with pytest.raises(ListenError) as caught:
        listeners.of(bad)
    assert len(caught.value.faults) == 2
    assert not caught.value.busy
    assert [line[:13] for line in str(caught.value).splitlines()] == ["Binding [f:2]", "Binding [f:4]"]
    assert first.sockets[Listening(0)].fileno() != -1
    assert listeners.inodes(old) == {Listening(0): os.fstat(first.sockets[Listening(0)].fileno()).st_ino}
