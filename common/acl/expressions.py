"""Sample expressions: a fetch and the converters after it, compiled into one closure. Sans-io.

    compile_expression("req.hdr(host),lower,field(1,:)", environment) -> Expression

Everything that can be known when the configuration is read is done then: names, argument types, which casts stand between the steps
(a step that needs none costs nothing), constants (a constant fetch with pure converters is computed once). What runs is a nest of
closures `facts -> value or None`; None ends the chain wherever it appears.

Source: HAProxy configuration manual 7.3, 7.3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from common.acl.arguments import Call, bind, parse_calls
from common.acl.casts import TO_TEXT, cast, same, text_of
from common.acl.converters import CONVERTERS
from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.fetches import FETCHES
from common.acl.table import Converter, EachGetter, Fetch, Getter, did_you_mean
from common.acl.types import SampleType
from common.errors import ExpressionError


@dataclass(frozen=True, slots=True)
class Expression:
    """get(facts): the sample, of `type`, or None; a `Typed` if the type is ANY. each(facts): every occurrence, for ACLs.

    converted: converters follow the fetch. constant: get never looks at the facts.
    """

    text: str
    type: SampleType
    get: Getter
    each: EachGetter
    fetch: Fetch
    converted: bool
    constant: bool

    @property
    def needs(self) -> Needs:
        return self.fetch.needs

    def to(self, target: SampleType) -> Getter:
        """get, cast. Raises ExpressionError if the types do not go together."""
        return _then(self.get, require_cast(self.type, target, self.text), False)

    def each_to(self, target: SampleType) -> EachGetter:
        return _each_then(self.each, require_cast(self.type, target, self.text), False)

    @property
    def text_getter(self) -> Callable[[Facts], bytes | None]:
        """get, as text."""
        if self.type is SampleType.ANY:
            return _then(self.get, text_of, False)
        return _then(self.get, TO_TEXT[self.type], False)


def compile_expression(text: str | Sequence[str], environment: CompileEnvironment) -> Expression:
    """The expression that is the whole of `text`. Raises ExpressionError. Words are joined as in `parse_expression`."""
    words = [text] if isinstance(text, str) else list(text)
    expression, used = parse_expression(words, environment)
    if used < len(words):
        raise ExpressionError(f'unexpected "{words[used]}" after the expression "{expression.text}"', word=used)
    return expression


def parse_expression(words: Sequence[str], environment: CompileEnvironment) -> tuple[Expression, int]:
    """The expression that the words begin with, and how many words it took.

    Converters follow after commas, or as further words (`stick on src ipmask(24)`).
    """
    if not words:
        raise ExpressionError("a sample expression is missing here")
    calls, end = parse_calls(words[0])
    if end < len(words[0]):
        raise ExpressionError(f'unexpected "{words[0][end:]}" after "{words[0][:end]}"')
    used = 1
    while used < len(words):
        try:
            more, end = parse_calls(words[used])
        except ExpressionError:
            break
        if end < len(words[used]) or more[0].name not in CONVERTERS.rows:
            break
        calls += more
        used += 1
    return compile_calls(calls, environment), used


def parse_inside(text: str, start: int, environment: CompileEnvironment) -> tuple[Expression, int]:
    """The expression that begins at text[start], and where it ends. For `%[…]`."""
    calls, end = parse_calls(text, start)
    return compile_calls(calls, environment), end


def compile_calls(calls: Sequence[Call], environment: CompileEnvironment, check: bool = True) -> Expression:
    """check: refuse a fetch that cannot be asked at this moment."""
    first, rest = calls[0], calls[1:]
    fetch = find_fetch(first.name)
    arguments = bind(fetch, first, environment, "sample fetch")
    if check and not environment.offers(fetch.needs):
        raise ExpressionError(unavailable(fetch, environment))
    get: Getter = fetch.make(environment, *arguments)
    each: EachGetter = fetch.each(environment, *arguments) if fetch.each is not None else _once(get)
    kind = fetch.type
    pure = fetch.constant
    for call in rest:
        converter = find_converter(call.name)
        step, kind, before = _step(converter, call, kind, environment, _text(calls))
        if before is not same:
            get, each = _then(get, before, False), _each_then(each, before, False)
        get, each = _then(get, step, converter.facts), _each_then(each, step, converter.facts)
        pure = pure and not converter.facts and not converter.living
    if pure:
        value = get(NOTHING)
        get, each = _constant(value), _constant(() if value is None else (value,))
    return Expression(_text(calls), kind, get, each, fetch, bool(rest), pure)


def find_fetch(name: str) -> Fetch:
    fetch = FETCHES.rows.get(name)
    if fetch is None:
        raise ExpressionError(f'unknown sample fetch "{name}"', hint=did_you_mean(name, FETCHES.rows))
    return fetch


def find_converter(name: str) -> Converter:
    converter = CONVERTERS.rows.get(name)
    if converter is None:
        raise ExpressionError(f'unknown converter "{name}"', hint=did_you_mean(name, CONVERTERS.rows))
    return converter


def unavailable(fetch: Fetch, environment: CompileEnvironment) -> str:
    """The sentence for a fetch that cannot be asked where the expression stands."""
    return (
        f'sample fetch "{fetch.name}" cannot be used in {environment.where.value}: it needs {fetch.needs.value}, '
        "which is not known there (yet, or any more)"
    )


def require_cast(source: SampleType, target: SampleType, text: str) -> Callable[[Any], Any]:
    function = cast(source, target)
    if function is None:
        raise ExpressionError(f'"{text}" gives a sample of type {source.value}, which does not convert to {target.value}')
    return function


def _step(
    converter: Converter, call: Call, kind: SampleType, environment: CompileEnvironment, text: str
) -> tuple[Any, SampleType, Callable[[Any], Any]]:
    """The converter's step, the type after it, and the cast before it."""
    arguments = bind(converter, call, environment, "converter")
    if converter.input is SampleType.ANY:
        step = converter.make(environment, kind, *arguments)
        before: Callable[[Any], Any] = same
    else:
        function = cast(kind, converter.input)
        if function is None:
            raise ExpressionError(
                f'converter "{call.name}" takes a sample of type {converter.input.value}; '
                f'what stands before it in "{text}" gives one of type {kind.value}'
            )
        before = function
        step = converter.make(environment, *arguments)
    return step, kind if converter.output is SampleType.ANY and converter.input is SampleType.ANY else converter.output, before


def _text(calls: Sequence[Call]) -> str:
    return ",".join(call.name + (f"({','.join(call.arguments)})" if call.arguments is not None else "") for call in calls)


def _then(get: Getter, step: Any, facts_too: bool) -> Getter:
    """get, then the step."""
    if step is same:
        return get
    if facts_too:

        def with_facts(facts: Facts) -> Any:
            value = get(facts)
            return None if value is None else step(value, facts)

        return with_facts

    def plain(facts: Facts) -> Any:
        value = get(facts)
        return None if value is None else step(value)

    return plain


def _each_then(each: EachGetter, step: Any, facts_too: bool) -> EachGetter:
    if step is same:
        return each
    if facts_too:

        def with_facts(facts: Facts) -> Iterable[Any]:
            return [found for value in each(facts) if (found := step(value, facts)) is not None]

        return with_facts

    def plain(facts: Facts) -> Iterable[Any]:
        return [found for value in each(facts) if (found := step(value)) is not None]

    return plain


def _once(get: Getter) -> EachGetter:
    def each(facts: Facts) -> Iterable[Any]:
        value = get(facts)
        return () if value is None else (value,)

    return each


def _constant(value: Any) -> Callable[[Facts], Any]:
    return lambda facts: value


class _Nothing:
    """Stands for the facts when a constant is computed: it has none."""


NOTHING: Any = _Nothing()
