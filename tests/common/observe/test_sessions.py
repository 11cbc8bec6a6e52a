from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from math import inf
from typing import NamedTuple

import pytest

from common.observe import sessions
from common.observe.sessions import CLOSED_S, Closed, Recent, Row, human_time, line, make_id, parse_id, show

ROW = Row(
    id=make_id(4711, 9),
    process="worker2",
    protocol="tcpv4",
    source="192.0.2.1:4444",
    frontend="web",
    listener="main",
    phase="response headers",
    age_s=75.0,
    backend="app",
    server="s1",
    requests=3,
    retries=1,
    timer=("server", 29.9),
    bytes_in=10,
    bytes_out=20,
    client_fd=7,
    server_fd=8,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.9, "0s"), (59.9, "59s"), (60, "1m"), (61, "1m1s"), (3600, "1h"), (3661, "1h1m"), (90061, "1d1h"), (-1, "0s"), (inf, "")],
)
def test_times_are_shown_in_their_two_largest_units(seconds: float, text: str) -> None:
    assert human_time(seconds) == text


def test_line_begins_as_haproxys_and_ends_with_ours() -> None:
    assert line(ROW) == (
        "0x126700000009: proto=tcpv4 src=192.0.2.1:4444 fe=web be=app srv=s1 ts=00 epoch=0 age=1m15s calls=3 rate=0 cpu=0 lat=0 "
        "rq[f=0h,i=0,an=00h,rx=,wx=,ax=] rp[f=0h,i=0,an=00h,rx=29s,wx=,ax=] scf=[8,0h,fd=7] scb=[8,1h,fd=8] exp=29s rc=1 c_exp= "
        "ls=main proc=worker2 phase=response-headers bytes=10/20 timer=server\n"
    )


@pytest.mark.parametrize(
    ("timer", "expected"),
    [
        (("client", 5.0), ["rq[f=0h,i=0,an=00h,rx=5s,", "rp[f=0h,i=0,an=00h,rx=,", "exp=5s", "c_exp= ", "timer=client"]),
        (("http-keep-alive", 5.0), ["an=00h,rx=5s,wx=,ax=] rp["]),
        (("connect", 5.0), ["rx=,wx=,ax=] rp[f=0h,i=0,an=00h,rx=,", "exp=5s", "c_exp=5s"]),
        (("", inf), ["exp= rc=", "timer=-"]),
    ],
)
def test_expiry_stands_where_haproxy_has_it(timer: tuple[str, float], expected: list[str]) -> None:
    text = line(replace(ROW, timer=timer))
    assert all(part in text for part in expected), text


def test_session_without_server_says_so() -> None:
    text = line(replace(ROW, backend="", server="", server_fd=-1))
    assert "be=<NONE> srv=<none>" in text and "scb=[8,0h,fd=-1]" in text


def test_one_is_found_by_its_id_in_any_spelling() -> None:
    rows = [ROW, replace(ROW, id=make_id(4711, 10), frontend="other")]
    for word in ("0x12670000000a", "12670000000A"):
        text = show(rows, [], (word,))
        assert "frontend=other" in text and "frontend=web" not in text
    assert show(rows, [], ("0x1",)) == show(rows, [], ("nonsense",)) == sessions.NOT_FOUND
    assert show(rows, [], ("all",)).count("frontend=") == 2
    assert show(rows, [], ()) == line(rows[0]) + line(rows[1])
    assert parse_id("0x") is None


def test_detail_names_timer_queue_and_request() -> None:
    accepted = sessions.date(datetime(2026, 2, 3, 4, 5, 6, 7))
    row = replace(ROW, accepted=accepted, phase="queue", timer=("queue", 3.0), queued_s=2.0, request="GET /")
    text = sessions.detail(row)
    assert text.startswith("0x126700000009: [03/Feb/2026:04:05:06.000007] id=0 proto=tcpv4 source=192.0.2.1:4444\n")
    assert "phase=queue timer=queue exp=3s queued=2s\n" in text and "request=GET /\n" in text and "waiting=1" in text


class Ended(NamedTuple):
    at: float


def test_closed_ones_are_forgotten_after_a_while() -> None:
    recent: Recent[Ended] = Recent()
    for at in (1.0, 2.0, 3.0):
        recent.add(Ended(at))
    recent.forget_old(2.5 + CLOSED_S)
    assert [one.at for one in recent] == [3.0]
    closed = [Closed(1.0, ROW, "SD", "server_gone"), Closed(CLOSED_S + 0.1, ROW, "--", "")]
    text = show([], closed, ("closed",))
    assert text.count("\n") == 1 and "closed=1s" in text and text.endswith("term=SD reason=server_gone\n")
