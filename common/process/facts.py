"""What `show info`, the statistics page and the metrics tell of the processes: version, pids, memory, limits."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from common.model import Config
from common.observe.counters import Counters
from common.observe.info import ProcessFacts
from common.observe.layout import HB_PID, HB_ROLE

RELEASE_DATE = "2026/11/22"
WORKER_ROLE = 2  # in heartbeats: 1 dispatcher, 2 worker


def version() -> str:
    try:
        return importlib.metadata.version("usher")
    except importlib.metadata.PackageNotFoundError:
        return "0.1.0"


def service_facts(config: Config, pid: int, started_at_s: float, pids: Iterable[int], workers: int) -> ProcessFacts:
    """pid: the one that names what is shown. started_at_s: seconds since 1970. pids: whose memory counts."""
    settings = config.globals
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ProcessFacts(
        version=version(),
        release_date=RELEASE_DATE,
        pid=pid,
        uptime_s=time.time() - started_at_s,
        started_epoch=started_at_s,
        workers=workers,
        ulimit_n=soft,
        maxsock=soft,
        maxconn=settings.maxconn,
        memory_used=sum(map(resident_bytes, pids)),
        node=settings.node or socket.gethostname(),
        description=settings.description or "",
        listeners=sum(len(proxy.binds) for proxy in config.proxies),
    )


def facts_from_heartbeats(config: Config, counters: Counters, master_pid: int, started_at_s: float) -> ProcessFacts:
    """The same as a process sees it that is not the master: by what all of them say of themselves."""
    hearts = [counters.heartbeat(row) for row in range(counters.layout.processes)]
    pids = [heart[HB_PID] for heart in hearts if heart[HB_PID]]
    workers = sum(heart[HB_ROLE] == WORKER_ROLE for heart in hearts)
    return service_facts(config, master_pid, started_at_s, pids, workers)


def resident_bytes(pid: int) -> int:
    """Memory of a process as the kernel counts it; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError, ValueError):
        return 0
