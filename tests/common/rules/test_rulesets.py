"""Rulesets know when they run."""

from __future__ import annotations

import pytest

from common.acl.environment import Where
from common.rules.rulesets import EVERYWHERE, Ruleset

MOMENTS = [
    (Ruleset.TCP_CONNECTION, Where.CONNECTION, False, True),
    (Ruleset.TCP_SESSION, Where.SESSION, False, True),
    (Ruleset.TCP_REQUEST, Where.REQUEST_CONTENT, False, False),
    (Ruleset.TCP_RESPONSE, Where.RESPONSE_CONTENT, True, False),
    (Ruleset.HTTP_REQUEST, Where.REQUEST, False, False),
    (Ruleset.HTTP_RESPONSE, Where.RESPONSE, True, False),
    (Ruleset.HTTP_AFTER_RESPONSE, Where.RESPONSE, True, False),
    (Ruleset.REDIRECT, Where.REQUEST, False, False),
    (Ruleset.USE_BACKEND, Where.REQUEST, False, False),
    (Ruleset.USE_SERVER, Where.REQUEST, False, False),
]


@pytest.mark.parametrize(("ruleset", "where", "is_response", "before_exchange"), MOMENTS)
def test_moment(ruleset: Ruleset, where: Where, is_response: bool, before_exchange: bool) -> None:
    assert (ruleset.where, ruleset.is_response, ruleset.before_exchange) == (where, is_response, before_exchange)


def test_all_are_told() -> None:
    assert {row[0] for row in MOMENTS} == set(Ruleset)
    assert set(EVERYWHERE) == set(Ruleset) - {Ruleset.REDIRECT, Ruleset.USE_BACKEND, Ruleset.USE_SERVER}
