"""Parsers of the actions that rewrite heads: fields, method, target, status. Sans-io.

Source: HAProxy configuration manual 4.2 "http-request add-header" … "http-response set-status".
"""

from __future__ import annotations

from collections.abc import Callable

from common.acl.arguments import encode
from common.acl.logformat import Purpose
from common.acl.regexes import compile_regex
from common.errors import ExpressionError
from common.rules.actions import (
    Action,
    AddHeader,
    DeleteHeader,
    DeleteHeaders,
    EarlyHint,
    NormalizeUri,
    Part,
    ReplaceHeader,
    ReplaceTarget,
    SetHeader,
    SetMethod,
    SetStatus,
    SetTarget,
    StrictMode,
)
from common.rules.rulesets import AFTER, HTTP, REQUEST, RESPONSE
from common.rules.table import ActionTable
from common.rules.words import Words

TABLE = ActionTable()

STATUS_MIN, STATUS_MAX = 100, 999

_NORMALIZERS: dict[str, str] = {
    "fragment-encode": "",
    "fragment-strip": "",
    "path-merge-slashes": "",
    "path-strip-dot": "",
    "path-strip-dotdot": "full",
    "percent-decode-unreserved": "strict",
    "percent-to-uppercase": "strict",
    "query-sort-by-name": "",
}
"""Normalizer -> the option it may have."""


@TABLE.row("add-header", HTTP, "<name> <fmt>", "Adds a field.")
def add_header(words: Words) -> Action:
    return AddHeader(words.header_name(), words.format("the header's value"))


@TABLE.row("set-header", HTTP, "<name> <fmt>", "Sets a field; all others of that name are removed.")
def set_header(words: Words) -> Action:
    return SetHeader(words.header_name(), words.format("the header's value"))


@TABLE.row("early-hint", (REQUEST,), "<name> <fmt>", "Sends a field to the client at once, in a 103 response.")
def early_hint(words: Words) -> Action:
    return EarlyHint(words.header_name(), words.format("the header's value"))


@TABLE.row("del-header", HTTP, "<name> [-m {str|beg|end|sub|reg}]", "Removes the fields of that name, or whose name matches.")
def delete_header(words: Words) -> Action:
    name = words.take("the header's name")
    if not words.accept("-m"):
        return DeleteHeader(encode(name))
    method = words.one_of("a matching method", ("str", "beg", "end", "sub", "reg"))
    if method == "str":
        return DeleteHeader(encode(name))
    try:
        return DeleteHeaders(method, name, _name_test(method, name))
    except ExpressionError as error:
        raise words.fault(str(error), 1, error.hint) from None


def _name_test(method: str, pattern: str) -> Callable[[bytes], bool]:
    """Over lower-case names; field names have no case, so patterns have none either."""
    if method == "reg":
        search = compile_regex(pattern, ignore_case=True).search
        return lambda name: search(name) is not None
    text = encode(pattern).lower()
    if method == "beg":
        return lambda name: name.startswith(text)
    if method == "end":
        return lambda name: name.endswith(text)
    return lambda name: text in name


@TABLE.row("replace-header", HTTP, "<name> <regex> <fmt>", "Replaces the values of a field that match; \\1 is a group.")
def replace_header(words: Words) -> Action:
    return ReplaceHeader(words.header_name(), words.regex(), words.replacement(), False)


@TABLE.row("replace-value", HTTP, "<name> <regex> <fmt>", "As replace-header, on each member of a comma-separated list.")
def replace_value(words: Words) -> Action:
    return ReplaceHeader(words.header_name(), words.regex(), words.replacement(), True)


@TABLE.row("set-method", (REQUEST,), "<fmt>", "Sets the method.")
def set_method(words: Words) -> Action:
    return SetMethod(words.format("a method", Purpose.VALUE))


@TABLE.row("set-path set-pathq set-query set-uri", (REQUEST,), "<fmt>", "Sets a part of the target.")
def set_target(words: Words) -> Action:
    part = Part(words.action.removeprefix("set-"))
    return SetTarget(part, words.format(f"a {part.value}", Purpose.TARGET))


@TABLE.row("replace-path replace-pathq replace-uri", (REQUEST,), "<regex> <fmt>", "Replaces a part of the target if it matches.")
def replace_target(words: Words) -> Action:
    return ReplaceTarget(Part(words.action.removeprefix("replace-")), words.regex(), words.replacement(Purpose.TARGET))


@TABLE.row("normalize-uri", (REQUEST,), "<normalizer> [full|strict]", "Writes the target in its usual form.")
def normalize_uri(words: Words) -> Action:
    name = words.one_of("a normalizer", tuple(_NORMALIZERS))
    option = _NORMALIZERS[name]
    if option and words.accept(option):
        name += f" {option}"
    return NormalizeUri(name)


@TABLE.row("set-status", (RESPONSE, AFTER), "<status> [reason <text>]", "Sets the response's status.")
def set_status(words: Words) -> Action:
    status = words.number("the status", STATUS_MIN, STATUS_MAX)
    return SetStatus(status, words.text("the reason") if words.accept("reason") else None)


@TABLE.row("strict-mode", HTTP, "{on|off}", "Whether rewriting that fails ends the exchange (the default) or is passed over.")
def strict_mode(words: Words) -> Action:
    return StrictMode(words.one_of("a mode", ("on", "off")) == "on")
