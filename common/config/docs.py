"""docs/configuration.md, made from the tables: one row per keyword, fetch and converter, so that no page can lag behind the parser.

Run `python -m common.config.docs > docs/configuration.md`; a test compares the file with what this makes.
Sans-io.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.acl.converters import CONVERTERS
from common.acl.fetches import FETCHES
from common.acl.table import Converter, Fetch
from common.config.keywords import AnyKeyword, Section, Status
from common.config.options import VERSION
from common.config.pending import is_pending
from common.config.table import EVERY_ROW
from common.rules.parse import ACTIONS
from common.rules.refused import REFUSED
from common.rules.rulesets import Ruleset

_GROUPS: tuple[tuple[str, Section, str], ...] = (
    ("Sections", Section.TOP, ""),
    ("Section global", Section.GLOBAL, ""),
    (
        "Sections defaults, frontend, backend, listen",
        Section.DEFAULTS | Section.FRONTEND | Section.LISTEN | Section.BACKEND,
        "Column *in*: D defaults, D! named defaults only, F frontend, L listen, B backend. What stands in D is inherited. "
        "(no) marks what `no` and `default` may precede. (http) and (tcp): has an effect in that mode only.",
    ),
    ("Settings of bind lines", Section.BIND, ""),
    (
        "Settings of server and default-server lines",
        Section.SERVER | Section.DEFAULT_SERVER,
        "All but those marked *server* may stand on `default-server` too and are inherited from there.",
    ),
    ("Section userlist", Section.USERLIST, ""),
    ("Section http-errors", Section.HTTP_ERRORS, ""),
    ("Section resolvers", Section.RESOLVERS, ""),
    ("Section peers", Section.PEERS, ""),
    ("Section crt-store", Section.CRT_STORE, ""),
    ("Section log-profile", Section.LOG_PROFILE, ""),
)

_INTRODUCTION = f"""# Configuration

This page is made from the keyword table (`python -m common.config.docs`); do not edit it by hand.

The language is HAProxy's: same sections, keywords, defaults and meaning as in its configuration manual, whose section numbers are given
(those of version 2.6 plain, later additions as *version: section*). `version_atleast()` and the like answer as version {VERSION}.
Whatever is not supported is refused with an error that says what to use instead; nothing is silently ignored.

Words of our own, which HAProxy does not know, are marked **ours**. What is read and checked and does nothing in this version yet is
marked *checked, not yet in effect*, and each use of it gets a notice; so do the actions `track-sc*` and `sc-*` of rules.

## The language in short

- A line is words between blanks. `#` starts a comment anywhere outside quotes. There is no line continuation.
- `\\` before a blank, `#`, `\\`, `'` or `"` takes its meaning away, outside quotes and inside double quotes; `\\n` `\\r` `\\t` `\\xNN` make
  a character. Any other backslash stays itself.
- Inside `'…'` everything is literal. Inside `"…"` variables are replaced: `$NAME`, `${{NAME}}`, `${{NAME-default}}`; `${{NAME[*]}}`
  becomes one word per item. `.FILE`, `.LINE` and `.SECTION` tell where the line stands. `\\$` is a dollar.
- `.if COND`, `.elif COND`, `.else`, `.endif` choose lines; `.notice`, `.warning`, `.alert`, `.diag` print a message. Conditions are
  numbers, `defined(NAME)`, `feature(NAME)`, `streq(a,b)`, `strneq(a,b)`, `strstr(text,part)`, `version_atleast(v)`, `version_before(v)`,
  `openssl_version_atleast(v)`, `openssl_version_before(v)`, `ssllib_name_startswith(text)`, `enabled(NAME)`, `fips_mode()`,
  `awslc_api_atleast(v)`, joined with `!`, `&&`, `||` and parentheses.
- Times are numbers with us, ms, s, m, h or d; a bare number counts in milliseconds unless said otherwise. Sizes are numbers with k, m or g.
- `defaults NAME` presets what the sections below start from; `from NAME` picks another than the last. Rules and ACLs may stand in named
  defaults: they run before the section's own.

"""

_DIFFERENCES: tuple[tuple[str, str], ...] = (
    (
        "`maxconn 10k`, `maxconn many`, `maxconn -1`, and every other number or size with letters behind it, below zero or out of range",
        "HAProxy reads the digits in front, drops the rest and wraps around in silence; a wrong limit is worse than no start.",
    ),
    (
        'An empty word, as `""` or a variable that is not set leaves it',
        "Ends the line with a warning, as in HAProxy since 3.2 (2.6 says nothing). In patterns of ACLs it is an empty string.",
    ),
    (
        "A setting whose value is missing at the end of the line (`server … maxconn`, `stick-table … store`, `http-check send`)",
        "HAProxy reads nothing as 0 or as an empty list.",
    ),
    ("`default option X`", "Works for every option, as the manual says; HAProxy 2.6 trips over most of them."),
    ("`timeout`, `rate-limit sessions` said twice in defaults", "Passed over as in HAProxy; in other sections both warn."),
    ("`no option X` for options that HAProxy cannot negate (`redis-check`, `tcpka`, `socket-stats`)", "Accepted: it says what it means."),
    (
        "`peers` sections without a peer of this host's name",
        "HAProxy warns and drops them; here their tables are what matters, and they stay.",
    ),
    (
        "`default-server id N`, `default-server … no-tlsv12`",
        "HAProxy prints an alert for both and goes on; the first is refused, the second works.",
    ),
    ("Names of users and groups, of receivers of logs, of `source` and `addr`", "Looked up by the check, as in HAProxy."),
    ("`server NAME ::1`", "An IPv6 address without a port; HAProxy takes `:` for the host and 1 for the port, and finds no such host."),
    ("`weight heavy`, `port 0`, `port 99999` on a server", "HAProxy takes what it can; such a server would be reached wrongly or never."),
    ("`option redispatch often`", "HAProxy takes a word that is no number for 0."),
    ("`option httpchk GET / nonsense`, `option smtpchk HALLO x`", "HAProxy sends it as it is; every check would fail."),
    ("`uid nobody`", "HAProxy warns and keeps running as it was started; we refuse."),
    ("`node a.b`, `h1-case-adjust Content-Length X`", "What HAProxy's manual forbids and its parser lets pass."),
    ("`http-request deny if` without a condition, `if A or`", "HAProxy takes it as no condition, or as one that ends there."),
    (
        "`http-request set-method` with what is no method",
        "HAProxy sends it: a blank in it makes a request line of four words. Here the request fails with 500 (unless `strict-mode off`).",
    ),
    (
        r"`\1` in a header that `replace-header …` puts into its text",
        "HAProxy takes it for a back-reference, although the client wrote it. Only those of the rule count here.",
    ),
    ("`tarpit` of a client that closes", "Ends at once, as the manual says; HAProxy holds on unless the end has come with the request."),
    ("`tcp-response content close` in mode http", "The response goes on, then the server is closed; HAProxy answers 502."),
    ("`sc-inc-gpc0` without `(N)`, `set-nice x`", "HAProxy takes what is missing for 0."),
    ("`log-send-hostname a b`, words after the last argument", "HAProxy ignores some of them."),
    ("`unix-bind` without settings", "HAProxy accepts the empty line."),
    (
        "`log ring@NAME`, `external-check`, and all other functions listed as refused",
        "Not available here; the message says what to use instead.",
    ),
    ("`nbproc N` and `process N` on bind lines", "Accepted: HAProxy dropped them in 2.5, here they are the two tiers of one file."),
    (
        "`capture` and `declare capture` in named defaults, `option httpchk` with a host, and other words of later versions",
        "Accepted: HAProxy 2.6 refuses them, later versions do not.",
    ),
    (
        "A wrong keyword in a proxy without the capability (`use_backend` in a backend)",
        "Warned about as in HAProxy; names in it are not looked up, since it has no effect.",
    ),
)


def document() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for title, sections, remark in _GROUPS:
        parts.append(_group(title, sections, remark))
    parts.append(_actions())
    parts.append(_refused())
    parts.append(_refused_actions())
    parts.append(_noticed())
    parts.append(_differences())
    parts.append(_fetches())
    parts.append(_converters())
    return "\n".join(parts).rstrip() + "\n"


def _rows(sections: Section, status: Status) -> list[AnyKeyword]:
    return sorted((row for row in EVERY_ROW if row.sections & sections and row.status is status), key=lambda row: row.name)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _where(row: AnyKeyword) -> str:
    letters = [
        ("D!" if row.named_defaults else "D", Section.DEFAULTS),
        ("F", Section.FRONTEND),
        ("L", Section.LISTEN),
        ("B", Section.BACKEND),
    ]
    return " ".join(letter for letter, section in letters if row.sections & section)


def _meaning(row: AnyKeyword) -> str:
    marks = "*checked, not yet in effect* " if is_pending(row) else ""
    marks += ("(no) " if row.no else "") + (f"({row.mode}) " if row.mode else "") + ("**ours** " if row.ours else "")
    if row.sections is Section.SERVER:
        marks += "*server* "
    return marks + row.meaning


def _group(title: str, sections: Section, remark: str) -> str:
    proxies = bool(sections & Section.LISTEN)
    head = ("Keyword", *(("In",) if proxies else ()), "Default", "Meaning", "Manual", "Since")
    rows = [
        (f"`{row.syntax}`", *((_where(row),) if proxies else ()), row.default, _meaning(row), row.manual or "–", row.since)
        for row in _rows(sections, Status.SUPPORTED)
    ]
    text = f"## {title}\n\n"
    if remark:
        text += remark + "\n\n"
    return text + _table(head, rows)


def _actions() -> str:
    """One row per action of rules; letters say in which rulesets."""
    letters = (
        ("C", Ruleset.TCP_CONNECTION),
        ("S", Ruleset.TCP_SESSION),
        ("T", Ruleset.TCP_REQUEST),
        ("t", Ruleset.TCP_RESPONSE),
        ("Q", Ruleset.HTTP_REQUEST),
        ("R", Ruleset.HTTP_RESPONSE),
        ("A", Ruleset.HTTP_AFTER_RESPONSE),
    )
    rows = []
    for name, row in sorted(ACTIONS.items()):
        marks = "**ours** " if row.ours else ""
        where = " ".join(letter for letter, ruleset in letters if ruleset in row.rulesets)
        shown = f"{name}{'N' if row.numbered else ''}{'' if row.syntax[:1] == '(' else ' '}{row.syntax}".strip()
        rows.append((f"`{shown}`", where, marks + row.doc, row.section))
    text = "## Actions of rules\n\n"
    text += "Column *in*: " + ", ".join(f"{letter} {ruleset.value}" for letter, ruleset in letters) + ".\n\n"
    return text + _table(("Action", "In", "Meaning", "Manual"), rows)


def _refused_actions() -> str:
    rows = [(f"`{name}`", reason) for name, reason in sorted(REFUSED.items())]
    return "## Refused actions of rules\n\n" + _table(("Action", "Instead"), rows)


def _refused() -> str:
    rows = [
        (f"`{row.name.removesuffix('()')}`", _titles(row), row.instead) for row in sorted(_every(Status.REFUSED), key=lambda row: row.name)
    ]
    return "## Refused\n\nHAProxy has these, Usher does not: an error, with what to use instead.\n\n" + _table(
        ("Keyword", "In", "Instead"), rows
    )


def _noticed() -> str:
    rows = [(f"`{row.name}`", _titles(row), row.instead) for row in sorted(_every(Status.NOTICED), key=lambda row: row.name)]
    text = "## Accepted without effect\n\nTuning words of HAProxy's memory, threads and build: a notice, which -dW lets pass.\n\n"
    return text + _table(("Keyword", "In", "Why"), rows)


def _every(status: Status) -> list[AnyKeyword]:
    return [row for row in EVERY_ROW if row.status is status]


def _titles(row: AnyKeyword) -> str:
    if row.sections & Section.LISTEN:
        return "proxies"
    if row.sections is Section.TOP:
        return "section"
    return ", ".join(section.title for section in row.sections if section is not Section.DEFAULT_SERVER)


def _differences() -> str:
    return "## Where verdicts differ from HAProxy's\n\n" + _table(("What", "Why"), _DIFFERENCES)


def _fetches() -> str:
    rows: dict[str, Fetch] = {row.name: row for row in FETCHES.rows.values()}
    cells = [
        (f"`{row.signature}`", row.type.value, row.needs.value, row.doc, row.section)
        for row in sorted(rows.values(), key=lambda row: (row.section, row.name))
    ]
    return "## Sample fetches\n\n" + _table(("Fetch", "Type", "Needs", "Meaning", "Manual"), cells)


def _converters() -> str:
    rows: dict[str, Converter] = {row.name: row for row in CONVERTERS.rows.values()}
    cells = [
        (f"`{row.signature}`", row.input.value, row.output.value, row.doc, row.section)
        for row in sorted(rows.values(), key=lambda row: row.name)
    ]
    return "## Converters\n\n" + _table(("Converter", "From", "To", "Meaning", "Manual"), cells)


if __name__ == "__main__":
    print(document(), end="")
