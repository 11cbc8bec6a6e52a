"""What happens to servers: orders of operators and results of checks, as changes of state and as lines for the log. Sans-io.

One book in the master makes every change, so that all agree on what follows: servers that track another one go with it, a
backend goes down with its last server, and each step is told in HAProxy's words, which people search their logs for.

Two things are kept apart, as in HAProxy: the *administrative* state (maintenance and drain, forced or inherited from the tracked
server) and the *operational* one (up, starting, stopping, down). Leaving maintenance makes a server start up, one failed check away
from being down.

Source: HAProxy management guide 9.3 `set server`, `disable server`; configuration manual 5.2 `track`, `slowstart`; texts and
levels observed from 2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from common.model import Config, Proxy, Server
from common.observe.counters import Counters
from common.observe.log_line import LEVELS
from common.observe.server_notices import Notice, Place, ServerNotices
from common.observe.state_setup import changed, initial_health, summarise_backend, tracked_servers
from common.observe.states import (
    ADDRESS,
    B_STATE,
    BACKEND_DOWN,
    CHECK_CONFIGURED,
    CHECK_PAUSED,
    DRAIN,
    FORCED_DRAIN,
    FORCED_MAINT,
    FQDN,
    INHERITED_DRAIN,
    INHERITED_MAINT,
    MAINT,
    NAME_CHANGED,
    OP_RUNNING,
    OP_STARTING,
    OP_STOPPED,
    OP_STOPPING,
    RESOLUTION_MAINT,
    S_ADMIN,
    S_AGENT_HEALTH,
    S_AGENT_STATE,
    S_CHANGED_AT_MS,
    S_CHECK_FALL,
    S_CHECK_HEALTH,
    S_CHECK_RISE,
    S_CHECK_STATE,
    S_CHKDOWN,
    S_DOWNTIME_MS,
    S_INITIAL_WEIGHT,
    S_OPERATIONAL,
    S_PORT,
    S_THROTTLE,
    S_USER_WEIGHT,
    S_WEIGHT,
    read_texts,
    write_text,
)
from common.units import parse_time

WEIGHT_MAX: Final = 256
_NUMBER = re.compile(r"-?[0-9]+")
FROM_OPERATOR: Final = ", changed from CLI"
_ALERT, _NOTICE = LEVELS["alert"], LEVELS["notice"]


class ServerChanges:
    """The book. Each change returns what is to be logged; `now` is monotonic seconds."""

    __slots__ = ("_config", "_counters", "_followers", "_notices")

    def __init__(self, config: Config, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._notices = ServerNotices(config, counters)
        self._followers: dict[str, list[Place]] = {}
        places = {id(server): place for place, server in self._everyone()}
        for _proxy, server, name in tracked_servers(config):
            self._followers.setdefault(name, []).insert(0, places[id(server)])  # they are told in this order

    # --- finding --------------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Place | None:
        """The server of "backend/server", each by name or as #id; None if there is none."""
        backend, _, server = name.partition("/")
        position = self.find_backend(backend)
        if position is None:
            return None
        for number, candidate in enumerate(self._config.proxies[position].servers):
            if server in (candidate.name, f"#{candidate.id or number + 1}"):
                return Place(position, number)
        return None

    def find_backend(self, name: str) -> int | None:
        for position, proxy in enumerate(self._config.proxies):
            if proxy.backend and name in (proxy.name, f"#{proxy.id or position + 2}"):
                return position
        return None

    def server(self, place: Place) -> Server:
        return self._config.proxies[place.proxy].servers[place.server]

    def block(self, place: Place) -> memoryview[int]:
        """The words of the server's state."""
        return self._counters.state(self._counters.layout.servers[place.proxy][place.server])

    def is_tracking(self, place: Place) -> bool:
        return "track" in self.server(place).options

    def is_followed(self, place: Place) -> bool:
        """Whether another server tracks this one."""
        return bool(self._followers_of(place))

    # --- orders ---------------------------------------------------------------------------------------------------------

    def maintain(self, place: Place, now: float) -> list[Notice]:
        """`set server … state maint`, `disable server`."""
        self._enter_maintenance(place, FORCED_MAINT, "", now)
        self._set_drain(place, FORCED_DRAIN, now, on=False, quiet=True)
        return self._done()

    def drain(self, place: Place, now: float) -> list[Notice]:
        """`set server … state drain`."""
        in_maintenance = bool(self.block(place)[S_ADMIN] & FORCED_MAINT)
        self._set_drain(place, FORCED_DRAIN, now, on=True, quiet=in_maintenance)
        self._leave_maintenance(place, FORCED_MAINT, now)
        self._summarise(place, now)
        return self._done()

    def ready(self, place: Place, now: float) -> list[Notice]:
        """`set server … state ready`, `enable server`."""
        admin = self.block(place)[S_ADMIN]
        self._set_drain(place, FORCED_DRAIN, now, on=False, quiet=bool(admin & FORCED_MAINT))
        self._leave_maintenance(place, FORCED_MAINT, now)
        self._summarise(place, now)
        return self._done()

    def unresolved(self, place: Place, why: str, now: float) -> list[Notice]:
        """Its name has no address (any more)."""
        write_text(self.block(place), ADDRESS, "")
        self._enter_maintenance(place, RESOLUTION_MAINT, f" ({why})", now)
        return self._done()

    def resolved(self, place: Place, address: str, by: str, now: float) -> list[Notice]:
        """Its name has this address, says `by`."""
        block = self.block(place)
        *_, before, name = read_texts(block)
        if address != before:
            self._notices.about(place, f"changed its IP from {before or '(none)'} to {address} by {by}.")
            write_text(block, ADDRESS, address)
        if block[S_ADMIN] & RESOLUTION_MAINT:
            self._leave_maintenance(place, RESOLUTION_MAINT, now, f"('{name}') is {{}} (resolves again).")
            self._notices.say(place, _NOTICE, "administratively READY thanks to valid DNS answer.")
            self._summarise(place, now)
        return self._done()

    def renamed(self, place: Place, name: str, port: int, by: str = "SRV record") -> list[Notice]:
        """A service record or an operator gives it another name and port; "" takes them away."""
        block = self.block(place)
        *_, before = read_texts(block)
        if name and name != before:
            self._notices.about(place, f"changed its FQDN from {before or '(null)'} to {name} by '{by}'")
        write_text(block, FQDN, name)
        block[S_PORT] = port
        block[S_ADMIN] |= NAME_CHANGED
        return self._done()

    def goes_down(self, place: Place, why: str, now: float) -> list[Notice]:
        """Down by a check or by order. why: ", changed from CLI" or ", reason: …" as it follows "is DOWN"."""
        self.block(place)[S_CHECK_HEALTH] = 0
        self._operate(place, OP_STOPPED, why, now)
        return self._done()

    def goes_up(self, place: Place, why: str, now: float) -> list[Notice]:
        """Up by a check or by order; with slowstart it starts slowly."""
        block = self.block(place)
        block[S_CHECK_HEALTH] = block[S_CHECK_RISE] + block[S_CHECK_FALL] - 1
        self._operate(place, OP_RUNNING, why, now)
        return self._done()

    def stops(self, place: Place, why: str, now: float) -> list[Notice]:
        """No new sessions but persistent ones (404 of a check with `disable-on-404`, or by order)."""
        block = self.block(place)
        block[S_CHECK_HEALTH] = block[S_CHECK_RISE] + block[S_CHECK_FALL] - 1
        self._operate(place, OP_STOPPING, why, now)
        return self._done()

    def agent_says(self, place: Place, *, up: bool, why: str, now: float) -> list[Notice]:
        """What an agent, or an operator in its name, says of the server."""
        block = self.block(place)
        block[S_AGENT_HEALTH] = int(up)
        self._operate(place, OP_RUNNING if up else OP_STOPPED, why, now)
        return self._done()

    def set_weight(self, place: Place, text: str, now: float) -> str:
        """`set weight`: an absolute weight or a percentage of the initial one. Returns why not, or ""."""
        block = self.block(place)
        number = _NUMBER.match(text)
        if number is None:
            return "Empty weight string empty or preceded by garbage"
        if number.end() != len(text.removesuffix("%")):
            return "Trailing garbage in weight string"
        weight = int(number[0])
        if text.endswith("%"):
            if weight < 0:
                return "Relative weight must be positive."
            weight = min(block[S_INITIAL_WEIGHT] * weight // 100, WEIGHT_MAX)
        elif not 0 <= weight <= WEIGHT_MAX:
            return f"Absolute weight can only be between 0 and {WEIGHT_MAX} inclusive."
        if not is_dynamic(self._config.proxies[place.proxy]) and weight not in (0, block[S_INITIAL_WEIGHT]):
            return "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'."
        block[S_USER_WEIGHT] = weight
        self._weigh(place, now)
        self._notices.backend_down(place, self._summarise(place, now))
        changed(self._counters)
        return ""

    def told(self) -> list[Notice]:
        """What is to be logged after `set_weight`, which has other things to answer."""
        return self._notices.take()

    def ramp(self, now: float) -> None:
        """Raise what slowly starting servers get. Called about once a second."""
        moved = False
        for place, _server in self._everyone():
            if self.block(place)[S_OPERATIONAL] == OP_STARTING:
                self._weigh(place, now)
                self._summarise(place, now)
                moved = True
        if moved:
            changed(self._counters)

    # --- administrative -------------------------------------------------------------------------------------------------

    def _enter_maintenance(self, place: Place, bit: int, via: str, now: float) -> None:
        block = self.block(place)
        before, running = block[S_ADMIN], block[S_OPERATIONAL] != OP_STOPPED
        block[S_ADMIN] = before | bit
        if before & MAINT:
            return
        self._set_operational(place, OP_STOPPED, now)
        block[S_CHECK_HEALTH] = 0
        if block[S_CHECK_STATE] & CHECK_CONFIGURED:
            block[S_CHECK_STATE] |= CHECK_PAUSED
        went_down = self._summarise(place, now)
        if running:
            level = _NOTICE if before & DRAIN else _ALERT
            self._notices.say(place, level, f"is going DOWN for maintenance{via}. {self._notices.left(place)}")
        else:
            self._notices.say(place, _NOTICE, f"was DOWN and now enters maintenance{via}.")
        self._notices.backend_down(place, went_down)
        for follower in self._followers_of(place):
            self._enter_maintenance(follower, INHERITED_MAINT, f" via {self._notices.name(place)}", now)
            self._set_drain(follower, INHERITED_DRAIN, now, on=False, quiet=True)

    def _leave_maintenance(self, place: Place, bit: int, now: float, told: str = "") -> None:
        """told: the words for it, where they are others; {} is its state."""
        block = self.block(place)
        before = block[S_ADMIN]
        if not before & bit:
            return
        block[S_ADMIN] = before & ~bit
        if block[S_ADMIN] & MAINT:
            forced, inherited = block[S_ADMIN] & FORCED_MAINT, block[S_ADMIN] & INHERITED_MAINT
            via = f" via {self._tracked_name(place)}" if inherited else ""
            left = f"is leaving forced maintenance but remains in maintenance{via}."
            self._notices.say(place, _NOTICE, "remains in forced maintenance." if forced else left)
            return
        self._start(place, now)
        word = "DOWN" if block[S_OPERATIONAL] == OP_STOPPED else "UP"
        mode = "DRAIN" if block[S_ADMIN] & DRAIN else "READY"
        forced_word = "forced " if bit == FORCED_MAINT else ""
        told = told or f"is {{}} (leaving {forced_word}maintenance)."
        self._notices.say(place, _NOTICE, told.format(f"{word}/{mode}"))
        if block[S_ADMIN] & FORCED_DRAIN:
            self._notices.say(place, _NOTICE, "remains in forced drain mode.")
        for follower in self._followers_of(place):
            if block[S_ADMIN] & DRAIN:
                self._set_drain(follower, INHERITED_DRAIN, now, on=True, quiet=True)
            self._leave_maintenance(follower, INHERITED_MAINT, now)
            if block[S_ADMIN] & DRAIN and not self.block(follower)[S_ADMIN] & (MAINT | FORCED_DRAIN):
                self._notices.say(follower, _NOTICE, f"is leaving forced drain but remains in drain mode via {self._notices.name(place)}.")
            self._summarise(follower, now)

    def _start(self, place: Place, now: float) -> None:
        """What a server is when it leaves maintenance: up until a check says otherwise, or what the one it tracks is."""
        block = self.block(place)
        if block[S_CHECK_STATE] & CHECK_CONFIGURED:
            block[S_CHECK_STATE] &= ~CHECK_PAUSED
            block[S_CHECK_HEALTH] = initial_health(self.server(place), block)
        if block[S_AGENT_STATE] & CHECK_CONFIGURED:
            block[S_AGENT_HEALTH] = 1
        followed = self._followed(place)
        is_up = block[S_CHECK_HEALTH] >= block[S_CHECK_RISE] or not block[S_CHECK_STATE] & CHECK_CONFIGURED
        operational = (OP_RUNNING if is_up else OP_STOPPED) if followed is None else self.block(followed)[S_OPERATIONAL]
        self._set_operational(place, operational, now)

    def _set_drain(self, place: Place, bit: int, now: float, *, on: bool, quiet: bool, via: str = "") -> None:
        """Set or clear one of the two drain bits of a server and, for those that follow it, the inherited one."""
        block = self.block(place)
        before = block[S_ADMIN]
        after = before | bit if on else before & ~bit
        if after == before:
            return
        block[S_ADMIN] = after
        went_down = self._summarise(place, now)
        if not quiet and not before & MAINT:
            self._say_drain(place, before, via)
            self._notices.backend_down(place, went_down)
        if bool(before & DRAIN) != bool(after & DRAIN):
            for follower in self._followers_of(place):
                self._set_drain(follower, INHERITED_DRAIN, now, on=on, quiet=quiet, via=f" via {self._notices.name(place)}")

    def _say_drain(self, place: Place, before: int, via: str) -> None:
        block = self.block(place)
        after = block[S_ADMIN]
        if after & DRAIN and not before & DRAIN:
            tail = self._notices.left(place) if block[S_OPERATIONAL] == OP_STOPPED else self._notices.online(place)
            self._notices.say(place, _NOTICE, f"enters drain state{via}. {tail}")
        elif after & FORCED_DRAIN:
            self._notices.say(place, _NOTICE, "remains in forced drain mode.")
        elif after & INHERITED_DRAIN:
            self._notices.say(place, _NOTICE, f"is leaving forced drain but remains in drain mode via {self._tracked_name(place)}.")
        else:
            word = "DOWN" if block[S_OPERATIONAL] == OP_STOPPED else "UP"
            self._notices.say(place, _NOTICE, f"is {word} (leaving forced drain).")

    # --- operational ----------------------------------------------------------------------------------------------------

    def _operate(self, place: Place, wanted: int, why: str, now: float) -> None:
        """Bring a server up, down or to a stop, and those that follow it; in maintenance nothing changes."""
        block = self.block(place)
        current = OP_RUNNING if block[S_OPERATIONAL] == OP_STARTING else block[S_OPERATIONAL]
        if block[S_ADMIN] & MAINT or current == wanted:
            return
        # Whoever told it to stop, or to drain, knows.
        level = _NOTICE if current == OP_STOPPING or block[S_ADMIN] & DRAIN else _ALERT
        self._set_operational(place, wanted, now)
        if wanted == OP_STOPPED:
            block[S_CHKDOWN] += 1
        went_down = self._summarise(place, now)
        if wanted == OP_STOPPED:
            self._notices.say(place, level, f"is DOWN{why}. {self._notices.left(place)}")
        else:
            self._notices.say(place, _NOTICE, f"is {'UP' if wanted == OP_RUNNING else 'stopping'}{why}. {self._notices.online(place)}")
        self._notices.backend_down(place, went_down)
        if block[S_ADMIN] & FORCED_DRAIN:
            self._notices.say(place, _NOTICE, "remains in forced drain mode.")
        for follower in self._followers_of(place):
            self._operate(follower, wanted, f" via {self._notices.name(place)}", now)

    def _set_operational(self, place: Place, wanted: int, now: float) -> None:
        """Change the state and its times; a rise begins the slow start."""
        block, now_ms = self.block(place), int(now * 1000)
        before = block[S_OPERATIONAL]
        if before == wanted:
            return
        if before == OP_STOPPED:
            block[S_DOWNTIME_MS] += now_ms - block[S_CHANGED_AT_MS]
        slowly = wanted == OP_RUNNING and before == OP_STOPPED and "slowstart" in self.server(place).options
        block[S_OPERATIONAL] = OP_STARTING if slowly else wanted
        block[S_CHANGED_AT_MS] = now_ms
        self._weigh(place, now)

    def _weigh(self, place: Place, now: float) -> None:
        """The weight that counts now: the user's, or a growing part of it during the slow start."""
        block = self.block(place)
        weight = block[S_USER_WEIGHT]
        block[S_THROTTLE] = 0
        if block[S_OPERATIONAL] == OP_STARTING:
            slowstart_s = parse_time(self.server(place).options["slowstart"][0])
            part = (now - block[S_CHANGED_AT_MS] / 1000) / slowstart_s if slowstart_s else 1.0
            if part >= 1:
                block[S_OPERATIONAL] = OP_RUNNING
            else:
                block[S_THROTTLE] = max(1, int(part * 100))
                weight = max(min(weight, 1), int(weight * part))
        block[S_WEIGHT] = weight

    # --- what follows ---------------------------------------------------------------------------------------------------

    def _summarise(self, place: Place, now: float) -> bool:
        """Bring the backend up to date; True when it went down by this."""
        turned = summarise_backend(self._counters, place.proxy, self._config.proxies[place.proxy], now)
        return turned and self._backend(place)[B_STATE] == BACKEND_DOWN

    def _backend(self, place: Place) -> memoryview[int]:
        return self._counters.state(self._counters.layout.backends[place.proxy])

    def _followers_of(self, place: Place) -> list[Place]:
        return self._followers.get(self._notices.name(place), [])

    def _followed(self, place: Place) -> Place | None:
        return self.find(self._tracked_name(place)) if self.is_tracking(place) else None

    def _tracked_name(self, place: Place) -> str:
        """The "backend/server" that this server follows."""
        tracked = self.server(place).options["track"][0]
        return tracked if "/" in tracked else f"{self._config.proxies[place.proxy].name}/{tracked}"

    def _everyone(self) -> Iterator[tuple[Place, Server]]:
        for position, proxy in enumerate(self._config.proxies):
            for number, server in enumerate(proxy.servers):
                yield Place(position, number), server

    def _done(self) -> list[Notice]:
        """End of a change: readers are told, and what happened is handed out."""
        changed(self._counters)
        return self._notices.take()


def is_dynamic(proxy: Proxy) -> bool:
    """Whether weights may change at run time: hashes of the map-based kind and static-rr are fixed."""
    if proxy.balance[0] in ("roundrobin", "leastconn", "first", "random"):
        return True
    return proxy.balance[0] != "static-rr" and proxy.hash_type[0] == "consistent"
