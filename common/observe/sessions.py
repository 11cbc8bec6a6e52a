"""Sessions as `show sess` prints them, of dispatchers and workers alike. Sans-io.

The first fields of a line are HAProxy's, so that scripts which read them go on; what belongs to its insides only (flags, analysers,
the scheduler) is zero here. Behind them stand ours: which process, listener and phase, how many bytes, and which timer `exp` is.

Sessions that have ended stay to be looked at for CLOSED_S: `show sess closed`.

Source: HAProxy management guide 9.3 "show sess", "shutdown session", "shutdown sessions server".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import inf
from typing import Final, Generic, Protocol, TypeVar

CLOSED_S: Final = 10.0
CLOSED_MAX: Final = 4096  # remembered per process
NONE: Final = "<NONE>"

NOT_FOUND: Final = "Session not found.\n"
NO_SUCH_SESSION: Final = "No such session (use 'show sess').\n"
SESSION_EXPECTED: Final = "Session pointer expected (use 'show sess').\n"
NO_SUCH_SERVER: Final = "No such server.\n"
SERVER_EXPECTED: Final = "Require 'backend/server'.\n"

Timer = tuple[str, float]
"""(the configuration's word without `timeout`, seconds until it expires); "" and inf: none runs."""


@dataclass(frozen=True, slots=True)
class Row:
    """One session. age_s since it was accepted. fds: -1 where there is none. addresses: as text, with port."""

    id: int
    process: str
    protocol: str
    source: str
    frontend: str
    listener: str
    phase: str
    age_s: float
    accepted: str = ""  # the date
    number: int = 0  # of the session in its process
    mode: str = "tcp"
    destination: str = ""
    backend: str = ""
    server: str = ""
    server_address: str = ""
    server_source: str = ""
    requests: int = 0
    retries: int = 0
    timer: Timer = ("", inf)
    bytes_in: int = 0
    bytes_out: int = 0
    client_fd: int = -1
    server_fd: int = -1
    request: str = ""  # its first line
    tls: str = ""  # version and cipher
    queued_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Closed:
    """One that has ended. ago_s: since when. termination: cause and phase. reason: the slug, if there was one."""

    ago_s: float
    row: Row
    termination: str
    reason: str


class Ended(Protocol):
    """What is remembered of a session that has ended. at: pump time."""

    @property
    def at(self) -> float: ...


AnyEnded = TypeVar("AnyEnded", bound=Ended)


class Recent(Generic[AnyEnded]):
    """Sessions that have ended within the last CLOSED_S."""

    __slots__ = ("_ended", "add")

    def __init__(self) -> None:
        self._ended: deque[AnyEnded] = deque(maxlen=CLOSED_MAX)
        self.add = self._ended.append

    def forget_old(self, now: float) -> None:
        """To be called about once a second."""
        ended = self._ended
        while ended and now - ended[0].at > CLOSED_S:
            ended.popleft()

    def __iter__(self) -> Iterator[AnyEnded]:
        return iter(self._ended)


def make_id(pid: int, number: int) -> int:
    """A number that no session of another process of this service has."""
    return pid << 32 | number & 0xFFFFFFFF


def date(moment: datetime) -> str:
    """When it was accepted, as HAProxy shows it: local time with microseconds."""
    return moment.strftime("%d/%b/%Y:%H:%M:%S.%f")


def parse_id(word: str) -> int | None:
    """An id as it was printed; HAProxy takes it with or without 0x."""
    try:
        return int(word, 16)
    except ValueError:
        return None


def human_time(seconds: float) -> str:
    """The two largest units, as HAProxy prints times; "" for never."""
    if seconds == inf:
        return ""
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (whole % 60, "s"))
    for (high, unit), (low, lower_unit) in pairwise(parts):
        if high:
            return f"{high}{unit}{low}{lower_unit}" if low else f"{high}{unit}"
    return f"{whole % 60}s"


def line(row: Row) -> str:
    """One session in `show sess`."""
    name, left_s = row.timer
    left = human_time(left_s)
    waits_for_server, connects = name.startswith("server"), name in ("connect", "queue")
    waits_for_client = bool(name) and not (waits_for_server or connects)
    client_left, server_left = left if waits_for_client else "", left if waits_for_server else ""
    queues = f"rq[f=0h,i=0,an=00h,rx={client_left},wx=,ax=] rp[f=0h,i=0,an=00h,rx={server_left},wx=,ax=]"
    return (
        f"{row.id:#x}: {_who(row)} ts=00 epoch=0 age={human_time(row.age_s)} calls={row.requests} rate=0 cpu=0 lat=0 {queues} "
        f"scf=[8,0h,fd={row.client_fd}] scb=[8,{1 if row.server_fd >= 0 else 0}h,fd={row.server_fd}] exp={left} rc={row.retries} "
        f"c_exp={left if name == 'connect' else ''} {_ours(row)} timer={name or '-'}\n"
    )


def detail(row: Row) -> str:
    """One session in `show sess <id>` and `show sess all`."""
    name, left_s = row.timer
    never = "<NEVER>"
    left = human_time(left_s) or never
    lines = [
        f"{row.id:#x}: [{row.accepted}] id={row.number} proto={row.protocol} source={row.source}",
        f"  flags=0x0, conn_retries={row.retries}, conn_exp={left if name == 'connect' else never} conn_et=0x000 "
        f"waiting={int(row.phase == 'queue')} epoch=0",
        f"  frontend={row.frontend} (mode={row.mode}), listener={row.listener} addr={row.destination or '-'}",
        f"  backend={row.backend or NONE} (mode={row.mode if row.backend else '-'}) addr={row.server_source or '-'}",
        f"  server={row.server or NONE}" + (f" addr={row.server_address}" if row.server_address else ""),
        f"  task=({row.process}) calls={row.requests} exp={left} age={human_time(row.age_s)}",
        f"  phase={row.phase} timer={name or '-'} exp={left}" + (f" queued={human_time(row.queued_s)}" if row.queued_s else ""),
        f"  scf=fd={row.client_fd} tls={row.tls or 'none'} bytes={row.bytes_in}",
        f"  scb=fd={row.server_fd} bytes={row.bytes_out}",
    ]
    if row.request:
        lines.append(f"  request={row.request}")
    return "\n".join(lines) + "\n"


def closed_line(closed: Closed) -> str:
    """One session in `show sess closed`."""
    row = closed.row
    return (
        f"{row.id:#x}: {_who(row)} age={human_time(row.age_s)} calls={row.requests} closed={human_time(closed.ago_s)} "
        f"{_ours(row)} term={closed.termination} reason={closed.reason or '-'}\n"
    )


def show(rows: Iterable[Row], closed: Iterable[Closed], words: tuple[str, ...]) -> str:
    """The answer to `show sess [all|closed|<id>]`; words: those behind it."""
    if not words:
        return "".join(map(line, rows))
    if words[0] == "all":
        return "".join(map(detail, rows))
    if words[0] == "closed":
        return "".join(closed_line(one) for one in closed if one.ago_s <= CLOSED_S)
    wanted = parse_id(words[0])
    return next((detail(row) for row in rows if row.id == wanted), NOT_FOUND)


def _who(row: Row) -> str:
    return f"proto={row.protocol} src={row.source} fe={row.frontend} be={row.backend or NONE} srv={row.server or '<none>'}"


def _ours(row: Row) -> str:
    return f"ls={row.listener} proc={row.process} phase={row.phase.replace(' ', '-')} bytes={row.bytes_in}/{row.bytes_out}"
