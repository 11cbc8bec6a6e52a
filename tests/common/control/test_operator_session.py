"""Conversations with an operator: what is sent, and byte for byte what comes back. Endings and prompts are those of HAProxy 2.6."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from common.control.operator_handlers import HANDLERS
from common.control.operator_plane import Plane
from common.control.operator_session import Session
from common.observe.command_line import LINE_BYTES_MAX
from common.observe.commands import COMMANDS, Level, Where
from common.process.facts import version
from tests.common.control.fake_master import FakeMember, plane

VERSION = version().encode()


async def talk(
    *sent: bytes, level: Level = Level.ADMIN, to: Plane | None = None, half_close: bool = True, on_master: bool = False, step: int = 0
) -> bytes:
    """Everything that comes back when these pieces are sent one after the other, up to the end of the connection."""
    ours, theirs = trio.testing.memory_stream_pair()
    received = b""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            session = Session(to or plane(), theirs, level, 10.0, on_master=on_master)

            async def serve() -> None:
                await session.run()
                await theirs.aclose()

            async def send() -> None:
                data = b"".join(sent)
                try:
                    for start in range(0, len(data), step or len(data) or 1):
                        await ours.send_all(data[start : start + step] if step else data)
                    if half_close:
                        await ours.send_stream.aclose()
                except trio.BrokenResourceError:
                    pass  # the session has ended before

            nursery.start_soon(serve)
            nursery.start_soon(send)
            async for chunk in ours:
                received += chunk
    return received


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"show version\n", VERSION + b"\n\n"),
        (b"  show \t version  \r\n", VERSION + b"\n\n"),
        (b"show version;show cli level\n", VERSION + b"\n\nadmin\n\n"),
        (b"show version;\n", VERSION + b"\n\n"),
        (b"show version # and more\n", VERSION + b"\n\n"),
        (b"show version", b""),
        (b"", b""),
        (b"prompt\n", b"\n> "),
        (b"prompt\nshow version\n", b"\n> " + VERSION + b"\n\n> "),
        (b"prompt\nquit\n", b"\n> "),
        (b"prompt\nprompt\nshow version\n", b"\n> \n"),
        (b"prompt; prompt\n", b"\n> \n"),
        (b"prompt\nget weight be/s1;show version\n", b"\n> 10 (initial 10)\n\n> " + VERSION + b"\n\n> "),
        (b"prompt\n\n", b"\n> \n> "),
        (b"prompt\nget weight <<\nabc\n\n", b"\n> + + Require 'backend/server'.\n\n> "),
        (b"get weight <<\nabc\n\n", b"Require 'backend/server'.\n\n"),
        (b"quit\n", b""),
        (b"operator; show cli level; user; show cli level; operator\n", b"\noperator\n\n\nuser\n\nPermission denied\n\n"),
        (b"set severity-output number; get weight x/y\n", b"\n[3]: No such backend.\n\n"),
        (b"set severity-output string; get weight x/y; get weight be/s1\n", b"\n[err]: No such backend.\n\n10 (initial 10)\n\n"),
        (b"set severity-output\n", b"one of 'none', 'number', 'string' is a required argument\n\n"),
        (b"experimental-mode\n", b"experimental-mode is OFF\n\n"),
        (b"experimental-mode on; experimental-mode; operator\n", b"\nexperimental-mode is ON\n\n\n"),
        (b"set var proc.x str(a)\n", b"This command is restricted to experimental mode only.\n\n"),
        (b"set timeout\n", b"'set timeout' only supports 'cli'.\n\n"),
        (b"set timeout cli\n", b"Expects an integer value.\n\n"),
        (b"set timeout cli foo\n", b"Invalid timeout value.\n\n"),
        (b"set timeout cli 30\n", b"\n"),
        (b"echo some mark\n", b"some mark\n\n"),
        (b"@9 show version\n", b"Can't find the target PID matching the prefix '@9'.\n\n"),
    ],
)
async def test_a_conversation(sent: bytes, received: bytes, step: int) -> None:
    assert await talk(sent, step=step) == received


async def test_lines_that_came_together_are_all_answered() -> None:
    sent = b"show version\nshow cli level\n"
    assert await talk(sent) == VERSION + b"\n\nadmin\n\n"
    assert await talk(sent, step=1) == VERSION + b"\n\n", "the connection ends after what there was"


async def test_an_operator_who_sends_one_line_need_not_close() -> None:
    assert await talk(b"show version\n", half_close=False) == VERSION + b"\n\n"


async def test_an_unknown_command_is_answered_with_what_comes_near() -> None:
    answer = await talk(b"show sta\n")
    assert answer.startswith(b"Unknown command, but maybe one of the following ones is a better match:\n")
    assert b"  show stat [desc|json|no-maint|typed|up]*: " in answer
    assert answer.endswith(b"close the connection\n\n")


async def test_an_empty_line_lists_all_commands() -> None:
    assert (await talk(b"\n")).startswith(b"Unknown command. Please enter one of the following commands only:\n")


async def test_a_user_reads_and_changes_nothing() -> None:
    answer = await talk(b"disable server be/s1;show env;clear counters;show backend\n", level=Level.USER)
    assert answer == b"Permission denied\n\n" * 3 + b"# name\nbe\nbet\nempty\nli\n\n"


async def test_clearing_all_counters_needs_more_than_clearing_maxima() -> None:
    assert await talk(b"clear counters;clear counters all\n", level=Level.OPERATOR) == b"\nPermission denied\n\n"


async def test_no_answer_has_an_empty_line_inside() -> None:
    made = plane()
    for member in members(made):
        member.answer = lambda line: "\n\na\n\n\nb"
    assert await talk(b"show sess\n", to=made) == b"a\nb\na\nb\na\nb\n\n"


async def test_a_line_that_never_ends_is_refused() -> None:
    answer = await talk(b"x" * (LINE_BYTES_MAX + 20000))
    assert answer == b"a command line has at most 16384 bytes\n\n"


async def test_a_silent_operator_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(b"show vers")
    began = trio.current_time()
    await Session(plane(), theirs, Level.USER, 10.0).run()
    assert trio.current_time() - began == pytest.approx(10)


async def test_an_operator_who_does_not_read_is_let_go(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            await ours.send_all(b"show stat\n")

        nursery.start_soon(send)
        await Session(plane(), theirs, Level.USER, 10.0).run()
    assert trio.current_time() - began == pytest.approx(10)


def members(made: Plane) -> list[FakeMember]:
    return made.members  # type: ignore[return-value]


async def test_what_only_workers_know_is_asked_of_them_and_merged() -> None:
    made = plane()
    dispatcher, first, second = members(made)
    first.answer = lambda line: "Total events captured on [now] : 1\na\n"
    second.answer = lambda line: "Total events captured on [now] : 2\nb\nc\n"
    assert await talk(b"show errors\n", to=made) == b"Total events captured on [now] : 3\na\nb\nc\n\n"
    assert (dispatcher.asked, first.asked, second.asked) == ([], ["show errors"], ["show errors"])


async def test_a_payload_is_passed_on_behind_its_line() -> None:
    made = plane()
    await talk(b"add map x <<\nk1 v1\nk2 v 2\n\n", to=made)
    assert members(made)[1].asked == ["add map x\nk1 v1\nk2 v 2"]


@pytest.mark.parametrize(("selector", "title"), [("2", "worker 2"), ("w1", "worker 1"), ("d1", "dispatcher 1"), ("1", "worker 1")])
async def test_one_process_can_be_addressed(selector: str, title: str) -> None:
    made = plane()
    for member in members(made):
        member.answer = lambda line, title=member.title: f"{title}: {line}\n"  # type: ignore[misc]
    assert await talk(f"@{selector} show sess\n".encode(), to=made) == f"{title}: show sess\n\n".encode()
    assert await talk(f"@{selector}; show sess; @; show backend\n".encode(), to=made) == (
        f"\n{title}: show sess\n\n\n# name\nbe\nbet\nempty\nli\n\n".encode()
    )


async def test_a_process_that_is_gone_does_not_answer() -> None:
    made = plane()
    for member in members(made):
        member.answer = lambda line: None
    assert await talk(b"show sess\n", to=made) == b"No process answered.\n\n"


async def test_the_masters_prompt_names_who_is_spoken_to_and_the_modes() -> None:
    made = plane()
    pid = str(members(made)[1].pid).encode()
    sent = b"prompt\nexperimental-mode on\n@w1\nexpert-mode on\n@\n"
    expected = b"\nmaster> \nmaster(x)> \n" + pid + b"(x)> \n" + pid + b"(xe)> \nmaster(xe)> "
    assert await talk(sent, to=made, on_master=True) == expected


async def test_a_failed_reload_shows_in_the_prompt() -> None:
    made = plane()
    made.master.reload_result = "usher.cfg:1: no"  # type: ignore[attr-defined]
    answer = await talk(b"prompt\nreload\n", to=made, on_master=True)
    assert answer == b"\nmaster> Success=0\n--\nusher.cfg:1: no\n\nmaster[ReloadFailed]> "
    made.master.reload_result = ""  # type: ignore[attr-defined]
    assert await talk(b"prompt\nreload\n", to=made, on_master=True) == b"\nmaster[ReloadFailed]> Success=1\n--\n\nmaster> "


def test_every_command_of_the_master_has_its_function() -> None:
    of_master = {info.words for info in COMMANDS if info.where in (Where.MASTER, Where.MASTER_FIRST)}
    assert of_master == set(HANDLERS)
