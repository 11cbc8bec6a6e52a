"""One operator on the socket: reads lines, checks levels, gives commands to whoever answers them, prints answers.

Without `prompt` the connection ends when everything that was sent is answered; with it, it goes on. Each answer ends with an
empty line, and none has one inside. `@2` before a command (or alone, for all that follow) addresses one process.

An operator may be slow, send half a line, or vanish: reading and writing have the session's timeout (`stats timeout`, `set timeout cli`).

Source: HAProxy management guide 9.3, 9.4; prompts and endings observed from 2.6.
"""

from __future__ import annotations

import re
from typing import Final

import trio

from common.control import operator_processes, operator_servers, operator_service, operator_show, operator_tables
from common.control.operator_handlers import HANDLERS, Request
from common.control.operator_plane import ERROR, INFO, Answer, Member, Plane
from common.observe.command_line import Command, CommandReader, TooLong
from common.observe.commands import CommandInfo, Level, Where, find, help_text, level_needed, unknown
from common.observe.log_line import LEVELS

RECEIVE_BYTES: Final = 16384
SEND_BYTES: Final = 65536
_SEVERITIES: Final = ("none", "number", "string")
_EMPTY_LINES: Final = re.compile(r"\n{2,}")
_LEVEL_NAMES: Final = {level: name for name, level in LEVELS.items()}
MODULES: Final = (operator_processes, operator_servers, operator_service, operator_show, operator_tables)  # their handlers are registered


class Session:
    """timeout_s: how long the operator may be silent, or take for what is sent. severity: none, number or string."""

    __slots__ = (
        *("_closing", "_plane", "_reader", "_stream", "expert", "experimental", "interactive"),
        *("level", "on_master", "only", "severity", "timeout_s"),
    )

    def __init__(
        self,
        plane: Plane,
        stream: trio.abc.Stream,
        level: Level,
        timeout_s: float,
        severity: str = "none",
        *,
        on_master: bool = False,
    ) -> None:
        self._plane = plane
        self._stream = stream
        self._reader = CommandReader()
        self._closing = False
        self.level = level
        self.timeout_s = timeout_s
        self.severity = severity
        self.on_master = on_master  # came in by -S: the prompt names who is spoken to
        self.interactive = False
        self.expert = self.experimental = False
        self.only: Member | None = None  # whom all commands are for, after `@2` alone

    async def run(self) -> None:
        """Until the operator has gone, has nothing more to say, or is silent for too long."""
        try:
            while not self._closing:
                commands = self._reader.take()
                if commands is None:
                    if not await self._receive():
                        return
                elif commands:
                    await self._line(commands)
                elif self.interactive:
                    await self._send("+ ")
        except TooLong as error:
            with trio.move_on_after(self.timeout_s):
                await self._send(f"{error}\n\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            return

    async def _receive(self) -> bool:
        with trio.fail_after(self.timeout_s):
            data = await self._stream.receive_some(RECEIVE_BYTES)
        self._reader.feed(bytes(data))
        return bool(data)

    async def _line(self, commands: list[Command]) -> None:
        """All commands of one line."""
        for command in commands:
            if command.words == ("quit",):
                self._closing = True
                return
            answer = await self._execute(command)
            await self._send(self._shown(answer) + "\n" + (self._prompt() if self.interactive and not self._closing else ""))
        if not self.interactive and not self._reader.has_line:
            self._closing = True

    async def _send(self, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        for start in range(0, len(data), SEND_BYTES):
            with trio.fail_after(self.timeout_s):
                await self._stream.send_all(data[start : start + SEND_BYTES])

    def _shown(self, answer: Answer) -> str:
        text = _EMPTY_LINES.sub("\n", answer.text.lstrip("\n"))
        if text and not text.endswith("\n"):
            text += "\n"
        if answer.severity is None or not text or self.severity == "none":
            return text
        return f"[{answer.severity if self.severity == 'number' else _LEVEL_NAMES[answer.severity]}]: {text}"

    def _prompt(self) -> str:
        if not self.on_master:
            return "> "
        modes = ("x" if self.experimental else "") + ("e" if self.expert else "")
        name = str(self.only.pid) if self.only is not None else "master"
        failed = "[ReloadFailed]" if self._plane.reload_failed and self.only is None else ""
        return f"{name}{failed}{f'({modes})' if modes else ''}> "

    # --- commands -------------------------------------------------------------------------------------------------------

    async def _execute(self, command: Command) -> Answer:
        words, line, only = command.words, command.line, self.only
        if not words:
            return Answer() if self.interactive else Answer(unknown(()), INFO)
        if words[0].startswith("@"):
            found = self._address(words[0][1:])
            if isinstance(found, Answer):
                return found
            only, words, line = found[0], words[1:], line.partition(" ")[2].strip()
            if not words:
                self.only = only
                return Answer()
        info = find(words)
        if info is None:
            return Answer(unknown(words), INFO)
        if self.level < level_needed(info, words):
            return Answer("Permission denied\n", ERROR)
        if info.experimental and not self.experimental:
            return Answer("This command is restricted to experimental mode only.\n", ERROR)
        return await self._answer(info, Request(self._plane, words, command.payload, only), line)

    async def _answer(self, info: CommandInfo, request: Request, line: str) -> Answer:
        if info.where is Where.SESSION:
            return self._own(info, request.words)
        if info.where in (Where.MASTER, Where.MASTER_FIRST):
            return await HANDLERS[info.words](request)
        text = line if request.payload is None else f"{line}\n{request.payload}"
        return Answer(await self._plane.ask(info, text, request.only))

    def _address(self, selector: str) -> tuple[Member | None] | Answer:
        """The process after `@`; `@` alone, or `@0`, is the master: all of them."""
        if selector in ("", "0"):
            return (None,)
        member = self._plane.find_member(selector)
        if member is None:
            return Answer(f"Can't find the target PID matching the prefix '@{selector}'.\n", ERROR)
        return (member,)

    def _own(self, info: CommandInfo, words: tuple[str, ...]) -> Answer:
        """Commands about the session itself."""
        match info.name:
            case "help":
                return Answer(help_text(words[1:]), INFO)
            case "prompt":
                self.interactive = not self.interactive
                self._closing = not self.interactive
                return Answer()
            case "user" | "operator":
                self.level = Level[info.name.upper()]
                self.expert = self.experimental = False
                return Answer()
            case "show cli level":
                return Answer(f"{self.level.name.lower()}\n", INFO)
            case "set timeout":
                return self._set_timeout(words)
            case "set severity-output":
                return self._set_severity(words)
            case "echo":
                return Answer(" ".join(words[1:]) + "\n")
        return self._set_mode(info.words[0], words[1:2])

    def _set_timeout(self, words: tuple[str, ...]) -> Answer:
        if words[2:3] != ("cli",):
            return Answer("'set timeout' only supports 'cli'.\n", ERROR)
        if len(words) < 4:
            return Answer("Expects an integer value.\n", ERROR)
        if not words[3].isdigit() or not 1 <= int(words[3]) <= 2**31 // 1000:
            return Answer("Invalid timeout value.\n", ERROR)
        self.timeout_s = float(words[3])
        return Answer()

    def _set_severity(self, words: tuple[str, ...]) -> Answer:
        if words[2:3] and words[2] in _SEVERITIES:
            self.severity = words[2]
            return Answer()
        return Answer("one of 'none', 'number', 'string' is a required argument\n", ERROR)

    def _set_mode(self, name: str, value: tuple[str, ...]) -> Answer:
        """experimental-mode, expert-mode; mcli-debug-mode has nothing to switch."""
        attribute = {"experimental-mode": "experimental", "expert-mode": "expert"}.get(name)
        if value in (("on",), ("off",)):
            if attribute is not None:
                setattr(self, attribute, value == ("on",))
            return Answer()
        state = attribute is not None and getattr(self, attribute)
        return Answer(f"{name} is {'ON' if state else 'OFF'}\n", INFO)
