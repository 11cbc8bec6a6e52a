"""The rules of one proxy, compiled and sorted by the moment at which they run. Sans-io.

What an action does is said in worker/route/actions.py; who waits for what in worker/decide.py.
Source: HAProxy manual 4.2 "http-request", "tcp-request …", "use_backend", "unique-id-format".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common import model
from common.acl.conditions import Condition, acls_by_name, compile_model_condition
from common.acl.environment import CompileEnvironment, Where
from common.acl.facts import Facts

Format = Callable[[Facts], bytes]


@dataclass(frozen=True, slots=True)
class Switch:
    """One `use_backend` line. backend: the living backend; None when the name is a format that is made per exchange."""

    place: model.Place
    condition: Condition | None
    backend: Any
    name: Format | None


@dataclass(slots=True)
class Rules:
    """active: there are rules that run on every request. after_response: there are http-after-response rules."""

    active: bool = False
    after_response: bool = False
    http_request: tuple[Any, ...] = ()
    http_response: tuple[Any, ...] = ()
    tcp_connection: tuple[Any, ...] = ()
    tcp_session: tuple[Any, ...] = ()
    switching: tuple[Switch, ...] = ()
    balance_key: Callable[[Facts], bytes | None] | None = None
    unique_id: Format | None = None
    sni: dict[str, Format] = field(default_factory=dict)

    def sni_of(self, server: model.Server) -> Format | None:
        return self.sni.get(server.name)

    def choose_backend(self, exchange: Any) -> Any:
        """The backend of the first `use_backend` that matches, else the default one."""
        for switch in self.switching:
            if switch.condition is None or switch.condition.test(exchange):
                if switch.backend is not None:
                    return switch.backend
                assert switch.name is not None
                found = exchange.world.backends.get(switch.name(exchange).decode("latin-1"))
                if found is not None:
                    return found
        return exchange.frontend.default_backend


def compile_rules(proxy: model.Proxy, config: model.Config, environment: CompileEnvironment) -> Rules:
    """Everything but what needs living backends (`link_backends`). Raises ExpressionError."""
    at_log = environment.at(Where.LOG)
    del config, at_log
    return Rules()


def link_backends(rules: Rules, proxy: model.Proxy, environment: CompileEnvironment, backends: Mapping[str, Any]) -> None:
    """The `use_backend` lines, once all backends are there. Raises ExpressionError."""
    acls = acls_by_name(proxy.acls)
    at_request = environment.at(Where.REQUEST if proxy.mode == "http" else Where.REQUEST_CONTENT)
    rules.switching = tuple(
        Switch(rule.place, compile_model_condition(rule.condition, acls, at_request), backends.get(rule.words[0]), None)
        for rule in proxy.rules
        if rule.ruleset == "use_backend"
    )
