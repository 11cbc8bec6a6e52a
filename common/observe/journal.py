"""What operators have changed in processes at run time (maps, certificates, variables), for processes that are started later. Sans-io.

A worker that is started again reads the files anew, and would answer otherwise than its fellows. So the master keeps the commands
that changed something and gives them to each new process of the same generation, in their order. A command that overwrites what an
earlier one wrote (`set map m key …`) takes its place, so that a map refreshed every minute does not make the journal grow. A
reload begins an empty one: the files are the truth again, as with HAProxy.
"""

from __future__ import annotations

from typing import Final

BYTES_MAX: Final = 256 << 20


class JournalFull(Exception):
    """More changes than are kept."""


class Journal:
    """Commands as they are passed on to processes (line, and payload after a line feed), in the order in which they were given."""

    __slots__ = ("_bytes", "_entries", "_latest", "_number")

    def __init__(self) -> None:
        self._entries: dict[int, str] = {}  # number -> command
        self._latest: dict[tuple[str, ...], int] = {}  # what was overwritten -> the number of the last command that did
        self._number = 0
        self._bytes = 0

    def record(self, command: str, target: tuple[str, ...] | None = None) -> None:
        """One more. target: what it overwrites as a whole, whatever it was; None where it adds. Raises JournalFull."""
        if self._bytes + len(command) > BYTES_MAX:
            raise JournalFull
        self._number += 1
        if target is not None:
            earlier = self._latest.get(target)
            if earlier is not None:
                self._bytes -= len(self._entries.pop(earlier))
            self._latest[target] = self._number
        self._entries[self._number] = command
        self._bytes += len(command)

    @property
    def number(self) -> int:
        """Of the last command; to ask `since` with."""
        return self._number

    def since(self, number: int = 0) -> tuple[str, ...]:
        """The commands after that one, which may have been given to a process already."""
        return tuple(command for at, command in self._entries.items() if at > number)

    def check_invariants(self) -> None:
        assert list(self._entries) == sorted(self._entries)
        assert self._bytes == sum(map(len, self._entries.values()))
        assert set(self._latest.values()) <= set(self._entries)
