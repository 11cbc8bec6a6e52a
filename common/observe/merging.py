"""One answer out of those of several processes. Sans-io."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from common.observe.commands import Merge


class Reply(NamedTuple):
    """What one process answered. title: "worker 2"."""

    title: str
    text: str


_EVENTS = re.compile(r"(Total events captured on \[[^\]]*\] : )([0-9]+)\n?")
_NUMBER = re.compile(r"([^:]+): ([0-9]+)(?: .*)?")
_NOT_FOUND = re.compile(r"Unknown command|No such session|Session not found|No such server|Session pointer expected")


def merge(how: Merge, replies: Sequence[Reply]) -> str:
    """One text. Without replies there is nobody to answer, and it says so."""
    if not replies:
        return "No process answered.\n"
    return _MERGERS[how](replies)


def _first(replies: Sequence[Reply]) -> str:
    texts = {reply.text for reply in replies}
    return replies[0].text if len(texts) == 1 else _titled(replies)


def _join(replies: Sequence[Reply]) -> str:
    """Those that found something; if none did, what they all said."""
    found = [reply for reply in replies if not _NOT_FOUND.match(reply.text)]
    return "".join(reply.text for reply in found) if found else replies[0].text


def _titled(replies: Sequence[Reply]) -> str:
    return "".join(f"# {reply.title}\n{reply.text}" for reply in replies if reply.text)


def _found(replies: Sequence[Reply]) -> str:
    return next((reply.text for reply in replies if not _NOT_FOUND.match(reply.text)), replies[0].text)


def _errors(replies: Sequence[Reply]) -> str:
    """`show errors`: one headline with the sum, then the events of all."""
    total, headline, events = 0, "", []
    for reply in replies:
        match = _EVENTS.match(reply.text)
        if match is None:
            return _first(replies)
        total += int(match[2])
        headline = headline or match[1]
        events.append(reply.text[match.end() :])
    return f"{headline}{total}\n{''.join(events)}"


def _numbers(replies: Sequence[Reply]) -> str:
    """`name: sum [ of each process ]`; lines that are no number are shown as the first process has them."""
    values: dict[str, list[int]] = {}
    lines: list[str] = []
    for reply in replies:
        for line in reply.text.splitlines():
            match = _NUMBER.fullmatch(line)
            if match is None:
                if line not in lines:
                    lines.append(line)
            else:
                if match[1] not in values:
                    lines.append(match[1])
                values.setdefault(match[1], []).append(int(match[2]))
    return "".join(
        f"{line}: {sum(values[line])} [ {' '.join(map(str, values[line]))} ]\n" if line in values else f"{line}\n"
        for line in lines
    )  # fmt: skip


_MERGERS: Final[dict[Merge, Callable[[Sequence[Reply]], str]]] = {
    Merge.FIRST: _first,
    Merge.JOIN: _join,
    Merge.TITLED: _titled,
    Merge.ERRORS: _errors,
    Merge.NUMBERS: _numbers,
    Merge.FOUND: _found,
}
