from __future__ import annotations

import pytest

from common import model
from common.acl.environment import CompileEnvironment, Needs, Where
from tests.common.acl.fakes import proxy


@pytest.mark.parametrize("where", Where)
def test_nothing_is_always_there(where: Where) -> None:
    assert Needs.NOTHING in where.offers


@pytest.mark.parametrize(
    "earlier, later",
    [
        (Where.START, Where.CONNECTION),
        (Where.CONNECTION, Where.SESSION),
        (Where.SESSION, Where.REQUEST),
        (Where.REQUEST, Where.SERVER_CHOICE),
    ],
)
def test_what_is_known_stays_known(earlier: Where, later: Where) -> None:
    assert earlier.offers < later.offers


def test_heads_are_gone_when_the_other_side_speaks() -> None:
    assert Needs.REQUEST not in Where.RESPONSE.offers and Needs.REQUEST_KEPT in Where.RESPONSE.offers
    assert Needs.RESPONSE not in Where.LOG.offers and Needs.RESPONSE_KEPT in Where.LOG.offers


def test_the_direction_of_short_names() -> None:
    assert {where for where in Where if where.is_response} == {Where.RESPONSE, Where.RESPONSE_CONTENT, Where.CHECK}


def test_a_backends_rule_knows_its_backend() -> None:
    assert CompileEnvironment(proxy=proxy("b", backend=True)).offers(Needs.BACKEND)
    assert not CompileEnvironment(proxy=proxy("f", frontend=True)).offers(Needs.BACKEND)
    assert not CompileEnvironment(where=Where.CONNECTION, proxy=proxy()).offers(Needs.BACKEND)
    assert CompileEnvironment(where=Where.LOG).offers(Needs.BACKEND)


def test_another_moment_shares_the_surroundings() -> None:
    first = CompileEnvironment(proxy=proxy())
    second = first.at(Where.LOG)
    second.warn("odd")
    second.variables_set.add("txn.a")
    assert (first.where, second.where) == (Where.REQUEST, Where.LOG)
    assert first.warnings == ["odd"] and first.variables_set == {"txn.a"}
    assert second.maps is first.maps


def test_modes() -> None:
    assert CompileEnvironment().http
    assert CompileEnvironment(proxy=proxy(mode="http")).http
    assert not CompileEnvironment(proxy=proxy(mode="tcp")).http


def test_names_are_taken_for_granted_without_a_configuration() -> None:
    assert CompileEnvironment().proxy_named("any", backend=True)
    config = model.Config()
    config.proxies.append(proxy("b", backend=True))
    surroundings = CompileEnvironment(config=config)
    assert surroundings.proxy_named("b", backend=True)
    assert not surroundings.proxy_named("b", backend=False)


def test_files_are_not_read_unless_someone_says_how() -> None:
    with pytest.raises(OSError):
        CompileEnvironment().read_file("/etc/passwd")
