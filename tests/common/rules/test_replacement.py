r"""Back-references belong to the rule's author: nothing that a client sends is taken for one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.absent import AbsentExchange
from common.acl.environment import CompileEnvironment
from common.acl.logformat import Purpose
from common.errors import ExpressionError
from common.rules.replacement import compile_replacement
from tests.common.acl.fakes import request

MATCH = re.search(rb"(a+)(b)?(c)", b"xaacx")


def fill(text: str, header: bytes = b"") -> bytes:
    facts = AbsentExchange()
    facts.request = request(b"/", [(b"x-a", header)])
    return compile_replacement(text, CompileEnvironment(), Purpose.HEADER).fill(facts, MATCH)


CASES = [
    ("plain", b"plain"),
    (r"<\1>", b"<aa>"),
    (r"\0", b"aac"),
    (r"\1\3\1", b"aacaa"),
    (r"[\2]", b"[]"),  # took no part
    (r"[\9]", b"[]"),  # does not exist
    (r"a\\b", b"a\\b"),
    (r"a\qb", b"aqb"),
    (r"\\1", b"\\1"),
    (r"100%%\1", b"100%aa"),
    ("tail\\", b"tail\\"),
    (r"%[req.hdr(x-a)]\1", b"vaa"),
    (r"%[req.hdr(x-a),regsub(v,\0\0)]\1", b"vvaa"),  # the expression's backslashes are its own
    (r'%[req.hdr(x-a),regsub("[v]",w)]\3', b"wc"),
    (r"%{+Q}[req.hdr(x-a)]\3", b"vc"),
]


@pytest.mark.parametrize(("text", "filled"), CASES)
def test_replacement(text: str, filled: bytes) -> None:
    assert fill(text, b"v") == filled


@given(st.binary(max_size=20))
def test_what_a_client_sends_is_never_a_reference(header: bytes) -> None:
    """In front of the author's own reference, which stays where it is."""
    assert fill(r"%[req.fhdr(x-a)]|\1", header).rpartition(b"|")[2] == b"aa"
    assert fill(r"%[req.fhdr(x-a)]", rb"\1\2\3" + header).startswith(rb"\1\2\3")
    assert b"\x01" not in fill(r"%[req.fhdr(x-a)]\1", header)


def test_faults_inside_are_told() -> None:
    with pytest.raises(ExpressionError, match="unknown sample fetch"):
        fill(r"%[nope]\1")
