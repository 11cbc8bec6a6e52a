"""Results of checks, one after the other, and the lines that HAProxy 2.6 logged for the same."""

from __future__ import annotations

import re

import pytest

from common.health.outcome import Outcome
from common.health.record import record_agent, record_check
from common.model import Config, Proxy
from common.observe import states as s
from common.observe.server_changes import ServerChanges
from common.observe.server_notices import Notice, Place
from tests.common.observe.configurations import PLACE, server
from tests.common.observe.test_stats import Farm

UP, FAIL, NOT_FOUND = Outcome("L7OK", 200), Outcome("L7STS", 500, "Foo"), Outcome("L7OKC", 404)
AT = Place(0, 0)


class Book:
    """One backend `be` with a server `s1`."""

    def __init__(self, *, log: bool = False, rise: int = 2, fall: int = 3, **options: tuple[str, ...]) -> None:
        words = {"rise": (str(rise),), "fall": (str(fall),)} | {name.replace("_", "-"): value for name, value in options.items()}
        checked = "agent-check" not in words or "check" in words
        proxy = Proxy(PLACE, "be", False, True, servers=[server("s1", check=checked, options=words)])
        proxy.options = frozenset({"log-health-checks"}) if log else frozenset()
        self.proxy = proxy
        self.made = Farm(Config(proxies=[proxy]))
        self.changes = ServerChanges(self.made.config, self.made.counters)
        self.now = 20.0

    def check(self, outcome: Outcome) -> list[str]:
        self.now += 1
        return self._lines(record_check(self.changes, self.proxy, AT, outcome, 7, self.now))

    def agent(self, line: str) -> list[str]:
        self.now += 1
        return self._lines(record_agent(self.changes, self.proxy, AT, Outcome("L7OK", 0, line), 7, self.now))

    @staticmethod
    def _lines(notices: list[Notice]) -> list[str]:
        return [f"<{notice.level}> {notice.text}" for notice in notices]

    def status(self) -> str:
        return s.read_server(self.changes.block(AT), self.now).status()


LEFT = " 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue."
ONLINE = " 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue."


def test_lines_without_the_option_give_the_reason() -> None:
    book = Book()
    assert book.check(FAIL) == [
        '<1> Server be/s1 is DOWN, reason: Layer7 wrong status, code: 500, info: "Foo", check duration: 7ms.' + LEFT,
        "<0> backend be has no server available!",
    ]
    assert book.check(UP) == []
    assert book.check(UP) == ["<5> Server be/s1 is UP, reason: Layer7 check passed, code: 200, check duration: 7ms." + ONLINE]


def test_lines_with_the_option_give_it_apart() -> None:
    book = Book(log=True, rise=3, fall=2)
    head = "<5> Health check for server be/s1"
    assert book.check(UP) == [f"{head} succeeded, reason: Layer7 check passed, code: 200, check duration: 7ms, status: 2/2 UP."]
    assert book.check(UP) == []
    assert book.check(FAIL) == [f'{head} failed, reason: Layer7 wrong status, code: 500, info: "Foo", check duration: 7ms, status: 1/2 UP.']
    assert book.check(FAIL) == [
        f'{head} failed, reason: Layer7 wrong status, code: 500, info: "Foo", check duration: 7ms, status: 0/3 DOWN.',
        "<1> Server be/s1 is DOWN." + LEFT,
        "<0> backend be has no server available!",
    ]
    assert book.check(FAIL) == []
    assert book.check(UP)[0].endswith("status: 1/3 DOWN.")
    assert book.check(FAIL)[0].endswith("status: 0/3 DOWN.")
    assert book.check(UP)[0].endswith("status: 1/3 DOWN.")
    assert book.check(UP)[0].endswith("status: 2/3 DOWN.")
    assert book.check(UP)[-1] == "<5> Server be/s1 is UP." + ONLINE


def test_404_stops_a_server_and_its_end_is_only_a_notice() -> None:
    book = Book(log=True)
    book.check(UP)
    stopping = book.check(NOT_FOUND)
    assert stopping[0].startswith("<5> Health check for server be/s1 conditionally succeeded, reason: Layer7 check conditionally passed")
    assert stopping[1].startswith("<5> Server be/s1 is stopping. 0 active and 0 backup servers online.")
    assert book.status() == "NOLB"
    assert [book.check(FAIL)[0].rsplit(" ", 2)[1] for _ in range(2)] == ["2/3", "1/3"]
    assert book.check(FAIL)[1].startswith("<5> Server be/s1 is DOWN.")


@pytest.mark.parametrize(
    ("init", "status", "results", "after"),
    [
        ("up", "UP 1/3", [FAIL], "DOWN"),
        ("fully-up", "UP", [FAIL, FAIL], "UP 1/3"),
        ("down", "DOWN 1/2", [UP], "UP"),
        ("fully-down", "DOWN", [UP], "DOWN 1/2"),
    ],
)
def test_init_state_says_how_far_a_server_is_from_turning(init: str, status: str, results: list[Outcome], after: str) -> None:
    book = Book(init_state=(init,))
    assert book.status() == status
    for result in results:
        book.check(result)
    assert book.status() == after


def test_a_result_that_comes_in_maintenance_is_nobodys() -> None:
    book = Book()
    book.changes.maintain(AT, book.now)
    assert book.check(UP) == []
    assert book.status() == "MAINT"


def test_an_agent_that_says_down_outweighs_checks_that_pass() -> None:
    book = Book(check=(), agent_check=(), agent_port=("1",))
    assert book.agent("down #tea") == [
        '<1> Server be/s1 is DOWN, reason: Layer7 wrong status, code: 0, info: "via agent : down (tea)", check duration: 7ms.' + LEFT,
        "<0> backend be has no server available!",
    ]
    assert book.check(UP) == book.check(UP) == []
    assert book.status() == "DOWN (agent)"
    assert re.search("is UP, reason: Layer7 check passed, code: 0, info: .via agent : up", book.agent("up")[0])


def test_an_agent_does_not_raise_what_checks_hold_down() -> None:
    book = Book(check=(), agent_check=(), agent_port=("1",))
    book.agent("down")
    book.check(FAIL)
    assert book.agent("up") == []
    book.check(UP)
    assert book.check(UP)[0].startswith("<5> Server be/s1 is UP")


def test_an_agent_sets_weight_maxconn_and_administrative_state_once() -> None:
    book = Book(agent_check=(), agent_port=("1",))
    assert len(book.agent("drain 50% maxconn:9")) == 2
    assert book.agent("drain") == []
    assert book.changes.block(AT)[s.S_MAXCONN] == 9
    assert book.agent("ready 100%")[0].startswith("<5> Server be/s1 is UP (leaving forced drain).")
    assert book.agent("maint")[0].startswith("<1> Server be/s1 is going DOWN for maintenance.")


def test_an_agent_that_cannot_be_asked_changes_nothing() -> None:
    book = Book(log=True, agent_check=(), agent_port=("1",))
    notices = record_agent(book.changes, book.proxy, AT, Outcome("L4CON", 0, "Connection refused"), 0, 21.0)
    assert [notice.text for notice in notices] == [
        'Agent check for server be/s1 failed, reason: Layer4 connection problem, info: "Connection refused", check duration: 0ms, '
        "status: 1/1 UP."
    ]
    assert book.status() != "DOWN (agent)"
