"""`usher -c`: every fault of a configuration at once, and with -V every limit that will hold and where it comes from.

Exit codes and last lines are HAProxy's: 0 and "Configuration file is valid" on stdout, or 1.

Source: HAProxy management guide 3 (-c, -V, -q, -dW, -dK, -dL).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from common.config.diagnostics import render_json
from common.config.keywords import Section, Status
from common.config.limits import render_limits
from common.config.table import SECTION_TABLE
from common.control import configuration, machine
from common.control.arguments import Options
from common.control.configuration import Reading
from common.control.console import Console, write

KEYWORD_CLASSES = ("all", "cfg", "help")


def run(options: Options, role: str, console: Console) -> int:
    """Print what is to be said and return the exit code."""
    reading = configuration.read(options)
    limits = machine.effective(reading.config) if reading.config else None
    if limits and (options.verbose or options.json):
        reading = replace(reading, diagnostics=[*reading.diagnostics, *limits.notices])
    console.quiet = options.quiet
    code = _verdict(reading, options, console)
    if options.json:
        write(1, render_json(reading.diagnostics) + "\n")
    elif not code and not options.quiet and options.check:
        write(1, ("Warnings were found.\n" if reading.warnings else "") + "Configuration file is valid\n")
        if options.verbose and limits:
            write(1, render_limits(limits) + "\n")
    if options.keyword_classes is not None:
        write(1, _keywords(options.keyword_classes))
    if options.libraries:
        write(1, "".join(f"{name}\n" for name in _libraries()))
    return code


def _verdict(reading: Reading, options: Options, console: Console) -> int:
    if not options.quiet and not options.json:
        write(2, configuration.shown(reading.diagnostics, options))
    if reading.config is None:
        _say(console, options, f"config : Error(s) found in configuration file : {' '.join(options.files)}")
        _say(console, options, "config : Fatal errors found in configuration.")
        return 1
    if reading.warnings and options.zero_warning:
        _say(console, options, "config : Some warnings were found and 'zero-warning' is set. Aborting.")
        return 1
    return 0


def _say(console: Console, options: Options, text: str) -> None:
    if not options.json:
        console.alert(text)


def _keywords(classes: str) -> str:
    """-dK: the words that configurations may hold, in the shape of a configuration."""
    wanted = set(classes.split(","))
    if not wanted <= set(KEYWORD_CLASSES) or "help" in wanted:
        return "# List of supported keyword classes:\nall: list all keywords\ncfg: configuration keywords\n"
    lines = ["# List of registered configuration keywords:"]
    for section in Section:
        rows = [row for row in SECTION_TABLE.rows if section in row.sections and row.status is not Status.REFUSED]
        if rows:
            lines.append(f"{section.title}")
            lines += [f"\t{row.syntax}" for row in rows]
    return "\n".join(lines) + "\n"


def _libraries() -> Iterator[str]:
    """-dL: every shared object that is loaded, and the interpreter."""
    with open("/proc/self/maps") as maps:
        paths = {match[1]: None for line in maps if (match := re.search(r" r-xp .* (/\S.*)$", line))}
    yield from paths
