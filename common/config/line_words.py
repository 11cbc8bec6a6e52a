"""Reading a line that is a list of settings: `bind`, `server`, `default-server`, `ssl-default-bind-options` …

One fault does not hide the next: after an unknown word, the words up to the next known one are taken for its arguments.
Sans-io.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from common.config.draft import State
from common.config.keywords import Keyword, Section, Status, Table
from common.config.pending import REMARK, SLUG, is_pending
from common.config.statement import Fault, Words
from common.config.suggest import did_you_mean

DraftT = TypeVar("DraftT", contravariant=True)


class WordParser(Protocol[DraftT]):
    def __call__(self, state: State, draft: DraftT, words: Words) -> None: ...


def read_words(table: Table[WordParser[DraftT]], section: Section, state: State, draft: DraftT, words: Words, owner: str) -> None:
    """Apply every word of the line to the draft; what is wrong goes to the report, each with `owner` in front ("'server a/b' : ")."""
    lost = False
    while words:
        position = words.position
        name = words.next()
        row = table.get(section, name) or table.get(section, name.partition("(")[0] + "()")
        if row is None:
            if not lost:
                near = did_you_mean(name, table.names(section))
                words.statement.alert(f"{owner}unknown keyword '{name}'{near}", position, slug="unknown-keyword")
            lost = True
            continue
        lost = False
        try:
            _apply(row, state, draft, words, owner, position)
        except Fault as fault:
            words.statement.alert(f"{owner}{fault.message}", fault.position, fault.hint, fault.slug)


def _apply(row: Keyword[WordParser[DraftT]], state: State, draft: DraftT, words: Words, owner: str, position: int) -> None:
    if row.status is Status.SUPPORTED:
        row.parse(state, draft, words)
        if is_pending(row):
            words.statement.note(f"{owner}'{row.name.removesuffix('()')}' {REMARK}", position, slug=SLUG)
        return
    if row.status is Status.REFUSED:
        words.statement.alert(f"{owner}'{row.name}' is not supported by Usher", position, row.instead, "not-supported")
    else:
        words.statement.note(f"{owner}'{row.name}' has no effect in Usher", position, row.instead, "no-effect")
        row.parse(state, draft, words)  # what it would not take is a fault all the same
    words.position = max(words.position, position + 1 + row.least)
