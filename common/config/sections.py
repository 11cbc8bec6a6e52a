"""How sections open, and what may stand in them.

`defaults` makes a template for the sections after it; `from NAME` picks another one than the last. Proxies start as its copy.
Sans-io.
Source: HAProxy configuration manual 2.1, 4, 3.4 (userlists), 3.5 (peers), 3.8 (http-errors), 5.3.2 (resolvers).
"""

from __future__ import annotations

from collections.abc import Callable

from common.config import values
from common.config.diagnostics import Severity
from common.config.draft import ProxyDraft, Scope, State, fresh_defaults
from common.config.keywords import Keyword, Section
from common.config.proxy_words import SectionParser
from common.config.statement import Statement
from common.config.suggest import did_you_mean

SectionOpener = Callable[[State, Statement], "Scope | None"]


def open_global(state: State, statement: Statement) -> Scope:
    if statement.arguments:
        raise statement.fault(f"'global' cannot handle unexpected argument '{statement.argument(0)}'.", 0, "Section global has no name.")
    return Scope(state, Section.GLOBAL)


def open_defaults(state: State, statement: Statement) -> Scope:
    """`defaults [<name>] [from <defaults>]`."""
    words = statement.arguments
    name = words[0] if words and words[0] != "from" else ""
    source = _from(state, statement, 1 if name else 0)
    if source is not None:
        source.used_by.append(f"defaults section '{name}'" if name else "another defaults section")
        draft = source.heir(Section.DEFAULTS, statement.place, name)
        _refuse_rules_of(source, statement)
    else:
        draft = fresh_defaults(statement.place, name)
    state.defaults = draft
    if name:
        if name in state.named_defaults:
            state.duplicate_defaults.add(name)
        state.named_defaults[name] = draft
    return Scope(state, Section.DEFAULTS, name, draft)


def open_proxy(section: Section) -> SectionOpener:
    """`frontend|backend|listen <name> [from <defaults>]`."""

    def opener(state: State, statement: Statement) -> Scope:
        kind = section.title
        name = statement.argument(0)
        if not name:
            raise statement.fault(f"'{kind}' expects an <id> argument", 0, f"Give it a name: {kind} web")
        values.identifier(statement, 0, what=f"'{kind}' name")
        if len(statement.arguments) > 1 and statement.argument(1) != "from":
            raise statement.fault(
                "please use the 'bind' keyword for listening addresses.", 1, f"Only 'from <defaults>' may follow the name of a {kind}."
            )
        source = _from(state, statement, 1)
        if source is None:
            source = state.defaults
            source.used_implicitly = True
        source.used_by.append(f"{kind} '{name}'")
        draft = source.heir(section, statement.place, name)
        draft.proxy.defaults = source.proxy.name
        _refuse_twins(state, draft, statement)
        state.proxies.append(draft)
        return Scope(state, section, name, draft)

    return opener


def _from(state: State, statement: Statement, position: int) -> ProxyDraft | None:
    """The defaults section that `from NAME` names."""
    if statement.argument(position) != "from":
        if statement.argument(position):
            raise statement.fault(f"'{statement.keyword}' cannot handle unexpected argument '{statement.argument(position)}'.", position)
        return None
    name = statement.argument(position + 1)
    if not name:
        raise statement.fault("'from' expects the name of a defaults section.", position + 1)
    if len(statement.arguments) > position + 2:
        raise statement.fault(
            f"'{statement.keyword}' cannot handle unexpected argument '{statement.argument(position + 2)}'.", position + 2
        )
    values.identifier(statement, position + 1, what="'defaults' name")
    found = state.named_defaults.get(name)
    if found is None:
        owner = f"proxy '{statement.argument(0)}'" if position else "a defaults section"
        near = did_you_mean(name, state.named_defaults)
        raise statement.fault(
            f"defaults section '{name}' not found for {owner}{near}.", position + 1, "It must stand before the sections that use it."
        )
    if name in state.duplicate_defaults:
        statement.alert(f"ambiguous defaults section name '{name}' referenced here: several sections have it.", position + 1)
    found.used_explicitly = True
    return found


def _refuse_rules_of(source: ProxyDraft, statement: Statement) -> None:
    if source.proxy.rules or source.proxy.acls:
        name = source.proxy.name
        statement.alert(
            f"defaults section '{name}' holds rules or ACLs, so that no other defaults section may start from it.",
            hint=f"Move the rules of '{name}' into the section that is used last.",
        )


def _refuse_twins(state: State, draft: ProxyDraft, statement: Statement) -> None:
    """Two sections of one name may only be a frontend and a backend."""
    for other in state.proxies:
        mine, theirs = draft.proxy, other.proxy
        if mine.name == theirs.name and ((mine.frontend and theirs.frontend) or (mine.backend and theirs.backend)):
            statement.alert(
                f"proxy '{mine.name}' has the same name as proxy '{theirs.name}' declared at {theirs.place.file}:{theirs.place.line}.",
                0,
                "Rename one of them.",
                "duplicate-name",
            )
            return


def allowed_here(scope: Scope, row: Keyword[SectionParser], statement: Statement) -> bool:
    """Whether a keyword of the section's table can be used in this very section (rows of proxies list every proxy section)."""
    draft = scope.draft
    if draft is None:
        return True
    if scope.section is Section.DEFAULTS:
        if not row.sections & Section.DEFAULTS:
            statement.alert(
                f"'{row.name}' not allowed in 'defaults' section.", hint="Write it in each section that needs it.", slug="wrong-section"
            )
            return False
        if row.named_defaults and not scope.name:
            statement.alert(
                f"'{row.name}' not allowed in anonymous 'defaults' section.",
                hint="Give the section a name: defaults NAME",
                slug="wrong-section",
            )
            return False
        return True
    if row.sections & scope.section:
        return True
    missing = "frontend" if not draft.can_listen else "backend"
    kind = scope.section.title
    if row.elsewhere is Severity.ALERT:
        statement.alert(
            f"'{row.name}' not allowed because {kind} '{scope.name}' has no {missing} capability.",
            hint=f"Move it to a {missing} or listen section.",
            slug="wrong-section",
        )
    else:
        advice = {"maxconn": " Maybe you want 'fullconn' instead ?", "fullconn": " Maybe you want 'maxconn' instead ?"}.get(row.name, "")
        statement.warn(f"'{row.name}' ignored because {kind} '{scope.name}' has no {missing} capability.{advice}", slug="wrong-section")
    return False
