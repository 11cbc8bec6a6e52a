"""Each command of the master: its answer, its effect, and for those that HAProxy 2.6 has the same question put to it."""

from __future__ import annotations

import base64
import csv
import io
import pickle
import signal
import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from common.control.operator_plane import Plane
from common.control.operator_session import Session
from common.model import Server
from common.observe import fields as f
from common.observe import states as s
from common.observe.commands import Level
from common.observe.counters import Counters
from common.observe.layout import G_MAXCONN, G_RATE_COMPRESSION, G_RATE_SESSIONS
from common.observe.reasons import INDEX
from tests.common.control.fake_master import FakeMaster, generation, plane
from tests.common.observe.configurations import FARM_FILE
from tests.common.observe.haproxies import free_port, haproxy

BE = 2


async def ask(to: Plane, line: str) -> str:
    """The answer to one line, without the empty line that ends it."""
    ours, theirs = trio.testing.memory_stream_pair()
    answer = b""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await Session(to, theirs, Level.ADMIN, 10.0).run()
                await theirs.aclose()

            nursery.start_soon(serve)
            await ours.send_all(line.encode() + b"\n")
            async for chunk in ours:
                answer += chunk
    return answer.decode().removesuffix("\n")


def server_state(to: Plane, name: str) -> memoryview[int]:
    place = to.changes.find(name)
    assert place is not None
    return to.changes.block(place)


# Given one after the other to HAProxy and to us: both answer the same, whatever the commands before have changed.
QUESTIONS = """
get weight
get weight be
get weight be/x
get weight x/s1
get weight be/s1
get weight #4/#1
set weight
set weight be/s1
set weight be/s1 abc
set weight be/s1 300
set weight be/s1 50%
get weight be/s1
set weight be/s1 10000%
get weight be/s1
set server
set server be
set server be/s1
set server be/s1 foo
set server be/s1 name x
set server x/s1 state ready
set server be/x state ready
set server be/s1 state
set server be/s1 state foo
set server be/s1 state maint
set server be/s1 state ready
set server be/s1 weight
set server be/s1 weight 7
set server be/s1 health
set server be/s1 health foo
set server be/s1 health up
set server be/s3 health up
set server be/s1 agent up
set server bet/t1 agent
set server bet/t1 agent foo
set server bet/t1 agent up
set server bet/t1 agent-send foo
set server be/s1 agent-send foo
set server bet/t1 agent-addr 127.0.0.9
set server bet/t1 agent-addr 127.0.0.9 port 99
set server bet/t1 agent-addr
set server bet/t1 agent-port 12
set server bet/t1 agent-port foo
set server be/s1 check-port 99
set server be/s1 check-port foo
set server be/s1 check-port
set server be/s1 check-addr 127.0.0.9
set server be/s1 check-addr 127.0.0.9 port 99
set server bet/t1 check-addr 127.0.0.9
set server bet/t1 check-port 9
set server be/s2 addr
set server be/s2 addr foo.bar
set server be/s2 addr 127.0.0.7
set server be/s2 addr 127.0.0.7
set server be/s2 addr 127.0.0.8 port 18811
set server be/s2 addr 127.0.0.8 port 18811
set server be/s2 addr 127.0.0.8 port 18812
set server be/s2 addr 127.0.0.8 port foo
set server be/s2 addr 127.0.0.8 prt 18811
set server be/s2 addr ::1 port 18811
set server be/s1 fqdn foo.bar
set server be/s1 ssl on
disable frontend
disable frontend nope
disable frontend be
disable frontend fe
disable frontend fe
enable frontend fe
enable frontend #2
enable frontend
disable server
disable server be
disable server be/s2
disable server be/s2
enable server be/s2
enable server be/x
disable health be/s1
enable health be/s1
disable health be/s3
enable health bet/t1
disable agent bet/t1
enable agent bet/t1
enable agent be/s1
disable agent be/s1
set maxconn global
set maxconn global 100
set maxconn global 999999
set maxconn global 0
set maxconn frontend
set maxconn frontend fe
set maxconn frontend fe 20
set maxconn frontend nope 20
set maxconn server
set maxconn server be/s1
set maxconn server be/s1 foo
set maxconn server be/s1 20
set maxconn server be/x 20
set rate-limit
set rate-limit connections
set rate-limit connections global
set rate-limit connections global 10
set rate-limit connections foo 10
set rate-limit sessions global 10
set rate-limit ssl-sessions global 10
set rate-limit http-compression global 10
set rate-limit foo global 10
set timeout
set timeout cli
set timeout cli foo
set timeout cli 30
clear counters
clear counters all
show servers state nope
show servers conn nope
show stat domain dns
show env NO_SUCH_VARIABLE
show backend
show cli level
experimental-mode
expert-mode
shutdown frontend
shutdown frontend nope
shutdown frontend fe
shutdown frontend fe
enable frontend fe
disable frontend fe
add server
add server x/n1 127.0.0.1:99
add server be/n1
add server be/s1 127.0.0.1:99
add server be/n1 127.0.0.1:99
add server be/n1 127.0.0.1:99
enable server be/n1
del server be/n1
disable server be/n1
del server be/n1
del server be/x
del server be/s2
""".strip().splitlines()


@pytest.mark.interop("haproxy")
async def test_every_answer_is_that_of_haproxy(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("fe1", "fe2", "fet", "li")}
    with socket.create_server(("127.0.0.1", 0)) as checked:
        port = checked.getsockname()[1]
        text = FARM_FILE.format(socket="{socket}", **ports).replace("127.0.0.1:1 check", f"127.0.0.1:{port} check inter 1h")
        ours = plane()
        ours.config.globals.maxconn = 1000
        with haproxy(tmp_path, text) as theirs:
            different = []
            for question in QUESTIONS:
                expected, got = theirs.ask(question).replace(f"'{port}'", "'18912'"), await ask(ours, question)
                if expected.strip() != got.strip():
                    different.append((question, expected, got))
    assert different == []


async def test_statistics_come_in_every_format() -> None:
    made = plane()
    rows = list(csv.DictReader(io.StringIO((await ask(made, "show stat")).removeprefix("# "))))
    assert [row["svname"] for row in rows if row["pxname"] == "be"] == ["s1", "s2", "s3", "s4", "BACKEND"]
    assert (await ask(made, "show stat be 4 2 typed desc")).startswith('S.4.2.0.pxname.1:KNS:str:be:"Name of the proxy"\n')
    assert (await ask(made, "show stat json")).startswith('[[{"objType":"Frontend","proxyId":2,')
    assert (await ask(made, "show schema json")).startswith('{"$schema":"http://json-schema.org/draft-04/schema#"')
    assert await ask(made, "show stat nobody 1 1") == "No such proxy.\n"
    assert len((await ask(made, "show stat domain proxy be 4 -1 no-maint")).splitlines()) == 4


async def test_info_is_of_the_service_or_of_one_process() -> None:
    made = plane()
    Counters(made.counters._words.cast("B"), made.counters.layout, 2).frontend(0)[f.CONN_TOT] += 7
    everyone, second, first = [await ask(made, line) for line in ("show info", "@2 show info", "@1 show info typed")]
    assert "\nCumConns: 7\n" in everyone
    assert "\nNbproc: 2\n" in everyone
    assert "\nCumConns: 7\n" in second
    assert "\n18.CumConns.1:MCP:u32:0\n" in first
    assert '"field":{"pos":0,"name":"Name"}' in await ask(made, "show info json")
    assert 'Name: Usher:"Name of the program"' in await ask(made, "show info desc")


async def test_maxima_and_counters_can_be_cleared() -> None:
    made = plane()
    number = made.counters.layout.frontends[0]
    worker = Counters(made.counters._words.cast("B"), made.counters.layout, 1)
    f.enter(worker.frontend(0))
    await ask(made, "clear counters")
    assert (made.counters.total(number)[f.SMAX], made.counters.total(number)[f.STOT]) == (0, 1)
    await ask(made, "clear counters all")
    assert (made.counters.total(number)[f.STOT], made.counters.total(number)[f.SCUR]) == (0, 1)


async def test_limits_stand_in_the_shared_words() -> None:
    made = plane()
    made.config.globals.maxconn = 500
    await ask(
        made, "set maxconn global 50; set rate-limit sessions global 9; set rate-limit http-compression global 2; set maxconn frontend fe 5"
    )
    words = made.counters.globals
    assert (words[G_MAXCONN], words[G_RATE_SESSIONS], words[G_RATE_COMPRESSION]) == (50, 9, 2048)
    assert made.counters.state(made.counters.layout.frontends[0])[s.F_MAXCONN] == 5
    await ask(made, "set maxconn server be/s1 33")
    assert server_state(made, "be/s1")[s.S_MAXCONN] == 33


async def test_a_name_that_is_no_number_closes_no_frontend() -> None:
    made = plane()
    assert await ask(made, "set maxconn frontend fe foo") == "Integer value expected.\n"
    assert await ask(made, "set maxconn global foo") == "Expects an integer value.\n"


async def test_a_frontend_is_paused_in_the_shared_words() -> None:
    made = plane()
    state = made.counters.state(made.counters.layout.frontends[0])
    await ask(made, "disable frontend fe")
    assert state[s.F_STATE] == s.STOPPED
    await ask(made, "enable frontend fe; shutdown frontend fe")
    assert state[s.F_STATE] == s.SHUT_DOWN


async def test_an_added_server_is_in_maintenance_and_every_process_is_sent_it() -> None:
    made = plane()
    assert await ask(made, "add server be/n1 127.0.0.1:99 check weight 5 maxconn 7") == "New server registered.\n"
    state = server_state(made, "be/n1")
    assert [state[word] for word in (s.S_OPERATIONAL, s.S_ADMIN, s.S_WEIGHT, s.S_MAXCONN, s.S_CHECK_STATE)] == [0, 1, 5, 7, 2]
    (line,) = made.members[1].asked  # type: ignore[attr-defined]
    server: Server = pickle.loads(base64.b64decode(line.split()[3]))
    assert (server.name, server.address.port, server.id) == ("n1", 99, 5)
    assert "be,n1," in await ask(made, "show stat")
    assert "be n1 127.0.0.1 0 1" in (await ask(made, "show servers state be")).replace(" 5 n1", " n1")
    await ask(made, "enable server be/n1; enable health be/n1")
    assert (state[s.S_OPERATIONAL], state[s.S_CHECK_STATE]) == (s.OP_RUNNING, 6)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("add server be/n1 127.0.0.1:99 nonsense", "nonsense"),
        ("add server be/n1 127.0.0.1:99 weight 1000", "weight"),
        ("add server be/n'1 127.0.0.1:99", "is not permitted in server name 'n'1'"),
        ("add server be/n1 127.0.0.1:99 id 77", "New server registered"),
    ],
)
async def test_a_server_line_is_read_as_in_the_file(line: str, part: str) -> None:
    assert part in await ask(plane(), line)


async def test_static_algorithms_take_no_new_servers() -> None:
    made = plane()
    made.config.proxies[BE].balance = ("source",)
    assert await ask(made, "add server be/n1 127.0.0.1:99") == "Backend must use a dynamic load balancing to support dynamic servers.\n"


async def test_a_server_with_sessions_or_followers_is_not_removed() -> None:
    made = plane()
    await ask(made, "disable server be/s1; disable server be/s2")
    Counters(made.counters._words.cast("B"), made.counters.layout, 1).server(BE, 1)[f.SCUR] = 1
    assert "still has connections" in await ask(made, "del server be/s2")
    assert "other configuration elements" in await ask(made, "del server be/s1")
    Counters(made.counters._words.cast("B"), made.counters.layout, 1).server(BE, 1)[f.SCUR] = 0
    assert await ask(made, "del server be/s2") == "Server deleted.\n"
    assert [server.name for server in made.config.proxies[BE].servers] == ["s1", "s3", "s4"]
    assert made.members[1].asked[-1] == "del server be/s2"  # type: ignore[attr-defined]
    assert made.changes.find("be/s3") == (BE, 1)


async def test_waiting_ends_with_the_delay_or_when_a_server_can_be_removed(autojump_clock: trio.testing.MockClock) -> None:
    made = plane()
    worker = Counters(made.counters._words.cast("B"), made.counters.layout, 1)
    began = trio.current_time()
    assert await ask(made, "wait 3s") == ""
    assert trio.current_time() - began == pytest.approx(3)
    await ask(made, "disable server be/s2")
    worker.server(BE, 1)[f.SCUR] = 1
    assert (await ask(made, "wait 2000 srv-removable be/s2")).startswith("Wait delay expired: Server still has connections")

    async def leave() -> None:
        await trio.sleep(1)
        worker.server(BE, 1)[f.SCUR] = 0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        assert await ask(made, "wait 5s srv-removable be/s2") == "Done.\n"
    assert (await ask(made, "wait x")).startswith("Invalid delay: ")
    assert "Unknown condition 'foo'" in await ask(made, "wait 1s foo")
    assert await ask(made, "wait 1s srv-removable be/x") == "No such server.\n"


@pytest.mark.parametrize(("line", "signum"), [("stop", signal.SIGTERM), ("drain", signal.SIGUSR1)])
async def test_the_service_can_be_ended(line: str, signum: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(Plane, "signal_master", staticmethod(sent.append))
    assert await ask(plane(), line) == ""
    assert sent == [signum]


async def test_processes_are_listed_as_haproxys_master_does() -> None:
    made = plane()
    older = generation(number=0, workers=1)
    assert isinstance(made.master, FakeMaster)
    made.master.generations.insert(0, older)
    lines = (await ask(made, "show proc")).splitlines()
    assert lines[0] == "#<PID>          <type>          <reloads>       <uptime>        <version>"
    assert lines[1].split()[1:5] == ["master", "0", "[failed:", "0]"]
    assert lines[2] == "# workers"
    assert [line.split()[1:3] for line in lines[3:6]] == [["dispatcher", "0"], ["worker", "0"], ["worker", "0"]]
    assert lines[6] == "# old workers"
    assert [line.split()[1:3] for line in lines[7:9]] == [["dispatcher", "1"], ["worker", "1"]]
    assert lines[9] == "# programs"


async def test_generations_say_what_holds_them() -> None:
    made = plane()
    Counters(made.counters._words.cast("B"), made.counters.layout, 2).frontend(0)[f.SCUR] = 4
    text = await ask(made, "show generations")
    assert text.startswith("generation 1: serves\n")
    assert f"worker 2 ({made.members[2].pid}): 4 sessions" in text


async def test_what_else_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    made = plane()
    made.sockets = [("unix@/run/x", "admin"), ("127.0.0.1:9", "user")]
    made.startup_lines = ["[NOTICE] hello"]
    monkeypatch.setenv("USHER_TEST", "yes")
    worker = Counters(made.counters._words.cast("B"), made.counters.layout, 1)
    worker.reasons(0)[INDEX["denied"]] += 1
    assert await ask(made, "show cli sockets") == "# socket lvl processes\nunix@/run/x admin all\n127.0.0.1:9 user all\n"
    assert await ask(made, "show startup-logs") == "[NOTICE] hello\n"
    assert await ask(made, "show env USHER_TEST") == "USHER_TEST=yes\n"
    assert "\nUSHER_TEST=yes\n" in await ask(made, "show env")
    assert await ask(made, "show reasons") == "# count reason\n1 denied\n"
    assert (await ask(made, "show reasons SC")).startswith("SC: the server ended")
    assert "libc" in await ask(made, "show libs")
    assert "Total: 3 processes, " in await ask(made, "show pools")
    assert (await ask(made, "show servers conn bet")).splitlines()[1].startswith("bet/t1 5/1 127.0.0.1 18911 - 5000 0")


async def test_changes_of_servers_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    made = plane()
    made.console.fd = 2
    await ask(made, "disable server be/s1")
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("[WARNING]  (")
    assert lines[0].endswith("Server be/s1 is going DOWN for maintenance. 1 active and 1 backup servers left. "
                             "0 sessions active, 0 requeued, 0 remaining in queue.")  # fmt: skip
    assert lines[1].split(" : ")[1].startswith("Backup Server be/s3 is going DOWN for maintenance via be/s1. 1 active and 0 backup")


async def test_help_names_every_command_that_is_not_hidden() -> None:
    text = await ask(plane(), "help")
    assert text.startswith("The following commands are valid at this level:\n")
    assert "  show stat [desc|json|no-maint|typed|up]*: " in text
    assert "show cli sockets" in await ask(plane(), "help show cli")
