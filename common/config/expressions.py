"""The one door to the rule language: config checks with the compilers that the workers run.

Words stay words in the model; here they are compiled once, so that a mistake is told when the file is read, with its line and column.
Two moments: ACL names must be known when a condition names them (as in HAProxy, where a later `acl` line does not count), so they are
looked up at once; everything else waits until all sections are known, because an expression may name a proxy, a table or a userlist
that stands further down, and `mode http` may follow the rule.

Rules of a defaults section are compiled for every section that starts from it; the same complaint at the same place is told once.
Sans-io.
Source: HAProxy configuration manual 7 (ACLs, expressions), 4.2 (rules), 8.2 (log-format).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from common.acl.acl_keywords import PREDEFINED
from common.acl.conditions import acls_by_name, compile_condition, compile_criterion
from common.acl.environment import CompileEnvironment, Where
from common.acl.expressions import compile_expression, parse_expression
from common.acl.logformat import Purpose, compile_format
from common.acl.regexes import compile_regex
from common.config.draft import Deferred, ProxyDraft, Scope, State
from common.config.keywords import Section
from common.config.statement import Statement
from common.config.suggest import did_you_mean
from common.errors import ExpressionError
from common.model import Acl, Condition, Rule
from common.rules.parse import parse_action

_WHERE = {
    "tcp-request connection": Where.CONNECTION,
    "tcp-request session": Where.SESSION,
    "tcp-request content": Where.REQUEST_CONTENT,
    "tcp-response content": Where.RESPONSE_CONTENT,
    "http-response": Where.RESPONSE,
    "http-after-response": Where.RESPONSE,
}
_MISPLACED = " cannot be used in "
_NEVER = ("always_false",)  # stands in for an ACL that does not compile, so that it is complained about once


def check_acl(scope: Scope, statement: Statement, acl: Acl) -> None:
    """An `acl` line: criterion, flags, patterns; its words start at argument 1."""

    def compile_it(environment: CompileEnvironment) -> None:
        compile_criterion(acl.words, environment, acl.place)
        # Where it may be asked is for the rules to say that name it.
        environment.warnings[:] = [sentence for sentence in environment.warnings if _MISPLACED not in sentence]

    _defer(scope, statement, 1, f"error detected while parsing ACL '{acl.name}' : ", compile_it, acl=acl)


def check_rule(scope: Scope, statement: Statement, rule: Rule) -> None:
    """A rule whose words start at argument 0: its action and its condition."""
    check_condition(scope, statement, rule, len(rule.words) + 1)

    def compile_it(environment: CompileEnvironment) -> None:
        parse_action(rule.ruleset, rule.words, environment.at(_where(rule)))

    owner = f"proxy '{scope.name}'" if scope.section is Section.LISTEN else scope.title
    _defer(scope, statement, 0, f"error detected in {owner} while parsing {_rule_title(rule)} rule : ", compile_it)


def check_condition(scope: Scope, statement: Statement, rule: Rule, start: int) -> None:
    """The condition of a rule; its words start at argument `start`."""
    condition = rule.condition
    if condition is None:
        return
    lead = f"error detected while parsing {_article(rule)} condition : "
    _known_acls(scope, statement, condition, start, lead)

    def compile_it(environment: CompileEnvironment) -> None:
        at = environment.at(_where(rule))
        compile_condition(condition.words, at.acls, at, condition.unless)

    _defer(scope, statement, start, lead, compile_it)


def check_expression(scope: Scope, statement: Statement, start: int, *, where: Where = Where.REQUEST, words: int | None = None) -> int:
    """A sample expression that starts at argument `start`; how many words it takes. Raises Fault.

    words: how many it may have; None = as many as belong to it.
    """
    texts = statement.arguments[start : None if words is None else start + words]
    try:
        _, used = parse_expression(texts, CompileEnvironment(where, read_file=scope.state.read))
    except ExpressionError as error:
        raise statement.fault(f"'{statement.keyword}' : {error}", start + error.word, error.hint) from None

    def compile_it(environment: CompileEnvironment) -> None:
        compile_expression(texts[:used], environment.at(where))

    _defer(scope, statement, start, f"'{statement.keyword}' : ", compile_it)
    return used


def check_format(scope: Scope, statement: Statement, position: int, where: Where | None = None) -> None:
    """A log-format at argument `position`. where: None for log lines."""
    text = statement.argument(position)

    def compile_it(environment: CompileEnvironment) -> None:
        compile_format(text, environment.at(where or Where.LOG), Purpose.VALUE if where else Purpose.LOG)

    _defer(scope, statement, position, f"'{statement.keyword}' : ", compile_it)


def check_regex(statement: Statement, position: int, lead: str) -> None:
    """A regular expression at argument `position`. Raises Fault."""
    try:
        compile_regex(statement.argument(position))
    except ExpressionError as error:
        raise statement.fault(f"{lead}{error}", position, error.hint) from None


def check_global_variable(scope: Scope, statement: Statement) -> None:
    """`set-var` and `set-var-fmt` of section global: only what is known at the start may be asked."""
    words = statement.arguments[1:]

    def compile_it(environment: CompileEnvironment) -> None:
        if statement.keyword == "set-var":
            compile_expression(words, environment.at(Where.START))
        else:
            compile_format(words[0], environment.at(Where.START), Purpose.VALUE)

    _defer(scope, statement, 1, f"'{statement.keyword}' : ", compile_it)


def run_deferred(state: State) -> None:
    """Compile everything that waited for the whole configuration. Called once, after `settle`."""
    shared = CompileEnvironment(config=state.config, read_file=state.read)
    _run(state, shared, state.deferred)
    failed: set[int] = set()  # identities of statements and ACLs that are told already
    for draft in state.every_defaults:
        draft.proxy.backend = False  # what only a backend has, a defaults section cannot ask for
        _run_draft(state, shared, draft, failed)
    for draft in state.proxies:
        _run_draft(state, shared, draft, failed)


def _run_draft(state: State, shared: CompileEnvironment, draft: ProxyDraft, failed: set[int]) -> None:
    """Everything of one section; what it inherited is compiled with the ACLs of the defaults section that says it.

    A defaults section is compiled by itself first, without table and servers: an expression in it must not need those of the sections.
    """
    environments: dict[int, CompileEnvironment] = {}
    for one in sorted(draft.deferred, key=lambda waiting: waiting.acl is None):
        origin = one.origin or draft
        environment = environments.get(id(origin))
        if environment is None:
            environment = CompileEnvironment(
                proxy=draft.proxy,
                config=shared.config,
                read_file=shared.read_file,
                maps=shared.maps,
                userlists=shared.userlists,
                acls=_acls(origin, failed),
            )
            environments[id(origin)] = environment
        if id(one.statement) in failed or _run(state, environment, [one]):
            continue
        failed.add(id(one.statement))
        if one.acl is not None:
            failed.add(id(one.acl))
            environment.acls = _acls(origin, failed)


def _acls(origin: ProxyDraft, failed: set[int]) -> dict[str, list[Acl]]:
    return acls_by_name(replace(acl, words=_NEVER) if id(acl) in failed else acl for acl in origin.declared_acls)


def _run(state: State, environment: CompileEnvironment, waiting: Iterable[Deferred]) -> bool:
    """Whether all of it compiles."""
    good = True
    for one in waiting:
        environment.place = one.statement.place
        environment.warnings.clear()
        try:
            one.compile(environment)
        except ExpressionError as error:
            good = False
            one.statement.alert(f"{one.lead}{error}", one.start + error.word, error.hint, "bad-expression")
        for sentence in dict.fromkeys(environment.warnings):
            one.statement.warn(f"'{one.statement.keyword}' : {sentence}", one.start, slug="odd-expression")
    return good


def _defer(
    scope: Scope, statement: Statement, start: int, lead: str, compile_it: Callable[[CompileEnvironment], None], acl: Acl | None = None
) -> None:
    waiting = Deferred(statement, start, lead, compile_it, acl)
    (scope.state.deferred if scope.draft is None else scope.draft.deferred).append(waiting)


def _known_acls(scope: Scope, statement: Statement, condition: Condition, start: int, lead: str) -> None:
    """Every ACL that the condition names must stand above it."""
    known = {acl.name for acl in scope.proxy_draft.declared_acls}
    for position in _names(condition.words):
        name = condition.words[position].lstrip("!")
        if name not in known and name not in PREDEFINED:
            near = did_you_mean(name, [*known, *PREDEFINED], otherwise=".")
            inherited = scope.section is not Section.DEFAULTS and any(acl.name.endswith(f"/{name}") for acl in scope.proxy.acls)
            hint = "ACLs of a defaults section hold for its own rules only." if inherited else "Write the acl line above this one."
            raise statement.fault(f"{lead}no such ACL : '{name}'{near}", start + position, hint)


def _names(words: Sequence[str]) -> Iterable[int]:
    """Positions of the ACL names in a condition: what stands in braces is none, nor are `or` and `!`."""
    depth = 0
    for position, word in enumerate(words):
        if word.lstrip("!") == "{":
            depth += 1
        elif word == "}":
            depth = 0
        elif not depth and word not in ("or", "||") and word.strip("!"):
            yield position


def _where(rule: Rule) -> Where:
    if rule.ruleset == "stick":
        return Where.RESPONSE if rule.words[0] == "store-response" else Where.REQUEST
    return _WHERE.get(rule.ruleset, Where.REQUEST)


def _article(rule: Rule) -> str:
    """How HAProxy calls a rule in messages about its condition."""
    if rule.ruleset == "use_backend":
        return "switching rule"
    title = _rule_title(rule)
    return f"an {title}" if title[1:2] in "aeiouh" else f"a {title}"


def _rule_title(rule: Rule) -> str:
    """Ruleset and action, in quotes."""
    if rule.words and rule.ruleset.startswith(("http-", "tcp-")):
        return f"'{rule.ruleset} {rule.words[0].partition('(')[0]}'"
    return f"'{rule.ruleset}'"
