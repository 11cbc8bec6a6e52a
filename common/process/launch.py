"""What a process of either tier is told when it is started: one picklable value.

The master makes a `Launch`, the zygote hands it over unread, the child gets it back with its descriptors under their
names. In transit `fds` maps each name to an index into the descriptors that travel beside it; in the child to the
descriptor itself.

Names of descriptors:
    control            the child's end of its SEQPACKET pair with the master
    counters           the memfd of the shared counters
    board              the memfd by which several dispatchers share counts (dispatcher/policy/board.py)
    bind:ID            the listening socket of the bind with that id
    channel:NUMBER     the listening SEQPACKET socket of worker NUMBER, on which dispatchers hand connections over
    abns-channel:ID    the SEQPACKET twin of an explicit `bind abns@…` of a worker: same name, other socket type
    table:NAME         the memfd of that stick table
    inherited:N        a descriptor that whoever started us passed on and the configuration names (`log fd@N`); the child finds
                       it under the same number N
"""

from __future__ import annotations

from dataclasses import dataclass, field

from common.model import Config

WORKER = "worker"
DISPATCHER = "dispatcher"
CONTROL = "control"
COUNTERS = "counters"
BOARD = "board"


def bind_fd(bind_id: int) -> str:
    return f"bind:{bind_id}"


def channel_fd(worker: int) -> str:
    return f"channel:{worker}"


def inherited_fd(number: int) -> str:
    return f"inherited:{number}"


def table_fd(name: str) -> str:
    return f"table:{name}"


def abns_channel_fd(bind_id: int) -> str:
    return f"abns-channel:{bind_id}"


@dataclass(slots=True)
class Launch:
    """role: WORKER or DISPATCHER. number: counted from 1 within the role, or HAProxy's process number where the file has those.

    row: of this process in the shared counters: dispatchers first, then workers, each in order of number.
    channel_names: worker number -> abstract name (with its leading NUL) to connect to for handing connections over.
    workers, dispatchers: how many of each this generation has.
    debug: letters after `-d` ("b", "S", "G" …; "" for `-d`).
    started_at_s: when the master started, in seconds of the wall clock.
    environment: as the configuration left it (setenv and the like); empty = as it is.
    column: of this process in all stick tables (common/tables/layout.py); -1 = it has none.
    memory_bytes_max: this process's part of `-m`; 0 = no limit.
    changes: what operators have changed since this generation began (maps, certificates), as commands, before this process was started.
    """

    config: Config
    role: str
    number: int
    generation: int
    master_pid: int
    row: int = 0
    fds: dict[str, int] = field(default_factory=dict)
    channel_names: dict[int, bytes] = field(default_factory=dict)
    workers: int = 0
    dispatchers: int = 0
    debug: frozenset[str] = frozenset()
    started_at_s: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)
    memory_bytes_max: int = 0
    column: int = -1
    changes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How logs and `ps` call this process."""
        return f"{self.role} {self.number}"

    def bind_fds(self) -> dict[int, int]:
        """Bind id -> listening descriptor, of every bind that this process accepts from by itself."""
        return {int(name.partition(":")[2]): fd for name, fd in self.fds.items() if name.startswith("bind:")}
