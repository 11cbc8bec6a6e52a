"""Descriptors and memory that the system grants, and how many connections they suffice for.

Each process has the same limit on open files. A connection costs a worker two descriptors (client and server side); a
dispatcher that relays needs two as well, one that hands over needs one for a moment. So the service's `maxconn` is what all
workers together can hold. A `maxconn` that the descriptors do not allow stops no start: the lower figure holds, and we say so.

Source: HAProxy management guide 5, configuration manual 3.1 (maxconn, ulimit-n, fd-hard-limit, maxsslconn), getrlimit(2).
"""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass

from common.config.limits import DESCRIPTORS_PER_CONNECTION, connections_per_process, descriptors_reserved
from common.model import Config
from common.process.launch import DISPATCHER, WORKER
from common.process.plan import Plan, is_dispatcher_listen

MEMORY_FLOOR_BYTES = 64 << 20  # below it a process does not even start


@dataclass(frozen=True, slots=True)
class Maxconn:
    """value: connections that the whole service accepts at one time. per_process: those one process can hold.

    origin: which setting or limit decided. notice: a sentence for the operator when that is not the one that was asked for.
    """

    value: int
    per_process: int
    origin: str
    notice: str = ""


def raise_descriptors(wanted: int = 0, ceiling: int = 0, goal: int = 0) -> int:
    """Lift this process's limit on open files (children inherit it) and return what it is now. Never fails.

    Without a wish: to the hard limit. wanted: `ulimit-n`, or what `maxconn` needs; a privileged process may lift the
    hard limit for it. ceiling: `fd-hard-limit`. goal: `fd-soft-limit`, no more than that and no less as far as the system allows.
    """
    if goal:
        wanted, ceiling = max(wanted, goal), min(goal, ceiling) if ceiling else goal
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(wanted, ceiling) if ceiling else wanted
    if wanted > hard != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
    highest = _finite(hard)
    if ceiling:
        highest = min(highest, ceiling)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        return highest
    return soft


def limit_memory(bytes_max: int) -> bool:
    """`-m`, divided among the processes: cap the memory of this process. False if the figure is too low to live with."""
    if bytes_max < MEMORY_FLOOR_BYTES:
        return False
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_max, bytes_max))
    return True


def descriptors_needed(config: Config) -> int:
    """What one process needs for the configured `maxconn`, 0 if none is configured."""
    return config.globals.maxconn * DESCRIPTORS_PER_CONNECTION + descriptors_reserved(config) if config.globals.maxconn else 0


def effective_maxconn(config: Config, plan: Plan, descriptors: int) -> Maxconn:
    """How many connections the service takes with that limit on open files per process."""
    per_process = connections_per_process(config, descriptors)
    holders = connection_holders(config, plan)
    possible = per_process * holders
    configured = config.globals.maxconn
    if not configured:
        return Maxconn(possible, per_process, f"open files ({descriptors} per process)")
    if configured <= possible:
        return Maxconn(configured, per_process, "maxconn")
    notice = (
        f"maxconn {configured} needs {configured * DESCRIPTORS_PER_CONNECTION} open files, the limit allows for {possible} connections "
        f"({descriptors} files in each of {holders} processes): {possible} holds. Raise it with ulimit -n or LimitNOFILE=."
    )
    return Maxconn(possible, per_process, f"open files ({descriptors} per process)", notice)


def connection_holders(config: Config, plan: Plan) -> int:
    """How many processes hold connections for as long as these live: the dispatchers if they relay, or the workers."""
    return len(plan.of(DISPATCHER) if _relays(config) else plan.of(WORKER)) or 1


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) or 1


def _relays(config: Config) -> bool:
    """Whether connections pass through a dispatcher for as long as they live, rather than being handed over."""
    return any(
        is_dispatcher_listen(proxy) and proxy.binds and not all(server.pass_fd for server in proxy.servers) for proxy in config.proxies
    )


def _finite(limit: int) -> int:
    """The highest limit that can be set: the kernel's fs.nr_open where the process has none of its own."""
    if limit != resource.RLIM_INFINITY:
        return limit
    with contextlib.suppress(OSError, ValueError), open("/proc/sys/fs/nr_open") as file:
        return int(file.read())
    return 1 << 20
