"""The operator's commands: their words, who may give them, and which processes answer. Sans-io.

The master answers what it knows itself: configuration, statistics, states. What only a worker knows (sessions, maps, tables,
captured errors) it asks of the processes, and merges their answers as the table says (common/observe/merging.py).

Levels follow the manual: a `user` reads what is not sensitive and changes nothing, an `operator` reads everything and changes what
is not sensitive, an `admin` does everything.

Source: HAProxy management guide 9.3, 9.4; configuration manual 5.1 `level`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

HELP_WIDTH: Final = 40
TYPED_MAX: Final = 60  # of what somebody typed is compared with what there is


class Level(IntEnum):
    USER = 0
    OPERATOR = 1
    ADMIN = 2


class Where(Enum):
    """Which processes answer."""

    SESSION = "the session itself"
    MASTER = "the master"
    WORKERS = "every worker"
    DISPATCHERS = "every dispatcher"
    EVERYONE = "every dispatcher and worker"
    MASTER_FIRST = "the master, then every dispatcher and worker is told"


class Merge(Enum):
    """How answers of several processes become one."""

    FIRST = "the same everywhere: the first one, or each with its process where they differ"
    JOIN = "one after the other"
    TITLED = "one after the other, each under its process"
    ERRORS = "events are added up"
    NUMBERS = "numbers are added up, those of each process beside the sum"
    FOUND = "the one that knew it"


@dataclass(frozen=True, slots=True)
class CommandInfo:
    """words: what a line begins with. usage, doc: for help. experimental: a mode that it needs. hidden: not in help.

    lasting: it changes what processes hold, and is told to those that start later too (common/observe/journal.py). With a number
    in `target`, as many words at the beginning of the line name what it overwrites as a whole.
    """

    words: tuple[str, ...]
    usage: str
    doc: str
    level: Level = Level.USER
    where: Where = Where.MASTER
    merge: Merge = Merge.FIRST
    experimental: bool = False
    hidden: bool = False
    lasting: bool = False
    target: int = 0

    @property
    def name(self) -> str:
        return " ".join(self.words)

    @property
    def help_line(self) -> str:
        return f"  {self.usage:<{HELP_WIDTH}}: {self.doc}\n"


def _info(
    usage: str,
    doc: str,
    *settings: Level | Where | Merge,
    words: str = "",
    experimental: bool = False,
    hidden: bool = False,
    lasting: bool = False,
    target: int = 0,
) -> CommandInfo:
    """words: what the line begins with, where the usage's plain words are not it."""
    plain = []
    for word in usage.split():
        if not word[0].isalpha():
            break
        plain.append(word)
    chosen: dict[str, Level | Where | Merge] = {type(setting).__name__.lower(): setting for setting in settings}
    flags = {"experimental": experimental, "hidden": hidden, "lasting": lasting, "target": target}
    return CommandInfo(tuple(words.split() or plain), usage, doc, **chosen, **flags)  # type: ignore[arg-type]


_OPERATOR, _ADMIN = Level.OPERATOR, Level.ADMIN
_SESSION, _WORKERS, _DISPATCHERS, _EVERYONE = Where.SESSION, Where.WORKERS, Where.DISPATCHERS, Where.EVERYONE
_MASTER_FIRST = Where.MASTER_FIRST

COMMANDS: Final = (
    _info("add acl [@<ver>] <acl> <pattern>", "add a pattern to an acl", _OPERATOR, _WORKERS, lasting=True),
    _info("add map [@<ver>] <map> <key> <val>", "add an entry to a map (or a payload of entries)", _OPERATOR, _WORKERS, lasting=True),
    _info("abort ssl ca-file <file>", "drop the transaction of a file of authorities", _ADMIN, _WORKERS, lasting=True),
    _info("abort ssl cert <certfile>", "drop the transaction of a certificate", _ADMIN, _WORKERS, lasting=True),
    _info("abort ssl crl-file <file>", "drop the transaction of a file of revocations", _ADMIN, _WORKERS, lasting=True),
    _info("add ssl ca-file <file> <payload>", "add to the transaction of a file of authorities", _ADMIN, _WORKERS, lasting=True),
    _info("add ssl crt-list <list> <cert>|<payload>", "add a line to a crt-list", _ADMIN, _WORKERS, lasting=True),
    _info("add server <bk>/<srv> <addr> [opts]*", "make a new server, in maintenance", _ADMIN, _MASTER_FIRST),
    _info("clear acl [@<ver>] <acl>", "remove all patterns of an acl", _OPERATOR, _WORKERS, lasting=True),
    _info("clear counters [all]", "forget the maxima (or all counters)", _OPERATOR),
    _info("clear map [@<ver>] <map>", "remove all entries of a map", _OPERATOR, _WORKERS, lasting=True),
    _info("clear table <table> [<filter>]*", "remove entries of a table (filter: data/key)", _OPERATOR),
    _info("commit acl @<ver> <acl>", "make a prepared version of an acl the current one", _OPERATOR, _WORKERS, lasting=True),
    _info("commit map @<ver> <map>", "make a prepared version of a map the current one", _OPERATOR, _WORKERS, lasting=True),
    _info("commit ssl ca-file <file>", "let the transaction of a file of authorities go live", _ADMIN, _WORKERS, lasting=True),
    _info("commit ssl cert <certfile>", "let the transaction of a certificate go live", _ADMIN, _WORKERS, lasting=True),
    _info("commit ssl crl-file <file>", "let the transaction of a file of revocations go live", _ADMIN, _WORKERS, lasting=True),
    _info("del acl <acl> [<key>|#<ref>]", "remove patterns of an acl", _OPERATOR, _WORKERS, lasting=True),
    _info("del map <map> [<key>|#<ref>]", "remove entries of a map", _OPERATOR, _WORKERS, lasting=True),
    _info("del server <bk>/<srv>", "remove a server that is in maintenance", _ADMIN, _MASTER_FIRST),
    _info("del ssl ca-file <file>", "remove a file of authorities that nobody uses", _ADMIN, _WORKERS, lasting=True),
    _info("del ssl cert <certfile>", "remove a certificate that nobody uses", _ADMIN, _WORKERS, lasting=True),
    _info("del ssl crl-file <file>", "remove a file of revocations that nobody uses", _ADMIN, _WORKERS, lasting=True),
    _info("del ssl crt-list <list> <cert>[:<line>]", "remove a line of a crt-list", _ADMIN, _WORKERS, lasting=True),
    _info("disable agent <bk>/<srv>", "stop agent checks of a server", _ADMIN),
    _info("disable frontend <frontend>", "stop accepting on a frontend", _ADMIN, _MASTER_FIRST),
    _info("disable health <bk>/<srv>", "stop health checks of a server", _ADMIN),
    _info("disable server <bk>/<srv>", "put a server into maintenance (also: set server)", _ADMIN),
    _info("drain", "end the service after the last session", _ADMIN),
    _info("echo <text>", "print the text: a mark between answers", _SESSION),
    _info("enable agent <bk>/<srv>", "resume agent checks of a server", _ADMIN),
    _info("enable frontend <frontend>", "accept again on a frontend", _ADMIN, _MASTER_FIRST),
    _info("enable health <bk>/<srv>", "resume health checks of a server", _ADMIN),
    _info("enable server <bk>/<srv>", "end the maintenance of a server (also: set server)", _ADMIN),
    _info("experimental-mode [on|off]", "show or set whether experimental commands are accepted", _ADMIN, _SESSION, hidden=True),
    _info("expert-mode [on|off]", "show or set whether expert commands are accepted", _ADMIN, _SESSION, hidden=True),
    _info("get acl <acl> <value>", "show which patterns of an acl match a value", _WORKERS),
    _info("get map <map> <value>", "show what a map gives for a value", _WORKERS),
    _info("get var <name>", "show a variable of the process", _OPERATOR, _WORKERS),
    _info("get weight <bk>/<srv>", "show the weight of a server"),
    _info("mcli-debug-mode [on|off]", "accepted for tools; the master answers everything here", _ADMIN, _SESSION, hidden=True),
    _info("operator", "lower the level of this session to operator", _OPERATOR, _SESSION),
    _info("new ssl ca-file <file>", "make an empty file of authorities", _ADMIN, _WORKERS, lasting=True),
    _info("new ssl cert <certfile>", "make an empty certificate", _ADMIN, _WORKERS, lasting=True),
    _info("new ssl crl-file <file>", "make an empty file of revocations", _ADMIN, _WORKERS, lasting=True),
    _info("prepare acl <acl>", "begin a new version of an acl", _OPERATOR, _WORKERS, lasting=True),
    _info("prepare map <map>", "begin a new version of a map", _OPERATOR, _WORKERS, lasting=True),
    _info("reload", "load the configuration again and replace all processes", _OPERATOR),
    _info("set map <map> [<key>|#<ref>] <value>", "change entries of a map", _OPERATOR, _WORKERS, lasting=True, target=4),
    _info("set maxconn frontend <frontend> <value>", "change the limit of connections of a frontend", _ADMIN),
    _info("set maxconn global <value>", "change the limit of connections of the service", _ADMIN),
    _info("set maxconn server <bk>/<srv> <value>", "change the limit of connections of a server", _ADMIN),
    _info("set rate-limit <setting> <value>", "change a limit per second", _ADMIN),
    _info("set server <bk>/<srv> [opts]", "change state, weight, address or checks of a server", _ADMIN),
    _info("set severity-output [none|number|string]", "show levels of importance before answers", _SESSION),
    _info("set ssl ca-file <file> <payload>", "begin or change the transaction of a file of authorities", _ADMIN, _WORKERS, lasting=True),
    _info("set ssl cert <certfile> <payload>", "begin or change the transaction of a certificate", _ADMIN, _WORKERS, lasting=True),
    _info("set ssl crl-file <file> <payload>", "begin or change the transaction of a file of revocations", _ADMIN, _WORKERS, lasting=True),
    _info("set ssl ocsp-response <response>", "replace the OCSP response of a certificate (base64)", _ADMIN, _WORKERS, lasting=True),
    _info("set table <table> key <k> [data.* <v>]*", "make or change an entry of a table", _OPERATOR),
    _info("set timeout cli <delay>", "change how long this session may be silent", _SESSION, words="set timeout"),
    _info("set var <name> <expression>", "set a variable of the process", _ADMIN, _WORKERS, experimental=True, lasting=True, target=3),
    _info("set weight <bk>/<srv> <weight>", "change the weight of a server (also: set server)", _ADMIN),
    _info("share acl <file> <key> <value>", "what a rule has changed", _ADMIN, _WORKERS, lasting=True, target=4, hidden=True),
    _info("share map <file> <key> <value>", "what a rule has changed", _ADMIN, _WORKERS, lasting=True, target=4, hidden=True),
    _info("show acl [[@<ver>] <acl>]", "list the acls or the patterns of one", _WORKERS),
    _info("show activity", "show what the processes are doing", _WORKERS, Merge.NUMBERS),
    _info("show backend", "list the backends"),
    _info("show cache", "show the caches and what is in them", _ADMIN, _WORKERS, Merge.TITLED),
    _info("show cli level", "show the level of this session", _SESSION),
    _info("show cli sockets", "list the sockets for operators"),
    _info("show dispatch", "show what each dispatcher holds of its workers", _DISPATCHERS, Merge.TITLED),
    _info("show env [var]", "show environment variables", _OPERATOR),
    _info("show errors [<px>] [request|response]", "show the last messages that broke the protocol", _OPERATOR, _WORKERS, Merge.ERRORS),
    _info("show events [<sink>] [-w] [-n]", "list where events go", _OPERATOR),
    _info("show fd [num]", "list the descriptors of each process", _OPERATOR, _EVERYONE, Merge.TITLED),
    _info("show generations", "show each generation and what holds it"),
    _info("show info [desc|json|typed|float]*", "show the state of the service"),
    _info("show libs", "list the libraries that are loaded", _OPERATOR),
    _info("show map [[@<ver>] <map>]", "list the maps or the entries of one", _WORKERS),
    _info("show peers [dict|-] [<section>]", "list the peers: processes here share their tables", hidden=False),
    _info("show pools", "show the memory of each process"),
    _info("show proc", "list the processes"),
    _info("show reasons [<slug>|<code>]", "explain a reason or a termination code, or count them all"),
    _info("show schema json", "show the schema of the JSON formats"),
    _info("show servers conn [<backend>]", "show the connections of servers"),
    _info("show servers state [<backend>]", "show the state of servers, as a state file has it"),
    _info("show sess [all|closed|<id>]", "list the sessions, all about them or one, or those that ended", _OPERATOR, _EVERYONE, Merge.JOIN),
    _info("show ssl ca-file [[*]<file>[:<index>]]", "list the files of authorities, or all about one", _OPERATOR, _WORKERS),
    _info("show ssl cert [[*]<certfile>]", "list the certificates, or all about one", _OPERATOR, _WORKERS),
    _info("show ssl crl-file [[*]<file>[:<index>]]", "list the files of revocations, or all about one", _OPERATOR, _WORKERS),
    _info("show ssl crt-list [-n] [<list>]", "list the crt-lists, or the lines of one", _OPERATOR, _WORKERS),
    _info("show ssl ocsp-response [<id>]", "list the OCSP responses, or one", _OPERATOR, _WORKERS),
    _info("show ssl sni [-f <frontend>]", "list the names that clients may ask for, with their certificates", _OPERATOR, _WORKERS),
    _info("show startup-logs", "show what was said at the start", _OPERATOR),
    _info("show stat [desc|json|no-maint|typed|up]*", "show counters of each proxy and server"),
    _info("show table <table> [<filter>]*", "list the tables or the entries of one (filter: data/key)"),
    _info("show tls-keys [id|*]", "list the ticket keys", _WORKERS),
    _info("show version", "show the version"),
    _info("shutdown frontend <frontend>", "end a frontend for good", _ADMIN, _MASTER_FIRST),
    _info("shutdown session <id>", "end a session", _ADMIN, _EVERYONE, Merge.FOUND),
    _info("shutdown sessions server <bk>/<srv>", "end all sessions on a server", _ADMIN, _EVERYONE, Merge.FOUND),
    _info("stop", "end the service at once", _ADMIN),
    _info("user", "lower the level of this session to user", _SESSION),
    _info("wait <delay> [srv-removable <bk>/<srv>]", "wait, at most until a server can be removed"),
    _info("help [<command>]", "list matching or all commands", _SESSION),
    _info("prompt", "switch the interactive mode", _SESSION),
    _info("quit", "close the connection", _SESSION),
)
_BY_WORDS: Final = {info.words: info for info in COMMANDS}
_LONGEST: Final = max(len(info.words) for info in COMMANDS)
_ALWAYS: Final = tuple(_BY_WORDS[(word,)] for word in ("help", "prompt", "quit"))


def find(words: tuple[str, ...]) -> CommandInfo | None:
    """The command that a line means: the longest beginning that is one."""
    for length in range(min(_LONGEST, len(words)), 0, -1):
        info = _BY_WORDS.get(words[:length])
        if info is not None:
            return info
    return None


def level_needed(info: CommandInfo, words: tuple[str, ...]) -> Level:
    """The level for a line: `clear counters all` is more than `clear counters`."""
    return Level.ADMIN if info.words == ("clear", "counters") and words[2:3] == ("all",) else info.level


def help_text(words: tuple[str, ...] = ()) -> str:
    """The page of `help`: all commands, or those that begin with these words."""
    chosen = [info for info in COMMANDS if info.words[: len(words)] == words and not info.hidden]
    if words and not chosen:
        return unknown(words)
    lines = [info.help_line for info in chosen if info not in _ALWAYS]
    return "The following commands are valid at this level:\n" + "".join(lines) + "".join(info.help_line for info in _ALWAYS)


def unknown(words: tuple[str, ...]) -> str:
    """The answer to what is no command: those that come near, or all."""
    if not words:
        return "Unknown command. Please enter one of the following commands only:\n" + help_text().partition("\n")[2]
    lines = [info.help_line for info in COMMANDS if info in near(words) and info not in _ALWAYS]
    always = "".join(info.help_line for info in _ALWAYS)
    return "Unknown command, but maybe one of the following ones is a better match:\n" + "".join(lines) + always


def near(words: tuple[str, ...]) -> list[CommandInfo]:
    """Commands that somebody may have meant: those that go on like the line, else those spelt most alike."""
    for length in range(min(len(words), _LONGEST), 0, -1):
        going_on = [info for info in COMMANDS if info.words[:length] == words[:length] and not info.hidden]
        if going_on:
            return _closest(words, going_on) if length < len(words) else going_on
    return _closest(words, [info for info in COMMANDS if not info.hidden])


def completions(words: tuple[str, ...]) -> list[str]:
    """Next words of commands that begin with all words but the last, which may be unfinished: for a client's Tab key."""
    *done, last = words or ("",)
    known = [info.words for info in COMMANDS if not info.hidden]
    following = {words[len(done)] for words in known if words[: len(done)] == tuple(done) and len(words) > len(done)}
    return sorted(word for word in following if word.startswith(last))


def _closest(words: tuple[str, ...], candidates: list[CommandInfo]) -> list[CommandInfo]:
    names = {info.name: info for info in candidates}
    typed = " ".join(words[:3])[:TYPED_MAX]
    return [names[name] for name in difflib.get_close_matches(typed, names, 5, 0.5)]
