"""The formats, and that tools made for HAProxy find in them what HAProxy gives: same columns, same places, same types."""

from __future__ import annotations

import csv as csv_module
import io
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe import stat_formats
from common.observe.columns import COLUMNS, FIXED, HEADER
from common.observe.stats import Row
from tests.common.observe.configurations import FARM_FILE
from tests.common.observe.test_stats import Farm

# What HAProxy 2.6 has and we do not: columns behind the "-" need not be there.
NOT_OURS = {
    "h2_headers_rcvd", "h2_data_rcvd", "h2_settings_rcvd", "h2_detected_conn_protocol_errors", "h2_detected_strm_protocol_errors",
    "h2_rst_stream_resp", "h2_goaway_resp",
}  # fmt: skip


def test_a_csv_reader_finds_each_value_under_its_name() -> None:
    rows = Farm().rows()
    parsed = list(csv_module.DictReader(io.StringIO(stat_formats.csv(rows).removeprefix("# "))))
    assert len(parsed) == len(rows)
    for line, row in zip(parsed, rows, strict=True):
        assert {name: line[name] for name in row.values} == {name: str(value) for name, value in row.values.items()}
        assert line["-"] == "-"
        assert line[""] == ""
        assert None not in line


@given(st.text(max_size=40))
def test_hostile_names_stay_in_their_field_and_line(name: str) -> None:
    row = Row("S", 0, 2, 1, {"pxname": name, "svname": "s", "last_chk": name})
    lines = stat_formats.csv([row]).split("\n")
    assert len(lines) == 3
    cells = next(csv_module.reader([lines[1].replace("\0", "")]))
    assert len(cells) == len(COLUMNS) + 2
    assert cells[0] == name.replace("\n", " ").replace("\r", " ").replace("\0", "")
    assert stat_formats.typed([row]).count("\n") == 3


def test_typed_lines_name_object_place_nature_and_type() -> None:
    text = stat_formats.typed(Farm().rows())
    lines = text.splitlines()
    assert "F.2.0.0.pxname.1:KNS:str:fe" in lines
    assert "S.4.1.73.addr.1:CGS:str:127.0.0.1:18911" in lines
    assert "B.4.0.19.act.1:MGP:u32:2" in lines
    assert "S.4.1.19.act.1:SGP:u32:1" in lines
    assert "" not in lines


def test_descriptions_follow_when_asked_for() -> None:
    line = stat_formats.typed(Farm().rows(), descriptions=True).splitlines()[0]
    assert line == 'F.2.0.0.pxname.1:KNS:str:fe:"Name of the proxy"'


def test_json_has_a_list_per_object() -> None:
    parsed = json.loads(stat_formats.json_text(Farm().rows()))
    assert parsed[0][0] == {
        "objType": "Frontend",
        "proxyId": 2,
        "id": 0,
        "field": {"pos": 0, "name": "pxname"},
        "processNum": 1,
        "tags": {"origin": "Key", "nature": "Name", "scope": "Service"},
        "value": {"type": "str", "value": "fe"},
    }


def test_the_schema_names_every_type_and_tag_that_is_used() -> None:
    schema = json.loads(stat_formats.schema())
    tags = schema["definitions"]["tags"]["properties"]
    types = {kind["properties"]["type"]["enum"][0] for kind in schema["definitions"]["typedValue"]["oneOf"]}
    for item in (item for group in json.loads(stat_formats.json_text(Farm().rows())) for item in group):
        assert item["value"]["type"] in types
        assert all(item["tags"][name] in tags[name]["enum"] for name in tags)


def test_positions_are_counted_through() -> None:
    assert [column.position for column in COLUMNS] == list(range(len(COLUMNS)))
    assert HEADER.startswith("# pxname,svname,qcur,")
    assert HEADER.split(",")[len(FIXED)] == "-"


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "stats"
    ports = {}
    for name in ("fe1", "fe2", "fet", "li"):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            ports[name] = sock.getsockname()[1]
    (tmp_path / "farm.cfg").write_text(FARM_FILE.format(socket=path, **ports))
    command = ["haproxy", "-db", "-W", "-q", "-f", str(tmp_path / "farm.cfg")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if "Loading success" in line or "s2 is DOWN" in line:
                break
        yield path
        process.terminate()
        process.stdout.read()


def ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(command.encode() + b"\n")
        with sock.makefile() as answer:
            return answer.read()


@pytest.mark.interop("haproxy")
def test_haproxy_has_the_same_columns_in_the_same_places_with_the_same_tags(haproxy: Path) -> None:
    theirs_header = ask(haproxy, "show stat").splitlines()[0].split(",")
    assert theirs_header[: theirs_header.index("-")] == HEADER.split(",")[:103]
    assert set(theirs_header) - set(HEADER.split(",")) == NOT_OURS

    def described(text: str) -> dict[tuple[str, str, str, str], tuple[str, str]]:
        found = {}
        for line in text.splitlines():
            if line:
                head, tags, kind, _value = line.split(":", 3)
                side, proxy, number, _position, name, _process = head.split(".")
                found[side, proxy, number, name] = (tags, kind)
        return found

    theirs = described(ask(haproxy, "show stat typed"))
    ours = described(stat_formats.typed(Farm().rows()))
    checks = {"check_code", "check_duration", "last_chk", "agent_duration", "last_agt"}  # depend on the moment
    missing = {key: tags for key, tags in theirs.items() if key not in ours and key[3] not in NOT_OURS | checks}
    assert missing == {}
    assert {key: (ours[key], tags) for key, tags in theirs.items() if key in ours and ours[key] != tags} == {}
    added = {key[3] for key in ours if key not in theirs}
    assert added <= {column.name for column in FIXED[103:]} | checks
