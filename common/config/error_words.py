"""Error pages: `errorfile`, `errorfiles`, `errorloc…`, `http-error`, and the parts that a made answer consists of.

For one status the last line of a proxy holds, whichever keyword it has.
Sans-io.
Source: HAProxy configuration manual 4.2 "errorfile", "http-error", "http-request return"; 3.8.
"""

from __future__ import annotations

import re

from common.acl.environment import Where
from common.config import values
from common.config.draft import ErrorLine, ProxyDraft, Scope, State
from common.config.expressions import check_format
from common.config.statement import Statement
from common.config.suggest import did_you_mean
from common.model import Proxy

ERROR_STATUSES = (200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 425, 429, 431, 500, 501, 502, 503, 504)

_CONTENTS = ("default-errorfiles", "errorfile", "errorfiles", "file", "lf-file", "string", "lf-string")
_WITHOUT_TYPE = ("default-errorfiles", "errorfile", "errorfiles")


def error_status(statement: Statement, position: int) -> int:
    """One of the statuses that have an error page."""
    text = statement.argument(position)
    if not re.fullmatch(r"[0-9]{3}", text) or int(text) not in ERROR_STATUSES:
        known = ", ".join(str(status) for status in ERROR_STATUSES)
        raise statement.fault(f"'{statement.keyword}' : status code '{text}' not handled, must be one of {known}.", position)
    return int(text)


def error_path(statement: Statement, position: int) -> str:
    """A file name; "" for /dev/null, which means: close without an answer."""
    text = values.required(statement, position, "a status and a file name")
    return "" if text == "/dev/null" else text


def error_file(scope: Scope, statement: Statement) -> None:
    if len(statement.arguments) != 2:
        raise statement.fault("errorfile : expects <status_code> and <file> as arguments.", min(len(statement.arguments), 2))
    _keep(scope, statement, (error_status(statement, 0),), error_path(statement, 1))


def error_files(scope: Scope, statement: Statement) -> None:
    """`errorfiles <section> [<status> …]`; without a status, all that the section has."""
    statuses = tuple(error_status(statement, position) for position in range(1, len(statement.arguments)))
    _keep(scope, statement, statuses, statement.argument(0))


def error_location(scope: Scope, statement: Statement) -> None:
    if len(statement.arguments) != 2:
        raise statement.fault(f"{statement.keyword} : expects <status_code> and <url> as arguments.", min(len(statement.arguments), 2))
    _keep(scope, statement, (error_status(statement, 0),), statement.argument(1))


def http_error(scope: Scope, statement: Statement) -> None:
    """`http-error status <status> …`."""
    if statement.argument(0) != "status":
        raise statement.fault("'http-error' expects 'status' and a status code first.", 0, "For example: http-error status 503 string down")
    status = error_status(statement, 1)
    check_reply(scope, statement, 2)
    _keep(scope, statement, (status,), *statement.arguments[2:])


def _keep(scope: Scope, statement: Statement, statuses: tuple[int, ...], *value: str) -> None:
    """Lines are applied in order once all http-errors sections are known."""
    line = ErrorLine(statement.keyword, statuses, value, statement.place, statement.place_of(0))
    scope.proxy_draft.error_lines.append(line)


def settle_errors(state: State, draft: ProxyDraft) -> None:
    """Apply the lines of a proxy, inherited ones first."""
    for line in draft.error_lines:
        if line.keyword == "errorfiles":
            _take_section(state, draft, line)
            continue
        (status,) = line.statuses
        _forget(draft.proxy, status)
        if line.keyword == "errorfile":
            draft.proxy.error_files[status] = line.value[0]
        elif line.keyword == "http-error":
            draft.proxy.http_errors[status] = line.value
        else:
            draft.proxy.error_locations[status] = (303 if line.keyword == "errorloc303" else 302, line.value[0])


def _take_section(state: State, draft: ProxyDraft, line: ErrorLine) -> None:
    proxy, section = draft.proxy, line.value[0]
    owner = "proxy" if draft.can_listen and draft.can_forward else draft.section.title
    pages = state.config.http_errors.get(section)
    if pages is None:
        near = did_you_mean(section, state.config.http_errors)
        state.alert_at(
            line.argument_place,
            f"{owner} '{proxy.name}': unknown http-errors section '{section}'{near} (at {line.place.file}:{line.place.line}).",
            f"Add a section 'http-errors {section}'.",
            "unknown-http-errors",
            whole=True,
        )
        return
    for status in line.statuses or tuple(pages):
        if status in pages:
            _forget(proxy, status)
            proxy.error_files[status] = pages[status]
        else:
            state.warn_at(
                line.argument_place,
                f"{owner} '{proxy.name}': status code '{status}' not declared in http-errors section '{section}'.",
                whole=True,
            )


def _forget(proxy: Proxy, status: int) -> None:
    """The last word on a status holds."""
    proxy.error_files.pop(status, None)
    proxy.error_locations.pop(status, None)
    proxy.http_errors.pop(status, None)


def check_reply(scope: Scope, statement: Statement, start: int) -> None:
    """The parts of an answer from argument `start` on: content-type, at most one content, fields. Raises Fault."""
    arguments = statement.arguments
    position, content, typed = start, "", False
    while position < len(arguments):
        word = arguments[position]
        if word == "hdr":
            if position + 2 >= len(arguments):
                raise statement.fault("'hdr' expects <name> and <fmt> as arguments.", len(arguments))
            check_format(scope, statement, position + 2, Where.REQUEST)
            position += 3
        elif word in ("content-type", *_CONTENTS):
            takes = 0 if word == "default-errorfiles" else 1
            if position + takes >= len(arguments) + 0 and takes and position + 1 >= len(arguments):
                raise statement.fault(f"'{word}' expects an argument.", position + 1)
            if word == "content-type":
                typed = True
            elif content:
                raise statement.fault(f"unexpected '{word}' argument, '{content}' already defined", position)
            else:
                content = word
            if word == "lf-string":
                check_format(scope, statement, position + 1, Where.REQUEST)
            position += 1 + takes
        else:
            near = did_you_mean(word, ("hdr", "content-type", *_CONTENTS))
            raise statement.fault(f"'{statement.keyword}' : unexpected argument '{word}'{near}", position)
    if content and content not in _WITHOUT_TYPE and not typed:
        raise statement.fault(
            f"'{content}' expects a content type.", hint="Write content-type TYPE before it, as in content-type text/plain"
        )
    if typed and not content:
        raise statement.fault("'content-type' expects a content.", hint="Write string TEXT or file NAME after it.")
