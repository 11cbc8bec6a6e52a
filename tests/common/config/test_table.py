"""The keyword table: every row is complete, has a good example, and every example is accepted where the row says."""

from __future__ import annotations

import pytest

from common.config.bind import WORDS as BIND_WORDS
from common.config.build import load
from common.config.diagnostics import Diagnostic, Severity
from common.config.keywords import AnyKeyword, Section, Status
from common.config.lexer import split_line
from common.config.options import LoadOptions
from common.config.table import EVERY_ROW, SECTION_TABLE
from common.config.table_server import WORDS as SERVER_WORDS
from tests.common.config import examples

PROXY_SECTIONS = (Section.DEFAULTS, Section.FRONTEND, Section.LISTEN, Section.BACKEND)
REST = (
    "backend nowhere\n mode http\nbackend other\n server t 192.0.2.1:80 check\nresolvers dns\n nameserver a 192.0.2.53:53\n"
    "log-profile short\n log-tag x\nhttp-errors site\n errorfile 503 /x\n errorfile 400 /x\n"
)


def findings(text: str) -> list[Diagnostic]:
    return load([("t.cfg", text.encode())], {}, options=LoadOptions()).diagnostics


def alerts(text: str) -> list[str]:
    return [found.message for found in findings(text) if found.severity is Severity.ALERT]


def proxy_file(section: Section, example: str) -> str:
    body = "\n ".join(example.split(" / "))
    name = "defaults d" if section is Section.DEFAULTS else f"{section.title} x"
    mode = "" if "mode " in example else " mode http\n"
    bind = " bind :8080\n" if section in Section.FRONTEND | Section.LISTEN else ""
    server = " server here 192.0.2.1:80\n" if section in Section.BACKEND | Section.LISTEN else ""
    last = "defaults\n" if section is Section.DEFAULTS else ""
    return f"{name}\n{mode}{bind}{server} {body}\n{last}{REST}"


def row_of(line: str, section: Section) -> AnyKeyword:
    words = split_line(line, lambda name: "")
    words = words[1:] if words[0].text in ("no", "default") else words
    found = SECTION_TABLE.find(section, words)
    assert found, line
    return found[0]


def example_lines(text: str) -> list[str]:
    return [line for group in examples.lines(text) for line in group.split(" / ")]


@pytest.mark.parametrize("row", EVERY_ROW, ids=lambda row: f"{row.sections.title}-{row.name}")
def test_row_is_complete(row: AnyKeyword) -> None:
    assert row.meaning.endswith("."), "a sentence"
    assert row.ours is (row.manual == ""), "either HAProxy's manual describes it or it is ours"
    assert bool(row.instead) is (row.status is not Status.SUPPORTED)
    assert row.most is None or row.least <= row.most
    assert row.syntax.removeprefix("[no] ").startswith(row.name.removesuffix("()"))


def test_every_supported_keyword_has_an_example() -> None:
    shown: set[tuple[Section, str]] = {(Section.GLOBAL, row_of(line, Section.GLOBAL).name) for line in example_lines(examples.GLOBAL)}
    shown |= {(Section.LISTEN, row_of(line, Section.LISTEN).name) for line in example_lines(examples.PROXY)}
    for title, text in examples.SIDE.items():
        section = next(one for one in Section if one.title == title)
        shown |= {(section, row_of(line, section).name) for line in example_lines(text)}
    missing = [
        row.name
        for row in SECTION_TABLE.rows
        if row.status is Status.SUPPORTED
        and not any((section, row.name) in shown for section in row.sections | (Section.LISTEN & row.sections))
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("section", "words", "text"),
    [
        (Section.BIND, BIND_WORDS, examples.BIND),
        (Section.SERVER, SERVER_WORDS, examples.SERVER + examples.SERVER_ONLY),
        (Section.DEFAULT_SERVER, SERVER_WORDS, examples.SERVER + examples.SERVER_ONLY),
    ],
)
def test_every_setting_has_an_example(section: Section, words: object, text: str) -> None:
    used = {word.partition("(")[0] for line in examples.lines(text) for word in line.split(" ")}
    rows = BIND_WORDS.rows if section is Section.BIND else SERVER_WORDS.rows
    missing = [
        row.name for row in rows if row.sections & section and row.status is Status.SUPPORTED and row.name.removesuffix("()") not in used
    ]
    assert missing == []


@pytest.mark.parametrize("line", examples.lines(examples.GLOBAL))
def test_line_of_global_is_accepted(line: str) -> None:
    assert alerts(f"global\n {line}\n{REST}") == []


@pytest.mark.parametrize("line", examples.lines(examples.PROXY))
def test_line_of_proxies_is_accepted_where_the_row_says(line: str) -> None:
    rows = [row_of(part, Section.LISTEN) for part in line.split(" / ")]
    for section in PROXY_SECTIONS:
        if all(row.sections & section for row in rows):
            assert alerts(proxy_file(section, line)) == [], section


@pytest.mark.parametrize("line", examples.lines(examples.PROXY))
def test_line_of_proxies_is_not_silently_accepted_elsewhere(line: str) -> None:
    rows = [row_of(part, Section.LISTEN) for part in line.split(" / ")]
    for section in PROXY_SECTIONS:
        if not any(row.sections & section for row in rows):
            severities = {found.severity for found in findings(proxy_file(section, line)) if found.slug == "wrong-section"}
            assert severities, (line, section)


@pytest.mark.parametrize("line", examples.lines(examples.BIND))
def test_setting_of_bind_is_accepted(line: str) -> None:
    address = "/run/x.sock" if line.split(" ")[0] in ("mode", "user", "group", "uid", "gid") else ":8080"
    assert alerts(f"frontend x\n bind {address} {line}\n") == []


@pytest.mark.parametrize("line", examples.lines(examples.SERVER + examples.SERVER_ONLY))
def test_setting_of_server_is_accepted(line: str) -> None:
    address = "abns@w" if "pass-fd" in line else "192.0.2.1:80"
    assert alerts(f"backend x\n mode http\n server s {address} {line}\n{REST}") == []


@pytest.mark.parametrize("line", examples.lines(examples.SERVER))
def test_setting_of_default_server_is_accepted(line: str) -> None:
    assert alerts(f"backend x\n mode http\n default-server {line}\n{REST}") == []


@pytest.mark.parametrize("line", examples.lines(examples.SERVER_ONLY)[:2])
def test_setting_of_server_alone_is_refused_on_default_server(line: str) -> None:
    assert alerts(f"backend x\n default-server {line}\n") != []


@pytest.mark.parametrize(("title", "line"), [(title, line) for title, text in examples.SIDE.items() for line in examples.lines(text)])
def test_line_of_side_sections_is_accepted(title: str, line: str) -> None:
    name = "" if title == "crt-store" else " x"
    body = "\n ".join(line.split(" / "))
    assert alerts(f"{title}{name}\n {body}\n") == []


@pytest.mark.parametrize("row", [row for row in SECTION_TABLE.rows if row.status is not Status.SUPPORTED], ids=lambda row: row.name)
def test_row_without_function_says_what_to_do(row: AnyKeyword) -> None:
    for section in row.sections:
        if section is Section.DEFAULTS:
            continue
        name = "" if section is Section.GLOBAL else " x"
        found = [one for one in findings(f"{section.title}{name}\n {row.name.removesuffix('()')} 1 2 3\n") if one.place.line == 2]
        severity = Severity.ALERT if row.status is Status.REFUSED else Severity.NOTICE
        assert [(one.severity, one.hint) for one in found] == [(severity, row.instead)]
