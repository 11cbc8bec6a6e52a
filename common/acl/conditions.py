"""ACLs and the conditions made of them, compiled into closures. Sans-io.

    compile_condition(["host_www", "!", "{", "path_beg", "/static", "}", "or", "METH_POST"], acls, environment) -> Condition

A condition is an OR of ANDs of tests; each test is an ACL (several `acl` lines of one name are or-ed), an anonymous `{ … }` or a
predefined one, maybe negated. Evaluation stops as soon as the answer is known. ACLs are compiled once per moment they are used at, so
that rules share them.

Two ways to ask. `test(facts)` is yes or no. `decide(facts)` can also say None, "not yet": a fetch found nothing, or not its last word,
only because bytes are missing. tcp-request content waits on that until inspect-delay ends; "not yet" behaves as in HAProxy: it is
neither true nor false, its negation neither, a false beside it in an AND makes false, a true beside it in an OR makes true.

Source: HAProxy configuration manual 7.1, 7.2, 7.4; 4.2 "tcp-request content".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common import model
from common.acl.acl_keywords import ACL_KEYWORDS, PREDEFINED
from common.acl.arguments import Call, parse_calls
from common.acl.casts import Cast, same, text_of
from common.acl.environment import CompileEnvironment, Where
from common.acl.expressions import Expression, compile_calls, find_fetch, unavailable
from common.acl.facts import Facts
from common.acl.indexes import Entry, FoundIndex, Index
from common.acl.patterns import WITHOUT_PATTERNS, Method, Patterns, caster, parse_patterns
from common.acl.table import did_you_mean
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError

Test = Callable[[Facts], bool]
Acls = Mapping[str, Sequence[model.Acl]]


@dataclass(frozen=True, slots=True)
class Match:
    """What one criterion saw, for `explain`. samples: every occurrence tried, as text. pattern: the one that matched."""

    matched: bool
    samples: tuple[bytes, ...]
    pattern: bytes | None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One `acl` line or `{ … }`: an expression and its patterns. text: as written."""

    text: str
    expression: Expression
    patterns: Patterns
    convert: Cast
    test: Test
    place: model.Place | None

    def explain(self, facts: Facts) -> Match:
        samples: list[bytes] = []
        for value in self.expression.each(facts):
            samples.append(_show(self.expression.type, value))
            converted = self.convert(value)
            entry: Entry | None = None if converted is None else self.patterns.index.find(converted)
            if entry is not None:
                return Match(True, tuple(samples), entry.key)
        return Match(False, tuple(samples), None)


@dataclass(frozen=True, slots=True)
class NamedTest:
    """One word (or brace group) of a condition. criteria are or-ed."""

    name: str
    negated: bool
    criteria: tuple[Criterion, ...]
    test: Test  # negation included

    def decide(self, facts: Facts) -> bool | None:
        undecided = False
        for criterion in self.criteria:
            facts.undecided = False
            if criterion.test(facts):
                return not self.negated
            undecided = undecided or facts.undecided
        return None if undecided else self.negated


class Condition:
    """test(facts) is the fast way to ask. alternatives: OR of ANDs, for `explain`. unless is folded in."""

    __slots__ = ("alternatives", "test", "unless", "words")

    def __init__(self, words: tuple[str, ...], alternatives: tuple[tuple[NamedTest, ...], ...], unless: bool = False) -> None:
        self.words = words
        self.alternatives = alternatives
        self.unless = unless
        test = _any_of([_all_of([named.test for named in tests]) for tests in alternatives])
        self.test: Test = _negate(test) if unless else test

    def __call__(self, facts: Facts) -> bool:
        return self.test(facts)

    def decide(self, facts: Facts) -> bool | None:
        """None: cannot be told before more bytes are there."""
        undecided = False
        for tests in self.alternatives:
            verdict: bool | None = True
            for named in tests:
                one = named.decide(facts)
                if one is False:
                    verdict = False
                    break
                if one is None:
                    verdict = None
            if verdict:
                return not self.unless
            undecided = undecided or verdict is None
        return None if undecided else self.unless


def compile_condition(words: Sequence[str], acls: Acls, environment: CompileEnvironment, unless: bool = False) -> Condition:
    """Raises ExpressionError with the index of the word at fault."""
    alternatives: list[tuple[NamedTest, ...]] = []
    current: list[NamedTest] = []
    position = 0
    negated = False
    while position < len(words):
        word = words[position]
        if word in ("or", "||"):
            if not current or negated:
                raise ExpressionError(f'a condition is missing before "{word}"', position)
            alternatives.append(tuple(current))
            current = []
            position += 1
            continue
        while word.startswith("!"):
            negated = not negated
            word = word[1:]
        if not word:
            position += 1
            continue
        if word == "{":
            end = _closing(words, position)
            named = _anonymous(words[position + 1 : end], negated, environment, position + 1)
            position = end + 1
        else:
            named = _named(word, negated, acls, environment, position)
            position += 1
        current.append(named)
        negated = False
    if negated or not current:
        missing = "nothing follows the last word" if words else "there is no word"
        raise ExpressionError(f"the condition is incomplete: {missing}", max(0, len(words) - 1))
    alternatives.append(tuple(current))
    return Condition(tuple(words), tuple(alternatives), unless)


def compile_model_condition(condition: model.Condition | None, acls: Acls, environment: CompileEnvironment) -> Condition | None:
    """The same from a rule's `if`/`unless`; None for none."""
    if condition is None:
        return None
    return compile_condition(condition.words, acls, environment, condition.unless)


def acls_by_name(acls: Iterable[model.Acl]) -> dict[str, list[model.Acl]]:
    """A proxy's `acl` lines as compile_condition takes them."""
    result: dict[str, list[model.Acl]] = {}
    for acl in acls:
        result.setdefault(acl.name, []).append(acl)
    return result


def compile_acls(environment: CompileEnvironment) -> None:
    """The environment's `acl` lines in their order, used or not, so that operators find the lists of all of them, numbered as they
    stand. What does not compile is told where it is used."""
    lines = sorted((line for lines in environment.acls.values() for line in lines), key=lambda line: (line.place.file, line.place.line))
    request = environment.at(Where.REQUEST if environment.http else Where.REQUEST_CONTENT)
    response = environment.at(Where.RESPONSE if environment.http else Where.RESPONSE_CONTENT)
    for line in lines:
        try:
            fetch = find_fetch(_fetch_name(parse_calls(line.words[0])[0][0].name))
            at = request if request.offers(fetch.needs) else response
            environment.criteria[id(line), at.where] = compile_criterion(line.words, at, line.place, owner=str(id(line)))
        except (ExpressionError, IndexError):
            continue


def _fetch_name(name: str) -> str:
    keyword = ACL_KEYWORDS.get(name)
    return name if keyword is None else keyword.fetch


def compile_criterion(
    words: Sequence[str], environment: CompileEnvironment, place: model.Place | None = None, offset: int = 0, *, owner: str = ""
) -> Criterion:
    """`criterion [flags] [operator] values…`. Raises ExpressionError with the index of the word at fault.

    owner: of the pattern lists, for who compiles one line several times (common/acl/patterns.py).
    """
    if not words:
        raise ExpressionError("a sample fetch is missing here", offset)
    try:
        calls, end = parse_calls(words[0])
        if end < len(words[0]):
            raise ExpressionError(f'unexpected "{words[0][end:]}" after "{words[0][:end]}"')
        expression, implied, versions, available = _criterion_expression(calls, environment)
    except ExpressionError as error:
        raise ExpressionError(str(error), offset, error.hint) from None
    text = " ".join(words)
    about = _description(calls[0].name, place)
    patterns = parse_patterns(words[1:], expression.type, implied, versions, environment, about, offset + 1, owner)
    if calls[0].name == "http_auth_group" and not expression.converted:
        _check_groups(calls[0], patterns, environment, offset)
    convert = caster(patterns.method, expression.type)
    if convert is None:
        raise ExpressionError(
            f'matching method "{patterns.method.value}" cannot be applied to a sample of type {expression.type.value}', offset
        )
    from_files = any(one.name for one in patterns.lists)
    if not patterns.count and not patterns.explicit_end and patterns.method not in WITHOUT_PATTERNS and not from_files:
        environment.warn(
            f'"{text}" has no pattern to match against, so it never matches; add "--" if that is meant, '
            'use "-m found" to test for existence, or "-m bool" to take a number as a boolean'
        )
    if not available:
        return Criterion(text, expression, patterns, convert, lambda facts: False, place)
    return Criterion(text, expression, patterns, convert, _criterion_test(expression, convert, patterns.index), place)


def _check_groups(call: Call, patterns: Patterns, environment: CompileEnvironment, offset: int) -> None:
    """Groups that the userlist has not would never match, and whoever wrote them believes that somebody is let in."""
    if environment.config is None or not call.arguments:
        return
    known = environment.config.groups.get(call.arguments[0], [])
    for entry in (entry for one in patterns.lists if not one.name for entry in one.entries.values()):
        group = entry.key.decode("utf-8", "replace")
        if group not in known:
            raise ExpressionError(f'userlist "{call.arguments[0]}" has no group "{group}"', offset, did_you_mean(group, known))


def _criterion_expression(calls: list[Call], environment: CompileEnvironment) -> tuple[Expression, Method | None, bool, bool]:
    """The expression, the method its ACL keyword implies, whether numbers are versions, and whether it can be asked here at all."""
    keyword = ACL_KEYWORDS.get(calls[0].name)
    implied: Method | None = None
    versions = False
    if keyword is not None:
        versions = keyword.versions
        calls = [Call(keyword.fetch, calls[0].arguments), *calls[1:]]
        implied = keyword.method if len(calls) == 1 else None  # converters change what is matched
    fetch = find_fetch(calls[0].name)
    available = environment.offers(fetch.needs)
    if not available:
        environment.warn(f"{unavailable(fetch, environment)}; the condition never matches")
    return compile_calls(calls, environment, check=available), implied, versions, available


def _criterion_test(expression: Expression, convert: Cast, index: Index) -> Test:
    if isinstance(index, FoundIndex):
        if expression.fetch.each is None:
            get = expression.get
            return lambda facts: get(facts) is not None
        each = expression.each
        return lambda facts: any(True for _ in each(facts))
    matches = index.matches
    if expression.fetch.each is not None:
        return _each_test(expression, convert, matches)
    get = expression.get
    if convert is same:

        def plain(facts: Facts) -> bool:
            value = get(facts)
            return value is not None and matches(value)

        return plain

    def converted(facts: Facts) -> bool:
        value = get(facts)
        if value is None:
            return False
        value = convert(value)
        return value is not None and matches(value)

    return converted


def _each_test(expression: Expression, convert: Cast, matches: Callable[[Any], bool]) -> Test:
    each = expression.each
    if convert is same:

        def plain(facts: Facts) -> bool:
            for value in each(facts):  # noqa: SIM110 (any() with a generator costs twice as much here)
                if matches(value):
                    return True
            return False

        return plain

    def converted(facts: Facts) -> bool:
        for value in each(facts):
            value = convert(value)
            if value is not None and matches(value):
                return True
        return False

    return converted


def _closing(words: Sequence[str], opening: int) -> int:
    for index in range(opening + 1, len(words)):
        if words[index] == "}":
            return index
    raise ExpressionError('"{" has no closing "}" (both need blanks around them)', opening)


def _anonymous(words: Sequence[str], negated: bool, environment: CompileEnvironment, offset: int) -> NamedTest:
    criterion = compile_criterion(words, environment, environment.place, offset)
    return _test("{ " + criterion.text + " }", negated, (criterion,))


def _named(name: str, negated: bool, acls: Acls, environment: CompileEnvironment, position: int) -> NamedTest:
    lines = acls.get(name)
    if lines is None:
        words = PREDEFINED.get(name)
        if words is None:
            known = [*acls, *PREDEFINED]
            raise ExpressionError(f'there is no ACL "{name}"', position, did_you_mean(name, known))
        return _test(name, negated, (compile_criterion(words, environment, None, position),))
    criteria = []
    for line in lines:
        cached = environment.criteria.get((id(line), environment.where))
        if cached is None:
            try:
                cached = compile_criterion(line.words, environment, line.place, owner=str(id(line)))
            except ExpressionError as error:
                raise ExpressionError(f'ACL "{name}" ({line.place.file}:{line.place.line}): {error}', position, error.hint) from None
            environment.criteria[id(line), environment.where] = cached
        criteria.append(cached)
    return _test(name, negated, tuple(criteria))


def _test(name: str, negated: bool, criteria: tuple[Criterion, ...]) -> NamedTest:
    test = _any_of([criterion.test for criterion in criteria])
    return NamedTest(name, negated, criteria, _negate(test) if negated else test)


def _negate(test: Test) -> Test:
    return lambda facts: not test(facts)


def _any_of(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda facts: first(facts) or second(facts)

    def any_of(facts: Facts) -> bool:
        for test in tests:  # noqa: SIM110
            if test(facts):
                return True
        return False

    return any_of


def _all_of(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda facts: first(facts) and second(facts)

    def all_of(facts: Facts) -> bool:
        for test in tests:  # noqa: SIM110
            if not test(facts):
                return False
        return True

    return all_of


def _description(keyword: str, place: model.Place | None) -> str:
    return f"acl '{keyword}'" + (f" file '{place.file}' line {place.line}" if place is not None else "")


def _show(kind: SampleType, value: Any) -> bytes:
    return text_of(value if isinstance(value, Typed) else Typed(kind, value))
