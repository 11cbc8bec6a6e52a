from __future__ import annotations

import json

import pytest

from common.observe import fields as f
from common.observe import info
from common.observe.info import ProcessFacts, uptime_text
from common.observe.layout import G_MAXCONN, G_RATE_SESSIONS, G_STOPPING
from common.observe.stat_formats import Item
from tests.common.observe.test_stats import BE, FE, LI, Farm

FACTS = ProcessFacts("0.1.0", "2026/11/22", 4711, 93784.5, 1795379045.25, workers=2, maxconn=900, node="vm", memory_used=3 << 20)


def found(made: Farm, now: float = 10.5, **options: bool) -> dict[str, Item]:
    return {item.name: item for item in info.items(made.config, made.counters, FACTS, now, **options)}


def values(made: Farm, now: float = 10.5) -> dict[str, object]:
    return {name: item.value for name, item in found(made, now).items()}


def test_one_pid_and_one_uptime_name_the_service() -> None:
    shown = values(Farm())
    expected = {"Name": "Usher", "Version": "0.1.0", "Pid": 4711, "Nbproc": 2, "Uptime": "1d 2h03m04s", "Uptime_sec": 93784, "node": "vm"}
    assert {name: shown[name] for name in expected} == expected
    assert "description" not in shown


def test_connections_requests_and_bytes_are_those_of_all_frontends() -> None:
    made = Farm()
    for position in (FE, LI):
        block = made.worker.frontend(position)
        block[f.CONN_TOT] += 5
        block[f.STOT] += 4
        block[f.REQ_TOT] += 7
        block[f.SCUR] += 2
        block[f.BOUT] += 100
        block[f.SSL_SESS] += 4
        block[f.SSL_REUSED_SESS] += 3
    made.other.server(BE, 0)[f.SSL_SESS] += 2
    made.other.process()[f.P_DROPPED_LOGS] += 3
    shown = values(made)
    expected = {"CumConns": 10, "CumReq": 14, "CurrConns": 4, "TotalBytesOut": 200, "ConnRate": 10, "SessRate": 8, "DroppedLogs": 3}
    expected |= {"SslFrontendSessionReuse_pct": 75, "SslFrontendKeyRate": 2, "SslBackendKeyRate": 2, "CumSslConns": 10, "MaxConnRate": 10}
    assert {name: shown[name] for name in expected} == expected


def test_limits_at_run_time_prevail() -> None:
    made = Farm()
    assert (values(made)["Maxconn"], values(made)["SessRateLimit"], values(made)["Stopping"]) == (900, 0, 0)
    made.counters.globals[G_MAXCONN], made.counters.globals[G_RATE_SESSIONS], made.counters.globals[G_STOPPING] = 50, 8, 1
    assert (values(made)["Maxconn"], values(made)["SessRateLimit"], values(made)["Stopping"]) == (50, 8, 1)


def test_memory_is_told_in_bytes_and_megabytes() -> None:
    shown = values(Farm())
    assert (shown["PoolUsed_MB"], shown["PoolUsed_bytes"]) == (3, 3 << 20)


def test_idle_is_what_busy_processes_leave() -> None:
    made = Farm()
    assert values(made)["Idle_pct"] == 100
    made.worker.process()[f.P_BUSY_MS] += 500
    assert values(made, 10.9)["Idle_pct"] == 75  # half of one of two processes


def test_positions_names_tags_and_types_are_those_of_haproxy() -> None:
    text = info.typed(list(found(Farm()).values()))
    for line in (
        "0.Name.1:POS:str:Usher",
        "6.Pid.1:SGP:u32:4711",
        "37.SslFrontendSessionReuse_pct.1:MGP:u32:0",
        "54.Unstoppable Jobs.1:MGP:u32:0",
    ):
        assert line in text.splitlines()


def test_plain_lines_have_a_name_and_a_value() -> None:
    made = list(found(Farm()).values())
    assert info.plain(made).startswith("Name: Usher\nVersion: 0.1.0\n")
    assert info.plain(made, descriptions=True).startswith('Name: Usher:"Name of the program"\n')


def test_floats_are_given_on_request() -> None:
    shown = found(Farm(), floats=True)
    assert shown["Uptime_sec"].type == "flt"
    assert "8.Uptime_sec.1:MDP:flt:93784.500000\n" in info.typed(list(shown.values()))


def test_json_holds_the_same_items() -> None:
    made = list(found(Farm()).values())
    parsed = json.loads(info.json_text(made))
    assert [entry["field"]["name"] for entry in parsed] == [item.name for item in made]
    assert parsed[0]["value"] == {"type": "str", "value": "Usher"}


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0d 0h00m00s"), (59, "0d 0h00m59s"), (3661, "0d 1h01m01s"), (1e6, "11d 13h46m40s")])
def test_an_uptime_is_readable(seconds: float, text: str) -> None:
    assert uptime_text(seconds) == text
