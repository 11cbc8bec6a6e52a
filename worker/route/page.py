"""The statistics page of a proxy as its rules see it: where it is, who may see it, who may give orders. Sans-io.

`stats http-request` rules run like any others, on requests for the page alone. Without them, `stats auth` is one such rule.

Source: HAProxy manual 4.2 "stats http-request", "stats auth", "stats admin".
"""

from __future__ import annotations

from dataclasses import dataclass

from common import model
from common.acl.conditions import Condition
from common.acl.environment import CompileEnvironment
from common.acl.facts import Facts
from common.acl.fetches_auth import basic_credentials
from common.acl.passwords import Userlist
from common.observe.page_settings import PageSettings, page_settings
from common.rules.actions import Authenticate
from common.rules.rulesets import Ruleset
from worker.route.actions import compile_action
from worker.route.evaluate import CompiledRule, CompiledRules

METHODS = frozenset((b"GET", b"HEAD", b"POST"))  # any other one goes on to the servers


@dataclass(frozen=True, slots=True)
class StatisticsPage:
    """What a proxy has of it. admins: who may give orders if one of them holds."""

    settings: PageSettings
    prefix: bytes
    access: CompiledRules
    admins: tuple[Condition, ...]

    def is_asked(self, method: bytes, target: bytes) -> bool:
        """Whether a request is for the page: any target that begins with its address, the host of an absolute one left out."""
        return method in METHODS and path_of(target).startswith(self.prefix)

    def is_admin(self, facts: Facts) -> bool:
        return any(condition.test(facts) for condition in self.admins)

    def user(self, facts: Facts) -> str:
        """Whose page it is: forms are made for one user."""
        found = basic_credentials(facts)
        return found[0].decode("utf-8", "replace") if found is not None else ""


def statistics_page(
    proxy: model.Proxy, environment: CompileEnvironment, access: CompiledRules, admins: tuple[Condition, ...]
) -> StatisticsPage | None:
    """access: its `stats http-request` rules, compiled; admins: the conditions of its `stats admin` lines."""
    settings = page_settings(proxy)
    if settings is None or proxy.mode != "http":
        return None
    if settings.users and not access:
        access = (_login(proxy, settings, environment),)
    return StatisticsPage(settings, settings.uri.encode("utf-8", "surrogateescape"), access, admins)


def _login(proxy: model.Proxy, settings: PageSettings, environment: CompileEnvironment) -> CompiledRule:
    """What `stats auth` stands for: whoever is not one of the users is asked who he is."""
    users = Userlist(list(settings.users))
    action = Authenticate(settings.realm.encode("utf-8", "surrogateescape"))

    def is_stranger(facts: Facts) -> bool:
        found = basic_credentials(facts)
        return found is None or not users.accepts(*found)

    return CompiledRule(is_stranger, compile_action(action, Ruleset.HTTP_REQUEST, environment), proxy.place, None, action)


def path_of(target: bytes) -> bytes:
    """An absolute target without its scheme and host."""
    if target[:1] == b"/" or b"://" not in target:
        return target
    rest = target.partition(b"://")[2]
    slash = rest.find(b"/")
    return rest[slash:] if slash >= 0 else b"/"
