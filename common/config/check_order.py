"""Rules that stand where they do not act: after one of a later stage, or after a final one.

Stages run in a fixed order, whatever the order in the file; HAProxy warns when the file suggests another. Only a section's own rules count:
a final rule that a defaults section brought is meant so.
Sans-io.
Source: HAProxy configuration manual 4.2 ("tcp-request connection" … "use-server").
"""

from __future__ import annotations

import re

from common.config.draft import ProxyDraft, State
from common.model import Rule

# Stages in the order in which they run. Those that an earlier-stage rule is compared with have the name that messages call them.
_STAGES = (
    "tcp-request connection",
    "tcp-request session",
    "tcp-request content",
    "monitor fail",
    "http-request",
    "redirect",
    "use_backend",
    "use-server",
)
_TITLES = {"tcp-request connection": "tcp-request", "tcp-request session": "tcp-request", "tcp-request content": "tcp-request"}

_FINAL = {
    "http-request": frozenset({"allow", "deny", "auth", "redirect", "reject", "tarpit", "return", "silent-drop", "use-service"}),
    "http-response": frozenset({"allow", "deny", "redirect", "return", "silent-drop"}),
    "http-after-response": frozenset({"allow"}),
    "stats http-request": frozenset({"allow", "deny", "auth"}),
}
_ACTION = re.compile(r"[a-z0-9-]+")


def check_order(state: State, draft: ProxyDraft) -> None:
    """Warn about every rule that comes too late in the file, or that nothing ever reaches."""
    seen: set[str] = set()
    final: set[str] = set()
    chosen: Rule | None = None
    for rule in draft.own_rules:
        _misplaced(state, rule, seen)
        if rule.ruleset in final:
            final.discard(rule.ruleset)  # told once
            action = "action is final and" if rule.ruleset.startswith("http-") else "action"
            state.warn_at(
                rule.place,
                f"previous '{rule.ruleset}' {action} has no condition attached, further entries are NOOP.",
                "Remove this rule, or give the one before a condition.",
                "unreachable-rule",
            )
        elif _is_final(rule):
            final.add(rule.ruleset)
        if rule.ruleset == "use_backend":
            if chosen is not None:
                state.note_at(
                    rule.place,
                    f"'use_backend' is never reached: the one at line {chosen.place.line} has no condition",
                    "Remove it, or give the one before a condition.",
                    "unreachable-use-backend",
                )
            elif rule.condition is None:
                chosen = rule
        seen.add(rule.ruleset)


def _misplaced(state: State, rule: Rule, seen: set[str]) -> None:
    if rule.ruleset not in _STAGES:
        return
    own = _STAGES.index(rule.ruleset)
    for later in _STAGES[own + 1 :]:
        if later in seen:
            title = _TITLES.get(rule.ruleset, rule.ruleset)
            article = "an" if later.startswith("http") else "a"
            state.warn_at(
                rule.place,
                f"a '{title}' rule placed after {article} '{later}' rule will still be processed before.",
                f"Move it above the '{later}' rules.",
                "misplaced-rule",
            )
            return


def _is_final(rule: Rule) -> bool:
    if rule.condition is not None or not rule.words:
        return False
    action = _ACTION.match(rule.words[0])
    return action is not None and action[0] in _FINAL.get(rule.ruleset, frozenset())
