"""Fetches of frontends, backends and servers: names, counts, states, timeouts. Sans-io.

Source: HAProxy configuration manual 7.3.2, 7.3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from common import model
from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.facts_world import WorldFacts
from common.acl.table import FetchTable, Getter
from common.acl.types import SampleType
from common.errors import ExpressionError

TABLE = FetchTable()

_INTERNAL, _LAYER4 = "7.3.2", "7.3.3"


def _backend_name(environment: CompileEnvironment, name: str | None) -> Callable[[Facts], str | None]:
    """The named backend, or the current one: the exchange's, else the proxy whose rule this is."""
    if name is not None:
        return lambda facts: name
    proxy = environment.proxy
    own = proxy.name if proxy is not None and proxy.backend else None

    def current(facts: Facts) -> str | None:
        backend = facts.backend
        return own if backend is None else backend.name

    return current


def _frontend_name(name: str | None) -> Callable[[Facts], str | None]:
    if name is not None:
        return lambda facts: name

    def current(facts: Facts) -> str | None:
        frontend = facts.session.frontend
        return None if frontend is None else frontend.name

    return current


def _of_backend(name: str, doc: str, count: Callable[[WorldFacts, str], int]) -> None:
    @TABLE.row(name, SampleType.INT, Needs.NOTHING, _INTERNAL, doc, arguments="backend:backend", required=0)
    def make(environment: CompileEnvironment, backend: str | None) -> Getter:
        find = _backend_name(environment, backend)

        def get(facts: Facts) -> int | None:
            found = find(facts)
            return None if found is None else count(facts.world, found)

        return get


def _of_frontend(name: str, doc: str, count: Callable[[WorldFacts, str], int]) -> None:
    @TABLE.row(name, SampleType.INT, Needs.NOTHING, _INTERNAL, doc, arguments="frontend:frontend", required=0)
    def make(environment: CompileEnvironment, frontend: str | None) -> Getter:
        find = _frontend_name(frontend)

        def get(facts: Facts) -> int | None:
            found = find(facts)
            return None if found is None else count(facts.world, found)

        return get


def average_queue(world: WorldFacts, backend: str) -> int:
    """Queued requests per usable server, rounded up; twice the queue without any."""
    queued, servers = world.backend_queue(backend), world.usable_servers(backend)
    return -(-queued // servers) if servers else queued * 2


def _candidates(world: WorldFacts, backend: str) -> Iterator[model.Server]:
    """The servers that traffic would go to: active ones that are up, else backups that are up."""
    proxy = world.config_proxy(backend, backend=True)
    if proxy is None:
        return
    up = [server for server in proxy.servers if world.server_is_up(backend, server.name)]
    active = [server for server in up if not server.backup]
    yield from active or up


def free_connections(world: WorldFacts, backend: str) -> int:
    """Connections that the servers still take, queues aside; -1 if one has no limit."""
    total = 0
    for server in _candidates(world, backend):
        if not server.maxconn:
            return -1
        total += max(0, server.maxconn - world.server_connections(backend, server.name))
    return total


def connection_slots(world: WorldFacts, backend: str) -> int:
    """Connections and queue places that the servers still have; -1 if one has no limit."""
    total = 0
    for server in _candidates(world, backend):
        if not server.maxconn or not server.maxqueue:
            return -1
        total += max(0, server.maxconn - world.server_connections(backend, server.name))
        total += max(0, server.maxqueue - world.server_queue(backend, server.name))
    return total


_of_backend("avg_queue", "Queued requests of the backend per usable server.", average_queue)
_of_backend("be_conn", "Connections of the backend.", lambda world, name: world.backend_connections(name))
_of_backend("be_conn_free", "Connections that the backend's servers still take; -1 if one has no maxconn.", free_connections)
_of_backend("be_sess_rate", "New sessions per second of the backend.", lambda world, name: world.backend_session_rate(name))
_of_backend("connslots", "Connections and queue places left at the backend's servers; -1 if one has no limit.", connection_slots)
_of_backend("nbsrv", "Usable servers of the backend.", lambda world, name: world.usable_servers(name))
_of_backend("queue", "Queued requests of the backend, those of its servers included.", lambda world, name: world.backend_queue(name))
_of_frontend("fe_conn", "Connections of the frontend.", lambda world, name: world.frontend_connections(name))
_of_frontend("fe_req_rate", "HTTP requests per second of the frontend.", lambda world, name: world.frontend_request_rate(name))
_of_frontend("fe_sess_rate", "New sessions per second of the frontend.", lambda world, name: world.frontend_session_rate(name))


@TABLE.plain("act_conn", SampleType.INT, Needs.NOTHING, _INTERNAL, "Connections of the whole program.")
def active_connections(facts: Facts) -> int:
    return facts.world.connections


def _of_server(name: str, type: SampleType, doc: str, ask: Callable[[WorldFacts, str, str], int | bool | None]) -> None:
    @TABLE.row(name, type, Needs.NOTHING, _INTERNAL, doc, arguments="[backend/]server:server", required=1)
    def make(environment: CompileEnvironment, server: tuple[str | None, str]) -> Getter:
        backend, wanted = server
        if backend is None and environment.proxy is not None and not environment.proxy.backend:
            raise ExpressionError(f'{name}({wanted}): "{environment.proxy.name}" has no servers; write backend/{wanted}')
        find = _backend_name(environment, backend)

        def get(facts: Facts) -> int | bool | None:
            found = find(facts)
            return None if found is None else ask(facts.world, found, wanted)

        return get


def _configured(world: WorldFacts, backend: str, server: str) -> model.Server | None:
    proxy = world.config_proxy(backend, backend=True)
    return None if proxy is None else next((found for found in proxy.servers if found.name == server), None)


def _free_of_server(world: WorldFacts, backend: str, server: str) -> int | None:
    found = _configured(world, backend, server)
    if found is None:
        return None
    return max(0, found.maxconn - world.server_connections(backend, server)) if found.maxconn else -1


def _initial_weight(world: WorldFacts, backend: str, server: str) -> int | None:
    found = _configured(world, backend, server)
    return None if found is None else found.weight


_I, _B = SampleType.INT, SampleType.BOOL
_of_server("srv_conn", _I, "Connections of the server.", lambda world, backend, name: world.server_connections(backend, name))
_of_server("srv_conn_free", _I, "Connections that the server still takes; -1 without maxconn.", _free_of_server)
_of_server("srv_is_up", _B, "The server is up.", lambda world, backend, name: world.server_is_up(backend, name))
_of_server("srv_iweight", _I, "The server's weight in the configuration.", _initial_weight)
_of_server("srv_queue", _I, "Requests in the server's queue.", lambda world, backend, name: world.server_queue(backend, name))
_of_server(
    "srv_sess_rate", _I, "New sessions per second of the server.", lambda world, backend, name: world.server_session_rate(backend, name)
)
_of_server("srv_uweight", _I, "The server's weight as last set.", lambda world, backend, name: world.server_user_weight(backend, name))
_of_server("srv_weight", _I, "The server's weight in effect.", lambda world, backend, name: world.server_weight(backend, name))


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def proxy_id(proxy: model.Proxy) -> int:
    """The `id` keyword, or one counted from 1."""
    return proxy.id


def server_id(server: model.Server) -> int:
    """The `id` keyword, or one counted from 1."""
    return server.id


@TABLE.row("be_name", SampleType.STR, Needs.BACKEND, _LAYER4, "The current backend's name.")
def make_backend_name(environment: CompileEnvironment) -> Getter:
    find = _backend_name(environment, None)
    return lambda facts: _encoded(find(facts))


@TABLE.row("be_id", SampleType.INT, Needs.BACKEND, _LAYER4, "The current backend's id.")
def make_backend_id(environment: CompileEnvironment) -> Getter:
    own = environment.proxy if environment.proxy is not None and environment.proxy.backend else None

    def get(facts: Facts) -> int | None:
        backend = facts.backend or own
        return None if backend is None else proxy_id(backend)

    return get


@TABLE.plain("fe_name", SampleType.STR, Needs.LISTENER, _LAYER4, "The current frontend's name.")
def frontend_name(facts: Facts) -> bytes | None:
    frontend = facts.session.frontend
    return None if frontend is None else _encoded(frontend.name)


@TABLE.plain("fe_id", SampleType.INT, Needs.LISTENER, _LAYER4, "The current frontend's id.")
def frontend_id(facts: Facts) -> int | None:
    frontend = facts.session.frontend
    return None if frontend is None else proxy_id(frontend)


@TABLE.plain("fe_defbe", SampleType.STR, Needs.LISTENER, _LAYER4, "The current frontend's default backend.")
def default_backend(facts: Facts) -> bytes | None:
    frontend = facts.session.frontend
    return None if frontend is None else _encoded(frontend.default_backend)


@TABLE.plain("srv_name", SampleType.STR, Needs.SERVER, _LAYER4, "The server's name.")
def server_name(facts: Facts) -> bytes | None:
    server = facts.server
    return None if server is None else _encoded(server.name)


@TABLE.plain("srv_id", SampleType.INT, Needs.SERVER, _LAYER4, "The server's id.")
def make_server_id(facts: Facts) -> int | None:
    server = facts.server
    return None if server is None else server_id(server)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _add_timeouts() -> None:
    """be_…_timeout and fe_…_timeout: as configured. cur_…_timeout: as set-timeout left it."""
    for name in ("connect", "queue", "server", "tarpit", "tunnel"):
        TABLE.plain(
            f"be_{name}_timeout", SampleType.INT, Needs.BACKEND, _LAYER4, f"The backend's {name} timeout as configured, in ms."
        )(_configured_timeout(name))  # fmt: skip
        TABLE.plain(
            f"cur_{name}_timeout", SampleType.INT, Needs.CLIENT if name == "tarpit" else Needs.BACKEND, _LAYER4,
            f"The {name} timeout in force for this exchange, in ms.",
        )(_current_timeout(name))  # fmt: skip
    TABLE.plain("cur_client_timeout", SampleType.INT, Needs.LISTENER, _LAYER4, "The client timeout in force, in ms.")(
        _current_timeout("client")
    )
    for name in ("client", "tarpit"):
        TABLE.plain(
            f"fe_{name}_timeout", SampleType.INT, Needs.LISTENER, _LAYER4, f"The frontend's {name} timeout as configured, in ms."
        )(_frontend_timeout(name))  # fmt: skip


def _configured_timeout(name: str) -> Getter:
    def get(facts: Facts) -> int | None:
        backend = facts.backend
        return None if backend is None else _milliseconds(getattr(backend.timeouts, name))

    return get


def _frontend_timeout(name: str) -> Getter:
    def get(facts: Facts) -> int | None:
        frontend = facts.session.frontend
        return None if frontend is None else _milliseconds(getattr(frontend.timeouts, name))

    return get


def _current_timeout(name: str) -> Getter:
    return lambda facts: _milliseconds(facts.timeout(name))


_add_timeouts()


@TABLE.plain("be_max_retries", SampleType.INT, Needs.BACKEND, _LAYER4, "The backend's `retries`.")
def maximum_retries(facts: Facts) -> int | None:
    backend = facts.backend
    return None if backend is None else backend.retries


@TABLE.plain("cur_max_retries", SampleType.INT, Needs.BACKEND, _LAYER4, "The retries in force for this exchange, after set-retries.")
def current_retries(facts: Facts) -> int | None:
    return facts.retries_max


@TABLE.plain("bc_be_queue", SampleType.INT, Needs.SERVER_CONNECTION, _LAYER4, "Requests that were before this one in the backend's queue.")
def backend_queue_position(facts: Facts) -> int:
    return facts.backend_queue_position


@TABLE.plain("bc_srv_queue", SampleType.INT, Needs.SERVER_CONNECTION, _LAYER4, "Requests that were before this one in the server's queue.")
def server_queue_position(facts: Facts) -> int:
    return facts.server_queue_position
