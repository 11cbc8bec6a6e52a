"""Makers of rows of section global, for the modules that hold them.

Sans-io.
"""

from __future__ import annotations

from typing import Any

from common.config.keywords import Keyword, Section, Status
from common.config.proxy_words import SectionParser
from common.config.unused import unused

ANY = None


def row(
    name: str, syntax: str, parse: SectionParser, meaning: str, least: int = 0, most: int | None = 0, manual: str = "3.1", **more: Any
) -> Keyword[SectionParser]:
    return Keyword(name, Section.GLOBAL, f"{name} {syntax}".strip(), parse, meaning, manual, least, most, **more)


def one(name: str, syntax: str, parse: SectionParser, meaning: str, manual: str = "3.1", **more: Any) -> Keyword[SectionParser]:
    """A keyword with exactly one argument."""
    return row(name, syntax, parse, meaning, 1, 1, manual, **more)


def ours(
    name: str, syntax: str, parse: SectionParser, meaning: str, least: int = 1, most: int | None = 1, **more: Any
) -> Keyword[SectionParser]:
    return row(name, syntax, parse, meaning, least, most, "", ours=True, **more)


def noticed(name: str, instead: str, manual: str = "3.2", *, no: bool = False) -> Keyword[SectionParser]:
    return row(name, "…", unused, "Accepted, without effect.", 0, ANY, manual, status=Status.NOTICED, instead=instead, no=no)


def refused(name: str, instead: str, manual: str = "3.1") -> Keyword[SectionParser]:
    return row(name, "…", unused, "Not available here.", 0, ANY, manual, status=Status.REFUSED, instead=instead)
