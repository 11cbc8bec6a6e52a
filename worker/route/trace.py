"""Rules that tell what they see: for `usher explain`. Sans-io.

    trace = Trace()
    trace.watch(rules)            # every condition and action of these rules is noted from now on, and does what it did
    … the data plane runs …
    trace.steps                   # what was asked, in its order, and what came of it

The rules stay those of the data plane: a condition's own tests decide, an action's own function acts. Only what would make somebody
wait (tarpit, pause) is noted and not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from common import model
from common.acl.conditions import Condition, Criterion, NamedTest
from common.acl.facts import Facts
from worker.route.evaluate import CompiledRule, CompiledRules
from worker.route.rules import Rules
from worker.route.verdicts import AwaitBody, Cause, Delay, Respond, Verdict, Wait

_CHANGES_OR_CHANCE = ("_inc_", "_clr_", "_updt_", "rand", "uuid")
_RULESETS = {
    "tcp_connection": "tcp-request connection",
    "tcp_session": "tcp-request session",
    "tcp_request": "tcp-request content",
    "tcp_response": "tcp-response content",
    "http_request": "http-request",
    "names": "option http-restrict-req-hdr-names",
    "redirects": "redirect",
    "http_response": "http-response",
    "after_response": "http-after-response",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One ACL or anonymous test that was asked. criterion: as written. samples: every value that was tried. pattern: the one that
    matched."""

    name: str
    negated: bool
    criterion: str
    matched: bool
    samples: tuple[bytes, ...]
    pattern: bytes | None


@dataclass(slots=True)
class Step:
    """One rule that was asked. applied: its condition held. verdict: what it decided, "" if it only did something."""

    ruleset: str
    place: model.Place
    text: str
    condition: str
    applied: bool
    seen: list[Seen] = field(default_factory=list)
    verdict: str = ""


class Trace:
    """See the module. `steps` may be emptied between two requests."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._watched: set[int] = set()

    def watch(self, rules: Rules, proxy: model.Proxy) -> None:
        """From now on; once is enough."""
        if id(rules) in self._watched:
            return
        self._watched.add(id(rules))
        texts = {(rule.place.file, rule.place.line): " ".join(rule.words) for rule in proxy.rules}
        for name, title in _RULESETS.items():
            setattr(rules, name, self._rules(f"{proxy.name}: {title}", getattr(rules, name), texts))
        for name, title in (("switching", "use_backend"), ("use_server", "use-server")):
            switches = [
                replace(one, condition=self._watching(f"{proxy.name}: {title}", one.place, _text(texts, one.place), one.condition))
                for one in getattr(rules, name)
            ]
            setattr(rules, name, tuple(switches))
        for name, title in (("force_persist", "force-persist"), ("ignore_persist", "ignore-persist")):
            conditions = getattr(rules, name)
            setattr(rules, name, tuple(self._watching(f"{proxy.name}: {title}", proxy.place, "", one) for one in conditions))

    def _rules(self, ruleset: str, rules: CompiledRules, texts: dict[tuple[str, int], str]) -> tuple[CompiledRule, ...]:
        watched = []
        for rule in rules:
            condition = self._watching(ruleset, rule.place, _text(texts, rule.place), rule.condition, rule.test)
            watched.append(CompiledRule(condition.test, self._running(rule.run), rule.place, condition, rule.action))
        return tuple(watched)

    def _watching(
        self,
        ruleset: str,
        place: model.Place,
        text: str,
        condition: Condition | None,
        test: Callable[[Facts], bool] | None = None,
    ) -> _Watched:
        return _Watched(self, Step(ruleset, place, text, _written(condition), True), condition, test)

    def _running(self, run: Callable[[Any], Verdict | None]) -> Callable[[Any], Verdict | None]:
        def watched(subject: Any) -> Verdict | None:
            step = self.steps[-1] if self.steps else None
            try:
                verdict = run(subject)
            except ValueError:
                if step is not None:
                    step.verdict = "the rewriting failed"
                raise
            if step is not None:
                step.verdict = _named(verdict)
            if isinstance(verdict, Delay):
                return Respond(verdict.answer, Cause.DENIED)
            return None if isinstance(verdict, Wait) else verdict

        return watched


class _Watched(Condition):
    """A condition that notes what it was asked. Without one of its own (a rule that always applies) it holds."""

    __slots__ = ("_original", "_step", "_trace")

    def __init__(self, trace: Trace, step: Step, original: Condition | None, test: Callable[[Facts], bool] | None) -> None:
        words, alternatives, unless = (), (), False
        if original is not None:
            words, alternatives, unless = original.words, original.alternatives, original.unless  # type: ignore[assignment]
        super().__init__(words, alternatives, unless)
        self._trace = trace
        self._step = step
        self._original = original
        own = test if original is None else None
        self.test = self._asked if own is None else lambda facts: self._noted(bool(own(facts)), [])

    def decide(self, facts: Facts) -> bool | None:
        if self._original is None:
            return self._asked(facts)
        decided = self._original.decide(facts)
        if decided is not None:
            undecided, facts.undecided = facts.undecided, False
            self._noted(decided, _look(self._original, facts)[1])
            facts.undecided = undecided
        return decided

    def _asked(self, facts: Facts) -> bool:
        if self._original is None:
            return self._noted(True, [])
        holds, seen = _look(self._original, facts)
        return self._noted(holds, seen)

    def _noted(self, holds: bool, seen: list[Seen]) -> bool:
        step = self._step
        self._trace.steps.append(Step(step.ruleset, step.place, step.text, step.condition, holds, seen))
        return holds


def _look(condition: Condition, facts: Facts) -> tuple[bool, list[Seen]]:
    """Ask the condition's own tests in their order, and stop where it would."""
    seen: list[Seen] = []
    holds = any(all(_holds(named, facts, seen) for named in tests) for tests in condition.alternatives)
    return holds is not condition.unless, seen


def _holds(named: NamedTest, facts: Facts, seen: list[Seen]) -> bool:
    for criterion in named.criteria:
        matched = criterion.test(facts)
        samples, pattern = _values(criterion, facts)
        seen.append(Seen(named.name, named.negated, criterion.text, matched, samples, pattern if matched else None))
        if matched:
            return not named.negated
    return named.negated


def _values(criterion: Criterion, facts: Facts) -> tuple[tuple[bytes, ...], bytes | None]:
    """What it saw; not of what changes by being asked again, or is chance."""
    if any(word in criterion.text for word in _CHANGES_OR_CHANCE):
        return (), None
    found = criterion.explain(facts)
    return found.samples, found.pattern


def _written(condition: Condition | None) -> str:
    if condition is None:
        return ""
    return ("unless " if condition.unless else "if ") + " ".join(condition.words)


def _named(verdict: Verdict | None) -> str:
    match verdict:
        case None:
            return ""
        case Respond(answer, cause):
            return f"answers {answer.status} ({cause.value})"
        case Delay(answer):
            return f"answers {answer.status} after timeout tarpit"
        case Wait(time_s):
            return f"waits {time_s:g} s"
        case AwaitBody():
            return "waits for the body"
    return type(verdict).__name__.lower()


def _text(texts: dict[tuple[str, int], str], place: model.Place) -> str:
    return texts.get((place.file, place.line), "")


def applied(steps: Iterable[Step]) -> list[Step]:
    """Those whose condition held."""
    return [step for step in steps if step.applied]
