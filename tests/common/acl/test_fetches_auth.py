from __future__ import annotations

import base64

import pytest

from common import model
from common.acl.conditions import compile_condition
from common.acl.environment import CompileEnvironment
from common.acl.expressions import compile_expression
from common.acl.fetches_auth import basic_credentials
from common.errors import ExpressionError
from tests.common.acl.fakes import FakeExchange, environment, facts, request, sample, samples

USERS = [
    model.User("ann", "secret", False, ("admins", "staff")),
    model.User("bob", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", True, ()),
]


def listed() -> CompileEnvironment:
    config = model.Config()
    config.userlists["users"] = USERS
    config.groups["users"] = ["admins", "staff"]
    return environment(config=config)


def authorized(value: bytes, name: bytes = b"Authorization") -> FakeExchange:
    return facts(request=request(fields=((name, value),)))


def basic(pair: bytes) -> FakeExchange:
    return authorized(b"Basic " + base64.b64encode(pair))


@pytest.mark.parametrize(
    "pair, accepted",
    [
        (b"ann:secret", True),
        (b"ann:Secret", False),
        (b"ann:", False),
        (b"bob:Hello world!", True),
        (b"bob:x", False),
        (b"eve:secret", False),
    ],
)
def test_passwords(pair: bytes, accepted: bool) -> None:
    surroundings = listed()
    exchange = basic(pair)
    assert compile_expression("http_auth(users)", surroundings).get(exchange) is accepted
    assert compile_condition(["{", "http_auth(users)", "}"], {}, surroundings).test(exchange) is accepted


def test_groups_are_what_acls_match() -> None:
    surroundings = listed()
    group = compile_expression("http_auth_group(users)", surroundings)
    assert list(group.each(basic(b"ann:secret"))) == [b"admins", b"staff"]
    assert list(group.each(basic(b"ann:wrong"))) == []
    assert group.get(basic(b"ann:secret")) == b"ann"
    assert group.get(basic(b"ann:wrong")) is None
    condition = compile_condition(["{", "http_auth_group(users)", "staff", "}"], {}, surroundings)
    assert condition.test(basic(b"ann:secret"))
    assert not condition.test(basic(b"bob:Hello world!"))


def test_a_group_that_there_is_not_is_told() -> None:
    with pytest.raises(ExpressionError, match='no group "staf"') as caught:
        compile_condition(["{", "http_auth_group(users)", "staff", "staf", "}"], {}, listed())
    assert "staff" in caught.value.hint


def test_rules_share_one_living_list() -> None:
    surroundings = listed()
    compile_expression("http_auth(users)", surroundings)
    first = surroundings.userlists["users"]
    compile_expression("http_auth_group(users)", surroundings)
    assert surroundings.userlists["users"] is first


def test_what_is_no_userlist_is_refused() -> None:
    with pytest.raises(ExpressionError, match="none"):
        compile_expression("http_auth(none)", listed())


def test_hashes_that_cannot_be_checked_are_refused() -> None:
    surroundings = listed()
    assert surroundings.config is not None
    surroundings.config.userlists["old"] = [model.User("carl", "$2y$10$abc", True, ())]
    with pytest.raises(ExpressionError, match="carl"):
        compile_expression("http_auth(old)", surroundings)


@pytest.mark.parametrize(
    "value, credentials",
    [
        (b"Basic YTpi", (b"a", b"b")),
        (b"basic  YTpi ", (b"a", b"b")),
        (b"Basic " + base64.b64encode(b"a:b:c"), (b"a", b"b:c")),
        (b"Basic YWI=", None),  # no colon
        (b"Basic !!!", None),
        (b"Basic YTpi\x80", None),
        (b"Basic", None),
        (b"Bearer YTpi", None),
    ],
)
def test_credentials(value: bytes, credentials: tuple[bytes, bytes] | None) -> None:
    assert basic_credentials(authorized(value)) == credentials


@pytest.mark.parametrize(
    "text, value, result",
    [
        ("http_auth_user", b"Basic YTpi", b"a"),
        ("http_auth_pass", b"Basic YTpi", b"b"),
        ("http_auth_type", b"Basic YTpi", b"Basic"),
        ("http_auth_type", b"Bearer t", b"Bearer"),
        ("http_auth_type", b"Digest t", None),
        ("http_auth_user", b"Bearer t", None),
        ("http_auth_bearer", b"bearer abc.def", b"abc.def"),
        ("http_auth_bearer", b"Basic YTpi", None),
    ],
)
def test_parts(text: str, value: bytes, result: bytes | None) -> None:
    assert sample(text, authorized(value)) == result


def test_bearer_tokens_in_another_header() -> None:
    assert sample("http_auth_bearer(X-Token)", authorized(b"Bearer t", b"x-token")) == b"t"
    assert sample("http_auth_bearer(X-Token)", authorized(b"Bearer t")) is None


def test_without_a_request_the_last_word_is_open() -> None:
    exchange = facts()
    assert compile_expression("http_auth(users)", listed()).get(exchange) is None
    assert exchange.undecided
    assert samples("http_auth_user", facts()) == []
