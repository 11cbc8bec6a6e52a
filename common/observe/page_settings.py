"""What a proxy's `stats …` lines say about its statistics page. Sans-io.

Source: HAProxy configuration manual 4.2 "stats enable", "stats uri", "stats scope" and their like; places and order observed from 2.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from common.model import Proxy, User, last_word
from common.units import parse_time

DEFAULT_URI: Final = "/haproxy?stats"
DEFAULT_REALM: Final = "HAProxy Statistics"
RULESETS: Final = frozenset(("stats http-request", "stats admin"))


@dataclass(frozen=True, slots=True)
class PageSettings:
    """refresh_s: 0 without. scope: names of proxies that are shown, empty for all. node, description: None where they are not shown."""

    uri: str = DEFAULT_URI
    realm: str = DEFAULT_REALM
    users: tuple[User, ...] = ()
    refresh_s: int = 0
    shows_version: bool = True
    scope: frozenset[str] = frozenset()
    legends: bool = False
    modules: bool = False
    node: str | None = None
    description: str | None = None


def page_settings(proxy: Proxy) -> PageSettings | None:
    """None for a proxy without statistics page: any line `stats …` makes one."""
    lines = proxy.extra
    if not any(name.startswith("stats ") for name in lines) and not any(rule.ruleset in RULESETS for rule in proxy.rules):
        return None

    logins = [line[0].partition(":") for line in lines.get("stats auth", ())]
    return PageSettings(
        uri=last_word(lines, "stats uri", DEFAULT_URI),
        realm=last_word(lines, "stats realm", DEFAULT_REALM),
        users=tuple(User(name, password, encrypted=False) for name, _, password in logins),
        refresh_s=int(parse_time(last_word(lines, "stats refresh", "0"), "s")),
        shows_version="stats hide-version" not in lines,
        scope=frozenset(proxy.name if line[0] == "." else line[0] for line in lines.get("stats scope", ())),
        legends="stats show-legends" in lines,
        modules="stats show-modules" in lines,
        node=" ".join(lines["stats show-node"][-1]) if "stats show-node" in lines else None,
        description=" ".join(lines["stats show-desc"][-1]) if "stats show-desc" in lines else None,
    )
