"""Lines that no row of the table fits: say what was probably meant, or where it belongs.

Sans-io.
"""

from __future__ import annotations

from common.config.draft import Scope
from common.config.keywords import Section
from common.config.statement import Statement
from common.config.suggest import did_you_mean
from common.config.table import SECTION_TABLE, SECTION_WORDS

_SHOWN = (
    Section.GLOBAL,
    Section.DEFAULTS,
    Section.FRONTEND,
    Section.LISTEN,
    Section.BACKEND,
    Section.USERLIST,
    Section.PEERS,
    Section.RESOLVERS,
)


def lookup_section(scope: Scope) -> Section:
    """The section whose rows a line is looked up in: all proxy keywords are known in every proxy section (see allowed_here)."""
    return Section.LISTEN if scope.draft is not None else scope.section


def unknown_keyword(scope: Scope, statement: Statement) -> None:
    """Report the line."""
    first = statement.words[0].text
    section = lookup_section(scope)
    seconds = SECTION_TABLE.second_words(section, first)
    if seconds:
        _unknown_second_word(statement, first, seconds)
        return
    known = [*SECTION_TABLE.first_words(section), *SECTION_WORDS]
    statement.alert(
        f"unknown keyword '{first}' in '{scope.section.title}' section{did_you_mean(first, known)}",
        hint=_where_it_belongs(first),
        slug="unknown-keyword",
    )


def _unknown_second_word(statement: Statement, first: str, seconds: list[str]) -> None:
    second = statement.words[1].text if len(statement.words) > 1 else ""
    statement.length = 1
    if first == "option":
        message = (
            f"unknown option '{second}'{did_you_mean(second, seconds, otherwise='.')}" if second else "'option' expects an option name."
        )
        statement.alert(message, 0, slug="unknown-keyword")
        return
    firsts = dict.fromkeys(name.split(" ")[0] for name in seconds)
    choices = ", ".join(f"'{word}'" for word in sorted(firsts))
    statement.alert(f"'{first}' supports {choices} (got '{second}'){did_you_mean(second, firsts)}", 0, slug="unknown-keyword")


def _where_it_belongs(word: str) -> str:
    titles = [section.title for section in _SHOWN if word in SECTION_TABLE.first_words(section)]
    return f"'{word}' belongs into: {', '.join(titles)}." if titles else ""
