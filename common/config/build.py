"""Text to model: reads every line of every file, in order, and makes one `Config` of them.

A line is cut into words (lexer), looked up in the keyword table for the section it stands in, counted, and given to the row's parser.
A fault is reported and the next line is read, so that one run tells all. When every line is read, what could not be known before is
settled: log targets of section global, TLS defaults, ids. The checks over the whole follow (checks.py).
Nothing here raises for what a file holds.
Sans-io.
Source: HAProxy configuration manual 2.1, 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.acl.logformat import CLF_FORMAT, HTTP_FORMAT, HTTPS_FORMAT, TCP_FORMAT
from common.config import sections
from common.config.checks import check
from common.config.diagnostics import Diagnostic, Report, Severity
from common.config.directives import Blocks
from common.config.draft import Scope, State
from common.config.environment import Environment
from common.config.expressions import run_deferred
from common.config.keywords import Keyword, Section, Status
from common.config.lexer import LexError, split_line
from common.config.options import LoadOptions
from common.config.pending import REMARK, SLUG, is_pending, remark
from common.config.proxy_words import SectionParser
from common.config.settle import settle
from common.config.source import Line, lines_of
from common.config.statement import Fault, Prefix, Statement
from common.config.suggest import did_you_mean
from common.config.table import SECTION_TABLE, SECTION_WORDS
from common.config.unknown import lookup_section, unknown_keyword
from common.model import Config, Place

_NEGATABLE = (
    "negation/default currently supported only for options, log, busy-polling, set-dumpable, strict-limits, insecure-fork-wanted "
    "and numa-cpu-mapping."
)


DROPPED_MAX = 10_000  # findings that are only counted before a file is given up


@dataclass(frozen=True, slots=True)
class Loaded:
    """config: None if anything must be refused. environment: as setenv and the like left it, for those who expand later."""

    config: Config | None
    diagnostics: list[Diagnostic]
    environment: Mapping[str, str]


def load(sources: Sequence[tuple[str, bytes]], environment: Mapping[str, str], *, options: LoadOptions) -> Loaded:
    """A configuration from its files, given as (name, content) in the order of the command line."""
    report = Report(name for name, _ in sources)
    state = State(Config(files=tuple(name for name, _ in sources)), report, Environment(environment), options)
    _own_variables(state)
    for name, data in sources:
        _File(state, name).read(data)
    settle(state)
    run_deferred(state)
    check(state)
    found = report.in_order()
    return Loaded(None if report.fatal else state.config, found, state.environment.variables)


def _own_variables(state: State) -> None:
    """The variables that HAProxy itself sets for its configuration (manual 2.3); those of the master come with the environment."""
    version = state.options.version.split(".")
    own = {
        "HAPROXY_BRANCH": ".".join(version[:2]),
        "HAPROXY_CFGFILES": ";".join(state.config.files),
        "HAPROXY_LOCALPEER": state.options.peer_name,
        "HAPROXY_STARTUP_VERSION": state.options.version,
        "HAPROXY_HTTP_LOG_FMT": HTTP_FORMAT,
        "HAPROXY_HTTPS_LOG_FMT": HTTPS_FORMAT,
        "HAPROXY_HTTP_CLF_LOG_FMT": CLF_FORMAT,
        "HAPROXY_TCP_LOG_FMT": TCP_FORMAT,
    }
    for name, value in own.items():
        state.environment.set(name, value)


class _File:
    """One file: its open section and its open `.if` blocks; both end with the file."""

    __slots__ = ("blocks", "name", "scope", "skipping", "state")

    def __init__(self, state: State, name: str) -> None:
        self.state = state
        self.name = name
        self.blocks = Blocks(state)
        self.scope: Scope | None = None
        self.skipping = False  # inside a section that is refused as a whole

    def read(self, data: bytes) -> None:
        options, environment = self.state.options, self.state.environment
        environment.file, environment.section = self.name, ""
        if not self.state.enter(self.name):
            self.state.alert_at(Place(self.name, 1), "'default-path' means another directory for this file than for those before.")
        texts = self.state.lines.setdefault(self.name, [])
        for line in lines_of(self.name, data, self.state.report, bytes_max=options.file_bytes_max, line_bytes_max=options.line_bytes_max):
            texts.append(line.text)
            environment.line = line.number
            self._line(line)
            if self.state.report.dropped > DROPPED_MAX:
                self._give_up(line)
                break
        self.blocks.finish()

    def _give_up(self, line: Line) -> None:
        place = Place(line.file, line.number)
        message = "too many findings: this is probably no configuration, reading stops here"
        self.state.report.add(Diagnostic(Severity.ALERT, place, message, text=line.text, slug="too-many-findings"))

    def _line(self, line: Line) -> None:
        try:
            words = split_line(line.text, self.state.environment.lookup)
        except LexError as error:
            place = Place(line.file, line.number, error.column)
            self.state.report.add(
                Diagnostic(Severity.ALERT, place, f"{error.message}:", hint=error.hint, text=line.text, slug="bad-quoting")
            )
            return
        if not words:
            return
        if words[0].text.startswith("."):
            self.blocks.directive(Statement(line, words, 1, self.state.report))
            return
        if not self.blocks.reading:
            return
        prefix = Prefix.NONE
        if words[0].text in ("no", "default") and len(words) > 1:
            prefix, words = Prefix(words[0].text), words[1:]
        statement = Statement(line, words, 1, self.state.report, prefix)
        _end_at_empty_word(statement)
        self._statement(statement)

    def _statement(self, statement: Statement) -> None:
        section = SECTION_WORDS.get(statement.words[0].text)
        if section is not None and statement.prefix is Prefix.NONE:
            self._open(section, statement)
            return
        if self.skipping:
            return
        if self.scope is None:
            self._outside(statement)
            return
        found = SECTION_TABLE.find(lookup_section(self.scope), statement.words)
        if found is None:
            unknown_keyword(self.scope, statement)
            return
        row, statement.length = found
        try:
            self._apply(self.scope, row, statement)
        except Fault as fault:
            statement.alert(fault.message, fault.position, fault.hint, fault.slug)

    def _outside(self, statement: Statement) -> None:
        word = statement.words[0].text
        near = did_you_mean(word, SECTION_WORDS, otherwise=".")
        hint = "Start a section first: global, defaults, frontend, backend, listen …"
        statement.alert(f"unknown keyword '{word}' out of section{near}", hint=hint, slug="unknown-keyword")

    def _open(self, row: Keyword[sections.SectionOpener], statement: Statement) -> None:
        """A line that starts a section."""
        self.scope, self.skipping = None, True
        self.state.environment.section = statement.argument(0) or row.name
        if row.status is Status.REFUSED:
            statement.alert(f"section '{row.name}' is not supported by Usher", hint=row.instead, slug="not-supported")
            return
        if row.status is Status.NOTICED:
            statement.note(f"section '{row.name}' has no effect in Usher", hint=row.instead, slug="no-effect")
            return
        try:
            self.scope = row.parse(self.state, statement)
            self.skipping = self.scope is None
            if is_pending(row):
                statement.note(f"section '{row.name}' {REMARK}", slug=SLUG)
        except Fault as fault:
            statement.alert(fault.message, fault.position, fault.hint, fault.slug)

    def _apply(self, scope: Scope, row: Keyword[SectionParser], statement: Statement) -> None:
        """Everything that the table knows of a line, then the row's own parser."""
        if row.status is Status.REFUSED:
            raise Fault(f"'{row.name}' is not supported by Usher", hint=row.instead, slug="not-supported")
        if statement.prefix is not Prefix.NONE and not row.no:
            if row.name.startswith("option "):
                raise Fault(f"negation/default is not supported for option '{row.name.removeprefix('option ')}'.", slug="bad-prefix")
            raise Fault(_NEGATABLE, slug="bad-prefix", hint=f"Leave out '{statement.prefix.value}'.")
        if row.status is Status.NOTICED:
            statement.note(f"'{row.name}' has no effect in Usher", hint=row.instead, slug="no-effect")
            return
        target = sections.allowed_here(scope, row, statement)
        if target is None:
            return
        scope = target
        count = len(statement.arguments)
        if row.most is not None and count > row.most:
            raise Fault(
                f"'{row.name}' cannot handle unexpected argument '{statement.argument(row.most)}'.", row.most, f"Syntax: {row.syntax}"
            )
        if count < row.least and statement.prefix is Prefix.NONE:
            expects = row.syntax.removeprefix(row.name).strip()
            raise Fault(f"'{row.name}' expects {expects} as arguments.", count, f"Syntax: {row.syntax}")
        if scope.draft is not None:
            scope.draft.given.setdefault(row.name, statement.place)
        elif scope.section is Section.GLOBAL:
            scope.state.global_given.setdefault(row.name, statement.place)
        row.parse(scope, statement)
        said = remark(row, statement.prefix.value)
        if said:
            statement.note(said, slug=SLUG)


def _end_at_empty_word(statement: Statement) -> None:
    """An empty word (`""`, or a variable that is not set) ends a line, as in HAProxy, which warns of it since version 3.2.

    In patterns of ACLs and conditions an empty string is a value like any other.
    """
    words = statement.words
    if words[0].text == "acl" or any(word.text in ("{", "!{") for word in words):
        return
    position = next((position for position, word in enumerate(words) if position and not word.text), 0)
    if position:
        statement.warn(
            f"argument number {position} at position {words[position].column} is empty and marks the end of the argument list; "
            "all subsequent arguments will be ignored.",
            position - statement.length,
            "Remove it, or give the variable a value.",
            "empty-argument",
        )
        statement.words = words[:position]
