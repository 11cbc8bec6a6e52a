"""Rows of the words that start sections.

Sans-io.
Source: HAProxy configuration manual 2.1, 3, 4, 5.3.2, 6, 9, 10.
"""

from __future__ import annotations

from collections.abc import Callable

from common.config import sections, side_sections
from common.config.draft import Scope, State
from common.config.keywords import Keyword, Section, Status
from common.config.statement import Statement

SectionOpener = Callable[[State, Statement], "Scope | None"]


def _row(name: str, syntax: str, parse: SectionOpener, meaning: str, manual: str) -> Keyword[SectionOpener]:
    return Keyword(name, Section.TOP, f"{name} {syntax}".strip(), parse, meaning, manual, 0, None)


def _never(state: State, statement: Statement) -> Scope | None:
    """Parser of refused rows: never called."""
    return None


def _refused(name: str, syntax: str, manual: str, instead: str) -> Keyword[SectionOpener]:
    return Keyword(
        name,
        Section.TOP,
        f"{name} {syntax}".strip(),
        _never,
        "Not available here.",
        manual,
        0,
        None,
        status=Status.REFUSED,
        instead=instead,
    )


ROWS: tuple[Keyword[SectionOpener], ...] = (
    _row("global", "", sections.open_global, "Settings of the service as a whole. May repeat.", "3"),
    _row("defaults", "[<name>] [from <defaults>]", sections.open_defaults, "Presets for the sections below.", "4"),
    _row("frontend", "<name> [from <defaults>]", sections.open_proxy(Section.FRONTEND), "Where clients connect.", "4"),
    _row("backend", "<name> [from <defaults>]", sections.open_proxy(Section.BACKEND), "Servers that requests are sent to.", "4"),
    _row("listen", "<name> [from <defaults>]", sections.open_proxy(Section.LISTEN), "A frontend and a backend in one.", "4"),
    _row("userlist", "<name>", side_sections.open_userlist, "Users, passwords and groups for `http_auth`.", "3.4"),
    _row("http-errors", "<name>", side_sections.open_http_errors, "A set of error pages that proxies can name.", "3.8"),
    _row("resolvers", "<name>", side_sections.open_resolvers, "Name servers that keep servers' names resolved.", "5.3.2"),
    _row("peers", "<name>", side_sections.open_peers, "Tables shared by several proxies of this host.", "3.5"),
    _row("crt-store", "[<name>]", side_sections.open_crt_store, "Certificates by alias.", "3.0: 3.11"),
    _row("log-profile", "<name>", side_sections.open_log_profile, "Log formats by event.", "3.1: 3.12"),
    _refused(
        "ring", "<name>", "3.9", "Send logs to a syslog server, stdout or a file descriptor; a slow receiver never stops traffic here."
    ),
    _refused("mailers", "<name>", "3.6", "Mails are not sent: let your monitoring watch the statistics or the log."),
    _refused("program", "<name>", "3.7", "Start other programs with systemd or your process manager."),
    _refused("log-forward", "<name>", "3.10", "Use a syslog server for forwarding logs."),
    _refused("cache", "<name>", "6", "There is no cache: put one behind, chosen with balance uri."),
    _refused("fcgi-app", "<name>", "10", "FastCGI is not spoken: put a web server in front of the application."),
    Keyword(
        "traces",
        Section.TOP,
        "traces",
        _never,
        "Accepted, without effect.",
        "3.1: 3.13",
        0,
        None,
        status=Status.NOTICED,
        instead="Use the logs, or -d; remove the section.",
    ),
    _refused("acme", "<name>", "3.2: 3.15", "Let your ACME client renew certificates and call `set ssl cert`."),
    _refused("healthcheck", "<name>", "3.4: 3", "Write the http-check or tcp-check lines into the backends or their defaults."),
)
