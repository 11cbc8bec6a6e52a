from __future__ import annotations

import pytest

from common.model import Config, Rule
from common.observe import fields as f
from common.observe import states as s
from common.observe.counters import Counters
from common.observe.layout import G_BOUNDARY_AT_MS, Layout
from common.observe.rates import Sampler
from common.observe.state_setup import initialise
from common.observe.states import STATUS_OF_NAME, write_text
from common.observe.stats import Row, Selection, Statistics, Value
from tests.common.observe.configurations import PLACE, farm

FE, FET, BE, BET, EMPTY, LI = range(6)


class Farm:
    def __init__(self, config: Config | None = None) -> None:
        self.config = config or farm()
        layout = Layout.of(self.config, 2)
        buffer = bytearray(layout.size)
        self.worker = Counters(buffer, layout, 0)
        self.other = Counters(buffer, layout, 1)
        self.counters = Counters(buffer, layout)
        initialise(self.counters, self.config, 10.0)
        Sampler(self.counters).boundary(10.0)

    def rows(self, selection: Selection | None = None, now: float = 10.0) -> list[Row]:
        return list(Statistics(self.config, self.counters, now, maxconn=1000).rows(selection))

    def row(self, name: str, now: float = 10.0) -> dict[str, Value]:
        """The values of "fe/FRONTEND" and the like."""
        for row in self.rows(now=now):
            if f"{row.values['pxname']}/{row.values['svname']}" == name:
                return row.values
        raise AssertionError(f"no row {name}")

    def server_state(self, position: int) -> memoryview[int]:
        return self.counters.state(self.counters.layout.servers[BE][position])


def names(rows: list[Row]) -> list[str]:
    return [f"{row.values['pxname']}/{row.values['svname']}" for row in rows]


ALL = [
    *("fe/FRONTEND", "fe/b1", "fe/sock-2", "fet/FRONTEND", "be/s1", "be/s2", "be/s3", "be/s4", "be/BACKEND"),
    *("bet/t1", "bet/BACKEND", "empty/BACKEND", "li/FRONTEND", "li/l1", "li/BACKEND"),
]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (None, ALL),
        (Selection("be"), ["be/s1", "be/s2", "be/s3", "be/s4", "be/BACKEND"]),
        (Selection("4"), ["be/s1", "be/s2", "be/s3", "be/s4", "be/BACKEND"]),
        (Selection("-1", 1), ["fe/FRONTEND", "fet/FRONTEND", "li/FRONTEND"]),
        (Selection("", 2), ["be/BACKEND", "bet/BACKEND", "empty/BACKEND", "li/BACKEND"]),
        (Selection("be", 4, 2), ["be/s2"]),
        (Selection("be", 7, 2), ["be/s2", "be/BACKEND"]),
        (Selection("", 8), ["fe/b1", "fe/sock-2"]),
        (Selection("", 4, no_maintenance=True), ["be/s1", "be/s2", "be/s3", "bet/t1", "li/l1"]),
        (Selection("nobody"), ALL),
        (Selection(scope=frozenset({"li"})), ["li/FRONTEND", "li/l1", "li/BACKEND"]),
    ],
)
def test_a_selection_says_which_rows(selection: Selection | None, expected: list[str]) -> None:
    assert names(Farm().rows(selection)) == expected


def test_up_leaves_out_servers_that_are_down() -> None:
    made = Farm()
    made.server_state(0)[s.S_OPERATIONAL] = s.OP_STOPPED
    assert names(made.rows(Selection("", 4, up_only=True))) == ["be/s2", "be/s3", "bet/t1", "li/l1"]


def test_a_disabled_proxy_is_not_shown() -> None:
    config = farm()
    config.proxies[LI].disabled = True
    assert "li/FRONTEND" not in names(Farm(config).rows())


def test_numbers_are_of_all_processes_and_keep_their_columns() -> None:
    made = Farm()
    for worker in (made.worker, made.other):
        block = worker.frontend(FE)
        f.enter(block)
        block[f.BIN] += 100
        block[f.BOUT] += 2000
        block[f.REQ_TOT] += 3
        block[f.HRSP_4XX] += 1
        block[f.CONN_TOT] += 1
        block[f.DREQ] += 1
        worker.listener(0)[f.STOT] += 1
    values = made.row("fe/FRONTEND", 10.5)
    expected = {"scur": 2, "stot": 2, "bin": 200, "bout": 4000, "req_tot": 6, "hrsp_4xx": 2, "conn_tot": 2, "dreq": 2, "rate": 2}
    expected |= {"rate_max": 2, "req_rate": 6, "conn_rate": 2, "slim": 50, "iid": 2, "sid": 0, "pid": 1, "type": 0, "h1_bytes_in": 200}
    assert {name: values[name] for name in expected} == expected
    assert made.row("fe/b1")["stot"] == 2
    assert made.row("fe/b1")["addr"] == "127.0.0.1:18901"


def test_a_backend_shows_its_servers_traffic_and_its_own() -> None:
    made = Farm()
    made.worker.backend(BE)[f.ECON] += 1
    made.worker.server(BE, 0)[f.ECON] += 2
    made.worker.server(BE, 1)[f.HRSP_2XX] += 5
    values = made.row("be/BACKEND")
    assert (values["econ"], values["hrsp_2xx"]) == (3, 5)


@pytest.mark.parametrize(
    ("position", "scur", "state", "status"),
    [
        (FE, 0, s.OPEN, "OPEN"),
        (FE, 50, s.OPEN, "FULL"),
        (FET, 999, s.OPEN, "OPEN"),
        (FE, 0, s.STOPPED, "PAUSED"),
        (LI, 0, s.SHUT_DOWN, "STOP"),
    ],
)
def test_the_status_of_a_frontend(position: int, scur: int, state: int, status: str) -> None:
    made = Farm()
    made.worker.frontend(position)[f.SCUR] = scur
    made.counters.state(made.counters.layout.frontends[position])[s.F_STATE] = state
    assert made.row(made.config.proxies[position].name + "/FRONTEND")["status"] == status


def test_a_frontend_that_was_shut_down_is_gone() -> None:
    made = Farm()
    made.counters.state(made.counters.layout.frontends[FE])[s.F_STATE] = s.SHUT_DOWN
    assert names(made.rows(Selection("fe"))) == []


def test_limits_stand_only_where_they_are_set() -> None:
    made = Farm()
    assert {name: made.row("be/s1")[name] for name in ("slim", "qlimit", "cookie")} == {"slim": 10, "qlimit": 5, "cookie": "a"}
    assert not {"slim", "qlimit", "cookie", "src_ilim", "throttle"} & set(made.row("be/s2"))


def test_a_tenth_of_all_frontends_that_lead_there_is_the_limit_of_a_backend() -> None:
    config = farm()
    config.proxies[FET].rules.append(Rule(PLACE, "use_backend", ("be",)))
    made = Farm(config)
    assert made.row("be/BACKEND")["slim"] == 105  # 50 + 1000
    assert made.row("empty/BACKEND")["slim"] == 1
    config.proxies[BE].fullconn = 7
    assert made.row("be/BACKEND")["slim"] == 7


def test_a_check_shows_how_it_ended_and_what_it_got() -> None:
    made = Farm()
    block = made.server_state(0)
    block[s.S_CHECK_STATUS], block[s.S_CHECK_CODE], block[s.S_CHECK_DURATION_MS] = STATUS_OF_NAME["L7STS"].number, 501, 12
    block[s.S_OPERATIONAL], block[s.S_CHECK_HEALTH], block[s.S_CHKFAIL], block[s.S_CHKDOWN] = s.OP_STOPPED, 0, 1, 1
    write_text(block, s.LAST_CHECK, "Not Implemented")
    values = made.row("be/s1", 14.0)
    expected: dict[str, Value] = {"status": "DOWN", "check_status": "L7STS", "check_code": 501, "check_duration": 12, "chkfail": 1}
    expected |= {"check_desc": "Layer7 wrong status", "last_chk": "Not Implemented", "check_health": 0, "lastchg": 4, "downtime": 4}
    assert {name: values[name] for name in expected} == expected
    block[s.S_CHECK_STATE] |= s.CHECK_IN_PROGRESS
    assert made.row("be/s1")["check_status"] == "* L7STS"


def test_a_server_that_follows_another_names_it() -> None:
    assert Farm().row("be/s3")["tracked"] == "be/s1"


def test_an_agent_shows_its_own_result() -> None:
    made = Farm()
    block = made.counters.state(made.counters.layout.servers[BET][0])
    block[s.S_AGENT_STATUS] = STATUS_OF_NAME["L4CON"].number
    write_text(block, s.LAST_AGENT, "Connection refused")
    values = made.row("bet/t1")
    assert (values["agent_status"], values["last_agt"], values["agent_duration"]) == ("L4CON", "Connection refused", 0)


@pytest.mark.parametrize(("host", "shown"), [("10.0.0.9", "10.0.0.9:99"), ("2001:db8::1", "[2001:db8::1]:99")])
def test_a_server_that_was_moved_shows_where_it_is(host: str, shown: str) -> None:
    made = Farm()
    block = made.server_state(1)
    write_text(block, s.ADDRESS, host)
    block[s.S_PORT] = 99
    assert made.row("be/s2")["addr"] == shown


def test_weights_and_numbers_of_servers_are_those_of_usable_ones() -> None:
    made = Farm()
    values = made.row("be/BACKEND")
    assert [values[name] for name in ("act", "bck", "weight", "uweight", "status")] == [2, 1, 11, 11, "UP"]
    assert [made.row("be/s3")[name] for name in ("act", "bck")] == [0, 1]


def test_reading_needs_no_sampler() -> None:
    made = Farm()
    made.counters.globals[G_BOUNDARY_AT_MS] = 0
    assert made.row("fe/FRONTEND", 20.0)["rate"] == 0
