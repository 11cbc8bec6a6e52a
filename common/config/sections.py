"""How sections open, and what may stand in them.

`defaults` makes a template for the sections after it; `from NAME` picks another one than the last. Proxies start as its copy.
Sans-io.
Source: HAProxy configuration manual 2.1, 4, 3.4 (userlists), 3.5 (peers), 3.8 (http-errors), 5.3.2 (resolvers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from common.config import values
from common.config.diagnostics import Severity
from common.config.draft import ProxyDraft, Scope, State, copied, fresh_defaults
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
        _check_inherited_rules(Section.DEFAULTS, source, statement)
    else:
        draft = fresh_defaults(statement.place, name)
    state.defaults = draft
    state.every_defaults.append(draft)
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
        if source.used_implicitly and source.used_explicitly and not source.mixed_use:
            _tell_of_mixed_use(source, statement)
        _check_inherited_rules(section, source, statement)
        draft = source.heir(section, statement.place, name)
        draft.proxy.defaults = source.proxy.name
        _refuse_twins(state, draft, statement)
        state.proxies.append(draft)
        return Scope(state, section, name, draft)

    return opener


def _tell_of_mixed_use(source: ProxyDraft, statement: Statement) -> None:
    """A notice, not a warning: HAProxy prints it, but its -dW lets it pass."""
    source.mixed_use = True
    place = source.proxy.place
    statement.note(
        f"defaults section '{source.proxy.name}' (declared at {place.file}:{place.line}) is explicitly referenced by another proxy and "
        "implicitly used here. To avoid any ambiguity don't mix both usage.",
        hint="Add a last defaults section not explicitly used or always use explicit references.",
        slug="mixed-defaults",
    )


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
        near = did_you_mean(name, state.named_defaults, otherwise=".")
        raise statement.fault(
            f"defaults section '{name}' not found for {owner}{near}", position + 1, "It must stand before the sections that use it."
        )
    if name in state.duplicate_defaults:
        statement.alert(f"ambiguous defaults section name '{name}' referenced here: several sections have it.", position + 1)
    found.used_explicitly = True
    return found


def _check_inherited_rules(section: Section, source: ProxyDraft, statement: Statement) -> None:
    """Rules of a defaults section fit either frontends or backends: not both, not a listen section, not further defaults."""
    rulesets = {rule.ruleset for rule in source.proxy.rules}
    if not rulesets:
        return
    place = source.proxy.place
    where = f"(defaults section at {place.file}:{place.line})"
    if section in (Section.DEFAULTS, Section.LISTEN):
        statement.alert(
            f"a {section.title} section cannot inherit from a defaults section defining TCP/HTTP rules {where}.",
            hint="Such rules are for frontends alone, or for backends alone.",
        )
        return
    misfits = {"tcp-response content"} if section is Section.FRONTEND else {"tcp-request connection", "tcp-request session"}
    for ruleset in sorted(rulesets & misfits):
        statement.alert(f"a {section.title} section cannot inherit from a defaults section defining '{ruleset}' rules {where}.")
    source.used_for.add(section)
    if len(source.used_for) > 1:
        statement.alert(
            f"frontends and backends cannot inherit from the same defaults section if it defines TCP/HTTP rules {where}.",
            hint="Make one defaults section for each kind.",
        )


def _refuse_twins(state: State, draft: ProxyDraft, statement: Statement) -> None:
    """Two sections of one name may only be a frontend and a backend. Also makes the section known by its name."""
    name = draft.proxy.name
    books = [book for can, book in ((draft.can_listen, state.frontends), (draft.can_forward, state.backends)) if can]
    twin = next((book[name] for book in books if name in book), None)
    if twin is not None:
        place = twin.proxy.place
        statement.alert(
            f"proxy '{name}' has the same name as proxy '{name}' declared at {place.file}:{place.line}.",
            0,
            "Rename one of them.",
            "duplicate-name",
        )
    for book in books:
        book.setdefault(name, draft)


def allowed_here(scope: Scope, row: Keyword[SectionParser], statement: Statement) -> Scope | None:
    """Where a keyword of the section's table takes effect: here, nowhere (None), or in a copy that is thrown away.

    Rows of proxies are looked up for every proxy section. One that only lacks the capability is warned about and still read, so that
    what is wrong with its arguments is told as well.
    """
    draft = scope.draft
    if draft is None:
        return scope
    if scope.section is Section.DEFAULTS:
        return scope if _allowed_in_defaults(scope, row, statement) else None
    if row.sections & scope.section:
        return scope
    missing = "frontend" if not draft.can_listen else "backend"
    kind = scope.section.title
    name = row.name.removesuffix("()")
    if row.elsewhere is Severity.ALERT:
        statement.alert(
            f"'{name}' not allowed because {kind} '{scope.name}' has no {missing} capability.",
            hint=f"Move it to a {missing} or listen section.",
            slug="wrong-section",
        )
        return None
    if row.elsewhere is Severity.NOTICE:
        statement.note(f"'{name}' has no effect because {kind} '{scope.name}' has no {missing} capability.", slug="wrong-section")
        return _thrown_away(scope, draft)
    advice = {"maxconn": " Maybe you want 'fullconn' instead ?", "fullconn": " Maybe you want 'maxconn' instead ?"}.get(row.name, "")
    statement.warn(f"'{name}' ignored because {kind} '{scope.name}' has no {missing} capability.{advice}", slug="wrong-section")
    return _thrown_away(scope, draft)


def _thrown_away(scope: Scope, draft: ProxyDraft) -> Scope:
    """A scope whose proxy nobody keeps."""
    return replace(scope, draft=replace(draft, proxy=copied(draft.proxy), deferred=[], table_uses=[], given=dict(draft.given)))


def _allowed_in_defaults(scope: Scope, row: Keyword[SectionParser], statement: Statement) -> bool:
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
