"""Regular expressions that cannot be made to stall. Sans-io.

Patterns come from operators, the text from strangers. A backtracking engine (PCRE, Python's `re`) can be driven into exponential time
by a hostile header, and one stalled worker stalls every session on it. So every operator's pattern runs on RE2, whose time is linear
in the text, whatever the pattern. What RE2 cannot do, back-references and look-around, would need backtracking: such a pattern is
refused when the configuration is checked, with a message that says so; it never reaches traffic.

Operators write for PCRE, as HAProxy does. Spellings that RE2 lacks but whose meaning it has are translated (`translate`):

    \\h \\H \\N \\R     horizontal blank, its opposite, not a line feed, any line break
    \\Z              end of text
    \\e              escape
    (?<name>…)      named group
    (?#…)           comment

Bytes are matched as bytes (Latin-1), never decoded. Source: HAProxy configuration manual 7.1.4; the syntax page of RE2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import re2

from common.errors import ExpressionError

SET_PROGRAM_MAX = 5_000  # instructions: far from what fills the memory of a set's automaton
PROGRAM_BYTES_MAX = 8 << 20  # what one compiled pattern may take; RE2 refuses larger ones

_CLASS_SPELLINGS = {"h": r"[ \t]", "H": r"[^ \t]", "N": r"[^\n]", "R": r"(?:\r\n|[\n\v\f\r])", "Z": r"\z", "e": r"\x1b"}
_IN_CLASS_SPELLINGS = {"h": r" \t", "e": r"\x1b"}
_COMMENT = re.compile(r"\(\?#[^)]*\)")
_TOKEN = re.compile(r"\\.|\[:\^?[a-z]+:\]|\[\^?\]?|\]|\(\?<(?![=!])|\(\?#[^)]*\)|[^\\\[\]()]+|.", re.DOTALL)
_BACKTRACKING = (
    (re.compile(r"\(\?<?[=!]"), "look-around, such as (?=…) or (?!…)"),
    (re.compile(r"\\[1-9]|\\k[<{']|\\g[{0-9<']|\(\?P="), "a back-reference, such as \\1,"),
    (re.compile(r"\(\?>|[*+?}]\+"), "an atomic group or possessive quantifier"),
    (re.compile(r"\(\?(?:R|[0-9]+|&|P>)"), "recursion"),
    (re.compile(r"\\[GK]"), "\\G or \\K"),
)


def translate(pattern: str) -> str:
    """The pattern with PCRE's own spellings replaced by RE2's."""
    output: list[str] = []
    in_class = False
    for token in _TOKEN.findall(pattern):
        if token[0] == "\\" and len(token) == 2:
            spellings = _IN_CLASS_SPELLINGS if in_class else _CLASS_SPELLINGS
            output.append(spellings.get(token[1], token))
        elif token[0] == "[" and not in_class:
            in_class = True
            output.append(token)
        elif in_class:
            in_class = token != "]"
            output.append(token)
        elif token == "(?<":
            output.append("(?P<")
        elif not _COMMENT.fullmatch(token):
            output.append(token)
    return "".join(output)


def matcher(patterns: Sequence[tuple[bytes, bool]]) -> Callable[[bytes], bool]:
    """Whether one of these (pattern, ignore case) is found in a text, all in one pass. Raises ExpressionError.

    A set of RE2 says so without making a match object, which costs a third. Sets that are large are searched one by one: one that
    outgrows its memory while it is searched would answer no.
    """
    compiled = [compile_regex(pattern, fold) for pattern, fold in patterns]
    if sum(one.programsize for one in compiled) > SET_PROGRAM_MAX:
        searches = [one.search for one in compiled]
        return lambda value: any(search(value) for search in searches)
    finds = []
    for fold in (False, True):
        texts = [pattern for pattern, folded in patterns if folded is fold]
        if texts:
            one = re2.Set.SearchSet(_options(fold))
            for text in texts:
                one.Add(translate(text.decode("latin-1")).encode("latin-1"))
            one.Compile()
            finds.append(one.Match)
    if len(finds) == 1:
        find = finds[0]
        return lambda value: bool(find(value))
    return lambda value: any(find(value) for find in finds)


def compile_regex(pattern: str | bytes, ignore_case: bool = False) -> Any:
    """An RE2 pattern over bytes. Raises ExpressionError, saying what stands in the way, if RE2 does not take it.

    Text of the configuration is taken as UTF-8: "é" is two bytes to match.
    """
    encoded = pattern.encode("utf-8", "surrogateescape") if isinstance(pattern, str) else pattern
    try:
        return re2.compile(translate(encoded.decode("latin-1")).encode("latin-1"), _options(ignore_case))
    except re2.error as error:
        raise ExpressionError(_refusal(encoded.decode("utf-8", "replace"), error)) from None


def _options(ignore_case: bool) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.max_mem = PROGRAM_BYTES_MAX
    options.dot_nl = False
    return options


def _refusal(pattern: str, error: Exception) -> str:
    plain = re.sub(r"\\\\|\[\^?\]?(?:\\.|[^\\\]])*\]", "", pattern)  # what a class or an escaped backslash holds is literal
    for form, name in _BACKTRACKING:
        if form.search(plain):
            return (
                f'regex "{pattern}" uses {name} which needs a backtracking engine; hostile input could stall a worker with it, '
                "so it is refused. Write it with plain groups, or with several conditions"
            )
    reason = error.args[0] if error.args else "not valid"
    text = reason.decode("latin-1") if isinstance(reason, bytes) else str(reason)
    return f'regex "{pattern}" is invalid: {text}'


Piece = bytes | int  # literal text, or the number of a group


def parse_substitution(text: bytes) -> tuple[Piece, ...]:
    r"""Literal pieces and group numbers of a replacement such as ``my/\1``. "\0" is the whole match; "\\" is one backslash; a
    backslash before any other character stands for that character."""
    pieces: list[Piece] = []
    literal = bytearray()
    index = 0
    while index < len(text):
        byte = text[index]
        if byte == 0x5C and index + 1 < len(text):
            index += 1
            following = text[index : index + 1]
            if following.isdigit():
                if literal:
                    pieces.append(bytes(literal))
                    literal.clear()
                pieces.append(int(following))
            else:
                literal += following
        else:
            literal.append(byte)
        index += 1
    if literal:
        pieces.append(bytes(literal))
    return tuple(pieces)


def expand(pieces: tuple[Piece, ...], match: Any) -> bytes:
    """The replacement for one match; groups that took no part, or do not exist, are empty."""
    groups = match.re.groups
    parts = [piece if isinstance(piece, bytes) else (match.group(piece) or b"") if piece <= groups else b"" for piece in pieces]
    return b"".join(parts)


def substitute(pattern: Any, pieces: tuple[Piece, ...], text: bytes, everywhere: bool) -> bytes:
    """The text with the first match, or every one, replaced. As sed does: an empty match moves on by one byte, and may follow a match."""
    match = pattern.search(text)
    if match is None:
        return text
    output: list[bytes] = []
    position = 0
    while match is not None:
        start, end = match.span()
        output.append(text[position:start])
        output.append(expand(pieces, match))
        position = end
        if not everywhere:
            break
        if end == start:
            output.append(text[end : end + 1])
            position += 1
        match = pattern.search(text, position) if position <= len(text) else None
    output.append(text[position:])
    return b"".join(output)


def searcher(pattern: str | bytes, ignore_case: bool = False) -> Callable[[bytes], Any]:
    """bytes -> match or None."""
    search: Callable[[bytes], Any] = compile_regex(pattern, ignore_case).search
    return search
