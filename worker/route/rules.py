"""The rules of one proxy, compiled and sorted by the moment at which they run. Sans-io.

What an action does is said in worker/route/actions.py; who waits for what in worker/decide.py.
Source: HAProxy manual 4.2 "http-request", "tcp-request …", "use_backend", "use-server", "unique-id-format", "monitor-uri".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from common import model
from common.acl.conditions import Condition, acls_by_name, compile_acls, compile_model_condition
from common.acl.environment import CompileEnvironment, Where
from common.acl.expressions import compile_expression
from common.acl.facts import Facts
from common.acl.logformat import Purpose, compile_format
from common.errors import ExpressionError
from common.rules.actions import DeleteHeaders, Deny, Payload, Reply, UseBackend, UseServer
from common.rules.parse import parse_action
from common.rules.rulesets import Ruleset
from worker.forwarded_field import expressions_in
from worker.http.names import has_unusual_name, is_unusual
from worker.route.actions import compile_action
from worker.route.captures import Captures, captures_of
from worker.route.evaluate import CompiledRule
from worker.route.keys import KeyOf, balance_key
from worker.route.page import StatisticsPage, statistics_page
from worker.route.sticking import StickRule, stick_rules

Format = Callable[[Facts], bytes]
TextGetter = Callable[[Facts], bytes | None]


@dataclass(frozen=True, slots=True)
class Switch:
    """One `use_backend` line. backend: the living backend; None when the name is a format that is made per exchange."""

    place: model.Place
    condition: Condition | None
    backend: Any
    name: Format | None


@dataclass(frozen=True, slots=True)
class ServerSwitch:
    """One `use-server` line. name: made per exchange, if it is a format."""

    place: model.Place
    condition: Condition | None
    server: str
    name: Format | None


@dataclass(frozen=True, slots=True)
class Monitor:
    """`monitor-uri`, and the conditions of `monitor fail`."""

    uri: bytes
    failures: tuple[Condition, ...]

    def is_asked(self, target: bytes) -> bool:
        """A path is compared with path and query, anything else with the whole target."""
        if target == self.uri:
            return True
        if self.uri[:1] != b"/" or target[:1] == b"/":
            return False
        return b"/" + target.partition(b"://")[2].partition(b"/")[2] == self.uri

    def fails(self, facts: Facts) -> bool:
        return any(condition.test(facts) for condition in self.failures)


@dataclass(slots=True)
class Rules:
    """active: something runs on every request. response_active: on every response of a server."""

    active: bool = False
    response_active: bool = False
    tcp_connection: tuple[CompiledRule, ...] = ()
    tcp_session: tuple[CompiledRule, ...] = ()
    tcp_request: tuple[CompiledRule, ...] = ()
    tcp_response: tuple[CompiledRule, ...] = ()
    http_request: tuple[CompiledRule, ...] = ()
    names: tuple[CompiledRule, ...] = ()  # option http-restrict-req-hdr-names, a rule that stands behind all others
    redirects: tuple[CompiledRule, ...] = ()
    http_response: tuple[CompiledRule, ...] = ()
    after_response: tuple[CompiledRule, ...] = ()
    switching: tuple[Switch, ...] = ()
    use_server: tuple[ServerSwitch, ...] = ()
    stick: tuple[StickRule, ...] = ()
    force_persist: tuple[Condition, ...] = ()
    ignore_persist: tuple[Condition, ...] = ()
    monitor: Monitor | None = None
    page: StatisticsPage | None = None
    captures: Captures = field(default_factory=Captures)
    buffers_request: bool = False  # option http-buffer-request
    inspect_request_s: float = 0.0
    inspect_response_s: float = 0.0
    balance_key: KeyOf | None = None
    unique_id: Format | None = None
    forwarded: dict[str, TextGetter] = field(default_factory=dict)  # `option forwarded`: the expressions, by slot
    sni: dict[str, TextGetter] = field(default_factory=dict)
    tlvs: dict[str, tuple[tuple[int, Format], ...]] = field(default_factory=dict)  # server -> set-proxy-v2-tlv-fmt

    def sni_of(self, server: model.Server) -> TextGetter | None:
        return self.sni.get(server.name)

    def choose_backend(self, exchange: Any) -> Any:
        """The backend of the first `use_backend` that matches, else the default one; None if there is none.

        A made name that no backend has ends the search too, and the default one serves.
        """
        for switch in self.switching:
            if switch.condition is None or switch.condition.test(exchange):
                exchange.last_rule = switch.place
                if switch.name is None:
                    return switch.backend
                found = exchange.world.backends.get(switch.name(exchange).decode("utf-8", "surrogateescape"))
                return found if found is not None else exchange.frontend.default_backend
        return exchange.frontend.default_backend

    def servers_to_use(self, exchange: Any) -> Iterator[str]:
        """The names that `use-server` lines give for this exchange, in order: the first one that is usable serves it."""
        for switch in self.use_server:
            if switch.condition is None or switch.condition.test(exchange):
                yield switch.server if switch.name is None else switch.name(exchange).decode("utf-8", "surrogateescape")

    def forces_persistence(self, exchange: Facts) -> bool:
        """`force-persist`: the client's server serves it even when it is down."""
        return any(condition.test(exchange) for condition in self.force_persist)

    def ignores_persistence(self, exchange: Facts) -> bool:
        """`ignore-persist`: the client's server means nothing for this request."""
        return any(condition.test(exchange) for condition in self.ignore_persist)


def compile_rules(proxy: model.Proxy, config: model.Config, environment: CompileEnvironment) -> Rules:
    """Everything but what needs living backends (`link_backends`). Raises ExpressionError that names the place."""
    environment.acls = acls_by_name(proxy.acls)
    compile_acls(environment)
    rules = Rules(
        tcp_connection=_ruleset(proxy, Ruleset.TCP_CONNECTION, environment),
        tcp_session=_ruleset(proxy, Ruleset.TCP_SESSION, environment),
        tcp_request=_ruleset(proxy, Ruleset.TCP_REQUEST, environment),
        tcp_response=_ruleset(proxy, Ruleset.TCP_RESPONSE, environment),
        http_request=_ruleset(proxy, Ruleset.HTTP_REQUEST, environment),
        names=_name_rules(proxy, environment),
        redirects=_ruleset(proxy, Ruleset.REDIRECT, environment),
        http_response=_ruleset(proxy, Ruleset.HTTP_RESPONSE, environment),
        after_response=_ruleset(proxy, Ruleset.HTTP_AFTER_RESPONSE, environment),
        use_server=_use_server(proxy, environment),
        stick=_stick(proxy, environment),
        force_persist=_conditions(proxy, "force-persist", environment),
        ignore_persist=_conditions(proxy, "ignore-persist", environment),
        monitor=_monitor(proxy, environment),
        page=_page(proxy, environment),
        buffers_request="http-buffer-request" in proxy.options,
        inspect_request_s=proxy.inspect_delay_request or 0.0,
        inspect_response_s=proxy.inspect_delay_response or 0.0,
    )
    rules.captures = captures_of(environment) if proxy.frontend else Captures()
    with _At(proxy.place):
        if proxy.backend:
            rules.balance_key = balance_key(proxy.balance, environment.at(Where.REQUEST))
        for slot, text in expressions_in(proxy.option_args.get("forwarded", ())).items():
            rules.forwarded[slot] = compile_expression(text, environment.at(Where.REQUEST)).text_getter
        if proxy.unique_id_format is not None:
            rules.unique_id = compile_format(proxy.unique_id_format, environment.at(Where.REQUEST), Purpose.LOG).build
    for server in proxy.servers:
        if server.tls is not None and server.tls.sni is not None:
            with _At(server.place):
                rules.sni[server.name] = compile_expression(server.tls.sni, environment.at(Where.SERVER_CHOICE)).text_getter
        if server.send_proxy == 2:
            with _At(server.place):
                rules.tlvs[server.name] = tuple(_tlvs(server, environment))
    rulesets = (rules.http_request, rules.names, rules.redirects, rules.tcp_request)
    rules.active = bool(any(rulesets) or rules.monitor or rules.page or rules.captures.wanted or rules.buffers_request)
    captures = rules.captures
    rules.response_active = bool(
        rules.http_response or rules.after_response or rules.tcp_response or captures.response_lengths or captures.cookie
    )
    return rules


def _tlvs(server: model.Server, environment: CompileEnvironment) -> Iterator[tuple[int, Format]]:
    for name, words in server.options.items():
        if name.startswith("set-proxy-v2-tlv-fmt("):
            kind = int(name.partition("(")[2].rstrip(")"), 0)
            yield kind, compile_format(words[0], environment.at(Where.SERVER_CHOICE), Purpose.VALUE).build


def link_backends(rules: Rules, proxy: model.Proxy, environment: CompileEnvironment, backends: Mapping[str, Any]) -> None:
    """The `use_backend` lines, once all backends are there. Raises ExpressionError that names the place."""
    at = environment.at(Where.REQUEST if proxy.mode == "http" else Where.REQUEST_CONTENT)
    switches = []
    for rule in proxy.rules:
        if rule.ruleset == Ruleset.USE_BACKEND.value:
            with _At(rule.place):
                action = parse_action(Ruleset.USE_BACKEND, rule.words, environment)
                assert isinstance(action, UseBackend)
                name = action.name
                condition = compile_model_condition(rule.condition, environment.acls, at)
            constant = name.constant
            backend = None if constant is None else backends.get(constant.decode("utf-8", "surrogateescape"))
            switches.append(Switch(rule.place, condition, backend, name.build if constant is None else None))
    rules.switching = tuple(switches)


def _ruleset(proxy: model.Proxy, ruleset: Ruleset, environment: CompileEnvironment, written: str = "") -> tuple[CompiledRule, ...]:
    """written: how the file calls these rules, where it is not by the ruleset's own name."""
    at = environment.at(ruleset.where)
    written = written or ruleset.value
    compiled = []
    for rule in proxy.rules:
        if rule.ruleset == written:
            with _At(rule.place, f"{written} {rule.words[0] if rule.words else ''}".strip()):
                environment.place = at.place = rule.place
                action = parse_action(ruleset, rule.words, environment)
                run = compile_action(action, ruleset, environment)
                condition = compile_model_condition(rule.condition, environment.acls, at)
            compiled.append(CompiledRule(None if condition is None else condition.test, run, rule.place, condition, action))
    return tuple(compiled)


def _name_rules(proxy: model.Proxy, environment: CompileEnvironment) -> tuple[CompiledRule, ...]:
    """`option http-restrict-req-hdr-names`, for requests that have such names."""
    (policy,) = proxy.option_args.get("http-restrict-req-hdr-names") or ("preserve",)
    if policy == "preserve":
        return ()
    deletes = policy == "delete"
    action = DeleteHeaders("reg", "[^0-9A-Za-z-]", is_unusual) if deletes else Deny(Reply(403, Payload.DEFAULT))
    run = compile_action(action, Ruleset.HTTP_REQUEST, environment)
    return (CompiledRule(_has_unusual_name, run, proxy.place, None, action),)


def _has_unusual_name(facts: Facts) -> bool:
    request = facts.request
    return request is not None and has_unusual_name(request)  # type: ignore[arg-type]


def _use_server(proxy: model.Proxy, environment: CompileEnvironment) -> tuple[ServerSwitch, ...]:
    at = environment.at(Where.REQUEST if proxy.mode == "http" else Where.REQUEST_CONTENT)
    switches = []
    for rule in proxy.rules:
        if rule.ruleset == Ruleset.USE_SERVER.value:
            with _At(rule.place):
                action = parse_action(Ruleset.USE_SERVER, rule.words, environment)
                assert isinstance(action, UseServer)
                condition = compile_model_condition(rule.condition, environment.acls, at)
            constant = action.name.constant
            server = "" if constant is None else constant.decode("utf-8", "surrogateescape")
            switches.append(ServerSwitch(rule.place, condition, server, action.name.build if constant is None else None))
    return tuple(switches)


def _stick(proxy: model.Proxy, environment: CompileEnvironment) -> tuple[StickRule, ...]:
    with _At(proxy.place, "stick"):
        return stick_rules(proxy, environment)


def _conditions(proxy: model.Proxy, ruleset: str, environment: CompileEnvironment) -> tuple[Condition, ...]:
    """The conditions of lines that are nothing else."""
    found = []
    for rule in proxy.rules:
        if rule.ruleset == ruleset:
            with _At(rule.place):
                condition = compile_model_condition(rule.condition, environment.acls, environment.at(Where.REQUEST))
            assert condition is not None
            found.append(condition)
    return tuple(found)


def _monitor(proxy: model.Proxy, environment: CompileEnvironment) -> Monitor | None:
    if proxy.monitor_uri is None:
        return None
    return Monitor(proxy.monitor_uri.encode(), _conditions(proxy, "monitor fail", environment))


def _page(proxy: model.Proxy, environment: CompileEnvironment) -> StatisticsPage | None:
    access = _ruleset(proxy, Ruleset.HTTP_REQUEST, environment, "stats http-request")
    return statistics_page(proxy, environment, access, _conditions(proxy, "stats admin", environment))


class _At:
    """Complaints inside name this place, and what stands there."""

    __slots__ = ("_place", "_title")

    def __init__(self, place: model.Place, title: str = "") -> None:
        self._place = place
        self._title = f'"{title}": ' if title else ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ExpressionError):
            place = self._place
            raise ExpressionError(f"{place.file}:{place.line}: {self._title}{error}", error.word, error.hint) from None
