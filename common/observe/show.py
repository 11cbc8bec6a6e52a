"""What `show servers state`, `show servers conn`, `show backend` and `show reasons` print. Sans-io.

Source: HAProxy management guide 9.3; the line of `show servers conn` observed from 2.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from common.model import AddressKind, Config, Proxy, Server
from common.observe import fields as f
from common.observe.counters import Counters
from common.observe.rates import Rates
from common.observe.reasons import describe
from common.observe.state_setup import is_service
from common.observe.states import ServerState, read_server
from common.observe.stats import proxy_id, server_id

STATE_VERSION: Final = 1
_STATE_FIELDS: Final = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change "
    "srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn "
    "srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
)
_CONN_FIELDS: Final = (
    "bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb idle_lim idle_cur idle_per_thr"
)
NO_BACKEND: Final = "Can't find backend.\n"


def backends(config: Config) -> str:
    return "# name\n" + "".join(f"{proxy.name}\n" for proxy in config.proxies if proxy.backend)


def servers_state(config: Config, counters: Counters, now: float, backend: str = "") -> str:
    """Also the format of `server-state-file`. backend: a name or #id, "" for all."""
    chosen = list(_servers(config, backend))
    if backend and not _known(config, backend):
        return NO_BACKEND
    lines = [str(STATE_VERSION), "# " + _STATE_FIELDS]
    for position, number in chosen:
        proxy = config.proxies[position]
        state = read_server(counters.state(counters.layout.servers[position][number]), now)
        lines.append(_state_line(proxy, proxy_id(config, position), proxy.servers[number], number, state))
    return "\n".join(lines) + "\n"


def servers_connections(config: Config, counters: Counters, now: float, backend: str = "") -> str:
    if backend and not _known(config, backend):
        return NO_BACKEND
    rates, processes = Rates(counters, now), range(counters.layout.processes)
    lines = [f"# {_CONN_FIELDS}[{counters.layout.processes}]"]
    for position, number in _servers(config, backend):
        proxy = config.proxies[position]
        server, index = proxy.servers[number], counters.layout.servers[position][number]
        state = read_server(counters.state(index), now)
        words = counters.total(index)
        unsafe, safe = words[f.IDLE_CONN_CUR], words[f.SAFE_CONN_CUR]
        own = [counters.of_process(process, index) for process in processes]
        idle = " ".join(str(block[f.IDLE_CONN_CUR] + block[f.SAFE_CONN_CUR]) for block in own)
        need = rates.needed_connections(index)
        lines.append(
            f"{proxy.name}/{server.name} {proxy_id(config, position)}/{server_id(server, number)} {_host(server, state)} {state.port} - "
            f"{round(server.pool_purge_delay * 1000)} {words[f.USED_CONN_CUR]} {need} {need} {unsafe} {safe} {server.pool_max_conn} "
            f"{unsafe + safe} {idle}"
        )
    return "\n".join(lines) + "\n"


def reasons(counters: Counters, word: str = "") -> str:
    """`show reasons`: the page of one, or how often each happened."""
    if word:
        return describe(word) or f"Unknown reason '{word}'; `show reasons` lists those that happened.\n"
    layout = counters.layout
    sums = [sum(column) for column in zip(*map(counters.total_reasons, range(len(layout.frontends))), strict=True)]
    counted = [(count, slug) for slug, count in zip(layout.reasons, sums, strict=False) if count]
    return "# count reason\n" + "".join(f"{count} {slug}\n" for count, slug in sorted(counted, reverse=True))


def _state_line(proxy: Proxy, backend_id: int, server: Server, number: int, state: ServerState) -> str:
    options = server.options
    words = (
        *(backend_id, proxy.name, server_id(server, number), server.name, _host(server, state), state.operational, state.admin),
        *(state.user_weight, state.initial_weight, state.changed_s),
        *(state.check_status.number, state.check_result, state.check_health, state.check_state, state.agent_state),
        *(0, 0, state.fqdn or "-", state.port, server.address.host if is_service(server) else "-", int(server.tls is not None)),
        *(options.get("port", ("0",))[0], options.get("addr", ("-",))[0]),
        *(options.get("agent-addr", ("-",))[0], options.get("agent-port", ("0",))[0]),
    )
    return " ".join(map(str, words))


def _host(server: Server, state: ServerState) -> str:
    if server.address.kind in (AddressKind.INET, AddressKind.INET6):
        return state.address or "-"
    return "-"


def _servers(config: Config, backend: str) -> Iterator[tuple[int, int]]:
    for position, proxy in enumerate(config.proxies):
        if proxy.backend and not proxy.disabled and (not backend or _is(config, position, backend)):
            yield from ((position, number) for number in range(len(proxy.servers)))


def _known(config: Config, backend: str) -> bool:
    return any(proxy.backend and _is(config, position, backend) for position, proxy in enumerate(config.proxies))


def _is(config: Config, position: int, name: str) -> bool:
    number = proxy_id(config, position)
    return name in (config.proxies[position].name, str(number), f"#{number}")
