"""`usher fmt`: layout changes, meaning does not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.lexer import LexError, split_line
from common.control import fmt
from common.control.fmt import formatted

MESSY = """

# About this file


  global
log   stdout format raw local0   # where to
   .if defined(X)
      maxconn 10
 .elif !defined(Y)
maxconn 20
  .else
maxconn 30
.endif
# The web
#   and more
frontend www # front
\tbind :80   name "a  b"\\ c  'x  # y'

\t# Rules
\tacl a path "${P-/x}"#end
backend app


server s1 127.0.0.1:1
unclosed "quote
\r"""
TIDY = """\
# About this file

global
    log stdout format raw local0  # where to
    .if defined(X)
        maxconn 10
    .elif !defined(Y)
        maxconn 20
    .else
        maxconn 30
    .endif

# The web
#   and more
frontend www  # front
    bind :80 name "a  b"\\ c 'x  # y'

    # Rules
    acl a path "${P-/x}"  #end

backend app

    server s1 127.0.0.1:1
    unclosed "quote
"""


def test_layout() -> None:
    assert formatted(MESSY) == TIDY


def test_sections_inside_conditions_are_indented_with_them() -> None:
    text = ".if defined(X)\nfrontend a\nbind :80\n.endif\nfrontend b\nbind :81\n"
    assert formatted(text) == ".if defined(X)\n    frontend a\n        bind :80\n    .endif\n\nfrontend b\n    bind :81\n"


@pytest.mark.parametrize("text", ["", "\n\n", "  \t\n"])
def test_nothing_stays_nothing(text: str) -> None:
    assert formatted(text) == ""


def words_of(text: str) -> list[list[str]]:
    """The words of every line that has some, as the lexer reads them; a line it cannot read as it stands."""
    found = []
    for line in text.replace("\r\n", "\n").split("\n"):
        try:
            words = [word.text for word in split_line(line, {"A": "1 2", "B": ""}.get)]
        except LexError:
            words = [line.strip()]
        found += [words] if words else []
    return found


LETTERS = st.sampled_from([*"ab#\"'\\ ${}[*]-A.\t\r\n", "global", "frontend f", ".if", ".else", ".endif", "${A}", "\\x41", "\n"])


@given(st.lists(LETTERS, max_size=60).map("".join))
def test_words_and_comments_survive_and_a_second_pass_changes_nothing(text: str) -> None:
    once = formatted(text)
    assert words_of(once) == words_of(text)
    assert once.count("#") == text.count("#")
    assert formatted(once) == once


def test_files_are_printed_rewritten_or_compared(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.cfg"
    path.write_text("global\nmaxconn 1\n")
    path.chmod(0o640)
    assert fmt.main([str(path)]) == 0
    assert capfd.readouterr().out == "global\n    maxconn 1\n"
    assert fmt.main(["-d", str(path)]) == 1
    assert "-maxconn 1\n+    maxconn 1\n" in capfd.readouterr().out
    assert fmt.main(["-w", str(path)]) == 0
    assert path.read_text() == "global\n    maxconn 1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a.cfg"]
    assert fmt.main(["-d", str(path)]) == 0
    assert fmt.main(["/nonexistent/a.cfg"]) == 2
    assert capfd.readouterr().err == "usher fmt: /nonexistent/a.cfg: No such file or directory\n"


def test_bytes_that_are_no_text_come_out_as_they_went_in(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    path = tmp_path / "a.cfg"
    path.write_bytes(b"global # caf\xe9\n")
    assert fmt.main([str(path)]) == 0
    assert capfdbinary.readouterr().out == b"global  # caf\xe9\n"
