"""The conditions of the `when` converter. Sans-io. Source: HAProxy configuration manual (3.1) 7.3.1 "when"."""

from __future__ import annotations

from collections.abc import Callable

from common.acl.environment import CompileEnvironment
from common.acl.facts import Facts
from common.errors import ExpressionError

_TESTS: dict[str, Callable[[Facts], bool]] = {
    "error": lambda facts: facts.termination[:1] != b"-",
    "normal": lambda facts: facts.termination[:1] == b"-",
    "forwarded": lambda facts: facts.server is not None,
    "processed": lambda facts: facts.server is not None or bool(facts.applet_name),
    "stopping": lambda facts: facts.world.stopping,
    "toapplet": lambda facts: bool(facts.applet_name),
}


def when_test(environment: CompileEnvironment, name: str, argument: bytes | None) -> Callable[[Facts], bool]:
    """A leading ! negates. Raises ExpressionError for an unknown condition."""
    bare = name.lstrip("!")
    negated = (len(name) - len(bare)) % 2 == 1
    if bare == "acl":
        from common.acl.conditions import compile_condition  # conditions are made of expressions: see the fetch `acl`

        if argument is None:
            raise ExpressionError("when(acl) needs the ACL's name")
        test = compile_condition([argument.decode("utf-8", "surrogateescape")], environment.acls, environment).test
    elif bare in _TESTS:
        test = _TESTS[bare]
    else:
        raise ExpressionError(f'"{bare}" is not a condition of when: there are {", ".join(_TESTS)} and acl')
    return (lambda facts: not test(facts)) if negated else test
