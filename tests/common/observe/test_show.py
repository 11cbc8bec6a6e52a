from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from common.observe import fields as f
from common.observe import show
from common.observe.reasons import INDEX
from tests.common.observe.configurations import FARM_FILE
from tests.common.observe.haproxies import free_port, haproxy
from tests.common.observe.test_stats import BE, FE, Farm

PORT = 18911  # of the farm's servers


def test_backends_are_listed_by_name() -> None:
    assert show.backends(Farm().config) == "# name\nbe\nbet\nempty\nli\n"


@pytest.mark.parametrize("name", ["bet", "5", "#5"])
def test_states_of_one_backend(name: str) -> None:
    made = Farm()
    lines = show.servers_state(made.config, made.counters, 12.0, name).splitlines()
    assert lines[0] == "1"
    assert lines[2:] == ["5 bet 1 t1 127.0.0.1 2 0 1 1 2 1 0 2 0 22 0 0 - 18911 - 0 0 - - 0"]


def test_an_unknown_backend_is_said() -> None:
    made = Farm()
    assert show.servers_state(made.config, made.counters, 12.0, "nope") == "Can't find backend.\n"
    assert show.servers_connections(made.config, made.counters, 12.0, "fe") == "Can't find backend.\n"


def test_connections_are_those_of_all_processes_and_of_each() -> None:
    made = Farm()
    made.worker.server(BE, 0)[f.SAFE_CONN_CUR] = 3
    made.other.server(BE, 0)[f.IDLE_CONN_CUR] = 2
    made.other.server(BE, 0)[f.USED_CONN_CUR] = 4
    header, line, *_ = show.servers_connections(made.config, made.counters, 10.0, "be").splitlines()
    assert header.endswith(" idle_per_thr[2]")
    assert line == "be/s1 4/1 127.0.0.1 18911 - 5000 4 0 0 2 3 -1 5 3 2"


def test_reasons_are_counted_and_explained() -> None:
    made = Farm()
    made.worker.reasons(FE)[INDEX["denied"]] += 2
    made.other.reasons(BE)[INDEX["denied"]] += 1
    made.other.reasons(BE)[INDEX["connect_timeout"]] += 5
    assert show.reasons(made.counters) == "# count reason\n5 connect_timeout\n3 denied\n"
    assert show.reasons(made.counters, "denied").startswith("denied: termination PR;")
    assert show.reasons(made.counters, "nope").startswith("Unknown reason 'nope'")


@pytest.mark.interop("haproxy")
def test_states_are_written_as_haproxy_writes_them(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("fe1", "fe2", "fet", "li")}
    with socket.create_server(("127.0.0.1", 0)) as checked:
        port = checked.getsockname()[1]
        text = FARM_FILE.format(socket="{socket}", **ports).replace("127.0.0.1:1 check", f"127.0.0.1:{port} check inter 300ms")
        with haproxy(tmp_path, text) as theirs:
            theirs.ask_until("show stat be 4 -1", lambda answer: answer.count("L4OK") == 2)
            answers = theirs.ask("show servers state"), theirs.ask("show servers conn")
    made = Farm()
    ours = show.servers_state(made.config, made.counters, 10.0), show.servers_connections(made.config, made.counters, 10.0)

    def comparable(text: str, connections: bool) -> list[list[str]]:
        """Without ports, ages, what depends on the result of a check, and the number of processes."""
        rows = [line.split() for line in text.splitlines() if line]
        ignored = {3, 7, 8, *range(13, 99)} if connections else {9, 10, 11, 12, 18, 24}
        return [[re.sub(r"\[\d+\]", "", word) for at, word in enumerate(row) if row[0] == "#" or at not in ignored] for row in rows]

    for connections in (False, True):
        left, right = comparable(answers[connections], connections), comparable(ours[connections], connections)
        assert left == right
