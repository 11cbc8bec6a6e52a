"""Lines that start with a dot: conditional blocks, and messages to whoever reads the output.

Facts (tried against HAProxy 2.6): lines of a block that is skipped are still cut into words, so quotes must match there too, but nothing
else in them is looked at; the words of a condition are joined by one blank; a condition behind a branch already taken is not read.
Sans-io.
Source: HAProxy configuration manual 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from common.config.conditions import ConditionError, evaluate
from common.config.diagnostics import Diagnostic, Severity
from common.config.draft import State
from common.config.statement import Statement
from common.config.suggest import did_you_mean

NESTING_MAX = 1024

_MESSAGES = {".alert": Severity.ALERT, ".warning": Severity.WARNING, ".notice": Severity.NOTICE, ".diag": Severity.DIAG}
_BLOCKS = (".if", ".elif", ".else", ".endif")


class _Branch(Enum):
    WAITING = "no branch was true yet"
    TAKEN = "this branch is read"
    DONE = "a branch before was taken, or the block around is skipped"


@dataclass(slots=True)
class _Level:
    opened: Statement
    branch: _Branch
    else_seen: bool = False


class Blocks:
    """The `.if` blocks that are open in one file."""

    __slots__ = ("levels", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.levels: list[_Level] = []

    @property
    def reading(self) -> bool:
        """Whether lines at this point count."""
        return not self.levels or self.levels[-1].branch is _Branch.TAKEN

    def directive(self, statement: Statement) -> None:
        """One line whose first word starts with a dot."""
        name = statement.words[0].text
        if name == ".if":
            self._open(statement)
        elif name == ".elif":
            self._elif(statement)
        elif name == ".else":
            self._else(statement)
        elif name == ".endif":
            self._close(statement)
        elif self.reading:
            self._message(statement, name)

    def finish(self) -> None:
        """The file ends: every block must be closed."""
        for level in self.levels:
            level.opened.alert("non-terminated '.if' block.", hint="Add .endif before the end of the file.", slug="unclosed-block")

    def _open(self, statement: Statement) -> None:
        if len(self.levels) >= NESTING_MAX:
            statement.alert(f"too many nested '.if', at most {NESTING_MAX} are read")
        branch = _Branch.DONE
        if self.reading:
            branch = _Branch.TAKEN if self._holds(statement) else _Branch.WAITING
        self.levels.append(_Level(statement, branch))

    def _elif(self, statement: Statement) -> None:
        level = self._level(statement)
        if level is None:
            return
        if level.else_seen:
            statement.alert("'.elif' after '.else' is not permitted", hint="Move .else to the end of the block.")
            level.branch = _Branch.DONE
        elif level.branch is _Branch.WAITING:
            level.branch = _Branch.TAKEN if self._holds(statement) else _Branch.WAITING
        else:
            level.branch = _Branch.DONE

    def _else(self, statement: Statement) -> None:
        self._alone(statement)
        level = self._level(statement)
        if level is None:
            return
        if level.else_seen:
            statement.alert("'.else' after '.else' is not permitted")
        level.else_seen = True
        level.branch = _Branch.TAKEN if level.branch is _Branch.WAITING else _Branch.DONE

    def _close(self, statement: Statement) -> None:
        self._alone(statement)
        if self._level(statement) is not None:
            self.levels.pop()

    def _level(self, statement: Statement) -> _Level | None:
        if not self.levels:
            statement.alert(
                f"lone '{statement.words[0].text}' with no matching '.if'", hint="Remove it, or add the .if that it belongs to."
            )
            return None
        return self.levels[-1]

    def _alone(self, statement: Statement) -> None:
        if len(statement.words) > 1:
            statement.alert(f"Unexpected argument '{statement.words[1].text}' for '{statement.words[0].text}'.", 0)

    def _holds(self, statement: Statement) -> bool:
        text = " ".join(statement.arguments)
        try:
            return evaluate(text, self.state.environment.variables, self.state.options)
        except ConditionError as error:
            message = f"{error.message} in '{statement.words[0].text}'"
            statement.alert(message, self._position(statement, error.offset), slug="bad-condition")
            return False

    def _position(self, statement: Statement, offset: int) -> int:
        """The argument in which an offset of the joined text lies."""
        start = 0
        for position, text in enumerate(statement.arguments):
            start += len(text) + 1
            if offset < start:
                return position
        return max(len(statement.arguments) - 1, -1)

    def _message(self, statement: Statement, name: str) -> None:
        if name not in _MESSAGES:
            near = did_you_mean(name, [*_MESSAGES, *_BLOCKS])
            statement.alert(f"unknown directive '{name}'{near}", slug="unknown-keyword")
            return
        if len(statement.arguments) > 1:
            statement.alert(
                f"Unexpected argument '{statement.argument(1)}' for '{name}'. Use quotes if the message should contain spaces.", 1
            )
            return
        self.state.report.add(
            Diagnostic(_MESSAGES[name], statement.place, f"'{statement.argument(0)}'.", text=statement.line.text, slug="message")
        )
