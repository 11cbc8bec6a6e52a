"""Names of servers, asked again and again while the service runs: `resolvers` sections, in the master, once per host.

Each name that servers of one section share is one task, and one question at a time: the preferred family first, the other one when it
has no address. A service record gives names and ports to the servers of a template, and each of those names its address.

A name that fails takes its servers away only after `hold <status>`, counted from its last good answer. Addresses change in the shared
states, so every worker follows at once; a reload goes on with what was found.

Source: HAProxy configuration manual 5.3 "Server IP address resolution using DNS", 5.2 "resolvers", "resolve-opts", "resolve-prefer",
"resolve-net"; RFC 1035, RFC 2782. Log lines observed from 2.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from common.control.console import Console
from common.control.following import Following
from common.control.operator_plane import Plane
from common.health.names import Service, choose, matched, weight_of
from common.model import Address, AddressKind, Nameserver, Resolvers, Server
from common.net.sockaddr import is_numeric
from common.observe.server_notices import Place
from common.observe.state_setup import is_service
from common.observe.states import S_PORT, read_texts

RESOLV_CONF: Final = Path("/etc/resolv.conf")
CACHE: Final = "DNS cache"
_DNS_PORT: Final = 53
_PAYLOAD_LEAST: Final = 512
WHY: Final = {
    "nx": "DNS NX status",
    "refused": "DNS refused status",
    "timeout": "DNS timeout status",
    "other": "unspecified DNS error",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """status: "valid" or a word of WHY. found: addresses, or records of a service. by: who said so."""

    status: str
    found: tuple[str, ...] | tuple[Service, ...] = ()
    by: str = ""


class Resolving(Following):
    """One per master: a task for each name."""

    __slots__ = ("_console",)

    def __init__(self, plane: Plane, console: Console) -> None:
        super().__init__(plane)
        self._console = console

    def _start(self, nursery: trio.Nursery) -> None:
        for name in self._names():
            nursery.start_soon(self._keep, name)

    def _names(self) -> Iterator[_Name]:
        """Every name that is to be asked for, with its servers; those that operators gave included."""
        found: dict[tuple[str, str, AddressKind, str, bool], list[Place]] = {}
        config = self._plane.config
        for position, proxy in enumerate(config.proxies):
            for number, server in enumerate(proxy.servers):
                section = server.options.get("resolvers", ("",))[0]
                if proxy.disabled or section not in config.resolvers or is_numeric(server.address):
                    continue
                place = Place(position, number)
                *_, given = read_texts(self._plane.changes.block(place))
                host = server.address.host if is_service(server) else given or server.address.host
                prefer = server.options.get("resolve-prefer", ("ipv6",))[0]
                found.setdefault((section, host, server.address.kind, prefer, is_service(server)), []).append(place)
        for (section, host, _kind, prefer, service), places in found.items():
            yield _Name(self._plane, config.resolvers[section], host, prefer, places, service=service)

    async def _keep(self, name: _Name) -> None:
        """Ask, and ask again. A fault of ours is told and does not end the other names."""
        while True:
            started_s = trio.current_time()
            try:
                await name.once()
            except Exception as error:
                self._console.alert(f"name {name.host} cannot be resolved by a fault of ours: {error!r}")
            await trio.sleep_until(max(started_s + name.section.timeout_resolve, trio.current_time()))


@dataclass(slots=True)
class _Name:
    """One name and the servers that have it. valid_at_s: when it was last answered well, by name for those of a service."""

    plane: Plane
    section: Resolvers
    host: str
    prefer: str
    places: list[Place]
    service: bool
    valid_at_s: dict[str, float] = field(default_factory=dict)
    begun_at_s: float = field(default_factory=trio.current_time)  # what the generation before it had found counts as found then
    gone_at_s: dict[Place, float] = field(default_factory=dict)  # since when its entry is no more in the record

    async def once(self) -> None:
        if self.service:
            await self._record()
        else:
            self._settle(self.places, self.host, await self._addresses(self.host))

    # --- names ---------------------------------------------------------------------------------------------------------

    async def _addresses(self, host: str) -> Answer:
        """Of the preferred family, else of the other one."""
        first = Answer("other")
        for kind in ("A", "AAAA") if self.prefer == "ipv4" else ("AAAA", "A"):
            answer = await ask(self.section, host, kind)
            if answer.found:
                return answer
            first = answer if first.status == "other" else first
            if answer.status in ("nx", "timeout", "refused"):
                break
        return first if first.status != "valid" else Answer("nx")

    def _settle(self, places: list[Place], host: str, answer: Answer) -> None:
        """Give the servers of one name the addresses that were found."""
        now_s, plane = trio.current_time(), self.plane
        if answer.found:
            self.valid_at_s[host] = now_s
        elif now_s - self.valid_at_s.get(host, self.begun_at_s) < self.section.hold.get(answer.status, 0.0):
            return
        addresses = tuple(text for text in answer.found if isinstance(text, str))
        current = {place: read_texts(plane.changes.block(place))[2] for place in places}
        by = answer.by
        for place in sorted(places, key=lambda place: current[place] not in addresses):
            if not addresses:
                plane.notify(plane.changes.unresolved(place, WHY.get(answer.status, WHY["other"]), plane.now))
                continue
            server = plane.changes.server(place)
            taken = set() if self._may_share(server) else self._taken(place, current)
            chosen = choose(addresses, current[place], taken, server.options.get("resolve-net", ()))
            if not chosen:
                current[place] = ""
                plane.notify(plane.changes.unresolved(place, "No IP for server ", plane.now))
            else:
                current[place] = chosen
                plane.notify(plane.changes.resolved(place, chosen, by, plane.now))
                by = CACHE  # whoever shares the answer did not ask

    @staticmethod
    def _taken(place: Place, current: dict[Place, str]) -> set[str]:
        """Addresses that other servers of the same backend have."""
        return {address for other, address in current.items() if other != place and other.proxy == place.proxy}

    def _may_share(self, server: Server) -> bool:
        return "allow-dup-ip" in server.options.get("resolve-opts", ())

    # --- service records -------------------------------------------------------------------------------------------------

    async def _record(self) -> None:
        answer = await ask(self.section, self.host, "SRV")
        now_s, plane = trio.current_time(), self.plane
        entries = tuple(entry for entry in answer.found if isinstance(entry, Service))
        if entries:
            self.valid_at_s[self.host] = now_s
        elif now_s - self.valid_at_s.get(self.host, self.begun_at_s) < self.section.hold.get(answer.status, 0.0):
            return
        held = {place: self._held(place) for place in self.places}
        given, free = matched(entries, held)
        for place in [place for place, entry in held.items() if entry is not None and place not in given]:
            since_s = self.gone_at_s.setdefault(place, now_s)
            if now_s - since_s >= self.section.hold.get("obsolete", 0.0):
                why = "entry removed from SRV record" if entries else WHY.get(answer.status, WHY["other"])
                plane.notify(plane.changes.unresolved(place, why, plane.now))
                plane.notify(plane.changes.renamed(place, "", 0))
                del self.gone_at_s[place]
        vacant = [place for place in self.places if self._held(place) is None]
        given |= dict(zip(vacant, free, strict=False))
        by_name: dict[str, list[Place]] = {}
        for place, entry in given.items():
            self.gone_at_s.pop(place, None)
            plane.notify(plane.changes.renamed(place, entry.name, entry.port))
            if "ignore-weight" not in plane.changes.server(place).options.get("resolve-opts", ()):
                plane.changes.set_weight(place, str(weight_of(entry)), plane.now)
                plane.notify(plane.changes.told())
            by_name.setdefault(entry.name, []).append(place)
        async with trio.open_nursery() as nursery:
            for name, places in by_name.items():
                nursery.start_soon(self._target, name, places)

    async def _target(self, name: str, places: list[Place]) -> None:
        self._settle(places, name, await self._addresses(name))

    def _held(self, place: Place) -> tuple[str, int] | None:
        """(name, port) that a record gave this server; None if it has none."""
        block = self.plane.changes.block(place)
        *_, name = read_texts(block)
        return (name, block[S_PORT]) if name else None


# --- asking ----------------------------------------------------------------------------------------------------------------


async def ask(section: Resolvers, host: str, kind: str) -> Answer:
    """Ask all name servers at once, `resolve_retries` times; the first good answer counts, else the last bad one."""
    worst = Answer("timeout")
    for _ in range(max(1, section.resolve_retries)):
        answers: list[Answer] = []
        async with trio.open_nursery() as nursery:
            for nameserver in _nameservers(section):
                nursery.start_soon(_ask_one, section, nameserver, host, kind, answers, nursery.cancel_scope)
        best = next((answer for answer in answers if answer.status == "valid"), None)
        if best is not None:
            return best
        worst = next((answer for answer in answers if answer.status != "timeout"), worst)
        if worst.status != "timeout":
            return worst
    return worst


async def _ask_one(
    section: Resolvers, nameserver: Nameserver, host: str, kind: str, answers: list[Answer], others: trio.CancelScope
) -> None:
    # Local: the package is an optional one, which a service without resolvers needs not.
    import dns.asyncquery
    import dns.exception
    import dns.message

    query = dns.message.make_query(host, kind, use_edns=0, payload=max(section.accepted_payload_size, _PAYLOAD_LEAST))
    where, port = nameserver.address.host, nameserver.address.port or _DNS_PORT
    answer = Answer("timeout")
    with trio.move_on_after(section.timeout_retry):
        try:
            if nameserver.stream:
                response = await dns.asyncquery.tcp(query, where, port=port)
            else:
                response, _by_stream = await dns.asyncquery.udp_with_fallback(query, where, port=port, ignore_unexpected=True)
            answer = _read(response, kind, f"{section.name}/{nameserver.name}")
        except dns.exception.DNSException:
            answer = Answer("other")
        except (OSError, EOFError):
            await trio.sleep_forever()  # nobody listens there just now: as good as silence
    answers.append(answer)
    if answer.status == "valid":
        others.cancel()


def _read(response: object, kind: str, by: str) -> Answer:
    import dns.message
    import dns.rcode
    import dns.rdatatype

    assert isinstance(response, dns.message.Message)
    code = response.rcode()
    if code != dns.rcode.NOERROR:
        return Answer({dns.rcode.NXDOMAIN: "nx", dns.rcode.REFUSED: "refused"}.get(code, "other"), by=by)
    wanted = dns.rdatatype.from_text(kind)
    data = [item for rrset in response.answer if rrset.rdtype == wanted for item in rrset]
    if kind == "SRV":
        services = sorted((one.priority, Service(one.target.to_text(omit_final_dot=True), one.port, one.weight)) for one in data)
        return Answer("valid", tuple(service for _, service in services), by)
    return Answer("valid", tuple(one.address for one in data), by)


def _nameservers(section: Resolvers) -> list[Nameserver]:
    found = list(section.nameservers)
    if section.parse_resolv_conf:
        found += [Nameserver(host, _address(host)) for host in _system_nameservers()]
    return found


def _system_nameservers() -> list[str]:
    try:
        lines = RESOLV_CONF.read_text().splitlines()
    except OSError:
        return []
    return [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver"]


def _address(host: str) -> Address:
    return Address(AddressKind.INET6 if ":" in host else AddressKind.INET, host, _DNS_PORT)
