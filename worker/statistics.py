"""The statistics page and the metrics, served by a worker from the shared counters.

Every worker sees the counters of all processes, so whichever serves the page shows the whole service. A page over thousands of
servers takes its time to make: it is made and sent in pieces, and everybody else has a turn between two of them.

Orders (the page's forms) are given to the master. HAProxy's forms and scripts send `s`, `action` and `b`; a form of another
site that a browser is made to send is refused by what browsers say of where it comes from, and by the token in our own forms.

Source: HAProxy manual 4.2 "stats …", "http-request use-service"; answers, order and log lines observed from 2.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from common.observe import fields as f
from common.observe import info, page, page_assets, prometheus, stat_formats
from common.observe.page_request import PageRequest, is_foreign, outcome_of, parse_order, parse_target, return_address, token_for
from common.observe.stats import Row, Selection, Statistics
from common.process.facts import facts_from_heartbeats
from worker.http.answers import Answer
from worker.http.buffered import body_so_far
from worker.http.chunked import LAST_CHUNK, encode_chunk
from worker.http.framing import NO_BODY
from worker.inspection import wait_for_body
from worker.route.evaluate import evaluate
from worker.route.page import StatisticsPage, path_of
from worker.route.verdicts import ALLOW, Verdict

if TYPE_CHECKING:
    from common.acl.facts import RequestFacts
    from worker.exchange import Exchange
    from worker.world import World

ROWS_PER_TURN: Final = 8
SEND_BYTES: Final = 16384
_TYPES: Final = {"csv": b"text/plain", "typed": b"text/plain", "json": b"application/json", "json-schema": b"application/json"}


# --- the page ------------------------------------------------------------------------------------------------------------


async def serve_page(exchange: Exchange, found: StatisticsPage) -> Answer | Verdict:
    """The answer to a request for the page, or the verdict of a `stats http-request` rule. Raises Cut, OSError."""
    request = exchange.request
    assert request is not None and exchange.head is not None
    said = evaluate(found.access, exchange)
    if said is not None and said[1] is not ALLOW:
        return said[1]
    _note(exchange, "STATS", "statistics")
    asked = parse_target(path_of(request.target), found.settings.uri)
    if request.method == b"POST":
        return await _obey(exchange, found, asked)
    pieces = await _pieces(exchange, found, asked)
    fields = [(b"cache-control", b"no-cache"), (b"content-type", _TYPES.get(asked.format, b"text/html; charset=utf-8"))]
    if not asked.format:
        fields += page_assets.FIELDS
    if found.settings.refresh_s and asked.refresh and (asked.format or not request.values(b"sec-fetch-mode")):
        # The page of a browser renews itself, and keeps what is typed and ticked; anything else is told to come again.
        fields.append((b"refresh", b"%d" % found.settings.refresh_s))
    return _streamed(exchange, fields, pieces)


async def _pieces(exchange: Exchange, found: StatisticsPage, asked: PageRequest) -> Iterator[bytes]:
    world, settings = exchange.world, found.settings
    if asked.format == "json-schema":
        return iter((stat_formats.schema().encode(),))
    names = frozenset(
        proxy.name
        for proxy in world.config.proxies
        if (not settings.scope or proxy.name in settings.scope) and asked.scope.lower() in proxy.name.lower()
    )
    wanted = Selection(up_only=asked.up_only, no_maintenance=asked.no_maintenance, scope=names or frozenset("\0"))
    rows = await _rows(world, wanted)
    if asked.format:
        return _formatted(rows, asked.format)
    facts = facts_of(world)
    admin = found.is_admin(exchange)
    uri = return_address(settings.uri, asked)
    shown = page.Page(
        uri=uri,
        rows=rows,
        facts={item.name: item.value for item in facts},
        title=settings.node or (world.node.decode("utf-8", "replace") if settings.node == "" else ""),
        description=settings.description or (world.config.globals.description or "" if settings.description == "" else ""),
        version=str(next(item.value for item in facts if item.name == "Version")) if settings.shows_version else "",
        refresh_s=settings.refresh_s if asked.refresh else 0,
        admin=admin,
        token=token_for(world.counters, found.user(exchange)) if admin else "",
        legends=settings.legends,
        modules=settings.modules,
        outcome=asked.outcome,
        lines=_lines(world, rows),
    )
    return page.render(shown)


def _formatted(rows: list[Row], kind: str) -> Iterator[bytes]:
    if kind == "csv":
        yield stat_formats.csv(()).encode()
    separator = "["
    for row in rows:
        if kind == "csv":
            yield stat_formats.csv_line(row).encode("utf-8", "surrogateescape")
        elif kind == "typed":
            yield stat_formats.typed((row,)).encode("utf-8", "surrogateescape")
        else:
            yield (separator + stat_formats.json_text((row,)).strip()[1:-1]).encode("utf-8", "replace")
            separator = ","
    if kind == "json":
        yield b"]\n" if rows else b"[]\n"


def _lines(world: World, rows: Iterable[Row]) -> dict[tuple[str, int, int], list[int]]:
    """The last minutes of each row."""
    history, layout = world.history, world.counters.layout
    if history is None:
        return {}
    lines = {}
    for row in rows:
        if row.side == "F":
            number = layout.frontends[row.position]
        elif row.side == "B":
            number = layout.backends[row.position]
        elif row.side == "S":
            ids = [server.id for server in world.config.proxies[row.position].servers]
            if row.object_id not in ids:
                continue
            number = layout.servers[row.position][ids.index(row.object_id)]
        else:
            continue
        lines[row.side, row.position, row.object_id] = history.of(number)
    return lines


# --- orders --------------------------------------------------------------------------------------------------------------


async def _obey(exchange: Exchange, found: StatisticsPage, asked: PageRequest) -> Answer:
    """A form: the outcome is told by a redirect to the page, so that reloading it gives no order again."""
    request, head = exchange.request, exchange.head
    assert request is not None and head is not None
    outcome = "DENY"
    origin, site, host = (_field(request, name) for name in (b"origin", b"sec-fetch-site", b"host"))
    if found.is_admin(exchange) and not is_foreign(origin, site, host):
        outcome = await _carry_out(exchange, found)
    address = return_address(found.settings.uri, asked, outcome)
    fields = (
        (b"cache-control", b"no-cache"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"0"),
        (b"location", address.encode("utf-8", "surrogateescape")),
    )
    return Answer(303, b"See Other", fields)


async def _carry_out(exchange: Exchange, found: StatisticsPage) -> str:
    head, world = exchange.head, exchange.world
    assert head is not None
    if head.body is NO_BODY:
        return "NONE"
    if not await wait_for_body(exchange, world.pump.now + exchange.client_s, 0):
        return "ERRP"
    body, whole = body_so_far(head.body, exchange.client_buffer)
    if not whole:
        return "EXCD"
    order = parse_order(body, world.config, token_for(world.counters, found.user(exchange)))
    if order.outcome:
        return order.outcome
    return outcome_of(await world.orders.give(order.commands), order.unknown)


def _field(request: RequestFacts, name: bytes) -> str:
    values = request.values(name)
    return values[0].decode("ascii", "replace") if values else ""


# --- metrics -------------------------------------------------------------------------------------------------------------


async def serve_metrics(exchange: Exchange) -> Answer:
    """`use-service prometheus-exporter`."""
    world, request = exchange.world, exchange.request
    assert request is not None
    _note(exchange, "PROMEX", "metrics")
    query = prometheus.parse_query(request.target.partition(b"?")[2].decode("ascii", "replace"))
    if query is None:
        return exchange.error_answer(400)
    fields = [(b"cache-control", b"no-cache"), (b"content-type", prometheus.CONTENT_TYPE.encode())]
    rows = await _rows(world, Selection()) if query.scopes - {"global", "sticktable"} else []
    reasons = [(proxy.name, world.counters.total_reasons(place)) for place, proxy in enumerate(world.config.proxies)]
    facts = facts_of(world) if "global" in query.scopes else []
    return _streamed(exchange, fields, prometheus.exposition(prometheus.families(rows, facts, query, reasons)))


# --- both ----------------------------------------------------------------------------------------------------------------


def facts_of(world: World) -> list[stat_formats.Item]:
    """What `show info` says."""
    launch = world.launch
    facts = facts_from_heartbeats(world.config, world.counters, launch.master_pid, launch.started_at_s)
    return info.items(world.config, world.counters, facts, world.monotonic())


async def _rows(world: World, wanted: Selection) -> list[Row]:
    """All rows, and a turn for everybody else now and then."""
    rows = []
    world.tallies.publish()
    for row in Statistics(world.config, world.counters, world.monotonic()).rows(wanted):
        rows.append(row)
        if len(rows) % ROWS_PER_TURN == 0:
            await world.pump.pause()
    return rows


def _note(exchange: Exchange, name: str, slug: str) -> None:
    """How logs and counters tell of it."""
    now = exchange.world.pump.now
    exchange.applet_name = name
    exchange.termination = b"LR"
    exchange.slug = slug
    exchange.waiting_since = exchange.queued_at = exchange.connected_at = exchange.response_at = now
    for tally in (exchange.frontend.tally, exchange.routed.tally if exchange.routed is not None else None):
        if tally is not None:
            tally.words[f.INTERCEPTED] += 1
            tally.touch()


def _streamed(exchange: Exchange, fields: list[tuple[bytes, bytes]], pieces: Iterator[bytes]) -> Answer:
    head = exchange.head
    if head is not None and head.version >= 11:
        fields.append((b"transfer-encoding", b"chunked"))
    return Answer(200, b"OK", tuple(fields), pieces=pieces)


async def send_pieces(exchange: Exchange, pieces: Iterator[bytes], *, chunked: bool) -> int:
    """Send a body as it is made; its length. Raises DeadlinePassed, OSError."""
    pump, stream = exchange.world.pump, exchange.stream
    gathered: list[bytes] = []
    size = sent = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= SEND_BYTES:
            sent += await _send(exchange, gathered, chunked)
            gathered, size = [], 0
        await pump.pause()
    if size:
        sent += await _send(exchange, gathered, chunked)
    if chunked:
        await stream.send(LAST_CHUNK, pump.now + exchange.client_s)
        sent += len(LAST_CHUNK)
    return sent


async def _send(exchange: Exchange, gathered: list[bytes], chunked: bool) -> int:
    data = b"".join(gathered)
    if chunked:
        data = b"".join(encode_chunk(data))
    await exchange.stream.send(data, exchange.world.pump.now + exchange.client_s)
    return len(data)
