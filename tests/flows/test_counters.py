"""What is counted where: the same columns of `show stat` as HAProxy after the same requests."""

from __future__ import annotations

import csv
import socket
from collections.abc import Iterator

import pytest

from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.peers import eventually
from tests.flows.serving import ServingThread
from tests.flows.test_log_lines import get, serve


def configuration(program: str) -> str:
    return defaults(global_lines=f"stats socket <unix:admin> level admin\n    {one_worker(program)}") + """
defaults
    mode http
    timeout client 2s
    timeout server 300ms
    timeout connect 1s
    retries 1
frontend web
    bind <listen:web>
    http-request deny if { path /deny }
    http-request return status 204 if { path /return }
    http-response deny if { res.hdr(set-cookie) -m found }
    use_backend down if { path /down }
    use_backend nobody if { path /nobody }
    use_backend again if { path /again }
    default_backend app
frontend raw
    bind <listen:raw>
    mode tcp
    default_backend rawapp
backend app
    server s1 <server:app>
backend down
    server s1 <refused:down>
backend nobody
    server s1 <server:app> disabled
backend again
    option redispatch 1
    balance first
    server s1 <refused:down>
    server s2 <server:app>
backend rawapp
    mode tcp
    server s1 <server:app>
"""


@pytest.fixture(scope="module", autouse=True)
def served(module_flow: Flow) -> Iterator[None]:
    thread = ServingThread(module_flow.server("app"), serve)
    yield
    thread.stop()


def stat(flow: Flow) -> dict[str, dict[str, str]]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(flow.places.address("admin"))
        sock.sendall(b"show stat\n")
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    return {f"{row['pxname']}/{row['svname']}": row for row in csv.DictReader(text.removeprefix("# ").splitlines())}


# request -> what it adds: object -> column -> how much
ADDED: dict[str, dict[str, dict[str, int]]] = {
    "/ok": {
        "web/FRONTEND": {"stot": 1, "req_tot": 1, "hrsp_2xx": 1, "dreq": 0, "ereq": 0},
        "app/s1": {"stot": 1, "hrsp_2xx": 1, "lbtot": 1, "connect": 1, "reuse": 0, "eresp": 0},
        "app/BACKEND": {"stot": 1, "hrsp_2xx": 1, "lbtot": 1, "connect": 1},
    },
    "/deny": {"web/FRONTEND": {"req_tot": 1, "hrsp_4xx": 1, "dreq": 1, "ereq": 0}, "app/BACKEND": {"stot": 0, "hrsp_4xx": 0}},
    "/return": {"web/FRONTEND": {"req_tot": 1, "hrsp_2xx": 1, "dreq": 0, "intercepted": 1}},
    "/cookie": {
        "web/FRONTEND": {"hrsp_5xx": 1, "dresp": 1, "dreq": 0},
        "app/s1": {"dresp": 1, "hrsp_5xx": 0, "eresp": 0},
        "app/BACKEND": {"dresp": 1, "hrsp_5xx": 1},
    },
    "/bad": {"web/FRONTEND": {"hrsp_5xx": 1, "dreq": 0}, "app/s1": {"eresp": 1, "hrsp_5xx": 0}, "app/BACKEND": {"eresp": 1, "hrsp_5xx": 1}},
    "/close": {"app/s1": {"eresp": 1, "srv_abrt": 0}, "app/BACKEND": {"eresp": 1, "hrsp_5xx": 1}},
    "/slow": {"app/s1": {"eresp": 1, "hrsp_5xx": 0}, "app/BACKEND": {"hrsp_5xx": 1}},
    "/cut": {"app/s1": {"srv_abrt": 1, "hrsp_2xx": 1}, "web/FRONTEND": {"hrsp_2xx": 1}},
    "/down": {
        "down/s1": {"stot": 2, "econ": 1, "wretr": 1, "wredis": 0, "connect": 2, "reuse": 0, "lbtot": 1, "eresp": 0},
        "down/BACKEND": {"econ": 1, "wretr": 1, "hrsp_5xx": 1, "eresp": 0, "lbtot": 1},
    },
    "/nobody": {"nobody/BACKEND": {"econ": 1, "hrsp_5xx": 1, "eresp": 0}, "nobody/s1": {"stot": 0}},
    "/again": {
        "again/s1": {"wredis": 1, "stot": 1, "lbtot": 1, "connect": 1, "econ": 0},
        "again/s2": {"stot": 1, "hrsp_2xx": 1, "lbtot": 1},
        "again/BACKEND": {"wredis": 1, "hrsp_2xx": 1, "lbtot": 2},
    },
}


@pytest.mark.parametrize("path", ADDED)
def test_a_request_is_counted_where_haproxy_counts_it(module_flow: Flow, path: str) -> None:
    before = stat(module_flow)
    client = module_flow.connect("web")
    client.send(get(path))
    client.receive_to_end()
    found: dict[str, dict[str, int]] = {}

    def counted() -> bool:
        now = stat(module_flow)
        for name, columns in ADDED[path].items():
            found[name] = {column: int(now[name][column] or 0) - int(before[name][column] or 0) for column in columns}
        return found == ADDED[path]

    try:
        eventually(counted, "counted")
    except AssertionError:
        assert found == ADDED[path]


def test_what_a_tunnel_carries_is_no_request(module_flow: Flow) -> None:
    before = stat(module_flow)["raw/FRONTEND"]
    client = module_flow.connect("raw")
    client.send(get("/x"))
    client.half_close()
    client.receive_to_end()
    eventually(lambda: int(stat(module_flow)["raw/FRONTEND"]["stot"]) == int(before["stot"]) + 1, "the session is counted")
    assert stat(module_flow)["raw/FRONTEND"]["req_tot"] in ("", "0")
