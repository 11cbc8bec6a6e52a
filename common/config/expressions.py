"""The one door to the rule language: config checks with the compilers that the workers run.

Words stay words in the model; here they are compiled once, so that a mistake is told when the file is read, with its line and column.
What the compiler says (ExpressionError: message, word, hint) becomes a fault of the line.
Sans-io.
Source: HAProxy configuration manual 7 (ACLs, expressions), 4.2 (rules), 8.2 (log-format).
"""

from __future__ import annotations

from common.config.draft import Scope
from common.config.statement import Statement
from common.model import Acl, Rule


def check_acl(scope: Scope, statement: Statement, acl: Acl) -> None:
    """An `acl` line: criterion, flags, patterns."""


def check_rule(scope: Scope, statement: Statement, rule: Rule) -> None:
    """A rule whose words start at argument 0: its action and its condition."""
    check_condition(scope, statement, rule, len(rule.words) + 1)


def check_condition(scope: Scope, statement: Statement, rule: Rule, start: int) -> None:
    """The condition of a rule; its words start at argument `start`."""


def check_expression(scope: Scope, statement: Statement, start: int, *, response: bool = False) -> int:
    """A sample expression that starts at argument `start`; how many words it takes."""
    return 1


def check_format(scope: Scope, statement: Statement, position: int) -> None:
    """A log-format."""


def check_global_variable(scope: Scope, statement: Statement) -> None:
    """`set-var` and `set-var-fmt` of section global."""
