"""crt-list files: one certificate per line, with settings and names of its own.

    site.pem [alpn http/1.1 ssl-min-ver TLSv1.3] www.example.com *.example.com !old.example.com

The brackets may hold the TLS words that depend on the name a client asks for; what they do not say is as on the bind line. Without names
the certificate's own count; `*` makes it the one for clients that name no known host. A line of the file may also come from an operator
(`add ssl crt-list`).
Sans-io.
Source: HAProxy manual 5.1 "crt-list"; management guide 9.3 "add ssl crt-list".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from common.config.diagnostics import Diagnostic, Severity
from common.config.draft import State, TlsDraft, copied
from common.config.keywords import Section, Table
from common.config.lexer import Word, decode
from common.config.line_words import read_words
from common.config.source import Line
from common.config.statement import Statement, Words
from common.config.tls_words import ROWS, TlsParser, joined, settle_versions
from common.model import Bind, CertificateLine, CertificateList, Place, Tls

_WORDS_OF_A_LINE = (
    *("allow-0rtt", "alpn", "ca-file", "ca-verify-file", "ciphers", "ciphersuites", "client-sigalgs", "crl-file", "curves", "ecdhe"),
    *("no-alpn", "no-ca-names", "npn", "ocsp-update", "sigalgs", "ssl-max-ver", "ssl-min-ver", "verify"),
)
WORDS: Table[TlsParser] = Table(row for row in ROWS if row.sections & Section.BIND and row.name in _WORDS_OF_A_LINE)
_LINE = re.compile(r"\s*(?P<file>[^\s\[]+)\s*(?:\[(?P<words>[^\]]*)\])?(?P<filters>.*)")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


def settle_lists(state: State, bind: Bind) -> None:
    """Read the crt-list files of a bind line, whose settings are final."""
    tls = bind.tls
    if tls is None or state.options.read_file is None:
        return
    for position, one in enumerate(tls.crt_lists):
        if one.lines:
            continue  # another socket of the same line had it read
        try:
            data = state.read(one.path)
        except OSError as error:
            state.alert_at(
                bind.place, f"unable to open crt-list '{one.path}' : {error.strerror or error}.", "Is the path right?", "no-certificate"
            )
            continue
        lines = tuple(read_lines(state, one.path, data, tls))
        if not lines and not state.report.fatal:
            state.warn_at(bind.place, f"crt-list '{one.path}' names no certificate.", slug="empty-crt-list")
        tls.crt_lists[position] = CertificateList(one.path, one.after, lines)


def read_lines(state: State, path: str, data: bytes, base: Tls) -> Iterator[CertificateLine]:
    """The lines of a file; faults go to the report. base: the settings of the bind line."""
    for number, text in enumerate(decode(data).split("\n"), 1):
        line = Line(path, number, text.removesuffix("\r"))
        if _COMMENT.sub("", line.text).strip():
            found = read_line(state, line, base)
            if found is not None:
                yield found


def read_line(state: State, line: Line, base: Tls) -> CertificateLine | None:
    """One line that is not empty; None after a fault."""
    text = _COMMENT.sub(lambda comment: " " * len(comment[0]), line.text)
    match = _LINE.fullmatch(text)
    if match is None or "[" in match["filters"] or "]" in match["filters"] or "[" in (match["words"] or ""):
        place = Place(line.file, line.number)
        hint = "Write: FILE [words …] names …"
        state.report.add(Diagnostic(Severity.ALERT, place, "unbalanced brackets", hint=hint, text=line.text, slug="bad-quoting"))
        return None
    file = Word(match["file"], match.start("file") + 1, match.end("file") + 1)
    before = len(state.report.diagnostics)
    statement = Statement(line, [file, *_words(text, *match.span("words"))], 1, state.report)
    settings = _settings(state, statement, base)
    filters = tuple(word.text.lower() for word in _words(text, *match.span("filters")))
    for name in filters:
        if not name.lstrip("!") or "*" in name.lstrip("!")[1:]:
            statement.alert(f"'{name}' is no name: a wildcard stands for one whole label, as in *.example.com", slug="bad-name")
    if any(found.severity is Severity.ALERT for found in state.report.diagnostics[before:]):
        return None
    certificate = joined(state.crt_base, file.text)
    return CertificateLine(statement.place, certificate, filters, settings, tuple(word.text for word in statement.words[1:]))


def _settings(state: State, statement: Statement, base: Tls) -> Tls | None:
    if not statement.arguments:
        return None
    own = copied(base)
    own.certificates, own.default_certificates, own.crt_lists = [], [], []
    draft = TlsDraft(own)
    names_version = any(word in ("ssl-min-ver", "ssl-max-ver") for word in statement.arguments)
    read_words(WORDS, Section.BIND, state, draft, Words(statement), "")
    complaint = settle_versions(draft) if names_version else ""
    if complaint:
        statement.alert(complaint, hint="Set ssl-min-ver and ssl-max-ver so that a version is left.")
    if own.verify in ("optional", "required") and not own.ca_file and not own.ca_verify_file:
        statement.alert("verify is enabled but no CA file specified", hint="Add ca-file FILE with the authorities of the clients.")
    return own


def _words(text: str, start: int, end: int) -> list[Word]:
    """The words between two columns; start -1: there are none."""
    if start < 0:
        return []
    return [Word(match[0], match.start() + 1, match.end() + 1) for match in re.compile(r"\S+").finditer(text, start, end)]
