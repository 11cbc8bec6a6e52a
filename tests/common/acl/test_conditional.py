from __future__ import annotations

import pytest

from common import model
from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.errors import ExpressionError
from tests.common.acl.fakes import PLACE, FakeExchange, environment, facts, request, sample, server

ENDED_WELL = facts(request=request(b"/p"), server=server())
ENDED_BADLY = facts(request=request(b"/p"), termination=b"SC")
ANSWERED = facts(request=request(b"/p"), applet_name="STATS", termination=b"LR").with_world(stopping=True)


@pytest.mark.parametrize(
    "condition, exchange, holds",
    [
        ("error", ENDED_WELL, False),
        ("error", ENDED_BADLY, True),
        ("normal", ENDED_WELL, True),
        ("!normal", ENDED_BADLY, True),
        ("!!error", ENDED_BADLY, True),
        ("forwarded", ENDED_WELL, True),
        ("forwarded", ANSWERED, False),
        ("processed", ENDED_WELL, True),
        ("processed", ANSWERED, True),
        ("processed", ENDED_BADLY, False),
        ("toapplet", ANSWERED, True),
        ("toapplet", ENDED_WELL, False),
        ("stopping", ANSWERED, True),
        ("stopping", ENDED_WELL, False),
    ],
)
def test_when(condition: str, exchange: FakeExchange, holds: bool) -> None:
    assert sample(f"hostname,when({condition}),length", exchange, Where.LOG) == (0 if holds else None)


def test_when_an_acl_matches() -> None:
    acls = {"p": [model.Acl(PLACE, "p", ("path", "/p"))]}
    assert sample("method,when(acl,p)", ENDED_WELL, acls=acls) == b"GET"
    assert sample("method,when(!acl,p)", ENDED_WELL, acls=acls) is None


@pytest.mark.parametrize("arguments", ["", "(nonsense)", "(acl)", "(acl,none)"])
def test_conditions_that_do_not_exist(arguments: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(f"method,when{arguments}", environment())
