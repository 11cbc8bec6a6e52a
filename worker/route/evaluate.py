"""Rules in their order: which one has its condition met, what it does, where it ends. Sans-io. Hot path.

    found = evaluate(rules, exchange)             # None: all rules have run
    position, verdict = found                     # go on at `position` after a verdict that only waits

`inspect` is the same for tcp content rules, where a condition may not be decidable before more bytes are here: all rules run again,
from the first on, with each chunk, until one gives a verdict or no more bytes will be waited for.

Source: HAProxy manual 4.2 "http-request", "strict-mode", "tcp-request content", "tcp-request inspect-delay".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from common import model
from common.acl.conditions import Condition
from common.acl.facts import Facts
from common.rules.actions import Action
from worker.route.actions import Run
from worker.route.subject import Subject
from worker.route.verdicts import GOES_ON, Cause, Respond, Verdict


class CompiledRule(NamedTuple):
    """test: of the condition, None without one. condition and action are there for who wants to explain.

    A tuple, because taking one apart costs less than two attributes, once per rule and request.
    """

    test: Callable[[Facts], bool] | None
    run: Run
    place: model.Place
    condition: Condition | None
    action: Action


CompiledRules = Sequence[CompiledRule]


class Inspection(Enum):
    """What `inspect` says in the place of a verdict."""

    WAIT = "more bytes are needed"


WAIT = Inspection.WAIT


def evaluate(rules: CompiledRules, subject: Subject, start: int = 0) -> tuple[int, Verdict] | None:
    """Run the rules from `start` on: (index of the next rule, verdict) of the first one that gives a verdict."""
    position = start
    for test, run, place, _, _ in rules[start:] if start else rules:
        position += 1
        if test is None or test(subject):
            try:
                verdict = run(subject)
            except ValueError:
                verdict = _failed(subject)
            if verdict is not None:
                _note(place, verdict, subject)
                return position, verdict
    return None


def inspect(rules: CompiledRules, subject: Subject) -> Verdict | Inspection | None:
    """Run all rules on what is here. None: none gave a verdict, and none ever will."""
    final = subject.inspection_final
    for rule in rules:
        if rule.condition is not None:
            holds = rule.condition.test(subject) if final else rule.condition.decide(subject)
            if holds is None:
                return WAIT
            if not holds:
                continue
        subject.undecided = False
        verdict = rule.run(subject)
        if verdict is not None:
            _note(rule.place, verdict, subject)
            return verdict
        if subject.undecided and not final:
            return WAIT
    return None


def _failed(subject: Subject) -> Verdict | None:
    """Rewriting that fails ends the exchange, unless `strict-mode off`."""
    subject.count_failed_rewriting()
    return None if subject.rewriting_is_lenient else Respond(subject.error_answer(500), Cause.FAILED)


def _note(place: model.Place, verdict: Verdict, subject: Subject) -> None:
    """For the fetches last_rule_file, last_rule_line and last_entity."""
    if isinstance(verdict, GOES_ON):
        subject.current_rule = place
    else:
        subject.last_rule = place
