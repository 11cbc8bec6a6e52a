"""The environment of a configuration while it is read: variables that `setenv` and friends change for the lines after them.

The pseudo-variables .FILE, .LINE and .SECTION answer for the line being read.
Sans-io: a copy of the process's environment comes in; what the file made of it goes out with the result.
Source: HAProxy configuration manual 2.3, 3.1 (presetenv, setenv, unsetenv, resetenv).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Environment:
    """`lookup` is what the lexer asks."""

    __slots__ = ("file", "line", "section", "variables")

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)
        self.file = ""
        self.line = 0
        self.section = ""

    def lookup(self, name: str) -> str | None:
        if name.startswith("."):
            return {".FILE": self.file, ".LINE": str(self.line), ".SECTION": self.section}.get(name)
        return self.variables.get(name)

    def set(self, name: str, value: str, *, overwrite: bool = True) -> None:
        if overwrite or name not in self.variables:
            self.variables[name] = value

    def unset(self, names: Iterable[str]) -> None:
        for name in names:
            self.variables.pop(name, None)

    def keep_only(self, names: Iterable[str]) -> None:
        kept = set(names)
        self.variables = {name: value for name, value in self.variables.items() if name in kept}
