"""States of proxies and servers as the master sees them: written by it alone, read by all. Sans-io.

Health checks run once per host, in the master; what they find, and what operators order, stands here: one block of words per
object in the STATE row, so that every worker sees it at once and a reload can hand it on. `G_STATES_VERSION` changes
after every change: a worker compares one word to know that it need not look.

Bits and numbers are those of HAProxy's `show servers state`, so that state files are the same.
Texts (the last check's words, a name, an address) are read between two reads of S_TEXT_VERSION: odd or changed means that
the master was writing, so read again.

Source: HAProxy management guide 9.3 `show servers state`, 9.1 (check_status, status); numbers of check states observed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from common.observe.fields import BLOCK_WORDS

# Words of a server's block. Times are monotonic milliseconds.
(
    S_OPERATIONAL, S_ADMIN, S_WEIGHT, S_USER_WEIGHT, S_INITIAL_WEIGHT, S_MAXCONN, S_CHANGED_AT_MS, S_DOWNTIME_MS,
    S_CHECK_STATUS, S_CHECK_RESULT, S_CHECK_CODE, S_CHECK_DURATION_MS, S_CHECK_HEALTH, S_CHECK_RISE, S_CHECK_FALL, S_CHECK_STATE,
    S_CHECKED_AT_MS, S_CHKFAIL, S_CHKDOWN, S_HANAFAIL, S_THROTTLE, S_PORT,
    S_AGENT_STATUS, S_AGENT_RESULT, S_AGENT_CODE, S_AGENT_DURATION_MS, S_AGENT_HEALTH, S_AGENT_RISE, S_AGENT_FALL, S_AGENT_STATE,
    S_TEXT_VERSION, S_OBSERVED,
) = range(32)  # fmt: skip

# Words of a frontend's and of a backend's block.
F_STATE, F_MAXCONN, F_CHANGED_AT_MS = range(3)
B_STATE, B_CHANGED_AT_MS, B_DOWNTIME_MS, B_CHKDOWN, B_ACTIVE, B_BACKUP, B_WEIGHT, B_USER_WEIGHT = range(8)
OPEN, STOPPED, SHUT_DOWN = range(3)  # F_STATE
BACKEND_UP, BACKEND_DOWN = range(2)  # B_STATE

# S_OPERATIONAL
OP_STOPPED, OP_STARTING, OP_RUNNING, OP_STOPPING = range(4)
# S_ADMIN, a mask
FORCED_MAINT, INHERITED_MAINT, CONFIGURED_MAINT, FORCED_DRAIN, INHERITED_DRAIN, RESOLUTION_MAINT, NAME_CHANGED = (
    1 << bit for bit in range(7)
)
MAINT: Final = FORCED_MAINT | INHERITED_MAINT | RESOLUTION_MAINT
DRAIN: Final = FORCED_DRAIN | INHERITED_DRAIN
# S_CHECK_STATE, S_AGENT_STATE, a mask
CHECK_IN_PROGRESS, CHECK_CONFIGURED, CHECK_ENABLED, CHECK_PAUSED, CHECK_IS_AGENT = (1 << bit for bit in range(5))
# S_CHECK_RESULT
RESULT_UNKNOWN, RESULT_NEUTRAL, RESULT_FAILED, RESULT_PASSED, RESULT_CONDITIONAL = range(5)


class CheckStatus(NamedTuple):
    """How a check ended: its number in state files, its short and its long name."""

    number: int
    name: str
    description: str


CHECK_STATUSES: Final = (
    CheckStatus(0, "UNK", "Unknown"),
    CheckStatus(1, "INI", "Initializing"),
    CheckStatus(4, "HANA", "Health analyze"),
    CheckStatus(5, "SOCKERR", "Socket error"),
    CheckStatus(6, "L4OK", "Layer4 check passed"),
    CheckStatus(7, "L4TOUT", "Layer4 timeout"),
    CheckStatus(8, "L4CON", "Layer4 connection problem"),
    CheckStatus(9, "L6OK", "Layer6 check passed"),
    CheckStatus(10, "L6TOUT", "Layer6 timeout"),
    CheckStatus(11, "L6RSP", "Layer6 invalid response"),
    CheckStatus(12, "L7TOUT", "Layer7 timeout"),
    CheckStatus(13, "L7RSP", "Layer7 invalid response"),
    CheckStatus(15, "L7OK", "Layer7 check passed"),
    CheckStatus(16, "L7OKC", "Layer7 check conditionally passed"),
    CheckStatus(17, "L7STS", "Layer7 wrong status"),
    CheckStatus(18, "PROCERR", "External check error"),
    CheckStatus(19, "PROCTOUT", "External check timeout"),
    CheckStatus(20, "PROCOK", "External check passed"),
)
WITH_CODE: Final = frozenset(("L7OK", "L7OKC", "L7STS"))  # those that tell a code, be it 0
STATUS_OF_NUMBER: Final = {status.number: status for status in CHECK_STATUSES}
STATUS_OF_NAME: Final = {status.name: status for status in CHECK_STATUSES}

# Texts behind the words: name, first word, how many. The first byte of each is its length.
LAST_CHECK, LAST_AGENT, ADDRESS, FQDN = ((32, 16), (48, 8), (56, 6), (62, 18))
assert sum(FQDN) == BLOCK_WORDS


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server's state at one moment, for those who show it. Durations in seconds."""

    operational: int
    admin: int
    weight: int
    user_weight: int
    initial_weight: int
    maxconn: int
    changed_s: int
    downtime_s: int
    check_status: CheckStatus
    check_result: int
    check_code: int
    check_duration_ms: int
    check_health: int
    check_rise: int
    check_fall: int
    check_state: int
    chkfail: int
    chkdown: int
    hanafail: int
    throttle: int
    port: int
    agent_status: CheckStatus
    agent_code: int
    agent_duration_ms: int
    agent_health: int
    agent_rise: int
    agent_fall: int
    agent_state: int
    last_check: str
    last_agent: str
    address: str
    fqdn: str

    @property
    def checked(self) -> bool:
        return bool(self.check_state & CHECK_ENABLED)

    @property
    def agent_checked(self) -> bool:
        return bool(self.agent_state & CHECK_ENABLED)

    @property
    def up(self) -> bool:
        """It may get traffic of some kind."""
        return not self.admin & MAINT and self.operational != OP_STOPPED

    def status(self, tracked: str = "", followed: ServerState | None = None) -> str:
        """As the `status` column says it. tracked, followed: the "backend/server" that this one follows, and its state."""
        if self.admin & MAINT:
            return self._maintenance(tracked)
        checked = followed or self
        if self.operational == OP_STOPPED:
            if self.agent_checked and not self.agent_health:
                return "DOWN (agent)"
            return _going("DOWN", checked.check_health, checked.check_rise) if checked.checked else "DOWN"
        passed, of = checked.check_health - checked.check_rise + 1, checked.check_fall
        if self.admin & DRAIN:
            return "DRAIN (agent)" if self.agent_checked else _going("DRAIN", passed, of) if checked.checked else "DRAIN"
        if self.operational == OP_STOPPING:
            return _going("NOLB", passed, of) if checked.checked else "NOLB"
        return _going("UP", passed, of) if checked.checked else "no check"

    def _maintenance(self, tracked: str) -> str:
        if self.admin & RESOLUTION_MAINT:
            return "MAINT (resolution)"
        return f"MAINT (via {tracked})" if self.admin & INHERITED_MAINT and tracked else "MAINT"


def read_server(block: memoryview[int], now: float) -> ServerState:
    """A consistent copy of one server's words and texts."""
    now_ms = int(now * 1000)
    texts = read_texts(block)
    down_ms = now_ms - block[S_CHANGED_AT_MS] if block[S_OPERATIONAL] == OP_STOPPED else 0
    unknown = CHECK_STATUSES[0]
    return ServerState(
        operational=block[S_OPERATIONAL],
        admin=block[S_ADMIN],
        weight=block[S_WEIGHT],
        user_weight=block[S_USER_WEIGHT],
        initial_weight=block[S_INITIAL_WEIGHT],
        maxconn=block[S_MAXCONN],
        changed_s=max(0, now_ms - block[S_CHANGED_AT_MS]) // 1000,
        downtime_s=(block[S_DOWNTIME_MS] + down_ms) // 1000,
        check_status=STATUS_OF_NUMBER.get(block[S_CHECK_STATUS], unknown),
        check_result=block[S_CHECK_RESULT],
        check_code=block[S_CHECK_CODE],
        check_duration_ms=block[S_CHECK_DURATION_MS],
        check_health=block[S_CHECK_HEALTH],
        check_rise=block[S_CHECK_RISE],
        check_fall=block[S_CHECK_FALL],
        check_state=block[S_CHECK_STATE],
        chkfail=block[S_CHKFAIL],
        chkdown=block[S_CHKDOWN],
        hanafail=block[S_HANAFAIL],
        throttle=block[S_THROTTLE],
        port=block[S_PORT],
        agent_status=STATUS_OF_NUMBER.get(block[S_AGENT_STATUS], unknown),
        agent_code=block[S_AGENT_CODE],
        agent_duration_ms=block[S_AGENT_DURATION_MS],
        agent_health=block[S_AGENT_HEALTH],
        agent_rise=block[S_AGENT_RISE],
        agent_fall=block[S_AGENT_FALL],
        agent_state=block[S_AGENT_STATE],
        last_check=texts[0],
        last_agent=texts[1],
        address=texts[2],
        fqdn=texts[3],
    )


def usable(block: memoryview[int]) -> bool:
    """Whether load balancing may choose the server: for workers, on the hot path."""
    return block[S_OPERATIONAL] in (OP_RUNNING, OP_STARTING) and not block[S_ADMIN] & (MAINT | DRAIN) and block[S_WEIGHT] > 0


def alive(block: memoryview[int]) -> bool:
    """Whether the server serves those who must come to it: also in drain and with a weight of 0."""
    return block[S_OPERATIONAL] != OP_STOPPED and not block[S_ADMIN] & MAINT


def read_texts(block: memoryview[int]) -> tuple[str, str, str, str]:
    """All texts of a block. A reader that meets the writer a hundred times takes what it got."""
    for _ in range(100):
        before = block[S_TEXT_VERSION]
        texts = (_text(block, *LAST_CHECK), _text(block, *LAST_AGENT), _text(block, *ADDRESS), _text(block, *FQDN))
        if before == block[S_TEXT_VERSION] and not before & 1:
            break
    return texts


def write_text(block: memoryview[int], place: tuple[int, int], text: str) -> None:
    """Set one text; cut to its room."""
    first, words = place
    room = words * 8 - 1
    raw = text.encode("utf-8", "replace")[:room].decode("utf-8", "ignore").encode()
    block[S_TEXT_VERSION] += 1
    block[first : first + words].cast("B")[:] = bytes((len(raw),)) + raw.ljust(room, b"\0")
    block[S_TEXT_VERSION] += 1


def _going(word: str, passed: int, of: int) -> str:
    """DOWN 1/2: one of two checks that it takes to rise has passed. UP 2/3: one of three that it takes to fall failed."""
    return f"{word} {passed}/{of}" if 0 < passed < of else word


def _text(block: memoryview[int], first: int, words: int) -> str:
    raw = block[first : first + words].tobytes()
    return raw[1 : 1 + raw[0]].decode("utf-8", "replace")
