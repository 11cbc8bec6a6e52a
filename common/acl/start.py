"""What section global sets before anything else runs: `set-var` and `set-var-fmt` of variables of the process. Sans-io.

Each worker and each dispatcher has variables of its own; every one of them starts with these.

Source: HAProxy configuration manual 3.1 "set-var", "set-var-fmt".
"""

from __future__ import annotations

from typing import Any

from common import model
from common.acl.absent import AbsentExchange, AbsentSession
from common.acl.casts import wrapper
from common.acl.environment import CompileEnvironment, Where
from common.acl.expressions import compile_expression
from common.acl.facts_world import WorldFacts
from common.acl.logformat import Purpose, compile_format
from common.acl.types import SampleType, Typed
from common.acl.variables import writer


def set_global_variables(config: model.Config, world: WorldFacts) -> None:
    """In the order of the file: a line may read what one before it has set. Raises ExpressionError."""
    facts = AbsentExchange(AbsentSession(), world)
    environment = CompileEnvironment(where=Where.START, config=config)
    for keyword, name, *words in config.globals.variables:
        value = _text(words[0], environment, facts) if keyword == "set-var-fmt" else _sample(words, environment, facts)
        if value is not None:
            writer(name)(facts, value)


def _text(text: str, environment: CompileEnvironment, facts: Any) -> Typed:
    return Typed(SampleType.STR, compile_format(text, environment, Purpose.VALUE).build(facts))


def _sample(words: list[str], environment: CompileEnvironment, facts: Any) -> Typed | None:
    expression = compile_expression(words, environment)
    value: Any = expression.get(facts)
    if value is None:
        return None
    typed: Typed = value if expression.type is SampleType.ANY else wrapper(expression.type)(value)
    return typed
