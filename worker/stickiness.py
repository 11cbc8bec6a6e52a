"""Which server a client must go to, before any algorithm is asked; and what is left with the client so that it finds back.

One `Stickiness` for each backend that has a `cookie`, a `persist rdp-cookie` or `stick` rules; others have none and pay nothing.
The order is the manual's: `use-server`, then cookies, then the RDP cookie, then `stick` rules; what none of them says is the
algorithm's. A server that is down serves all the same where `option persist` or `force-persist` says so.

Source: HAProxy manual 4.2 "cookie", "persist rdp-cookie", "force-persist", "ignore-persist", "use-server", "stick on"; 8.5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import TYPE_CHECKING
from zlib import crc32

from common.acl.environment import CompileEnvironment, Where
from common.acl.expressions import compile_expression
from common.acl.types import Typed
from common.acl.xxhash import xxh64
from common.model import AddressKind, last_word
from common.tables.samples import SampleTable
from worker.http.editor import RequestEditor
from worker.http.message import Request
from worker.persistence.answered import Set, due, inserted, treat
from worker.persistence.cacheable import is_cacheable
from worker.persistence.jar import Jar, Offer, Reading
from worker.persistence.presented import Shown, choose
from worker.persistence.settings import CookieSettings, Mode, read_settings

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.exchange import Exchange
    from worker.server import Server


STORES_MAX = 8
HIDDEN_MAX = 1024  # heads without our cookies that are remembered


class Stuck:
    """What is known of one exchange. direct: something chose the server before the algorithm. offer: the client's cookie.
    stores: keys under which tables are to remember the server."""

    __slots__ = ("direct", "ignored", "offer", "offers", "shown", "stores")

    def __init__(self) -> None:
        self.direct = False
        self.offers: list[Offer] = []
        self.stores: list[tuple[SampleTable, Typed]] = []
        self.ignored = False
        self.offer: Offer | None = None
        self.shown = Shown.NONE


class Stickiness:
    """See the module."""

    __slots__ = ("_address_of_rdp", "_by_mark", "_hidden", "_jar", "_key", "_rules", "_settings", "backend", "forces")

    def __init__(self, backend: Backend, settings: CookieSettings | None) -> None:
        proxy = backend.model
        self.backend = backend
        self.forces = "persist" in proxy.options
        self._rules = backend.rules
        self._settings = settings
        self._jar = Jar(settings, b"%04x" % (crc32(proxy.name.encode()) & 0xFFFF)) if settings is not None else None
        key = last_word(proxy.extra, "dynamic-cookie-key")
        self._key = key.encode() if key and settings is not None and settings.dynamic else None
        self._by_mark: dict[bytes, list[Server]] | None = None
        self._hidden: dict[Request, tuple[bytes | None, RequestEditor]] = {}
        self._address_of_rdp = _rdp_getter(backend)

    @staticmethod
    def of(backend: Backend) -> Stickiness | None:
        """None where nothing of the kind is configured."""
        settings = read_settings(backend.model.cookie) if backend.is_http else None
        if settings is None and not backend.rules.stick and "persist rdp-cookie" not in backend.model.extra:
            return None
        return Stickiness(backend, settings)

    @property
    def watches_responses(self) -> bool:
        return self._settings is not None or any(rule.stores for rule in self._rules.stick)

    @property
    def is_logged(self) -> bool:
        return self._settings is not None and self._settings.is_logged

    def servers_changed(self) -> None:
        """A server came, went or moved."""
        self._by_mark = None

    # --- the request ---------------------------------------------------------------------------------------------

    def choose(self, exchange: Exchange, named: Server | None, excluded: Collection[int]) -> Server | None:
        """The server that this exchange must go to; None leaves it to the algorithm. named: what `use-server` says."""
        stuck = exchange.stuck
        if excluded:
            # It was tried, and failed.
            if stuck is not None:
                stuck.direct = False
                if stuck.shown is Shown.VALID:
                    stuck.shown = Shown.DOWN
                self._tell(exchange, stuck, b"N")
            return None
        if stuck is None:
            stuck = exchange.stuck = Stuck()
        stuck.ignored = bool(self._rules.ignore_persist) and self._rules.ignores_persistence(exchange)
        server = named
        if self._jar is not None:
            server = self._by_cookie(exchange, stuck, self._jar, named)
        if server is None and self._address_of_rdp is not None and not stuck.ignored:
            server = self._by_rdp_cookie(exchange)
        if self._rules.stick:
            server = self._by_table(exchange, stuck, server)
        stuck.direct = server is not None
        return server

    def _by_cookie(self, exchange: Exchange, stuck: Stuck, jar: Jar, named: Server | None) -> Server | None:
        request = exchange.request
        lines = request.values(b"cookie") if request is not None else ()
        readings = [reading for line in lines if (reading := jar.read(line)) is not None]
        server = named
        offers = stuck.offers  # of an earlier choice: the server that was chosen went down while the client waited for it
        if readings or offers:
            if not offers:
                offers = stuck.offers = [offer for reading in readings for offer in reading.offers]
            if named is not None or stuck.ignored:
                stuck.shown = Shown.UNUSED if offers else Shown.NONE
            else:
                marks = self._by_mark
                if marks is None:
                    marks = self._by_mark = self._marked()
                world = self.backend.world
                found = choose(
                    jar.settings,
                    offers,
                    lambda mark: marks.get(mark, ()),
                    lambda one: one.alive,
                    world.wall(world.pump.now),
                    forced=lambda: self._is_forced(exchange),
                )
                stuck.shown, server, stuck.offer = found
            self._hide(exchange, readings, stuck)
        self._tell(exchange, stuck, b"N")
        return server

    def _by_rdp_cookie(self, exchange: Exchange) -> Server | None:
        assert self._address_of_rdp is not None
        place = self._address_of_rdp(exchange)
        if place is None:
            return None
        for server in self.backend.servers:
            if server.packed_place() == place and (server.alive or self._is_forced(exchange)):
                return server
        return None

    def _by_table(self, exchange: Exchange, stuck: Stuck, chosen: Server | None) -> Server | None:
        """The server that a table names, unless one is chosen; and under which keys tables shall remember the one that serves."""
        server = chosen
        for rule in self._rules.stick:
            matches = rule.matches and server is None and not stuck.ignored
            stores = rule.stores and not rule.in_response
            if not (matches or stores) or not rule.applies(exchange):
                continue
            table = self.backend.world.stick_table(rule.table)
            key = rule.key(exchange)
            if table is None or key is None:
                continue
            if matches:
                server = self._remembered(exchange, table, key)
            if stores:
                _store(stuck, table, key)
        return server

    def _remembered(self, exchange: Exchange, table: SampleTable, key: Typed) -> Server | None:
        entry = table.match(key)
        if entry is None:
            return None
        name, number = entry.text("server_key"), entry.get("server_id")
        by_address = table.table.definition.by_address
        server = next((one for one in self.backend.servers if name and self._key_of(one, by_address) == name.decode()), None)
        if server is None:
            server = next((one for one in self.backend.servers if one.model.id == number), None)
        return server if server is not None and (server.alive or self._is_forced(exchange)) else None

    def _key_of(self, server: Server, by_address: bool) -> str:
        """How tables name a server (`srvkey`)."""
        place = server.packed_place() if by_address else None
        return f"{ip_address(place[0])}:{place[1]}" if place is not None else server.model.name

    def _is_forced(self, exchange: Exchange) -> bool:
        return self.forces or self._rules.forces_persistence(exchange)

    def _hide(self, exchange: Exchange, readings: list[Reading], stuck: Stuck) -> None:
        """The server gets its cookies without what is ours in them. Doing it once more changes nothing."""
        request = exchange.request
        assert request is not None
        chosen = stuck.offer.server if stuck.offer is not None else None
        jar = self._jar
        assert jar is not None
        if all(reading.forwarded(chosen) is reading.line for reading in readings):
            return
        head = exchange.head
        if exchange.request_editor is None and head is not None:
            # Heads come again and again, and after this nothing changes a request any more: one editor serves all who send this head.
            known = self._hidden.get(head)
            if known is not None and known[0] == chosen:
                exchange.request_editor = known[1]
                return

        def forwarded(line: bytes) -> bytes:
            reading = jar.read(line)
            return line if reading is None else reading.forwarded(chosen)

        fresh = exchange.request_editor is None
        editor = exchange.edit_request()
        editor.map_header(b"cookie", forwarded)
        if fresh and head is not None:
            if len(self._hidden) >= HIDDEN_MAX:
                self._hidden.clear()
            self._hidden[head] = (chosen, editor)

    # --- the response --------------------------------------------------------------------------------------------

    def connected(self, exchange: Exchange) -> None:
        """Mode tcp: a server has taken the connection. What it answers is not asked, but for `stick store-response`."""
        self._remember(exchange)

    def responded(self, exchange: Exchange) -> None:
        """A response is here, and no rule has seen it yet: tables remember who serves."""
        stuck = exchange.stuck
        if stuck is None or not self._rules.stick:
            return
        for rule in self._rules.stick:
            if rule.in_response and rule.applies(exchange):
                table, key = self.backend.world.stick_table(rule.table), rule.key(exchange)
                if table is not None and key is not None:
                    _store(stuck, table, key)
        self._remember(exchange)

    def _remember(self, exchange: Exchange) -> None:
        server, stuck = exchange.leased, exchange.stuck
        if server is None or stuck is None or not stuck.stores:
            return
        stores, stuck.stores = stuck.stores, []
        if "non-stick" in server.model.options:
            return
        for table, key in stores:
            entry = table.enter(key)
            if entry is not None:
                entry.set_server(server.model.id, self._key_of(server, table.table.definition.by_address))

    def answered(self, exchange: Exchange) -> None:
        """The response's cookies: the server's as the mode says, and ours where one is due."""
        jar, server, stuck, response = self._jar, exchange.leased, exchange.stuck, exchange.response
        if jar is None or server is None or stuck is None or stuck.ignored or response is None:
            return
        settings = jar.settings
        told, found = Set.NONE, False
        mark = self._mark_of(server)
        values = response.values(b"set-cookie")
        if not values and stuck.direct and not settings.dates and (stuck.offer is None or not (stuck.offer.last or stuck.offer.first)):
            return  # the usual case: the client is where its cookie says
        if values:
            led_here = stuck.direct and stuck.shown is Shown.VALID
            found, told, fields = treat(jar, values, mark, led_here=led_here)
            if fields is not None:
                rest = iter(fields)
                editor = exchange.edit_response()
                editor.del_header(b"set-cookie")
                for field in rest:
                    editor.add_header(b"set-cookie", field)
        if settings.mode is Mode.INSERT:
            world = self.backend.world
            now = world.wall(world.pump.now)
            method = exchange.head.method if exchange.head is not None else b""
            need = due(settings, stuck.offer, now, led_here=stuck.direct, method=method, found=found)
            if need is not Set.NONE:
                told = need
                editor = exchange.edit_response()
                editor.add_header(b"set-cookie", inserted(settings, mark, stuck.offer, now))
                if settings.nocache and is_cacheable(method, response):
                    editor.add_header(b"cache-control", b"private")
        self._tell(exchange, stuck, told.value)

    def _tell(self, exchange: Exchange, stuck: Stuck, told: bytes) -> None:
        if self.is_logged:
            exchange.note_persistence(stuck.shown.value + told)

    # --- servers by their cookies --------------------------------------------------------------------------------

    def _marked(self) -> dict[bytes, list[Server]]:
        marked: dict[bytes, list[Server]] = {}
        for server in self.backend.servers:
            mark = self._mark_of(server)
            if mark:
                marked.setdefault(mark, []).append(server)
        return marked

    def _mark_of(self, server: Server) -> bytes | None:
        """The server's `cookie`; with `dynamic`, made from its address where it has none; with `rename`, its id."""
        if server.model.cookie is not None:
            return server.model.cookie.encode()
        settings = self._settings
        if settings is not None and settings.mode is Mode.RENAME:
            return b"%d" % server.model.id
        if self._key is None:
            return None
        place = server.packed_place()
        if place is None:
            return None
        address, port = place
        return b"%016x" % xxh64(self._key + address + port.to_bytes(4, "big"), 0)


def _store(stuck: Stuck, table: SampleTable, key: Typed) -> None:
    """One key per table, of so many tables at most (manual 4.2 "stick store-request")."""
    if len(stuck.stores) < STORES_MAX and all(known is not table for known, _ in stuck.stores):
        stuck.stores.append((table, key))


def _rdp_getter(backend: Backend) -> Callable[[Exchange], tuple[bytes, int] | None] | None:
    """The server's address and port as the RDP cookie says them: "3640205228.15629.0000", both numbers in the order of the wire."""
    lines = backend.model.extra.get("persist rdp-cookie")
    if not lines:
        return None
    environment = CompileEnvironment(proxy=backend.model, config=backend.world.config).at(Where.REQUEST_CONTENT)
    get = compile_expression(f"req.rdp_cookie({lines[-1][0]})", environment).text_getter

    def place(exchange: Exchange) -> tuple[bytes, int] | None:
        words = (get(exchange) or b"").split(b".")
        if len(words) < 3 or not (words[0].isdigit() and words[1].isdigit()):
            return None
        address, port = int(words[0]), int(words[1])
        if address >= 1 << 32 or port >= 1 << 16:
            return None
        return address.to_bytes(4, "little"), int.from_bytes(port.to_bytes(2, "little"), "big")

    return place


def packed_place(kind: AddressKind, host: str, port: int) -> tuple[bytes, int] | None:
    """Address and port of a server that has numeric ones."""
    if kind not in (AddressKind.INET, AddressKind.INET6):
        return None
    try:
        return ip_address(host).packed, port
    except ValueError:
        return None
