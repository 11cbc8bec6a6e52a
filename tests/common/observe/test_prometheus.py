"""With the library's own parser as reader, and HAProxy's exporter as the judge of names."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.observe import fields as f
from common.observe import info, prometheus
from common.observe import states as s
from common.observe.prometheus import SCOPES, Query, parse_query
from common.observe.reasons import INDEX
from common.observe.states import STATUS_OF_NAME
from tests.common.observe.configurations import FARM_FILE
from tests.common.observe.test_info import FACTS
from tests.common.observe.test_stats import BE, FE, Farm

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

# Of HAProxy 2.6 and not ours: there is no zlib memory here, what has no value is left out, checks have not run yet, and a
# counter whose name does not say so gets its _total from the reader.
NOT_OURS = {
    "haproxy_process_current_zlib_memory",
    "haproxy_process_max_zlib_memory",
    "haproxy_server_current_throttle",
    "haproxy_server_idle_connections_limit",
    "haproxy_server_check_code",
    "haproxy_server_check_duration_seconds",
    "haproxy_process_failed_resolutions_total",
}


def exposed(made: Farm, query: Query | None = None, **more: object) -> str:
    items = info.items(made.config, made.counters, FACTS, 10.5)
    chunks = prometheus.exposition(prometheus.families(made.rows(now=10.5), items, query or Query(), **more))  # type: ignore[arg-type]
    return b"".join(chunks).decode()


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(made: Farm, name: str, **labels: str) -> float:
    return samples(exposed(made))[name, frozenset(labels.items())]


def test_numbers_stand_under_haproxys_names() -> None:
    made = Farm()
    made.worker.frontend(FE)[f.REQ_TOT] += 3
    made.worker.server(BE, 1)[f.HRSP_2XX] += 4
    made.worker.listener(0)[f.STOT] += 2
    assert value(made, "haproxy_frontend_http_requests_total", proxy="fe") == 3
    assert value(made, "haproxy_server_http_responses_total", proxy="be", server="s2", code="2xx") == 4
    assert value(made, "haproxy_backend_http_responses_total", proxy="be", code="2xx") == 4
    assert value(made, "haproxy_listener_sessions_total", proxy="fe", listener="b1") == 2
    assert value(made, "haproxy_process_uptime_seconds") == 93784
    assert value(made, "haproxy_process_build_info", version="0.1.0") == 1


def test_a_state_is_a_set_of_which_one_holds() -> None:
    made = Farm()
    made.server_state(0)[s.S_OPERATIONAL] = s.OP_STOPPED
    made.server_state(0)[s.S_CHECK_STATUS] = STATUS_OF_NAME["L4CON"].number
    found = samples(exposed(made))

    def holding(name: str, **labels: str) -> set[str]:
        wanted = set(labels.items())
        return {dict(key[1])["state"] for key, one in found.items() if key[0] == name and wanted <= key[1] and one == 1}

    assert holding("haproxy_server_status", proxy="be", server="s1") == {"DOWN"}
    assert holding("haproxy_server_status", proxy="be", server="s4") == {"MAINT"}
    assert holding("haproxy_server_status", proxy="bet", server="t1") == {"UP"}
    assert holding("haproxy_server_check_status", proxy="be", server="s1") == {"L4CON"}
    assert holding("haproxy_frontend_status", proxy="fe") == {"UP"}
    assert holding("haproxy_listener_status", proxy="fe", listener="b1") == {"OPEN"}
    assert found["haproxy_backend_agg_server_status", frozenset({("proxy", "be"), ("state", "UP")})] == 2


def test_times_are_in_seconds() -> None:
    made = Farm()
    made.worker.server(BE, 0)[f.TTIME_MAX] = 1500
    assert value(made, "haproxy_server_max_total_time_seconds", proxy="be", server="s1") == 1.5


def test_no_value_is_not_a_number() -> None:
    assert not any(math.isnan(one) for one in samples(exposed(Farm())).values())


def test_hostile_names_are_escaped() -> None:
    made = Farm()
    made.config.proxies[FE].name = 'x"\n\\{}'
    assert value(made, "haproxy_frontend_http_requests_total", proxy='x"\n\\{}') == 0


def test_reasons_and_tables_are_told() -> None:
    counts = [0] * 256
    counts[INDEX["denied"]] = 5
    found = samples(exposed(Farm(), reasons=[("fe", counts)], tables=[("st", "ip", 1024, 3)]))
    assert found["usher_reasons_total", frozenset({("proxy", "fe"), ("reason", "denied")})] == 5
    assert found["haproxy_sticktable_used", frozenset({("name", "st"), ("type", "ip")})] == 3


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Query()),
        ("scope=server", Query(frozenset({"server"}))),
        ("scope=server&scope=global", Query(frozenset({"server", "global"}))),
        ("scope=server&scope=*", Query(SCOPES)),
        ("scope=*&scope=", Query(frozenset())),
        ("scope=&scope=server&no-maint", Query(frozenset({"server"}), True)),
        ("no-maint", Query(no_maintenance=True)),
        ("unknown=1", Query()),
        ("scope=nonsense", None),
    ],
)
def test_a_query_chooses_scopes(query: str, expected: Query | None) -> None:
    assert parse_query(query) == expected


def test_a_scope_leaves_out_the_others() -> None:
    text = exposed(Farm(), Query(frozenset({"server"}), no_maintenance=True))
    assert "haproxy_frontend" not in text
    assert "haproxy_process" not in text
    assert 'server="s4"' not in text
    assert 'server="s1"' in text


def test_families_come_one_by_one() -> None:
    made = Farm()
    items = info.items(made.config, made.counters, FACTS, 10.5)
    chunks = list(prometheus.exposition(prometheus.families(made.rows(), items, Query())))
    assert all(chunk.count(b"# TYPE") == 1 for chunk in chunks)


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[str]:
    ports = {}
    for name in ("fe1", "fe2", "fet", "li"):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            ports[name] = sock.getsockname()[1]
    (tmp_path / "farm.cfg").write_text(FARM_FILE.format(socket=tmp_path / "stats", **ports))
    command = ["haproxy", "-db", "-W", "-q", "-f", str(tmp_path / "farm.cfg")]
    environment = os.environ | {"no_proxy": "*"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        assert process.stdout
        for line in process.stdout:
            if "Loading success" in line or "s2 is DOWN" in line:
                break
        yield f"http://127.0.0.1:{ports['li']}/metrics"
        process.terminate()
        process.stdout.read()


@pytest.mark.interop("haproxy")
def test_every_metric_of_haproxy_is_there_with_the_same_type_and_labels(haproxy: str) -> None:
    def shapes(text: str) -> dict[str, tuple[str, frozenset[str]]]:
        return {
            sample.name: (family.type, frozenset(sample.labels))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(haproxy, timeout=10) as response:
        theirs = shapes(response.read().decode())
    ours = shapes(exposed(Farm()))
    assert {name for name in theirs if name not in ours} <= NOT_OURS
    different = {name: (ours[name], shape) for name, shape in theirs.items() if name in ours and ours[name] != shape}
    assert different == {}


def test_labels_stand_in_haproxys_order_and_whole_numbers_are_whole() -> None:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    codes = CounterMetricFamily("x", "x", labels=("proxy", "code"))
    codes.add_metric(('a",b\\', "2xx"), 3.0)
    listeners = GaugeMetricFamily("y", "y", labels=("proxy", "listener"))
    listeners.add_metric(("p", 'l"'), 0.5)
    text = b"".join(prometheus.exposition([codes, listeners])).decode()
    assert 'x_total{proxy="a\\",b\\\\",code="2xx"} 3\n' in text
    assert 'y{proxy="p",listener="l\\""} 0.5\n' in text
