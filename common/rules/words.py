"""A cursor over the words of one rule, with what its parsers need: names, formats, expressions, numbers. Sans-io.

Every complaint is an ExpressionError that carries the index of the word at fault, for the caret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from common.acl.arguments import encode
from common.acl.environment import CompileEnvironment
from common.acl.expressions import Expression, parse_expression
from common.acl.logformat import Format, Purpose, compile_format
from common.acl.regexes import compile_regex
from common.acl.table import did_you_mean
from common.acl.types import SampleType
from common.errors import ExpressionError
from common.rules.replacement import Replacement, compile_replacement
from common.rules.rulesets import Ruleset
from common.units import parse_time

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]+|[0-9]+")

T = TypeVar("T")


class Words:
    """arguments: what stands in parentheses behind the action's name, None without them. position: the next word."""

    __slots__ = ("action", "arguments", "environment", "position", "ruleset", "words")

    def __init__(
        self, ruleset: Ruleset, action: str, arguments: tuple[str, ...] | None, words: Sequence[str], environment: CompileEnvironment
    ) -> None:
        self.ruleset = ruleset
        self.action = action
        self.arguments = arguments
        self.words = words
        self.environment = environment
        self.position = 1

    def __bool__(self) -> bool:
        return self.position < len(self.words)

    def peek(self) -> str:
        """The next word, "" at the end."""
        return self.words[self.position] if self else ""

    def take(self, what: str) -> str:
        """The next word; what: how the complaint calls it if there is none."""
        if not self:
            raise self.fault(f"{what} is missing", self.position)
        self.position += 1
        return self.words[self.position - 1]

    def accept(self, word: str) -> bool:
        """Take the next word if it is this one."""
        if self.peek() != word:
            return False
        self.position += 1
        return True

    def fault(self, message: str, word: int | None = None, hint: str = "") -> ExpressionError:
        """A complaint about a word: the one taken last, if none is named."""
        return ExpressionError(message, self.position - 1 if word is None else word, hint)

    def end(self) -> None:
        """Raises ExpressionError if a word is left."""
        if self:
            raise self.fault(f'unexpected "{self.peek()}"', self.position, "Only if or unless with a condition may follow here.")

    # --- values ------------------------------------------------------------------------------------------------------

    def text(self, what: str) -> bytes:
        return encode(self.take(what))

    def header_name(self) -> bytes:
        """A field name. Raises ExpressionError if it is no token."""
        name = self.take("the header's name")
        if not _TOKEN.fullmatch(name):
            raise self.fault(f'"{name}" is not a header name')
        return name.encode("ascii")

    def format(self, what: str, purpose: Purpose = Purpose.HEADER) -> Format:
        text = self.take(what)
        return self._compiled(lambda: compile_format(text, self.environment, purpose), self.position - 1)

    def format_of(self, text: str, purpose: Purpose = Purpose.VALUE) -> Format:
        """A format that is not a word itself: the contents of a file that the word taken last names."""
        return self._compiled(lambda: compile_format(text, self.environment, purpose), self.position - 1)

    def expression(self, what: str = "an expression", target: SampleType | None = None) -> Expression:
        """target: the type to which it must convert."""
        if not self:
            raise self.fault(f"{what} is missing", self.position)
        start = self.position
        try:
            expression, used = parse_expression(self.words[start:], self.environment)
            if target is not None:
                expression.to(target)
        except ExpressionError as error:
            raise self.fault(str(error), start + error.word, error.hint) from None
        self.position += used
        return expression

    def regex(self) -> Any:
        text = self.take("a regular expression")
        return self._compiled(lambda: compile_regex(text), self.position - 1)

    def replacement(self, purpose: Purpose = Purpose.HEADER) -> Replacement:
        text = self.take("what to write instead")
        return self._compiled(lambda: compile_replacement(text, self.environment, purpose), self.position - 1)

    def number(self, what: str, least: int, most: int) -> int:
        """Decimal, or hexadecimal after 0x."""
        text = self.take(what)
        digits = text.removeprefix("-")
        if _NUMBER.fullmatch(digits):
            value = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
            value = -value if digits != text else value
        else:
            value = least - 1
        if not least <= value <= most:
            raise self.fault(f'{what} must be a number from {least} to {most}, got "{text}"')
        return value

    def time(self, what: str) -> float:
        """Seconds."""
        text = self.take(what)
        try:
            return parse_time(text)
        except ValueError as error:
            raise self.fault(str(error)) from None

    def one_of(self, what: str, known: Sequence[str]) -> str:
        word = self.take(what)
        if word not in known:
            raise self.fault(f'"{word}" is not {what}: there are {", ".join(known)}', hint=did_you_mean(word, known))
        return word

    def file(self) -> tuple[str, bytes]:
        """(name, contents) of the file that the next word names."""
        name = self.take("a file name")
        try:
            return name, self.environment.read_file(name)
        except OSError as error:
            raise self.fault(f'file "{name}" cannot be read: {error.strerror or error}') from None

    def inside(self, names: str) -> tuple[str, ...]:
        """The arguments in parentheses, one for each of `names`, e.g. "idx,sc-id"."""
        wanted = names.split(",")
        given = self.arguments or ()
        if len(given) != len(wanted) or not all(given):
            shape = ",".join(f"<{name}>" for name in wanted)
            raise self.fault(f"it is written {self.action}({shape})", 0)
        return given

    def _compiled(self, compile_it: Callable[[], T], word: int) -> T:
        try:
            return compile_it()
        except ExpressionError as error:
            raise self.fault(str(error), word, error.hint) from None
