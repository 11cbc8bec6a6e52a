"""Real receivers on real sockets, pipes and files; no sleeps."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from common.errors import ConfigError
from common.model import Address, AddressKind, LogTarget, Place
from common.net.logs import BACKLOG_BYTES_MAX, Logger, Outlets

INFO, ERR = 6, 3


@pytest.fixture
def outlets() -> Iterator[Outlets]:
    made = Outlets()
    yield made
    made.close()


def raw(address: Address | None, stream: str = "", **settings: object) -> LogTarget:
    return LogTarget(Place(), address, stream, format="raw", **settings)  # type: ignore[arg-type]


def descriptor(fd: int) -> Address:
    return Address(AddressKind.FD, fd=fd)


def datagram_receiver(family: socket.AddressFamily, name: object) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(name)  # type: ignore[arg-type]
    sock.settimeout(5)
    return sock


def test_udp_receiver_gets_one_datagram_per_line(outlets: Outlets) -> None:
    with datagram_receiver(socket.AF_INET, ("127.0.0.1", 0)) as receiver:
        target = LogTarget(Place(), Address(AddressKind.INET, "127.0.0.1", receiver.getsockname()[1]), facility="local2")
        logger = Logger([target], outlets, "tag", 77)
        logger.log(INFO, b"one")
        logger.log(ERR, b"two")
        first, second = receiver.recv(100), receiver.recv(100)
    assert (first[:5], first[-14:]) == (b"<150>", b" tag[77]: one\n")
    assert (second[:5], second[-14:]) == (b"<147>", b" tag[77]: two\n")


def test_a_receiver_on_ipv6(outlets: Outlets) -> None:
    try:
        receiver = datagram_receiver(socket.AF_INET6, ("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with receiver:
        Logger([raw(Address(AddressKind.INET6, "::1", receiver.getsockname()[1]))], outlets, "t", 1).log(INFO, b"six")
        assert receiver.recv(100) == b"six\n"


@pytest.mark.parametrize("kind", [AddressKind.UNIX, AddressKind.ABNS, AddressKind.ABNSZ])
def test_a_receiver_on_a_unix_socket_may_be_restarted(outlets: Outlets, tmp_path: Path, kind: AddressKind) -> None:
    path = str(tmp_path / "log") if kind is AddressKind.UNIX else f"usher-test-log-{os.getpid()}-{kind.value}"
    name: str | bytes = path if kind is AddressKind.UNIX else b"\0" + path.encode()
    if kind is AddressKind.ABNS:
        name = (b"\0" + path.encode()).ljust(108, b"\0")
    logger = Logger([raw(Address(kind, path=path))], outlets, "t", 1)
    logger.log(INFO, b"nobody there")
    assert outlets.dropped == 1
    for life in (b"first", b"second"):
        with datagram_receiver(socket.AF_UNIX, name) as receiver:
            logger.log(INFO, life)
            assert receiver.recv(100) == life + b"\n"
        Path(path).unlink(missing_ok=True)
    assert outlets.dropped == 1


def test_lines_that_nobody_received_are_counted(outlets: Outlets) -> None:
    with datagram_receiver(socket.AF_INET, ("127.0.0.1", 0)) as receiver:
        port = receiver.getsockname()[1]
    logger = Logger([raw(Address(AddressKind.INET, "127.0.0.1", port))], outlets, "t", 1)
    for _ in range(10):
        logger.log(INFO, b"lost")
    assert outlets.dropped == 9  # the kernel has not told of the last one yet


def test_only_wanted_levels_are_sent_and_severe_ones_are_capped(outlets: Outlets, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        target = LogTarget(Place(), descriptor(file.fileno()), format="short", level="info", min_level="err")
        logger = Logger([target], outlets, "t", 1)
        for level in range(8):
            logger.log(level, b"%d" % level)
        assert (tmp_path / "log").read_bytes().splitlines() == [b"<3>0", b"<3>1", b"<3>2", b"<3>3", b"<4>4", b"<5>5", b"<6>6"]


def test_each_target_gets_its_own_rendering_level_and_sample(outlets: Outlets, tmp_path: Path) -> None:
    with (tmp_path / "all").open("wb") as everything, (tmp_path / "some").open("wb") as some:
        targets = [raw(descriptor(everything.fileno())), raw(descriptor(some.fileno()), sample=((2, 2),), sample_size=2, level="err")]
        logger = Logger(targets, outlets, "t", 1)
        for number in range(4):
            logger.log(ERR if number else INFO, b"%d" % number)
    assert (tmp_path / "all").read_bytes() == b"0\n1\n2\n3\n"
    assert (tmp_path / "some").read_bytes() == b"2\n"


def test_without_targets_nobody_listens(outlets: Outlets) -> None:
    logger = Logger([], outlets, "t", 1)
    assert not logger
    logger.log(0, b"unheard")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_a_full_pipe_never_blocks_keeps_a_backlog_and_counts_what_is_too_much(outlets: Outlets, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    logger = Logger([raw(descriptor(writing))], outlets, "t", 1)
    text = b"y" * 999
    sent = 2 * (BACKLOG_BYTES_MAX + 65536) // 1000
    for _ in range(sent):
        logger.log(INFO, text)
    assert 0 < outlets.dropped < sent
    received = b""
    while not outlets.flush() or select.select([reading], [], [], 0)[0]:
        received += os.read(reading, 1 << 20)
    lines = received.splitlines()
    assert set(lines) == {text}
    assert len(lines) + outlets.dropped == sent
    assert os.get_blocking(writing), "the flags that others share are as they were"


async def test_the_drain_task_empties_a_backlog_when_the_reader_is_back(outlets: Outlets, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    logger = Logger([raw(descriptor(writing))], outlets, "t", 1)
    received = b""
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outlets.drain)
            for _ in range(200):
                logger.log(INFO, b"z" * 999)
            while len(received) < 200 * 1000:
                await trio.lowlevel.wait_readable(reading)
                received += os.read(reading, 1 << 20)
            nursery.cancel_scope.cancel()
    assert outlets.dropped == 0
    assert set(received.splitlines()) == {b"z" * 999}


def test_a_line_larger_than_the_pipe_is_finished_before_the_next(outlets: Outlets, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    logger = Logger([raw(descriptor(writing), length=65535)], outlets, "t", 1)
    for letter in b"abc":
        logger.log(INFO, bytes([letter]) * 60000)
    received = b""
    while not outlets.flush() or select.select([reading], [], [], 0)[0]:
        received += os.read(reading, 1 << 20)
    assert received == b"".join(bytes([letter]) * 60000 + b"\n" for letter in b"abc")


def test_a_reader_that_is_gone_costs_only_its_lines(outlets: Outlets, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with open(os.devnull, "rb") as elsewhere:
        os.dup2(elsewhere.fileno(), reading)
    logger = Logger([raw(descriptor(writing))], outlets, "t", 1)
    logger.log(INFO, b"x")
    logger.log(INFO, b"x")
    assert outlets.dropped == 2


def test_a_stream_socket_as_the_service_manager_gives_it(outlets: Outlets) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        logger = Logger([raw(descriptor(ours.fileno()))], outlets, "t", 1)
        logger.log(INFO, b"to the journal")
        assert theirs.recv(100) == b"to the journal\n"
        for _ in range(5000):
            logger.log(INFO, b"j" * 999)
        assert outlets.dropped > 0


def polled(outlets: Outlets, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError

    monkeypatch.setattr("common.net.logs.os.open", refuse)


def test_a_pipe_that_cannot_be_opened_anew_is_polled(outlets: Outlets, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    polled(outlets, monkeypatch)
    reading, writing = pipe
    logger = Logger([raw(descriptor(writing), length=65535)], outlets, "t", 1)
    for _ in range(3):
        logger.log(INFO, b"w" * 50000)
    received = b""
    while not outlets.flush() or select.select([reading], [], [], 0)[0]:
        received += os.read(reading, 1 << 20)
    assert received == (b"w" * 50000 + b"\n") * 3


def test_stdout_and_stderr_are_descriptors_one_and_two(outlets: Outlets, capfd: pytest.CaptureFixture[str]) -> None:
    Logger([raw(None, "stdout")], outlets, "t", 1).log(INFO, b"out")
    Logger([raw(None, "stderr")], outlets, "t", 1).log(INFO, b"err")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("out\n", "err\n")


def test_two_loggers_share_one_outlet(outlets: Outlets, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        target = raw(descriptor(file.fileno()))
        assert outlets.open(target) is outlets.open(target)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (lambda: descriptor(987654), "cannot log to fd@987654"),
        (lambda: Address(AddressKind.INET, "no-such-host.invalid", 514), "could not resolve"),
        (lambda: None, "has no receiver"),
    ],
)
def test_a_receiver_that_cannot_be_opened_is_a_clear_error(outlets: Outlets, address: Callable[[], Address | None], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        outlets.open(raw(address()))


def test_the_syslog_port_is_the_default() -> None:
    outlets = Outlets()
    outlets.open(raw(Address(AddressKind.INET, "127.0.0.1")))
    outlets.close()


def test_closing_tries_once_more_and_counts_what_is_left(pipe: tuple[int, int]) -> None:
    _reading, writing = pipe
    outlets = Outlets()
    outlet = outlets.open(raw(descriptor(writing)))
    for _ in range(100):
        outlet.write(b"q" * 999 + b"\n")
    waiting = outlet.waiting
    assert waiting > 0
    outlets.close()
    assert outlet.dropped == waiting
