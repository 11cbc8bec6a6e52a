"""What is asked of the statistics page: its address with options, and the forms that give orders. Sans-io.

    /stats            the page          /stats;csv        CSV, also ;json, ;typed, ;json-schema
    /stats;up         without servers that are down;  ;no-maint  without those in maintenance;  ;norefresh
    /stats;st=DONE    the page after an order, with its outcome

Orders are commands of the operator socket, so that both ways do the same.

Source: HAProxy configuration manual 4.2 `stats uri`, `stats admin`; management guide 9.3; names of actions as HAProxy's form has them.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from common.observe.counters import Counters
from common.observe.layout import G_SECRET, SECRET_WORDS

BODY_BYTES_MAX: Final = 16384
SERVERS_MAX: Final = 1000
FORMATS: Final = ("csv", "json", "typed", "json-schema")
ACTIONS: Final = {
    "ready": "State: ready",
    "drain": "State: drain",
    "maint": "State: maintenance",
    "hrunn": "Health: up",
    "hnolb": "Health: stopping",
    "hdown": "Health: down",
    "ehlth": "Health checks: on",
    "dhlth": "Health checks: off",
    "arunn": "Agent: up",
    "adown": "Agent: down",
    "eagent": "Agent checks: on",
    "dagent": "Agent checks: off",
    "shutdown": "End all sessions",
}
_COMMANDS: Final = {
    "ready": "set server {} state ready",
    "drain": "set server {} state drain",
    "maint": "set server {} state maint",
    "hrunn": "set server {} health up",
    "hnolb": "set server {} health stopping",
    "hdown": "set server {} health down",
    "ehlth": "enable health {}",
    "dhlth": "disable health {}",
    "arunn": "set server {} agent up",
    "adown": "set server {} agent down",
    "eagent": "enable agent {}",
    "dagent": "disable agent {}",
    "shutdown": "shutdown sessions server {}",
    "enable": "enable server {}",  # names of older forms, which tools still send
    "disable": "disable server {}",
    "stop": "set server {} state drain",
    "start": "set server {} state ready",
}
OUTCOMES: Final = {
    "DONE": ("The order was carried out.", True),
    "NONE": ("Nothing was changed: no server or no action was chosen.", False),
    "PART": ("The order was carried out for some of the servers only.", False),
    "ERRP": ("The order could not be read.", False),
    "EXCD": ("The order is too long.", False),
    "DENY": ("You may not give orders here.", False),
    "UNKN": ("The order failed.", False),
}


@dataclass(frozen=True, slots=True)
class PageRequest:
    """format: "" for the page itself. scope: a proxy's name, "" for all."""

    format: str = ""
    up_only: bool = False
    no_maintenance: bool = False
    refresh: bool = True
    outcome: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """commands: lines for the operator socket. outcome: set when nothing is to be done (NONE, ERRP, EXCD, DENY)."""

    commands: tuple[str, ...] = ()
    outcome: str = ""


def parse_target(target: str, uri: str) -> PageRequest | None:
    """What a request target asks of the page at `uri`; None if it is not the page's. Unknown options mean nothing."""
    path, _, query = target.partition("?")
    if not path.startswith(uri) or path[len(uri) : len(uri) + 1] not in ("", ";"):
        return None
    words = path[len(uri) :].split(";")[1:]
    values = dict(word.partition("=")[::2] for word in words)
    return PageRequest(
        format=next((word for word in words if word in FORMATS), ""),
        up_only="up" in words,
        no_maintenance="no-maint" in words,
        refresh="norefresh" not in words,
        outcome=values.get("st", ""),
        scope=dict(parse_qsl(query)).get("scope", ""),
    )


def parse_order(body: bytes, names: dict[str, str], token: str) -> Order:
    """The order of a form. names: backends by "#id" and by name. token: what the form must carry."""
    if len(body) > BODY_BYTES_MAX:
        return Order(outcome="EXCD")
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=SERVERS_MAX)
    except (ValueError, UnicodeDecodeError):
        return Order(outcome="ERRP")
    values = dict(fields)
    if not hmac.compare_digest(values.get("token", "").encode(), token.encode()):
        return Order(outcome="DENY")
    backend, command = names.get(values.get("b", "")), _COMMANDS.get(values.get("action", ""))
    servers = [value for name, value in fields if name == "s" and value]
    if backend is None or command is None or not servers:
        return Order(outcome="NONE")
    return Order(tuple(command.format(_escaped(f"{backend}/{server}")) for server in servers))


def outcome_of(answers: list[bool]) -> str:
    """The outcome to show, given which of the commands were obeyed."""
    if not answers:
        return "NONE"
    return "DONE" if all(answers) else "PART" if any(answers) else "UNKN"


def token_for(counters: Counters, user: str) -> str:
    """What forms for this user carry: made from a secret that all processes share and that survives reloads."""
    secret = counters.globals[G_SECRET : G_SECRET + SECRET_WORDS].tobytes()
    return hmac.new(secret, b"statistics page\0" + user.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _escaped(word: str) -> str:
    """A word for a command line, whatever it holds."""
    return "".join(f"\\{character}" if character in " \t;\\" else character for character in word.replace("\n", "").replace("\r", ""))
