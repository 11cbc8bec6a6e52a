"""How findings look: HAProxy's form, the line, the caret, the cure; and as JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from common.config.diagnostics import DIAGNOSTICS_MAX, Diagnostic, Report, Severity, printable, render, render_json
from common.model import Place


def test_finding_of_a_line_has_haproxys_form_then_line_caret_and_cure() -> None:
    found = Diagnostic(Severity.ALERT, Place("a.cfg", 3, 10), "'foo' is wrong", "Write bar.", "    bind foo  ", 3)
    assert render(found, 42).split("\n") == [
        "[ALERT]    (42) : config : parsing [a.cfg:3] : 'foo' is wrong",
        "   | a.cfg:3:10: bind foo  ",
        "   |                  ^^^",
        "   | Write bar.",
    ]


def test_labels_are_as_wide_as_haproxys() -> None:
    heads = [render(Diagnostic(severity, Place(), "m"), 1) for severity in Severity]
    assert heads == [
        "[ALERT]    (1) : config : m",
        "[WARNING]  (1) : config : m",
        "[NOTICE]   (1) : config : m",
        "[DIAG]     (1) : config : m",
    ]


def test_finding_about_the_whole_names_no_line_in_front() -> None:
    found = Diagnostic(Severity.WARNING, Place("a.cfg", 7, 1), "missing", text="listen a", width=8, whole=True)
    assert render(found, 1).split("\n")[0] == "[WARNING]  (1) : config : missing"
    assert "a.cfg:7:1: listen a" in render(found, 1)


def test_long_line_is_cut_around_the_caret() -> None:
    text = "x" * 1000 + "HERE" + "y" * 1000
    lines = render(Diagnostic(Severity.ALERT, Place("a", 1, 1001), "m", text=text, width=4), 1).split("\n")
    assert len(lines[1]) < 300
    assert lines[1][lines[2].index("^") :].startswith("HERE")
    assert lines[2].endswith("^^^^")


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\udcff\n") == "a\\x1b[31mb\\xff\\x0a"
    found = Diagnostic(Severity.ALERT, Place("a", 1, 4), "got '\x07'", text="ab\tc\x1bd", width=1)
    assert "\x1b" not in render(found, 1)
    assert "\x07" not in render(found, 1)


@given(st.text(max_size=300), st.integers(0, 400), st.integers(0, 400), st.text(max_size=50), st.text(max_size=50))
def test_any_finding_can_be_rendered(text: str, column: int, width: int, message: str, hint: str) -> None:
    found = Diagnostic(Severity.ALERT, Place("a\n", 1, column), message, hint, text, width)
    assert all(line.isprintable() for line in render(found, 1).split("\n"))
    json.loads(render_json([found]))


def test_json_has_what_an_editor_needs() -> None:
    found = Diagnostic(Severity.NOTICE, Place("a.cfg", 2, 5), "m", "h", "text", 3, "slug")
    assert json.loads(render_json([found])) == [
        {"severity": "notice", "file": "a.cfg", "line": 2, "column": 5, "width": 3, "message": "m", "hint": "h", "slug": "slug"}
    ]


def test_report_keeps_file_order_and_puts_the_whole_last() -> None:
    report = Report(["a", "b"])
    for place, whole in ((Place("b", 1, 1), False), (Place("a", 9, 1), True), (Place("a", 5, 1), False), (Place("a", 2, 1), False)):
        report.add(Diagnostic(Severity.WARNING, place, "m", whole=whole))
    assert [(found.place.file, found.place.line) for found in report.in_order()] == [("a", 2), ("a", 5), ("b", 1), ("a", 9)]


def test_same_finding_at_the_same_place_is_kept_once() -> None:
    report = Report()
    for _ in range(3):
        report.add(Diagnostic(Severity.WARNING, Place("a", 1, 1), "m"))
    assert len(report.in_order()) == 1


def test_an_alert_finds_its_place_after_a_flood() -> None:
    report = Report()
    for line in range(DIAGNOSTICS_MAX + 10):
        report.add(Diagnostic(Severity.NOTICE, Place("a", line + 1, 1), "m"))
    assert not report.fatal
    report.add(Diagnostic(Severity.ALERT, Place("a", 1, 1), "bad"))
    assert report.fatal
    assert "11 more findings are not shown" in report.in_order()[-1].message
