"""The `usher` command: HAProxy's command line, and a few words of our own before it.

    usher [options]         the service, or a check of its configuration
    usher demo|ctl|fmt …    sub-commands, each with its own words

Source: HAProxy management guide 3.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence

from common.control import arguments
from common.control.arguments import Options, UsageError
from common.control.console import Console, write
from common.errors import UsherError
from common.process.launch import DISPATCHER, WORKER

SUBCOMMANDS = {
    "ctl": "common.control.ctl",
    "demo": "common.control.demo",
    "explain": "common.control.explain",
    "fmt": "common.control.fmt",
    "reason": "common.control.operator_reason",
    "top": "common.control.top",
}
EXIT_USAGE = 1
EXIT_UNREADABLE_CONDITION = 2


def main(argv: Sequence[str] | None = None, role: str = "") -> int:
    """Run the command and return its exit code. role: DISPATCHER or WORKER for the commands that run one tier alone."""
    words = list(sys.argv[1:] if argv is None else argv)
    _hold_standard_fds()
    try:
        if words and words[0] in SUBCOMMANDS and not role:
            return int(importlib.import_module(SUBCOMMANDS[words[0]]).main(words[1:]))
        return _run(words, role)
    except KeyboardInterrupt:  # before the service listens to signals
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 128 + signal.SIGINT


def main_of_tier(role: str, argv: Sequence[str] | None = None) -> int:
    """The commands `usher-dispatcher` and `usher-worker`: the same, with one tier alone."""
    return main(argv, role)


def dispatcher() -> int:
    return main_of_tier(DISPATCHER)


def worker() -> int:
    return main_of_tier(WORKER)


def _run(words: list[str], role: str) -> int:
    try:
        options = arguments.parse(words)
    except UsageError as error:
        write(2, f"{_program(role)}: {error}\n{_usage(role)}")
        return EXIT_USAGE
    console = Console(quiet=options.quiet)
    if options.version or options.build or options.help:
        return _tell(options, role)
    try:
        return _act(options, role, console)
    except UsherError as error:
        console.alert(str(error))
        return EXIT_USAGE


def _act(options: Options, role: str, console: Console) -> int:
    if options.folder is not None:
        try:
            os.chdir(options.folder)
        except OSError as error:
            raise UsherError(f"Could not change to directory {options.folder} : {error.strerror}") from error
    if options.condition is not None:
        return _evaluate(options, console)
    if not options.files:
        write(2, _usage(role))
        return EXIT_USAGE
    for remark in options.remarks:
        console.notice(remark)
    if options.check or options.keyword_classes is not None:
        from common.control import check

        return check.run(options, role, console)
    from common.control import service

    return service.run(service.Service(options, role))


def _evaluate(options: Options, console: Console) -> int:
    from common.config.conditions import evaluate_condition
    from common.control.configuration import load_options

    code, message = evaluate_condition(options.condition or "", dict(os.environ), load_options(options))
    if code == EXIT_UNREADABLE_CONDITION:
        console.alert(f"config : {message}")
    return code


def _tell(options: Options, role: str) -> int:
    if options.help:
        write(1, _usage(role))
    else:
        from common.control import version

        write(1, version.details() if options.build else version.line())
    return 0


def _hold_standard_fds() -> None:
    """Whoever starts us with a standard stream closed must not see a socket of ours in its place."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one


def _program(role: str) -> str:
    return f"usher-{role}" if role else "usher"


def _usage(role: str) -> str:
    return arguments.USAGE.format(program=_program(role))


if __name__ == "__main__":
    sys.exit(main())
