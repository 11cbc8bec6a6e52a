"""`tcp-request connection` of an explicit listen: who may come in, before a byte of theirs is read.

The rules of all other sections run in the workers. Of the actions that the manual has for this moment, a section that only
dispatches runs those that need no more than the connection; counters and tables of clients live in the workers, and a rule
that wants them here is an error that says so.

Source: HAProxy manual 4.2 "tcp-request connection"; tcp(7) TCP_REPAIR, ip(7).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from common import model
from common.acl.absent import AbsentExchange, AbsentSession
from common.acl.casts import wrapper
from common.acl.conditions import acls_by_name, compile_model_condition
from common.acl.environment import CompileEnvironment, Where
from common.acl.facts import Facts
from common.acl.facts_world import WorldFacts
from common.acl.logformat import Format
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from common.model import Bind, Proxy
from common.rules import actions as a
from common.rules.parse import parse_action
from common.rules.rulesets import Ruleset
from dispatcher.visitor import Visitor

_RULESET = Ruleset.TCP_CONNECTION
_PORT_MAX = 65535
_ANY_IPV4 = b"\0\0\0\0"
_TCP_REPAIR = 19  # linux/tcp.h; the standard library has no name for it
_SOCKET_OPTIONS = {
    "mark": ((socket.SOL_SOCKET, socket.SO_MARK),),
    "tos": ((socket.IPPROTO_IP, socket.IP_TOS), (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)),
}


class Verdict(Enum):
    ACCEPT = "accept"
    REJECT = "reject"
    DROP = "silent-drop"


class ConnectionFacts(AbsentExchange):
    """One connection as the rules see it; they may change its addresses."""

    def __init__(self, proxy: Proxy, bind: Bind, world: WorldFacts, sock: socket.socket, visitor: Visitor) -> None:
        session = AbsentSession()
        super().__init__(session, world)
        session.bind = bind
        session.frontend = proxy
        session.src = session.fc_src = visitor.src
        session.src_port = session.fc_src_port = visitor.src_port
        session.dst = session.fc_dst = visitor.dst
        session.dst_port = session.fc_dst_port = visitor.dst_port
        session.accept_date = world.date()
        self.own = session
        self.sock = sock
        self.ttl: int | None = None
        self.expects_header = False


Run = Callable[[ConnectionFacts], Verdict | None]


@dataclass(frozen=True, slots=True)
class _Rule:
    test: Callable[[Facts], bool] | None
    run: Run


class ConnectionRules:
    """All rules of one proxy, compiled. Raises ExpressionError for one that does not compile or cannot run here."""

    __slots__ = ("_proxy", "_rules", "_world")

    def __init__(self, proxy: Proxy, config: model.Config, world: WorldFacts) -> None:
        self._proxy = proxy
        self._world = world
        environment = CompileEnvironment(
            where=Where.CONNECTION, proxy=proxy, config=config, read_file=_read_file, acls=acls_by_name(proxy.acls)
        )
        self._rules = [_compile(rule, environment) for rule in proxy.rules if rule.ruleset == _RULESET.value]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def admit(self, bind: Bind, sock: socket.socket, visitor: Visitor) -> Visitor | None:
        """The visitor, as the rules left him. None: turned away, and the socket is closed."""
        facts = ConnectionFacts(self._proxy, bind, self._world, sock, visitor)
        for rule in self._rules:
            if rule.test is None or rule.test(facts):
                verdict = rule.run(facts)
                if verdict is None:
                    continue
                if verdict is Verdict.ACCEPT:
                    break
                if verdict is Verdict.DROP:
                    vanish(sock, facts.ttl)
                sock.close()
                return None
        own = facts.own
        return Visitor(own.src, own.src_port, own.dst, own.dst_port, visitor.expects_header or facts.expects_header)


def vanish(sock: socket.socket, ttl: int | None) -> None:
    """Let the client not hear of the end, as far as we may.

    With the privilege for it the kernel forgets the connection in silence. Else, or if a TTL is given, the reset that it
    sends is thrown away by the next router.
    """
    if ttl is None and _set(sock, socket.IPPROTO_TCP, _TCP_REPAIR, 1):
        return
    for level, option in ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)):
        _set(sock, level, option, ttl or 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    except OSError:
        pass


def _compile(rule: model.Rule, environment: CompileEnvironment) -> _Rule:
    try:
        action = parse_action(_RULESET, rule.words, environment)
        condition = compile_model_condition(rule.condition, environment.acls, environment)
        return _Rule(None if condition is None else condition.test, _runner(action, rule.words))
    except ExpressionError as error:
        raise ExpressionError(f'{rule.place.file}:{rule.place.line}: "{_RULESET.value}": {error}', error.word, error.hint) from None


def _runner(action: a.Action, words: Sequence[str]) -> Run:
    match action:
        case a.Accept():
            return lambda facts: Verdict.ACCEPT
        case a.Reject():
            return lambda facts: Verdict.REJECT
        case a.SilentDrop(ttl):
            return _silent_drop(ttl)
        case a.ExpectProxy():
            return _expect_proxy
        case a.SetAddress(side, expression):
            return _set_address(side, expression.to(SampleType.ADDR))
        case a.SetPort(side, expression):
            return _set_port(side, expression.to(SampleType.INT))
        case a.SetSocketOption(option, False, value):
            return _set_option(option, value if isinstance(value, int) else value.to(SampleType.INT))
        case a.SetVariable():
            return _set_variable(action)
        case a.UnsetVariable(_name, unset):
            return _quiet(unset)
        case a.SetNice():
            return _quiet(lambda facts: None)
    raise ExpressionError(
        f'"{words[0] if words else ""}" cannot run in a section that only dispatches', 0, "Put the rule into the section of the workers."
    )


def _quiet(effect: Callable[[ConnectionFacts], None]) -> Run:
    def run(facts: ConnectionFacts) -> None:
        effect(facts)

    return run


def _silent_drop(ttl: int | None) -> Run:
    def run(facts: ConnectionFacts) -> Verdict:
        facts.ttl = ttl
        return Verdict.DROP

    return run


def _expect_proxy(facts: ConnectionFacts) -> None:
    facts.expects_header = True


def _set_address(side: a.Side, get: Callable[[Facts], bytes | None]) -> Run:
    """The port stays; an address that is none changes nothing."""

    def run(facts: ConnectionFacts) -> None:
        address = get(facts)
        if address and side is a.Side.SOURCE:
            facts.own.src = address
        elif address:
            facts.own.dst = address

    return run


def _set_port(side: a.Side, get: Callable[[Facts], int | None]) -> Run:
    """The address stays where its family has ports, else it becomes 0.0.0.0."""

    def run(facts: ConnectionFacts) -> None:
        port, own = get(facts), facts.own
        if port is None:
            return
        if side is a.Side.SOURCE:
            own.src, own.src_port = own.src or _ANY_IPV4, port & _PORT_MAX
        else:
            own.dst, own.dst_port = own.dst or _ANY_IPV4, port & _PORT_MAX

    return run


def _set_option(option: str, value: int | Callable[[Facts], int | None]) -> Run:
    def run(facts: ConnectionFacts) -> None:
        number = value if isinstance(value, int) else value(facts)
        if number is not None:
            for level, name in _SOCKET_OPTIONS[option]:
                _set(facts.sock, level, name, number)

    return run


def _set_variable(action: a.SetVariable) -> Run:
    value, assign = action.value, action.assign
    if isinstance(value, Format):
        build = value.build

        def run_format(facts: ConnectionFacts) -> None:
            assign(facts, Typed(SampleType.STR, build(facts)))

        return run_format
    get, wrap = value.get, None if value.type is SampleType.ANY else wrapper(value.type)

    def run(facts: ConnectionFacts) -> None:
        found = get(facts)
        if found is not None:
            assign(facts, found if wrap is None else wrap(found))

    return run


def _set(sock: socket.socket, level: int, option: int, value: int) -> bool:
    """What we may not do, or the socket's family does not have, is passed over."""
    try:
        sock.setsockopt(level, option, value)
    except OSError:
        return False
    return True


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
