"""From the words of a rule to its action. Sans-io.

    parse_action("http-request", ("set-header", "X-Src", "%[src]"), environment) -> SetHeader(…)

The one parser of rules: the configuration's check calls it to complain with line and caret, the worker to run what it returns.
`ACTIONS` is the table of all actions, from which the docs are made.

Source: HAProxy configuration manual 4.2 "http-request" … "use-server".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from common.acl.environment import CompileEnvironment, Where
from common.acl.table import did_you_mean
from common.errors import ExpressionError
from common.rules import parse_effects, parse_heads, parse_values, parse_verdicts
from common.rules.actions import Action, Reply
from common.rules.refused import REFUSED
from common.rules.reply import parse_reply
from common.rules.rulesets import Ruleset
from common.rules.table import ActionRow
from common.rules.words import Words

_NAME = re.compile(r"([A-Za-z0-9_.-]+)(?:\((.*)\))?")

ACTIONS: Mapping[str, ActionRow] = {
    name: row
    for table in (parse_heads.TABLE, parse_verdicts.TABLE, parse_values.TABLE, parse_effects.TABLE)
    for name, row in sorted(table.rows.items())
}


def parse_action(ruleset: str | Ruleset, words: Sequence[str], environment: CompileEnvironment) -> Action:
    """The compiled action. words: without the condition. Raises ExpressionError with the index of the word at fault."""
    kind = Ruleset(ruleset)
    at = environment.at(_moment(kind, environment))
    if kind is Ruleset.REDIRECT:
        return _whole(Words(kind, "redirect", None, ("redirect", *words), at), shift=1)
    if kind in (Ruleset.USE_BACKEND, Ruleset.USE_SERVER):
        return _whole(Words(kind, kind.value, None, (kind.value, *words), at), shift=1)
    if not words:
        raise ExpressionError(f'"{kind.value}" needs an action', 0, _known(kind))
    match = _NAME.fullmatch(words[0])
    name = match[1] if match is not None else words[0]
    row = _find(name, kind)
    arguments = None if match is None or match[2] is None else tuple(part.strip() for part in match[2].split(","))
    cursor = Words(kind, name, arguments, words, at)
    action = row.parse(cursor)
    cursor.end()
    return action


def parse_http_error(status: int, words: Sequence[str], environment: CompileEnvironment) -> Reply:
    """The answer of an `http-error status <status> …` line. words: behind the status. Raises ExpressionError."""
    cursor = Words(Ruleset.HTTP_REQUEST, "http-error", None, ("http-error", *words), environment.at(Where.REQUEST))
    try:
        return parse_reply(cursor, status, statuses=(), bare_is_default=False)
    except ExpressionError as error:
        raise ExpressionError(str(error), max(0, error.word - 1), error.hint) from None


def rows_of(ruleset: Ruleset) -> list[ActionRow]:
    """Every action of a ruleset, by name."""
    return sorted((row for row in ACTIONS.values() if ruleset in row.rulesets), key=lambda row: row.name)


def _whole(words: Words, shift: int) -> Action:
    """A line that is one action. shift: how many words were put before the line's own."""
    try:
        if words.ruleset is Ruleset.REDIRECT:
            return parse_verdicts.parse_redirect(words, formats=False)
        parse = parse_verdicts.parse_use_backend if words.ruleset is Ruleset.USE_BACKEND else parse_verdicts.parse_use_server
        action = parse(words)
        words.end()
        return action
    except ExpressionError as error:
        raise ExpressionError(str(error), max(0, error.word - shift), error.hint) from None


def _moment(ruleset: Ruleset, environment: CompileEnvironment) -> Where:
    """Switching rules of a proxy in mode tcp run on what the client has sent so far."""
    if ruleset in (Ruleset.USE_BACKEND, Ruleset.USE_SERVER) and not environment.http:
        return Where.REQUEST_CONTENT
    return ruleset.where


def _find(name: str, ruleset: Ruleset) -> ActionRow:
    row = ACTIONS.get(name)
    if row is None:
        bare = name.rstrip("0123456789")
        row = ACTIONS.get(bare)
        if row is None or not row.numbered or bare == name:
            raise _unknown(name, ruleset)
    elif row.numbered:
        raise ExpressionError(f'"{name}" needs a number behind its name, as in {name}0')
    if ruleset not in row.rulesets:
        where = ", ".join(sorted(one.value for one in row.rulesets))
        raise ExpressionError(f'action "{name}" cannot be used in {ruleset.value} rules, only in: {where}')
    return row


def _unknown(name: str, ruleset: Ruleset) -> ExpressionError:
    reason = REFUSED.get(name) or (REFUSED["lua"] if name.startswith("lua.") else None)
    if reason is not None:
        return ExpressionError(f'action "{name}" is not supported. {reason}')
    known = [row.name for row in rows_of(ruleset)]
    return ExpressionError(f'unknown action "{name}" in {ruleset.value} rules', hint=did_you_mean(name, known) or _known(ruleset))


def _known(ruleset: Ruleset) -> str:
    return f"There are {', '.join(row.name for row in rows_of(ruleset))}."
