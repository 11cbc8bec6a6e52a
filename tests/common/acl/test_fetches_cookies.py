from __future__ import annotations

import pytest

from common.acl.environment import Where
from tests.common.acl.fakes import facts, request, response, sample, samples

EXCHANGE = facts(
    request=request(fields=((b"Cookie", b'a=1; b="x;y"; nothing; a=2'), (b"Cookie", b"c = 3 ; A=4"))),
    response=response(fields=((b"Set-Cookie", b"sid=abc; Path=/; HttpOnly"), (b"Set-Cookie", b"n=7"), (b"Set-Cookie", b"broken"))),
)


@pytest.mark.parametrize(
    "text, result",
    [
        ("req.cook(a)", b"2"),  # the last one
        ("cook(a)", b"2"),
        ("cookie(a)", b"2"),
        ("req.cook(A)", b"4"),  # names keep their case
        ("req.cook(b)", b'"x;y"'),
        ("req.cook(c)", b"3"),
        ("req.cook", b"1"),  # without a name the first of all
        ("req.cook(none)", None),
        ("req.cook_cnt(a)", 2),
        ("cook_cnt", 5),
        ("req.cook_val(a)", 2),
        ("cook_val(none)", None),
        ("req.cook_names", b"a,b,a,c,A"),
        ("req.cook_names(;)", b"a;b;a;c;A"),
    ],
)
def test_cookies_of_requests(text: str, result: object) -> None:
    assert sample(text, EXCHANGE) == result


@pytest.mark.parametrize(
    "text, result",
    [
        ("res.cook(sid)", b"abc"),
        ("scook(sid)", b"abc"),
        ("set-cookie(sid)", b"abc"),
        ("cookie(sid)", b"abc"),
        ("res.cook(Path)", None),
        ("res.cook_cnt", 2),
        ("scook_val(n)", 7),
        ("res.cook_names", b"sid,n"),
    ],
)
def test_cookies_of_responses(text: str, result: object) -> None:
    assert sample(text, EXCHANGE, Where.RESPONSE) == result


def test_in_acls_all_of_a_name_are_tried() -> None:
    assert samples("req.cook(a)", EXCHANGE) == [b"1", b"2"]
    assert samples("req.cook_val(a)", EXCHANGE) == [1, 2]
    assert samples("scook", EXCHANGE, Where.RESPONSE) == [b"abc", b"7"]


@pytest.mark.parametrize("text, where", [("req.cook(a)", Where.REQUEST_CONTENT), ("res.cook(a)", Where.RESPONSE_CONTENT)])
def test_without_a_message_the_last_word_is_open(text: str, where: Where) -> None:
    exchange = facts()
    assert sample(text, exchange, where) is None
    assert exchange.undecided
