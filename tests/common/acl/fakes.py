"""An exchange whose facts a test writes down. It answers Facts; mypy checks that it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from common import model
from common.acl.absent import AbsentExchange, AbsentSession, AbsentWorld
from common.acl.environment import CompileEnvironment, Where
from common.acl.expressions import compile_expression
from common.acl.facts import Facts
from common.acl.facts_world import StickEntry, StickTable
from common.acl.types import SampleType, Typed

PLACE = model.Place("usher.cfg", 1, 1)


def proxy(name: str = "fe", *, frontend: bool = False, backend: bool = False, **fields: Any) -> model.Proxy:
    """A listen section unless told otherwise."""
    both = not (frontend or backend)
    return model.Proxy(PLACE, name, frontend or both, backend or both, **fields)


def server(name: str = "s1", **fields: Any) -> model.Server:
    return model.Server(PLACE, name, model.Address(model.AddressKind.INET, "192.0.2.1", 80), **fields)


def bind(**fields: Any) -> model.Bind:
    return model.Bind(PLACE, model.Address(model.AddressKind.INET, "192.0.2.9", 443), **fields)


class FakeMessage:
    """A head, request or response, from its fields."""

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = (), version: int = 11) -> None:
        self.fields = list(fields)
        self.version = version
        self.method = b"GET"
        self.target = b"/"
        self.status = 200
        self.reason = b"OK"

    def values(self, name_lower: bytes) -> Sequence[bytes]:
        return [value for name, value in self.fields if name.lower() == name_lower]


def request(target: bytes = b"/", fields: Iterable[tuple[bytes, bytes]] = (), method: bytes = b"GET", version: int = 11) -> FakeMessage:
    message = FakeMessage(fields, version)
    message.method = method
    message.target = target
    return message


def response(status: int = 200, fields: Iterable[tuple[bytes, bytes]] = ()) -> FakeMessage:
    message = FakeMessage(fields)
    message.status = status
    return message


class FakeEntry:
    """One entry of a stick table, with any data in a dict: "gpc0" or ("gpc", 3)."""

    def __init__(self, key: Typed, **data: int) -> None:
        self.key = key
        self.data: dict[tuple[str, int], int] = {(name, 0): value for name, value in data.items()}
        self.trackers = 0
        self.expires_in = 1.5
        self.idle = 0.25

    def get(self, data: str, index: int = 0) -> int | None:
        return self.data.get((data, index))

    def text(self, data: str) -> bytes | None:
        return None

    def increase(self, data: str, index: int = 0, by: int = 1) -> int | None:
        if (data, index) not in self.data:
            return None
        self.data[data, index] += by
        return self.data[data, index]

    def set(self, data: str, value: int, index: int = 0) -> None:
        if (data, index) in self.data:
            self.data[data, index] = value

    def clear(self, data: str, index: int = 0) -> int | None:
        before = self.data.get((data, index))
        if before is not None:
            self.data[data, index] = 0
        return before


class FakeTable:
    def __init__(self, *entries: FakeEntry, stores: Sequence[str] = ()) -> None:
        self.entries: dict[Typed, FakeEntry] = {entry.key: entry for entry in entries}
        self.stores = stores
        self.used = len(self.entries)
        self.available = 100 - self.used

    def lookup(self, key: Typed) -> StickEntry | None:
        return self.entries.get(key)

    def enter(self, key: Typed) -> StickEntry | None:
        return self.entries.setdefault(key, FakeEntry(key, **dict.fromkeys(self.stores, 0)))

    def begin(self, key: Typed, *, asked: bool) -> StickEntry | None:
        return self.enter(key)


class FakeWorld(AbsentWorld):
    """Numbers by name where a test sets them, zero elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.bits = 0
        self.offset = 0
        self.tables: dict[str, FakeTable] = {}
        self.proxies: dict[str, model.Proxy] = {}
        self.counts: dict[tuple[str, ...], int] = {}
        self.up: set[tuple[str, str]] = set()
        self.local: set[bytes] = set()

    def date(self) -> float:
        return self.now

    def random_bits(self, count: int) -> int:
        return self.bits & (1 << count) - 1

    def gmt_offset(self, date: float) -> int:
        return self.offset

    def is_local(self, address: bytes) -> bool:
        return address in self.local

    def stick_table(self, name: str) -> StickTable | None:
        return self.tables.get(name)

    def config_proxy(self, name: str, *, backend: bool) -> model.Proxy | None:
        found = self.proxies.get(name)
        return found if found is not None and (found.backend if backend else found.frontend) else None

    def frontend_connections(self, name: str) -> int:
        return self.counts.get(("fe_conn", name), 0)

    def frontend_request_rate(self, name: str) -> int:
        return self.counts.get(("fe_req_rate", name), 0)

    def frontend_session_rate(self, name: str) -> int:
        return self.counts.get(("fe_sess_rate", name), 0)

    def bind_connections(self, bind: model.Bind) -> int:
        return self.counts.get(("bind", bind.name), 0)

    def backend_connections(self, name: str) -> int:
        return self.counts.get(("be_conn", name), 0)

    def backend_session_rate(self, name: str) -> int:
        return self.counts.get(("be_sess_rate", name), 0)

    def backend_queue(self, name: str) -> int:
        return self.counts.get(("queue", name), 0)

    def usable_servers(self, backend: str) -> int:
        return sum(name == backend for name, _ in self.up)

    def server_connections(self, backend: str, server: str) -> int:
        return self.counts.get(("srv_conn", backend, server), 0)

    def server_session_rate(self, backend: str, server: str) -> int:
        return self.counts.get(("srv_sess_rate", backend, server), 0)

    def server_queue(self, backend: str, server: str) -> int:
        return self.counts.get(("srv_queue", backend, server), 0)

    def server_is_up(self, backend: str, server: str) -> bool:
        return (backend, server) in self.up

    def server_weight(self, backend: str, server: str) -> int:
        return self.counts.get(("weight", backend, server), 0)

    def server_user_weight(self, backend: str, server: str) -> int:
        return self.counts.get(("uweight", backend, server), 0)


class FakeSession(AbsentSession):
    pass


class FakeExchange(AbsentExchange):
    """Facts as attributes; what a test does not set is absent."""

    def __init__(self, **facts: Any) -> None:
        self.fake_session = FakeSession()
        self.fake_world = FakeWorld()
        super().__init__(self.fake_session, self.fake_world)
        self.entries: dict[int, FakeEntry] = {}
        self.timeouts: dict[str, float] = {}
        for name, value in facts.items():
            setattr(self, name, value)

    def tracked(self, index: int) -> StickEntry | None:
        return self.entries.get(index)

    def timeout(self, name: str) -> float | None:
        return self.timeouts.get(name)

    @property
    def request_date(self) -> float:
        return self.session.accept_date + self.request_after

    request_after: float = 0.0  # seconds from accept to the request's first byte

    def with_session(self, **facts: Any) -> FakeExchange:
        for name, value in facts.items():
            setattr(self.fake_session, name, value)
        return self

    def with_world(self, **facts: Any) -> FakeExchange:
        for name, value in facts.items():
            setattr(self.fake_world, name, value)
        return self


def facts(**given: Any) -> FakeExchange:
    return FakeExchange(**given)


def _it_answers(exchange: FakeExchange) -> Facts:
    return exchange


def set_variables(exchange: FakeExchange, **variables: Any) -> FakeExchange:
    """Variables of scope txn; bytes become strings."""
    for name, value in variables.items():
        if isinstance(value, Typed):
            exchange.txn_variables[name] = value
        elif isinstance(value, bool):
            exchange.txn_variables[name] = Typed(SampleType.BOOL, value)
        elif isinstance(value, int):
            exchange.txn_variables[name] = Typed(SampleType.INT, value)
        else:
            exchange.txn_variables[name] = Typed(SampleType.STR, value)
    return exchange


def environment(where: Where = Where.REQUEST, **given: Any) -> CompileEnvironment:
    return CompileEnvironment(where=where, **given)


def reader(**files: bytes | str) -> Any:
    """A read_file over a dict: reader(hosts=b"…") reads "hosts"."""

    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        contents = files[path]
        return contents.encode() if isinstance(contents, str) else contents

    return read


def sample(text: str, exchange: FakeExchange, where: Where = Where.REQUEST, **given: Any) -> Any:
    """An expression's value."""
    return compile_expression(text, environment(where, **given)).get(exchange)


def samples(text: str, exchange: FakeExchange, where: Where = Where.REQUEST, **given: Any) -> list[Any]:
    """All occurrences, as an ACL tries them."""
    return list(compile_expression(text, environment(where, **given)).each(exchange))


def text_of_expression(text: str, exchange: FakeExchange | None = None) -> bytes | None:
    """An expression's sample as text. Without an exchange of its own: a request, and some variables."""
    if exchange is None:
        exchange = set_variables(facts(request=request()), v=b"vv", i=5, b=False, key=b"a2V5")
        exchange.txn_variables["ip"] = Typed(SampleType.IPV4, b"\x7f\0\0\1")
        exchange.txn_variables["bin"] = Typed(SampleType.BIN, b"\x0a\xff")
    return compile_expression(text, environment()).text_getter(exchange)
