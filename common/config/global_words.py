"""Parsers of section global.

Sans-io.
Source: HAProxy configuration manual 3.1, 3.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from common.config import values
from common.config.draft import Scope
from common.config.expressions import check_global_variable
from common.config.keywords import Section
from common.config.line_words import read_words
from common.config.log_target import parse_target
from common.config.proxy_words import SectionParser
from common.config.ssl_options import BIND_OPTIONS, SERVER_OPTIONS
from common.config.statement import Prefix, Statement, Words
from common.config.suggest import did_you_mean

UID_MAX = 2**32 - 2
NBPROC_MAX = 64
CAPABILITIES = ("cap_net_admin", "cap_net_bind_service", "cap_net_raw", "cap_sys_admin")
CPU_MAX = 4095
_CPU_TARGET = re.compile(r"(auto:)?(all|odd|even|[0-9]{1,2}(-([0-9]{1,2})?)?)(/(all|odd|even|[0-9]{1,2}(-([0-9]{1,2})?)?))?")
_CPU_SET = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4})?)?(?:,[0-9,-]+)?|all|odd|even")
_VARIABLE = re.compile(r"[^=\0]+")


def once(parse: SectionParser) -> SectionParser:
    """Keywords of which HAProxy keeps the first and tells of the others; its -dW lets that pass."""

    def only_first(scope: Scope, statement: Statement) -> None:
        first = scope.state.global_given[statement.keyword]
        if first != statement.place:
            statement.note(
                f"'{statement.keyword}' already specified. Continuing.",
                hint=f"The one of {first.file}:{first.line} holds; remove this one.",
                slug="already-specified",
            )
            return
        parse(scope, statement)

    return only_first


def integer(field: str, *, least: int = 0, most: int = values.INTEGER_MAX) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        setattr(scope.state.config.globals, field, values.integer(statement, 0, least=least, most=most))

    return parse


def size(field: str, *, least: int = 0, most: int = values.INTEGER_MAX) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        setattr(scope.state.config.globals, field, values.size(statement, 0, least=least, most=most))

    return parse


def time(field: str) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        setattr(scope.state.config.globals, field, values.time(statement, 0))

    return parse


def text(field: str, what: str) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        setattr(scope.state.config.globals, field, values.required(statement, 0, what))

    return parse


def daemon(scope: Scope, statement: Statement) -> None:
    scope.state.config.globals.daemon = True


def description(scope: Scope, statement: Statement) -> None:
    scope.state.config.globals.description = " ".join(statement.arguments)


def log(scope: Scope, statement: Statement) -> None:
    logs = scope.state.config.globals.logs
    if statement.prefix is Prefix.NO:
        logs.clear()
        return
    logs.append(parse_target(statement, in_proxy=False))


def base(field: str) -> SectionParser:
    """crt-base, ca-base: directories for relative names of the lines that follow."""

    def parse(scope: Scope, statement: Statement) -> None:
        if getattr(scope.state, field):
            raise statement.fault(f"'{statement.keyword}' already specified.", hint="Remove one of them.")
        setattr(scope.state, field, values.required(statement, 0, "a directory"))

    return parse


def extra(scope: Scope, statement: Statement) -> None:
    """Keywords without a field of their own: the words of each line, in order."""
    held = scope.state.config.globals.extra
    if statement.prefix is not Prefix.NONE:
        held.pop(statement.keyword, None)
        return
    held[statement.keyword] = (*held.get(statement.keyword, ()), tuple(statement.arguments))


def set_environment(*, overwrite: bool) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        if len(statement.arguments) != 2:
            raise statement.fault(f"'{statement.keyword}' expects a name and a value.", 0, "Quote a value that has blanks.")
        scope.state.environment.set(_variable(statement, 0), statement.argument(1), overwrite=overwrite)

    return parse


def unset_environment(scope: Scope, statement: Statement) -> None:
    scope.state.environment.unset(_variable(statement, position) for position in range(len(statement.arguments)))


def reset_environment(scope: Scope, statement: Statement) -> None:
    scope.state.environment.keep_only([_variable(statement, position) for position in range(len(statement.arguments))])


def _variable(statement: Statement, position: int) -> str:
    name = statement.argument(position)
    if not _VARIABLE.fullmatch(name):
        raise statement.fault(f"'{statement.keyword}' failed on variable '{name}' : Invalid argument.", position, "A name has no '='.")
    return name


def ssl_default(which: str, field: str) -> SectionParser:
    """ssl-default-bind-ciphers and the like: text that lines without their own start from."""

    def parse(scope: Scope, statement: Statement) -> None:
        draft = scope.state.tls_binds if which == "bind" else scope.state.tls_servers
        setattr(draft.settings, field, values.required(statement, 0, "a list"))

    return parse


def ssl_default_bind_options(scope: Scope, statement: Statement) -> None:
    owner = f"'{statement.keyword}' : "
    read_words(BIND_OPTIONS, Section.BIND, scope.state, scope.state.tls_binds, Words(statement), owner)


def ssl_default_server_options(scope: Scope, statement: Statement) -> None:
    owner = f"'{statement.keyword}' : "
    read_words(SERVER_OPTIONS, Section.SERVER, scope.state, scope.state.tls_servers, Words(statement), owner)


def ssl_server_verify(scope: Scope, statement: Statement) -> None:
    scope.state.server_verify = values.one_of(statement, 0, ("none", "required"))


def tune(check: Callable[[Statement], None]) -> SectionParser:
    """A tune.* word that has a function here: checked, and kept as written."""

    def parse(scope: Scope, statement: Statement) -> None:
        check(statement)
        scope.state.config.globals.tune[statement.keyword] = tuple(statement.arguments)

    return parse


def session_cache(statement: Statement) -> None:
    if values.integer(statement, 0, least=0, most=values.INTEGER_MAX):
        statement.note(
            f"'{statement.keyword}' : the TLS library keeps up to 20480 sessions in each worker, whatever the number",
            0,
            "0 turns it off; tickets, which clients keep, need no memory.",
            "no-effect",
        )


def number(least: int = 0, most: int = values.INTEGER_MAX) -> Callable[[Statement], None]:
    return lambda statement: void(values.integer(statement, 0, least=least, most=most))


def byte_size(least: int = 0, most: int = values.INTEGER_MAX) -> Callable[[Statement], None]:
    return lambda statement: void(values.size(statement, 0, least=least, most=most))


def duration(unit: str = "ms") -> Callable[[Statement], None]:
    return lambda statement: void(values.time(statement, 0, unit=unit))


def choice(*allowed: str) -> Callable[[Statement], None]:
    return lambda statement: void(values.one_of(statement, 0, allowed))


def void(value: object) -> None:
    """Throws a checked value away."""


def checked(check: Callable[[Statement], None]) -> SectionParser:
    """A keyword without a field of its own: checked, and kept as written."""

    def parse(scope: Scope, statement: Statement) -> None:
        check(statement)
        extra(scope, statement)

    return parse


def identity(field: str) -> SectionParser:
    """uid and gid: kept with user and group, as a number."""

    def parse(scope: Scope, statement: Statement) -> None:
        held = scope.state.config.globals
        if getattr(held, field) is not None:
            statement.warn(f"{'user/uid' if field == 'user' else 'group/gid'} already specified. Continuing.", slug="already-specified")
            return
        number_given = statement.keyword in ("uid", "gid")
        value = str(values.integer(statement, 0, most=UID_MAX)) if number_given else values.required(statement, 0, "a name")
        setattr(held, field, value)

    return parse


def channel_uids(scope: Scope, statement: Statement) -> None:
    numbers = tuple(values.integer(statement, position, most=UID_MAX) for position in range(len(statement.arguments)))
    scope.state.config.globals.channel_uids += numbers


def log_send_hostname(scope: Scope, statement: Statement) -> None:
    """Without a name: the machine's own, "" here."""
    scope.state.config.globals.log_send_hostname = statement.argument(0)


def node(scope: Scope, statement: Statement) -> None:
    text = values.required(statement, 0, "a name")
    bad = re.search(r"[^A-Za-z0-9_-]", text)
    if bad:
        raise statement.fault(f"'node' : '{text}' - character '{bad[0]}' is not allowed", 0, "Use letters, digits, '-' and '_'.")
    scope.state.config.globals.node = text


def unix_bind(scope: Scope, statement: Statement) -> None:
    """`unix-bind [prefix P] [mode M] [user U] [uid N] [group G] [gid N]`: presets of unix sockets on bind lines."""
    words = Words(statement)
    if not words:
        raise statement.fault("'unix-bind' : at least one of 'prefix', 'mode', 'uid', 'gid', 'user' and 'group' is expected.", 0)
    while words:
        name = words.next()
        value = words.required("a value") if name in ("prefix", "mode", "user", "group", "uid", "gid") else ""
        if not value:
            raise words.fault(f"'unix-bind' : unknown keyword '{name}'", "Known are prefix, mode, user, group, uid and gid.")
        if name in ("uid", "gid") and not re.fullmatch(r"[0-9]{1,10}", value):
            raise words.fault(f"'unix-bind' : '{name}' expects a number, got '{value}'")
        if name == "mode" and not re.fullmatch(r"0?[0-7]{3}", value):
            raise words.fault(f"'unix-bind' : octal permissions expected, as in 660 (got '{value}')")
        scope.state.unix_bind[name] = int(value, 8) if name == "mode" else int(value) if name in ("uid", "gid") else value


def localpeer(scope: Scope, statement: Statement) -> None:
    name = values.required(statement, 0, "a name")
    scope.state.environment.set("HAPROXY_LOCALPEER", name)
    extra(scope, statement)


def experimental(scope: Scope, statement: Statement) -> None:
    scope.state.experimental = True


def cpu_map(scope: Scope, statement: Statement) -> None:
    """`cpu-map [auto:]<process>[/<thread>] <cpus>…`."""
    target = statement.argument(0)
    match = _CPU_TARGET.fullmatch(target)
    if not match:
        raise statement.fault(
            "cpu-map expects a process number ('all', 'odd', 'even', a number from 1 to 64 or a range), followed by a list of CPU ranges "
            "with numbers from 0 to 63.",
            0,
        )
    if any(number and not 0 < int(number) <= CPU_MAX + 1 for number in re.findall("[0-9]+", target)):
        raise statement.fault(f"cpu-map : '{target}' is not a valid number/range. It supports numbers from 1 to {CPU_MAX + 1}.", 0)
    for position in range(1, len(statement.arguments)):
        cpu = _CPU_SET.fullmatch(statement.argument(position))
        if not cpu or any(int(one) > CPU_MAX for one in cpu.groups() if one):
            raise statement.fault(f"cpu-map : '{statement.argument(position)}' is no CPU set", position, "Write numbers and ranges: 0 2-3")
    scope.state.config.globals.cpu_map.append(tuple(statement.arguments))


def switch(scope: Scope, statement: Statement) -> None:
    """A keyword without argument: present, or taken back by `no`. Kept as ("off",) then, so that a default of "on" can be turned off."""
    held = scope.state.config.globals.extra
    if statement.prefix is Prefix.DEFAULT:
        held.pop(statement.keyword, None)
    else:
        held[statement.keyword] = (("off",) if statement.prefix is Prefix.NO else tuple(statement.arguments),)


def default_path(scope: Scope, statement: Statement) -> None:
    policy = values.one_of(statement, 0, ("current", "config", "parent", "origin"))
    if policy == "origin":
        values.required(statement, 1, "a path after 'origin'")
    elif statement.argument(1):
        raise statement.fault(f"'default-path {policy}' cannot handle unexpected argument '{statement.argument(1)}'.", 1)
    scope.state.default_path = (policy, statement.argument(1))
    if not scope.state.enter(statement.line.file):
        raise statement.fault(
            "'default-path' : relative names of these files start in different directories, which is not supported by Usher",
            0,
            "Use one directory for all files (default-path origin DIRECTORY), or absolute names.",
        )


def close_spread_time(scope: Scope, statement: Statement) -> None:
    if statement.argument(0) != "infinite":
        values.time(statement, 0)
    extra(scope, statement)


def h1_case_adjust(scope: Scope, statement: Statement) -> None:
    source, target = statement.argument(0), statement.argument(1)
    if source != source.lower():
        raise statement.fault(f"'h1-case-adjust' : '{source}' must be in lower case", 0)
    if target.lower() != source:
        raise statement.fault(f"'h1-case-adjust' : '{source}' and '{target}' differ in more than their case", 1)
    if any(words[0] == source for words in scope.state.config.globals.extra.get("h1-case-adjust", ())):
        raise statement.fault(f"'h1-case-adjust' : duplicate entry '{source}'", 0)
    extra(scope, statement)


def h1_case_adjust_file(scope: Scope, statement: Statement) -> None:
    """Two names per line, as h1-case-adjust has them; the last such file holds. Kept as pairs of names."""
    path = values.required(statement, 0, "<file>")
    try:
        lines = scope.state.read(path).decode("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        raise statement.fault(f"h1-case-adjust-file '{path}': failed to open file ({error.strerror}).", 0) from None
    pairs: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[0] != words[0].lower() or words[1].lower() != words[0] or words[0] in pairs:
            hint = "Each line is a name in lower case and the same name as it is to be written, and no name stands twice."
            raise statement.fault(f"h1-case-adjust-file '{path}', line {number}: '{line.strip()}' is no such pair", 0, hint)
        pairs[words[0]] = words[1]
    scope.state.config.globals.extra["h1-case-adjust-file"] = tuple(pairs.items())


def master_worker(scope: Scope, statement: Statement) -> None:
    if statement.arguments:
        values.one_of(statement, 0, ("no-exit-on-failure",))
    scope.state.config.globals.extra["master-worker"] = (tuple(statement.arguments),)


def variable(scope: Scope, statement: Statement) -> None:
    """set-var, set-var-fmt of section global: only variables of the process."""
    name = statement.argument(0)
    if not name.startswith("proc.") or not re.fullmatch(r"[A-Za-z0-9_.]+", name):
        raise statement.fault(
            f"'{statement.keyword}' : '{name}' is no variable of the process", 0, "Write proc.NAME; other scopes do not exist yet."
        )
    check_global_variable(scope, statement)
    scope.state.config.globals.variables.append((statement.keyword, *statement.arguments))


def setcap(scope: Scope, statement: Statement) -> None:
    for name in statement.argument(0).split(","):
        if name not in CAPABILITIES:
            raise statement.fault(
                f"'setcap' : unsupported capability '{name}'{did_you_mean(name, CAPABILITIES)}", 0, f"Known are {', '.join(CAPABILITIES)}."
            )
    extra(scope, statement)


def extra_files(scope: Scope, statement: Statement) -> None:
    for position in range(len(statement.arguments)):
        values.one_of(statement, position, ("none", "all", "bundle", "sctl", "ocsp", "issuer", "key"))
    extra(scope, statement)
