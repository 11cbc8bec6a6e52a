"""What is asked of the statistics page: its address with options, and the forms that give orders. Sans-io.

    /stats            the page          /stats;csv        CSV, also ;json, ;typed, ;json-schema
    /stats;up         without servers that are down;  ;no-maint  without those in maintenance;  ;norefresh
    /stats;st=DONE    the page after an order, with its outcome

Orders are commands of the operator socket, so that both ways do the same. A script may send what HAProxy's form sends; our own forms
carry a token as well, and a browser tells by itself (Origin, Sec-Fetch-Site) that another site made it send one.

Source: HAProxy configuration manual 4.2 `stats uri`, `stats admin`; management guide 9.3; names of actions as HAProxy's form has them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote_plus, unquote_plus

from common.model import Config, Proxy
from common.observe.counters import Counters
from common.observe.layout import G_SECRET, SECRET_WORDS
from common.observe.stats import proxy_id

BODY_BYTES_MAX: Final = 16384
SERVERS_MAX: Final = 1000
SCOPE_MAX: Final = 64
FORMATS: Final = ("csv", "json", "json-schema", "typed")
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
    """format: "" for the page itself. scope: part of the names of the proxies that are shown."""

    format: str = ""
    up_only: bool = False
    no_maintenance: bool = False
    refresh: bool = True
    outcome: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """commands: lines for the operator socket. outcome: set when nothing is to be done (NONE, ERRP, EXCD, DENY). unknown: how many
    servers were named that are not there."""

    commands: tuple[str, ...] = ()
    outcome: str = ""
    unknown: int = 0


def parse_target(target: str | bytes, uri: str) -> PageRequest:
    """What a request target, which begins with the page's address, asks of it. Unknown options mean nothing."""
    text = target.decode("latin-1") if isinstance(target, bytes) else target
    options, _, query = text[len(uri) :].partition("?")
    words = [*options.split(";")[1:], *query.replace("&", ";").split(";")]
    values = dict(word.partition("=")[::2] for word in words)
    return PageRequest(
        format=next((name for name in FORMATS if name in words), ""),
        up_only="up" in words,
        no_maintenance="no-maint" in words,
        refresh="norefresh" not in words,
        outcome=values.get("st", ""),
        scope=unquote_plus(values.get("scope", ""))[:SCOPE_MAX],
    )


def return_address(uri: str, asked: PageRequest, outcome: str = "") -> str:
    """Where a form sends its user back to: the page with the same options, and the outcome."""
    words = ["st=" + outcome if outcome else "", "up" if asked.up_only else "", "no-maint" if asked.no_maintenance else ""]
    words.append("" if asked.refresh else "norefresh")
    scope = f"?scope={quote_plus(asked.scope)}" if asked.scope else ""
    return uri + "".join(f";{word}" for word in words if word) + scope


def is_foreign(origin: str, site: str, host: str) -> bool:
    """Whether a browser says that another site made it send a form. What is no browser says nothing of the kind."""
    if site and site not in ("same-origin", "none"):
        return True
    return bool(origin) and origin.partition("://")[2].lower() != host.lower()


def parse_order(body: bytes, config: Config, token: str) -> Order:
    """The order of a form. token: what the form must carry if it carries any. A later field of one name does not replace the first."""
    if len(body) > BODY_BYTES_MAX:
        return Order(outcome="EXCD")
    try:
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=SERVERS_MAX)
    except (ValueError, UnicodeDecodeError):
        return Order(outcome="ERRP")
    values = dict(fields)
    given = values.get("token")
    if given is not None and not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        return Order(outcome="DENY")
    wanted = [value for name, value in fields if name == "s"]
    if "b" not in values or "action" not in values or not wanted:
        return Order(outcome="NONE")
    backend, command = _backend(config, values["b"]), _COMMANDS.get(values["action"])
    if backend is None or command is None:
        return Order(outcome="ERRP")
    known = {server.name for server in backend.servers}
    servers = [name for name in wanted if name in known]
    commands = tuple(command.format(_escaped(f"{backend.name}/{name}")) for name in servers)
    return Order(commands, "" if commands else "ERRP", len(wanted) - len(servers))


def _backend(config: Config, name: str) -> Proxy | None:
    """A backend by its name, or by its number as `#3`."""
    for place, proxy in enumerate(config.proxies):
        if proxy.backend and name in (proxy.name, f"#{proxy_id(config, place)}"):
            return proxy
    return None


def outcome_of(obeyed: Sequence[bool], unknown: int = 0) -> str:
    """The outcome to show, given which of the commands were obeyed and how many servers there are not."""
    if not obeyed:
        return "UNKN"
    if not any(obeyed):
        return "NONE"
    return "DONE" if all(obeyed) and not unknown else "PART"


def token_for(counters: Counters, user: str) -> str:
    """What forms for this user carry: made from a secret that all processes share and that survives reloads."""
    secret = counters.globals[G_SECRET : G_SECRET + SECRET_WORDS].tobytes()
    return hmac.new(secret, b"statistics page\0" + user.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _escaped(word: str) -> str:
    """A word for a command line, whatever it holds."""
    return "".join(f"\\{character}" if character in " \t;\\" else character for character in word.replace("\n", "").replace("\r", ""))
