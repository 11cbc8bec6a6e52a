"""`show sess`, `shutdown session` and `shutdown sessions server` in a dispatcher.

It knows the connections that it relays, those that nobody takes, and those whose worker hangs; all others are the workers' to tell of.

Source: HAProxy management guide 9.3.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from math import inf

from common.model import Bind
from common.observe import sessions
from common.observe.sessions import Closed, Row, Timer, make_id
from common.process.commands import Asked
from common.process.descriptors import show_descriptors
from common.wire.proxy_header import Family
from common.wire.proxy_protocol import decode
from dispatcher.commands import COMMANDS
from dispatcher.introduction import address_text
from dispatcher.policy.slot import State
from dispatcher.relay import RelaySession
from dispatcher.workers import Client, Farm
from dispatcher.world import World


@COMMANDS.answers("show fd")
def show_fd(asked: Asked[World]) -> str:
    return show_descriptors(asked.word(2), {})


@COMMANDS.answers("show sess")
def show_sess(asked: Asked[World]) -> str:
    now = time.monotonic()
    return sessions.show(_rows(asked.world, now), _closed(asked.world, now), asked.words[2:])


@COMMANDS.answers("shutdown session")
def shutdown_session(asked: Asked[World]) -> str:
    if not asked.word(2):
        return sessions.SESSION_EXPECTED
    world, wanted = asked.world, sessions.parse_id(asked.word(2))
    for relay in world.relays:
        for session in list(relay.sessions):
            if _id(world, session) == wanted and session.strand is not None:
                world.pump.end(session.strand)
                return ""
    for farm in world.farms:
        for client, _place in _untaken(farm):
            if _id(world, client) == wanted:
                farm.shut_down(client)
                return ""
    return sessions.NO_SUCH_SESSION


@COMMANDS.answers("shutdown sessions server")
def shutdown_sessions_server(asked: Asked[World]) -> str:
    name, slash, server = asked.word(3).partition("/")
    if not slash:
        return sessions.SERVER_EXPECTED
    for relay in asked.world.relays:
        if relay.model.name == name and any(target.model.name == server for target in relay.targets):
            for session in list(relay.sessions):
                if session.server is not None and session.server.model.name == server and session.strand is not None:
                    asked.world.pump.end(session.strand)
            return ""
    return sessions.NO_SUCH_SERVER


def _id(world: World, living: object) -> int:
    return make_id(world.process_id, id(living) >> 4)


def _rows(world: World, now: float) -> Iterator[Row]:
    for relay in world.relays:
        for session in list(relay.sessions):
            yield _relayed(world, session, now)
    for farm in world.farms:
        for client, place in _untaken(farm, hung_only=True):
            yield _waiting(world, farm, client, place, now)


def _closed(world: World, now: float) -> Iterator[Closed]:
    for one in world.recent:
        yield Closed(now - one.ended_at, _relayed(world, one, now), one.termination.decode(), "")


def _relayed(world: World, session: RelaySession, now: float) -> Row:
    server = session.server
    flows = session.flows
    ended = session.ended_at < inf
    bytes_in, bytes_out = (flows[0].moved, flows[1].moved) if flows is not None else (session.bytes_in, session.bytes_out)
    return Row(
        id=_id(world, session),
        process=_process(world),
        protocol=_protocol(session.src),
        source=_address(session.src, session.src_port),
        frontend=session.proxy.model.name,
        listener=_listener_name(session.bind),
        phase=_phase(session),
        age_s=(session.ended_at if ended else now) - session.accepted_at,
        accepted=sessions.date(datetime.fromtimestamp(world.wall(session.accepted_at))),
        destination=_address(session.dst, session.dst_port),
        backend=session.proxy.model.name if server is not None or session.connected_at is not None else "",
        server=server.model.name if server is not None else "",
        server_address=str(server.model.address) if server is not None else "",
        retries=session.retries,
        timer=("", inf) if ended else _timer(session, now),
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        client_fd=session.client.fd,
        server_fd=flows[0].target.fd if flows is not None else -1,
    )


def _phase(session: RelaySession) -> str:
    if session.connected_at is not None:
        return "tunnel"
    if session.server is not None:
        return "connect"
    return "queue" if session.introduced else "proxy header"


def _timer(session: RelaySession, now: float) -> Timer:
    proxy, strand, flows = session.proxy, session.strand, session.flows
    if flows is not None:
        up, down = flows
        left_s = up.expires_at - now
        if up.done != down.done:
            side, fin_s = ("server", proxy.server_fin_s) if up.done else ("client", proxy.client_fin_s)
            return f"{side}-fin" if fin_s < inf else side, left_s
        if proxy.tunnel_s < inf:
            return "tunnel", left_s
        return "client" if proxy.client_s <= proxy.server_s else "server", left_s
    if strand is None or strand.deadline == inf:
        return "", inf
    name = {"connect": "connect", "queue": "queue"}.get(_phase(session), "client-hs" if proxy.model.timeouts.client_hs else "client")
    return name, strand.deadline - now


def _untaken(farm: Farm, *, hung_only: bool = False) -> Iterator[tuple[Client, str]]:
    """Clients that no worker has taken, and where they wait; "": nobody has them. hung_only: not those whose worker can tell of them."""
    for slot in farm.slots.slots:
        if hung_only and slot.state is not State.HUNG:
            continue
        for number in list(slot.waiting):
            yield farm.waiting[number], farm.seats[slot.index].where
    for client in list(farm.held):
        yield client, ""


def _waiting(world: World, farm: Farm, client: Client, place: str, now: float) -> Row:
    bind = world.binds[farm.bind_of(client)]
    decoded = decode(client.header)
    assert decoded is not None
    header, _size = decoded
    is_inet = header.family in (Family.INET, Family.INET6)
    explicit = farm.servers is not None
    return Row(
        id=_id(world, client),
        process=_process(world),
        protocol={Family.INET: "tcpv4", Family.INET6: "tcpv6"}.get(header.family, "unix_stream"),
        source=_address(header.source_packed, header.source_port) if is_inet else "unix:",
        frontend=farm.name if explicit else world.frontend_of(bind),
        listener=_listener_name(bind),
        phase="waiting" if place else "held",
        age_s=now - client.since,
        accepted=sessions.date(datetime.fromtimestamp(world.wall(client.since))),
        destination=_address(header.destination_packed, header.destination_port) if is_inet else "",
        backend=farm.name if explicit else "",
        server=place.replace(" ", "") if not explicit else place.rpartition("/")[2],
        timer=("queue", farm.queue_s - (now - client.held_at)) if not place and farm.queue_s < inf else ("", inf),
        client_fd=client.fd,
    )


def _process(world: World) -> str:
    return f"dispatcher{world.launch.number}"


def _listener_name(bind: Bind) -> str:
    return bind.name or str(bind.address)


def _protocol(address: bytes) -> str:
    return {4: "tcpv4", 16: "tcpv6"}.get(len(address), "unix_stream")


def _address(address: bytes, port: int) -> str:
    return address_text(address, port) if address else "unix:"
