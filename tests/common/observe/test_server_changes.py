"""Orders to servers, in two ways: tables of cases, and the same orders given to a running HAProxy."""

from __future__ import annotations

import csv
import io
import socket
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from common.model import Config
from common.observe import states as s
from common.observe.fields import QCUR, SCUR
from common.observe.server_changes import FROM_OPERATOR, ServerChanges
from common.observe.server_notices import Notice, Place
from common.observe.state_setup import initialise
from common.observe.stats import Selection
from tests.common.observe.configurations import server, web
from tests.common.observe.haproxies import haproxy
from tests.common.observe.test_stats import Farm

BE = 1


def farm() -> Config:
    config = web()
    config.proxies[BE].servers[:] = [
        server("a", check=True),
        server("b"),
        server("c", backup=True, options={"track": ("a",)}),
        server("d", disabled=True),
        server("e", options={"agent-check": (), "agent-port": ("1",)}),
        server("f", weight=100),
    ]
    return config


class Book:
    """The changes, by the lines that an operator types."""

    def __init__(self, config: Config | None = None) -> None:
        self.made = Farm(config or farm())
        self.changes = ServerChanges(self.made.config, self.made.counters)
        self.now = 20.0
        self.changes.goes_up(self.place("be/a"), "", self.now)

    def place(self, name: str) -> Place:
        found = self.changes.find(name)
        assert found is not None
        return found

    def order(self, line: str) -> list[Notice]:
        """`set server be/a …`, `disable server be/a` and the like."""
        words = line.split()
        place = self.place(next(word for word in words if "/" in word))
        self.now += 1
        if words[:2] == ["set", "weight"]:
            assert self.changes.set_weight(place, words[3], self.now) == ""
            return []
        what = {"disable": "state maint", "enable": "state ready"}.get(words[0]) or " ".join(words[3:5])
        by_operator = {"why": FROM_OPERATOR, "now": self.now}
        match what.split():
            case ["state", "maint"]:
                return self.changes.maintain(place, self.now)
            case ["state", "drain"]:
                return self.changes.drain(place, self.now)
            case ["state", "ready"]:
                return self.changes.ready(place, self.now)
            case ["health", "down"]:
                return self.changes.goes_down(place, **by_operator)  # type: ignore[arg-type]
            case ["health", "up"]:
                return self.changes.goes_up(place, **by_operator)  # type: ignore[arg-type]
            case ["health", "stopping"]:
                return self.changes.stops(place, **by_operator)  # type: ignore[arg-type]
            case ["agent", word]:
                return self.changes.agent_says(place, up=word == "up", why=FROM_OPERATOR, now=self.now)
        raise AssertionError(line)

    def shown(self) -> dict[str, tuple[str, str]]:
        """Status and weight of every server, and of the backend."""
        rows = self.made.rows(Selection("be", 6), self.now)
        return {str(row.values["svname"]): (str(row.values["status"]), str(row.values["weight"])) for row in rows}

    def words(self, name: str) -> list[int]:
        """State, mask and weights as `show servers state` has them."""
        block = self.changes.block(self.place(name))
        return [block[word] for word in (s.S_OPERATIONAL, s.S_ADMIN, s.S_USER_WEIGHT, s.S_INITIAL_WEIGHT)]


ORDERS = """
disable server be/b
enable server be/b
set server be/b state drain
set server be/b state ready
set server be/a state maint
set server be/a state ready
set server be/a state drain
set server be/a state maint
set server be/a state drain
set server be/a state ready
set server be/a health down
set server be/a state drain
set server be/a state maint
set server be/a state ready
set server be/a health up
set server be/a health stopping
set server be/a health up
set server be/d state ready
set server be/e agent down
set server be/e agent up
set weight be/b 0
set weight be/b 1
set weight be/f 256
set weight be/f 20%
set weight be/f 500%
set server be/c state drain
set server be/a state drain
set server be/c state ready
set server be/a state ready
set server be/c state maint
set server be/a state maint
set server be/a state ready
set server be/c state drain
set server be/c state ready
disable server be/b
disable server be/d
disable server be/e
disable server be/f
set server be/a health down
set server be/c state maint
set server be/a health up
set server be/b state drain
set server be/b state ready
set server be/b health down
set server be/b health up
enable server be/e
""".strip().splitlines()

HAPROXY = """
global
    stats socket {socket} level admin
    log stdout format short local0
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    log global
backend be
    server a 127.0.0.1:%d check inter 1h
    server b 127.0.0.1:1
    server c 127.0.0.1:1 backup track a
    server d 127.0.0.1:1 disabled
    server e 127.0.0.1:1 agent-check agent-port 1 agent-inter 1h
    server f 127.0.0.1:1 weight 100
backend mark
    server x 127.0.0.1:1
    server y 127.0.0.1:1
"""


@pytest.mark.interop("haproxy")
def test_each_order_has_the_effect_and_the_log_lines_of_haproxy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as checked, haproxy(tmp_path, HAPROXY % checked.getsockname()[1]) as theirs:
        theirs.ask_until("show stat be 4 1", lambda answer: "L4OK" in answer)
        book = Book()
        differences = []
        for number, order in enumerate(ORDERS):
            seen = len(theirs.lines)
            assert theirs.ask(order).strip() == ""
            theirs.ask(f"set server mark/x health {'up' if number % 2 else 'down'}")  # its line comes after those of the order
            theirs.wait_for(">Server mark/x is", number + 1)
            logged = [line for line in theirs.lines[seen:] if line.startswith("<") and "mark" not in line]
            ours = [f"<{level}>{text}" for _proxy, level, text in book.order(order)]
            stat = list(csv.DictReader(io.StringIO(theirs.ask("show stat be 6 -1").removeprefix("# "))))
            shown = {row["svname"]: (row["status"], row["weight"]) for row in stat}
            state = [line.split() for line in theirs.ask("show servers state be").splitlines()[2:] if line]
            words = {row[3]: [int(word) for word in row[5:9]] for row in state}
            our_words = {name: book.words(f"be/{name}") for name in words}
            for what, left, right in (("log", logged, ours), ("stat", shown, book.shown()), ("state", words, our_words)):
                if left != right:
                    differences.append((order, what, left, right))
    assert differences == []


@pytest.mark.parametrize(
    ("name", "place"),
    [("be/b", (1, 1)), ("#3/#2", (1, 1)), ("be/#1", (1, 0)), ("be/x", None), ("x/b", None), ("fe/b", None), ("be", None), ("#9/#1", None)],
)
def test_a_server_is_found_by_name_or_number(name: str, place: tuple[int, int] | None) -> None:
    assert Book().changes.find(name) == place


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("abc", "Empty weight string empty or preceded by garbage"),
        ("%", "Empty weight string empty or preceded by garbage"),
        ("5x", "Trailing garbage in weight string"),
        ("1.5", "Trailing garbage in weight string"),
        ("-1", "Absolute weight can only be between 0 and 256 inclusive."),
        ("257", "Absolute weight can only be between 0 and 256 inclusive."),
        ("-5%", "Relative weight must be positive."),
    ],
)
def test_a_weight_that_makes_no_sense_is_refused(text: str, answer: str) -> None:
    book = Book()
    assert book.changes.set_weight(book.place("be/f"), text, 21.0) == answer
    assert book.words("be/f")[2] == 100


@pytest.mark.parametrize(("text", "allowed"), [("0", True), ("100", True), ("100%", True), ("5", False), ("50%", False)])
def test_static_algorithms_accept_all_or_nothing(text: str, allowed: bool) -> None:
    config = farm()
    config.proxies[BE].balance = ("source",)
    book = Book(config)
    assert (book.changes.set_weight(book.place("be/f"), text, 21.0) == "") is allowed


def test_sessions_and_queue_stand_in_the_line() -> None:
    book = Book()
    book.made.worker.server(BE, 1)[SCUR] = 3
    book.made.other.server(BE, 1)[SCUR] = 1
    book.made.worker.server(BE, 1)[QCUR] = 2
    (notice,) = book.order("disable server be/b")
    assert notice.text.endswith("4 sessions active, 0 requeued, 2 remaining in queue.")
    assert notice.level == 1


def test_a_slow_start_raises_the_weight_step_by_step() -> None:
    config = farm()
    config.proxies[BE].servers[5].options["slowstart"] = ("10s",)
    book = Book(config)
    block = book.changes.block(book.place("be/f"))
    book.changes.goes_down(book.place("be/f"), "", 30.0)
    book.changes.goes_up(book.place("be/f"), "", 40.0)
    assert (block[s.S_OPERATIONAL], block[s.S_WEIGHT], block[s.S_DOWNTIME_MS]) == (s.OP_STARTING, 1, 10_000)
    weights = []
    for now in (42.5, 45.0, 49.0, 50.0):
        book.changes.ramp(now)
        weights.append((block[s.S_WEIGHT], block[s.S_THROTTLE]))
    assert weights == [(25, 25), (50, 50), (90, 90), (100, 0)]
    assert block[s.S_OPERATIONAL] == s.OP_RUNNING


class AnyOrders(RuleBasedStateMachine):
    """Whatever is ordered in whatever sequence, followers follow and the backend's words are true."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()

    @rule(
        name=st.sampled_from("abcdef"),
        what=st.sampled_from(
            ["state maint", "state drain", "state ready", "health up", "health down", "health stopping", "agent up", "agent down"]
        ),
    )
    def order(self, name: str, what: str) -> None:
        if name == "c" and not what.startswith("state"):
            return  # refused by the command: it tracks another one
        if what.startswith("agent") and name != "e":
            return
        self.book.order(f"set server be/{name} {what}")

    @invariant()
    def followers_follow(self) -> None:
        followed, follower = (self.book.changes.block(self.book.place(name)) for name in ("be/a", "be/c"))
        assert bool(follower[s.S_ADMIN] & s.INHERITED_MAINT) == bool(followed[s.S_ADMIN] & s.MAINT)
        if not follower[s.S_ADMIN] & s.MAINT:
            assert follower[s.S_OPERATIONAL] == followed[s.S_OPERATIONAL]
            assert bool(follower[s.S_ADMIN] & s.INHERITED_DRAIN) == bool(followed[s.S_ADMIN] & s.DRAIN)

    @invariant()
    def maintenance_is_down(self) -> None:
        for name in "abcdef":
            block = self.book.changes.block(self.book.place(f"be/{name}"))
            if block[s.S_ADMIN] & s.MAINT:
                assert block[s.S_OPERATIONAL] == s.OP_STOPPED

    @invariant()
    def the_backend_counts_what_is_usable(self) -> None:
        counters = self.book.made.counters
        backend = counters.state(counters.layout.backends[BE])
        usable = {name: s.usable(self.book.changes.block(self.book.place(f"be/{name}"))) for name in "abcdef"}
        assert backend[s.B_BACKUP] == int(usable.pop("c"))
        assert backend[s.B_ACTIVE] == sum(usable.values())
        assert (backend[s.B_STATE] == s.BACKEND_DOWN) == (not backend[s.B_ACTIVE] and not backend[s.B_BACKUP])


TestAnyOrders = AnyOrders.TestCase
TestAnyOrders.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_initialising_again_is_a_fresh_start() -> None:
    book = Book()
    book.order("disable server be/b")
    initialise(book.made.counters, book.made.config, 30.0)
    assert book.words("be/b")[:2] == [s.OP_RUNNING, 0]
