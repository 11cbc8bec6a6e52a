"""The command line, HAProxy's in full: words to `Options`. Sans-io.

Options come in any order. HAProxy's options that concern parts which Usher has not (its pollers, its memory poisoning,
its traces) are taken and, where an operator could miss their effect, remarked upon (`Options.remarks`).

Source: HAProxy management guide 3.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

from common.errors import UsherError

USAGE = """Usage : {program} [-f <file|folder>]... [options] [-- <file>...]
        {program} demo | ctl [-s <socket>] <command> | top | reason <slug> | fmt <file> | explain -f <file> <url>
  -f <file>    reads a file, or all *.cfg of a folder; -- takes all words that follow as files
  -c           checks the configuration and exits (0 or 1); with --json as JSON, with -V also the effective limits
  -cc <cond>   evaluates a condition as in .if and exits (0 true, 1 false, 2 cannot be read)
  -D           goes to the background; -db stays in the foreground, -d too and tells more
  -W, -Ws      master-worker mode, which it always is; exit codes as such; -Ws tells systemd
  -S <socket>[,<words>]  operator socket of the master
  -C <folder>  changes to the folder first; -L <name> is the name of this peer ($HAPROXY_LOCALPEER)
  -n <number>  overrides maxconn; -N <number> is the maxconn of proxies that set none; -m <MB> limits the memory
  -p <file>    writes the process number of the master
  -q           says nothing; -V says more
  -sf <pid>... asks these processes to finish once the service runs; -st ends them at once
  -x <socket>  old process's socket (listening addresses are shared with it instead)
  -dW          a warning is an error; -dD prints findings of style
  -dr          ignores names of servers that cannot be resolved; -dV does not verify servers' certificates
  -dR, -dS, -dG, -dF, -dZ   do without SO_REUSEPORT, splice, getaddrinfo, fast-forwarding, zero-copy
  -dK<class,...>, -dL       list keywords, loaded libraries
  --workers <number>        overrides workers of section global
  --process <number>        runs this process alone (usher-worker, usher-dispatcher)
  -v, -vv      version; with what it runs
"""

_ONE_ARGUMENT = {"-C", "-L", "-N", "-S", "-cc", "-f", "-m", "-n", "-p", "-x", "--workers", "--process"}
_NUMBERS = {"-N": "maxconn_proxy", "-m": "memory_megabytes", "-n": "maxconn", "--workers": "workers", "--process": "process"}
_TEXTS = {"-C": "folder", "-L": "peer_name", "-S": "master_socket", "-cc": "condition", "-p": "pidfile", "-x": "old_socket"}
_FLAGS = {
    "-D": "daemon",
    "-W": "master_worker",
    "-Ws": "master_worker",
    "-c": "check",
    "-dD": "diagnostics",
    "-dW": "zero_warning",
    "--json": "json",
    "-h": "help",
    "--help": "help",
    "-v": "version",
    "-vv": "build",
}
# Options of HAProxy's that only tune what Usher does otherwise: nothing that an operator could miss.
_WITHOUT_EFFECT = re.compile(r"-dM.*|-dt.*|-d[LTekpv]|-4")
# Those that the programs look at: letters of Launch.debug.
_DEBUG = re.compile(r"-d(|b|F|G|I|R|S|V|Z|r)")
_KEYWORDS = re.compile(r"-dK(.*)")
_MISSING = {"-dC": "the anonymized dump of a configuration", "-dA": "the archive of libraries"}
_PID = re.compile(r"[0-9]+")


class UsageError(UsherError):
    """A command line that cannot be understood."""


@dataclass(slots=True)
class Options:
    """files: in order. debug: letters after -d. finish, terminate: pids of -sf, -st. keyword_classes: of -dK; None = not asked for."""

    files: list[str] = field(default_factory=list)
    check: bool = False
    json: bool = False
    condition: str | None = None
    daemon: bool = False
    debug: set[str] = field(default_factory=set)
    master_worker: bool = False
    master_socket: str | None = None
    folder: str | None = None
    peer_name: str | None = None
    maxconn: int | None = None
    maxconn_proxy: int | None = None
    memory_megabytes: int | None = None
    pidfile: str | None = None
    quiet: bool = False
    verbose: bool = False
    finish: list[int] = field(default_factory=list)
    terminate: list[int] = field(default_factory=list)
    old_socket: str | None = None
    zero_warning: bool = False
    diagnostics: bool = False
    keyword_classes: str | None = None
    libraries: bool = False
    workers: int | None = None
    process: int | None = None
    version: bool = False
    build: bool = False
    help: bool = False
    remarks: list[str] = field(default_factory=list)

    @property
    def foreground(self) -> bool:
        """-d and -db keep it in the foreground whatever `daemon` says."""
        return bool(self.debug & {"", "b"})


def parse(words: list[str]) -> Options:
    """Raises UsageError, with a sentence that names the word."""
    options = Options()
    left = deque(words)
    while left:
        _take(options, left.popleft(), left)
    return options


def _take(options: Options, word: str, left: deque[str]) -> None:
    if word == "--":
        options.files += left
        left.clear()
    elif word in _ONE_ARGUMENT:
        if not left:
            raise UsageError(f"option '{word}' needs an argument")
        _set(options, word, left.popleft())
    elif word in _FLAGS:
        setattr(options, _FLAGS[word], True)
    elif word in ("-q", "-V"):
        options.quiet, options.verbose = word == "-q", word == "-V"
    elif word in ("-sf", "-st"):
        _take_pids(options, word, left)
    elif _DEBUG.fullmatch(word):
        options.debug.add(word[2:])
    else:
        _take_rare(options, word)


def _set(options: Options, word: str, argument: str) -> None:
    if word == "-f":
        options.files.append(argument)
    elif word in _TEXTS:
        setattr(options, _TEXTS[word], argument)
    elif not argument.isascii() or not argument.isdigit():
        raise UsageError(f"option '{word}' needs a number, got '{argument}'")
    else:
        setattr(options, _NUMBERS[word], int(argument))


def _take_pids(options: Options, word: str, left: deque[str]) -> None:
    """The list ends at the next option; an empty one is no mistake, for it comes from `pidof`."""
    pids = options.finish if word == "-sf" else options.terminate
    while left and not left[0].startswith("-"):
        for text in left.popleft().split():
            if not _PID.fullmatch(text) or int(text) < 1:
                raise UsageError(f"option '{word}' needs process numbers, got '{text}'")
            pids.append(int(text))


def _take_rare(options: Options, word: str) -> None:
    if keywords := _KEYWORDS.fullmatch(word):
        options.keyword_classes = keywords[1]
    elif word[:3] in _MISSING:
        raise UsageError(f"option '{word}': {_MISSING[word[:3]]} is not available")
    elif word == "-dL":
        options.libraries = True
    elif _WITHOUT_EFFECT.fullmatch(word):
        options.remarks.append(f"option '{word}' concerns parts of HAProxy that Usher does not have: it has no effect")
    else:
        raise UsageError(f"unknown option '{word}'" if word.startswith("-") else f"unexpected word '{word}'; files are named with -f")
