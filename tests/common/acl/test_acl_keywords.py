from __future__ import annotations

import pytest

from common.acl.acl_keywords import ACL_KEYWORDS, PREDEFINED
from common.acl.conditions import compile_condition
from common.acl.environment import Where
from common.acl.fetches import FETCHES
from tests.common.acl import keywords_of_haproxy
from tests.common.acl.fakes import environment, facts, request


def test_keywords_are_those_of_haproxy() -> None:
    for line in keywords_of_haproxy.ACL_KEYWORDS.split():
        name, meaning = line.split("=")
        keyword = ACL_KEYWORDS[name]
        assert f"{keyword.fetch}/{keyword.method.value}" == meaning


def test_every_keyword_names_a_fetch() -> None:
    assert {keyword.fetch for keyword in ACL_KEYWORDS.values()} <= set(FETCHES.rows)


@pytest.mark.parametrize("name", sorted(PREDEFINED))
def test_predefined_acls_compile(name: str) -> None:
    compile_condition([name], {}, environment(Where.REQUEST))


@pytest.mark.parametrize(
    "name, method, target, matches",
    [
        ("TRUE", b"GET", b"/", True),
        ("FALSE", b"GET", b"/", False),
        ("METH_GET", b"GET", b"/", True),
        ("METH_GET", b"HEAD", b"/", True),
        ("METH_HEAD", b"GET", b"/", False),
        ("METH_CONNECT", b"CONNECT", b"a:1", True),
        ("HTTP_1.1", b"GET", b"/", True),
        ("HTTP_1.0", b"GET", b"/", False),
        ("HTTP_URL_ABS", b"GET", b"http://a/", True),
        ("HTTP_URL_ABS", b"GET", b"/a://b", False),
        ("HTTP_URL_SLASH", b"GET", b"/", True),
        ("HTTP_URL_STAR", b"OPTIONS", b"*", True),
        ("HTTP_CONTENT", b"POST", b"/", True),
        ("LOCALHOST", b"GET", b"/", True),
        ("HTTP", b"GET", b"/", True),
        ("WAIT_END", b"GET", b"/", True),
    ],
)
def test_predefined_acls(name: str, method: bytes, target: bytes, matches: bool) -> None:
    exchange = facts(request=request(target, ((b"Content-Length", b"5"),), method)).with_session(src=b"\x7f\1\2\3")
    assert compile_condition([name], {}, environment()).test(exchange) is matches
