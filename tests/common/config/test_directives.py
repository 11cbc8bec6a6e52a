"""Conditional blocks and messages in files."""

from __future__ import annotations

import pytest

from common.config.build import load
from common.config.options import LoadOptions

ENVIRONMENT = {"HOME": "/root"}


def told(text: str) -> list[tuple[str, int, str]]:
    diagnostics = load([("t.cfg", text.encode())], ENVIRONMENT, options=LoadOptions()).diagnostics
    return [(found.severity.value, found.place.line, found.message) for found in diagnostics]


CASES = [
    (".notice hello\n", [("notice", 1, "'hello'.")]),
    ('.warning "$HOME"\n', [("warning", 1, "'/root'.")]),
    (".alert a\\ b\n", [("alert", 1, "'a b'.")]),
    (".diag x\n", [("diag", 1, "'x'.")]),
    (".notice\n", [("notice", 1, "''.")]),
    (".notice a b\n", [("alert", 1, "Unexpected argument 'b' for '.notice'. Use quotes if the message should contain spaces.")]),
    (".if 1\n.notice a\n.else\n.notice b\n.endif\n", [("notice", 2, "'a'.")]),
    (".if 0\n.notice a\n.else\n.notice b\n.endif\n", [("notice", 4, "'b'.")]),
    (".if 0\n.notice a\n.elif 1\n.notice b\n.elif 1\n.notice c\n.else\n.notice d\n.endif\n", [("notice", 4, "'b'.")]),
    (".if 1\n.if 0\n.notice a\n.endif\n.notice b\n.endif\n.notice c\n", [("notice", 5, "'b'."), ("notice", 7, "'c'.")]),
    (".if 0\n.if 1\n.notice a\n.else\n.notice b\n.endif\n.endif\n", []),
    (".if 0\n.bogus\nnothing at all\n.if what(\n.endif\n.endif\n", []),
    ('.if 0\n.notice "x\n.endif\n', [("alert", 2, "unmatched quote at position 9:")]),
    (".if 1\n.notice a\n.elif bogus(\n.endif\n", [("notice", 2, "'a'.")]),
    (".bogus\n", [("alert", 1, "unknown directive '.bogus'")]),
    (".notce x\n", [("alert", 1, "unknown directive '.notce'; did you mean '.notice' maybe ?")]),
    (".if 1\n", [("alert", 1, "non-terminated '.if' block.")]),
    (".endif\n", [("alert", 1, "lone '.endif' with no matching '.if'")]),
    (".else\n", [("alert", 1, "lone '.else' with no matching '.if'")]),
    (".elif 1\n", [("alert", 1, "lone '.elif' with no matching '.if'")]),
    (".if 1\n.endif x\n", [("alert", 2, "Unexpected argument 'x' for '.endif'.")]),
    (".if 1 && 0\n.notice a\n.endif\n", []),
    ('.if "1 && 1"\n.notice a\n.endif\n', [("notice", 2, "'a'.")]),
    ('.if streq("$HOME",/root)\n.notice a\n.endif\n', [("notice", 2, "'a'.")]),
    (
        'global\n.notice "${.FILE}:${.LINE}:${.SECTION}"\nlisten web\n.notice "${.SECTION}"\n',
        [("notice", 2, "'t.cfg:2:global'."), ("notice", 4, "'web'.")],
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_directive(text: str, expected: list[tuple[str, int, str]]) -> None:
    assert [found for found in told(text) if "no 'bind'" not in found[2]] == expected


def test_variables_of_the_file_hold_for_the_lines_below() -> None:
    text = (
        'global\n setenv A 1\n presetenv A 2\n presetenv B 3\n.notice "$A$B"\n unsetenv A\n.notice "${A-gone}"\n resetenv\n'
        '.notice "${HOME-gone}"\n'
    )
    assert [message for _, _, message in told(text)] == ["'13'.", "'gone'.", "'gone'."]


def test_haproxys_own_variables_are_set() -> None:
    text = '.notice "${HAPROXY_BRANCH} ${HAPROXY_CFGFILES} ${HAPROXY_LOCALPEER}"\n'
    assert told(text) == [("notice", 1, "'3.5 t.cfg localhost'.")]


def test_many_open_blocks_are_bounded() -> None:
    found = told(".if 1\n" * 3000)
    assert any("too many nested '.if'" in message for _, _, message in found)


def test_block_ends_with_its_file() -> None:
    result = load([("a", b".if 0\n"), ("b", b".notice read\n")], {}, options=LoadOptions())
    assert [found.message for found in result.diagnostics] == ["non-terminated '.if' block.", "'read'."]
