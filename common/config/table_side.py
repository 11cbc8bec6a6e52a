"""Rows of the sections beside proxies.

Sans-io.
Source: HAProxy configuration manual 3.4, 3.5, 3.8, 5.3.2.
"""

from __future__ import annotations

from common.config import side_sections as side
from common.config.keywords import Keyword, Section, Status
from common.config.proxy_words import SectionParser
from common.config.unused import unused


def _row(
    section: Section, name: str, syntax: str, parse: SectionParser, meaning: str, least: int, most: int | None, manual: str, **more: object
) -> Keyword[SectionParser]:
    return Keyword(name, section, f"{name} {syntax}".strip(), parse, meaning, manual, least, most, **more)  # type: ignore[arg-type]


_USERLIST, _ERRORS, _RESOLVERS, _PEERS = Section.USERLIST, Section.HTTP_ERRORS, Section.RESOLVERS, Section.PEERS
_STORE, _PROFILE = Section.CRT_STORE, Section.LOG_PROFILE

ROWS: tuple[Keyword[SectionParser], ...] = (
    _row(_USERLIST, "group", "<name> [users <user>,…]", side.group, "A group, and perhaps its users.", 1, 3, "3.4"),
    _row(
        _USERLIST,
        "user",
        "<name> [password|insecure-password <password>] [groups <group>,…]",
        side.user,
        "A user; `password` is a crypt(3) hash.",
        1,
        5,
        "3.4",
    ),
    _row(_ERRORS, "errorfile", "<status> <file>", side.error_file, "The page for a status.", 2, 2, "3.8"),
    _row(_RESOLVERS, "nameserver", "<name> <address>[:<port>]", side.nameserver, "A name server.", 2, None, "5.3.2"),
    _row(_RESOLVERS, "parse-resolv-conf", "", side.parse_resolv_conf, "Takes the name servers of /etc/resolv.conf too.", 0, 0, "5.3.2"),
    _row(_RESOLVERS, "accepted_payload_size", "<number>", side.payload_size, "Largest answer over UDP.", 1, 1, "5.3.2", default="512"),
    _row(
        _RESOLVERS,
        "hold",
        "[nx|refused|timeout|other|valid|obsolete] <time>",
        side.hold,
        "How long an answer counts after such a result.",
        2,
        2,
        "5.3.2",
    ),
    _row(_RESOLVERS, "resolve_retries", "<number>", side.resolve_retries, "Questions before giving up.", 1, 1, "5.3.2", default="3"),
    _row(
        _RESOLVERS,
        "timeout resolve",
        "<time>",
        side.resolvers_timeout("timeout_resolve"),
        "Time between two resolutions.",
        1,
        1,
        "5.3.2",
        default="1s",
    ),
    _row(
        _RESOLVERS,
        "timeout retry",
        "<time>",
        side.resolvers_timeout("timeout_retry"),
        "Time until a question is repeated.",
        1,
        1,
        "5.3.2",
        default="1s",
    ),
    _row(
        _PEERS,
        "table",
        "<name> type <type> size <size> […]",
        side.peers_table,
        "A table of this host, called PEERS/NAME elsewhere.",
        3,
        None,
        "3.5",
    ),
    _row(_PEERS, "peer", "<name> [<address>]", side.peer, "Only the local peer may stand here.", 1, None, "3.5"),
    _row(_PEERS, "server", "<name> [<address>]", side.peer, "Another spelling of `peer`.", 1, None, "3.5"),
    _row(_PEERS, "enabled", "", side.peers_enabled(True), "Takes back `disabled`.", 0, 0, "3.5"),
    _row(_PEERS, "disabled", "", side.peers_enabled(False), "Switches the section off.", 0, 0, "3.5"),
    *(
        _row(
            _PEERS,
            name,
            "…",
            unused,
            "Accepted, without effect.",
            0,
            None,
            "3.5",
            status=Status.NOTICED,
            instead="Tables are shared by all workers of this host without a connection: remove it.",
        )
        for name in ("bind", "default-bind", "default-server", "log", "shards")
    ),
    _row(
        _STORE, "crt-base", "<directory>", side.store_crt_base, "Where relative certificate names of this section start.", 1, 1, "3.0: 3.11"
    ),
    _row(_STORE, "key-base", "<directory>", side.store_key_base, "Where relative key names of this section start.", 1, 1, "3.0: 3.11"),
    _row(
        _STORE,
        "load",
        "crt <file> [alias <name>] [key <file>] [ocsp <file>] [issuer <file>] [sctl <file>]",
        side.load_certificate,
        "A certificate; used as @STORE/ALIAS or @STORE/FILE.",
        2,
        None,
        "3.0: 3.11",
    ),
    _row(_PROFILE, "log-tag", "<text>", side.profile_tag, "Program name in messages of this profile.", 1, 1, "3.1: 3.12"),
    _row(
        _PROFILE,
        "on",
        "<step> [drop] [format <format>] [sd <format>]",
        side.profile_step,
        "What is logged at a step.",
        1,
        None,
        "3.1: 3.12",
    ),
)
