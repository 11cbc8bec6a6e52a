"""The operator's sockets, real ones, and the statistics that the master keeps."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
import trio

from common.control.console import Console
from common.control.operator import MAXCONN, Operator, SocketLine, parse_socket
from common.control.operator_handlers import HANDLERS, Request
from common.control.operator_plane import Answer
from common.control.operator_statistics import Statistics
from common.errors import ConfigError
from common.model import Address, AddressKind
from common.observe import fields as f
from common.observe import states as s
from common.observe.commands import Level
from common.observe.counters import Counters
from common.observe.layout import G_STARTED_AT_MS
from common.observe.rates import RATE_SESSIONS, Rates
from tests.common.control.fake_master import FakeGeneration, FakeMaster, generation
from tests.common.observe.configurations import farm


def unix(path: str) -> Address:
    return Address(AddressKind.UNIX, path=path)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("/run/x", SocketLine(unix("/run/x"))),
        ("/run/x mode 660 level admin", SocketLine(unix("/run/x"), Level.ADMIN, mode=0o660)),
        ("unix@/run/x user u group g level user", SocketLine(unix("/run/x"), Level.USER, user="u", group="g")),
        ("127.0.0.1:99 uid 1 gid 2", SocketLine(Address(AddressKind.INET, "127.0.0.1", 99), uid=1, gid=2)),
        ("abns@x expose-fd listeners severity-output number", SocketLine(Address(AddressKind.ABNS, path="x"), severity="number")),
        ("fd@7 tfo process 1 name n", SocketLine(Address(AddressKind.FD, fd=7))),
    ],
)
def test_a_line_of_the_file_becomes_a_socket(words: str, line: SocketLine) -> None:
    assert parse_socket(words.split()) == line


def test_the_masters_own_socket_is_for_admins_unless_it_says_otherwise() -> None:
    assert parse_socket(["/run/m"], on_master=True).level is Level.ADMIN
    assert parse_socket(["/run/m", "level", "user", "mode", "600"], on_master=True) == SocketLine(
        unix("/run/m"), Level.USER, mode=0o600, on_master=True
    )


@pytest.mark.parametrize("words", ["/run/x level god", "/run/x mode 9x", "/run/x uid me", "fd@x", "foo@bar@baz:"])
def test_a_line_that_makes_no_sense_is_refused(words: str) -> None:
    with pytest.raises(ConfigError, match="operator socket"):
        parse_socket(words.split())


class Running:
    """An operator over a fake master; `folder` holds its sockets."""

    def __init__(self, folder: Path, *lines: str, master_socket: str = "", **extra: str) -> None:
        self.folder = folder
        self.first = self.configured(*lines, number=1, **extra)
        self.master = FakeMaster([self.first])
        self.operator = Operator(self.master, Console(fd=-1), master_socket)
        self.operator.serving(self.first)

    def configured(self, *lines: str, number: int, **extra: str) -> FakeGeneration:
        config = farm()
        config.globals.stats_sockets = [tuple(line.format(folder=self.folder).split()) for line in lines]
        config.globals.extra |= {name.replace("_", " "): ((value,),) for name, value in extra.items()}
        return generation(config, number)

    async def ask(self, name: str, line: bytes) -> bytes:
        stream = await trio.open_unix_socket(str(self.folder / name))
        async with stream:
            await stream.send_all(line)
            return b"".join([chunk async for chunk in stream])


async def test_operators_are_answered_at_their_sockets_level(tmp_path: Path) -> None:
    running = Running(tmp_path, "{folder}/a mode 600 level admin", "{folder}/u level user")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.operator.run)
            assert await running.ask("a", b"show cli level\n") == b"admin\n\n"
            assert await running.ask("u", b"show cli level;show env\n") == b"user\n\nPermission denied\n\n"
            assert (await running.ask("u", b"show cli sockets\n")).decode() == (
                f"# socket lvl processes\nunix@{tmp_path}/a admin all\nunix@{tmp_path}/u user all\n\n"
            )
            nursery.cancel_scope.cancel()
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o600


async def test_the_masters_socket_has_its_own_prompt(tmp_path: Path) -> None:
    running = Running(tmp_path, master_socket=f"{tmp_path}/m,mode,600")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.operator.run)
            assert await running.ask("m", b"prompt\nquit\n") == b"\nmaster> "
            nursery.cancel_scope.cancel()


async def test_a_reload_keeps_sockets_and_sessions_closes_what_is_gone_and_opens_what_is_new(tmp_path: Path) -> None:
    running = Running(tmp_path, "{folder}/kept", "{folder}/gone")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.operator.run)
            talking = await trio.open_unix_socket(str(tmp_path / "gone"))
            await talking.send_all(b"prompt\n")
            assert await talking.receive_some() == b"\n> "
            inode = os.stat(tmp_path / "kept").st_ino
            second = running.configured("{folder}/kept", "{folder}/new", number=2)
            running.master.generations.append(second)
            running.operator.serving(second)
            assert await running.ask("new", b"show cli level\n") == b"operator\n\n"
            assert await running.ask("kept", b"show cli level\n") == b"operator\n\n"
            assert os.stat(tmp_path / "kept").st_ino == inode
            await talking.send_all(b"show generations\n")
            assert b"generation 2: serves" in await talking.receive_some()
            await talking.aclose()
            while True:
                try:
                    await (await trio.open_unix_socket(str(tmp_path / "gone"))).aclose()
                except ConnectionRefusedError:
                    break
            nursery.cancel_scope.cancel()


async def test_only_so_many_operators_are_served_at_once(tmp_path: Path) -> None:
    running = Running(tmp_path, "{folder}/s", stats_maxconn="2")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.operator.run)
            first, second, third = [await trio.open_unix_socket(str(tmp_path / "s")) for _ in range(3)]
            for stream in (first, second, third):
                await stream.send_all(b"prompt\n")
            assert await first.receive_some() == b"\n> "
            assert await second.receive_some() == b"\n> "
            with trio.move_on_after(0.05) as waited:
                await third.receive_some()
            assert waited.cancelled_caught
            await first.aclose()
            assert await third.receive_some() == b"\n> "
            await second.aclose()
            await third.aclose()
            nursery.cancel_scope.cancel()
    assert MAXCONN == 10


async def test_a_silent_operator_is_let_go_after_stats_timeout(tmp_path: Path) -> None:
    running = Running(tmp_path, "{folder}/s", stats_timeout="30ms")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.operator.run)
            assert await running.ask("s", b"show vers") == b""
            nursery.cancel_scope.cancel()


async def test_a_fault_in_a_command_ends_the_session_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_request: Request) -> Answer:
        raise RuntimeError("a fault")

    monkeypatch.setitem(HANDLERS, ("show", "version"), broken)
    running = Running(tmp_path, "{folder}/s")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.operator.run)
            assert await running.ask("s", b"show version\n") == b""
            assert await running.ask("s", b"show cli level\n") == b"operator\n\n"
            nursery.cancel_scope.cancel()


def test_a_socket_that_cannot_be_opened_is_said_and_the_service_serves(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    config = farm()
    config.globals.stats_sockets = [(f"{tmp_path}/file",), (f"{tmp_path}/good",)]
    first = generation(config)
    operator = Operator(FakeMaster([first]), Console())
    operator.serving(first)
    assert [address for address, _level in operator.plane.sockets] == [f"unix@{tmp_path}/good"]
    assert f"operator socket unix@{tmp_path}/file cannot be opened" in capfd.readouterr().err
    operator.close()
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(f"{tmp_path}/good")


# --- statistics ---------------------------------------------------------------------------------------------------------


def worker(of: FakeGeneration, row: int = 1) -> Counters:
    assert of.counters is not None
    return Counters(of.counters._words.cast("B"), of.counters.layout, row)


def totals(statistics: Statistics, word: int) -> int:
    assert statistics.counters is not None
    return statistics.counters.total(statistics.counters.layout.frontends[0])[word]


def test_a_first_generation_gets_its_states_from_the_file() -> None:
    first = generation()
    statistics = Statistics()
    statistics.begin(first)
    assert first.counters is not None
    assert first.counters.globals[G_STARTED_AT_MS] > 0
    assert first.counters.state(first.counters.layout.servers[2][0])[s.S_OPERATIONAL] == s.OP_RUNNING


def test_numbers_and_states_go_on_over_reloads_in_a_chain() -> None:
    first, second, third = generation(), generation(number=2), generation(number=3)
    statistics, alive = Statistics(), [first]
    statistics.begin(first)
    f.enter(worker(first).frontend(0))
    assert statistics.changes is not None
    statistics.changes.maintain(statistics.changes.find("be/s1"), 1.0)  # type: ignore[arg-type]
    for number, following in enumerate((second, third), 1):
        alive.append(following)
        statistics.begin(following)
        f.enter(worker(following).frontend(0))
        assert totals(statistics, f.STOT) == number + 1
        assert following.counters is not None
        assert following.counters.state(following.counters.layout.servers[2][0])[s.S_ADMIN] == s.FORCED_MAINT
    f.enter(worker(first).frontend(0))  # it still drains
    statistics.second(alive)
    assert (totals(statistics, f.STOT), totals(statistics, f.SCUR)) == (4, 4)
    alive.remove(second)
    statistics.second(alive)
    assert (totals(statistics, f.STOT), totals(statistics, f.SCUR)) == (4, 3)
    f.enter(worker(first).frontend(0))
    alive.remove(first)
    statistics.second(alive)
    statistics.second(alive)
    assert (totals(statistics, f.STOT), totals(statistics, f.SCUR)) == (5, 1)


def test_sessions_of_the_dead_are_taken_back() -> None:
    first = generation()
    statistics = Statistics()
    statistics.begin(first)
    f.enter(worker(first).frontend(0))
    statistics.second([first])
    assert totals(statistics, f.SCUR) == 1
    first.members[1].pid = 0
    statistics.second([first])
    assert (totals(statistics, f.SCUR), totals(statistics, f.STOT)) == (0, 1)


def test_rates_are_sampled_each_second() -> None:
    first = generation()
    statistics = Statistics()
    statistics.begin(first)
    for _ in range(5):
        f.enter(worker(first).frontend(0))
    statistics.second([first])
    assert statistics.counters is not None
    number = statistics.counters.layout.frontends[0]
    assert Rates(statistics.counters, 0).largest(number, RATE_SESSIONS) > 0
    statistics.clear(everything=True)
    assert Rates(statistics.counters, 0).largest(number, RATE_SESSIONS) == 0
    assert totals(statistics, f.STOT) == 0


def test_beginning_the_same_generation_again_changes_nothing() -> None:
    first = generation()
    statistics = Statistics()
    statistics.begin(first)
    book = statistics.changes
    statistics.begin(first)
    assert statistics.changes is book
