"""`show info`: the process as a whole. Sans-io.

All processes of the service count as one here, so `Nbproc` is the number of workers and every number is a sum.
Positions and names are HAProxy 2.6's, also the one that it misspells; tools know them.

Source: HAProxy management guide 9.3 `show info`; positions, tags and types observed from 2.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from common.model import Config
from common.observe import fields as f
from common.observe import rates as r
from common.observe.counters import Counters
from common.observe.layout import G_MAXCONN, G_RATE_COMPRESSION, G_RATE_CONNECTIONS, G_RATE_SESSIONS, G_RATE_SSL, G_STOPPING
from common.observe.stat_formats import Item, dump_items, one_line, typed_line


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What the counters do not know. Times: uptime_s seconds; started_epoch seconds since 1970. Memory in bytes."""

    version: str
    release_date: str
    pid: int
    uptime_s: float
    started_epoch: float
    workers: int = 1
    ulimit_n: int = 0
    maxsock: int = 0
    maxconn: int = 0
    memory_limit: int = 0
    memory_used: int = 0
    node: str = ""
    description: str = ""
    listeners: int = 0
    jobs: int = 0
    unstoppable_jobs: int = 0
    name: str = "Usher"


_FIELDS: Final = (
    (0, "Name", "POS", "str", "Name of the program"),
    (1, "Version", "POS", "str", "Version of the program"),
    (2, "Release_date", "POS", "str", "Date of this version"),
    (3, "Nbthread", "CGS", "u32", "Threads per process that carry traffic"),
    (4, "Nbproc", "CGS", "u32", "Worker processes"),
    (5, "Process_num", "KGP", "u32", "Number of the process: always 1, for the numbers are those of all"),
    (6, "Pid", "SGP", "u32", "Process id of the master, which names the service"),
    (7, "Uptime", "MDP", "str", "Time since the start, in days, hours, minutes and seconds"),
    (8, "Uptime_sec", "MDP", "u32", "Seconds since the start"),
    (9, "Memmax_MB", "CLP", "u32", "Limit of memory in MB, 0 = none"),
    (10, "PoolAlloc_MB", "MGP", "u32", "Memory of all processes in MB"),
    (11, "PoolUsed_MB", "MGP", "u32", "Memory of all processes in MB"),
    (12, "PoolFailed", "MCP", "u32", "Allocations that failed"),
    (13, "Ulimit-n", "CLP", "u32", "Limit of descriptors per process"),
    (14, "Maxsock", "CLP", "u32", "Sockets that the configuration may need"),
    (15, "Maxconn", "CLP", "u32", "Limit of connections of the whole service"),
    (16, "Hard_maxconn", "CLP", "u32", "The most that `set maxconn global` allows"),
    (17, "CurrConns", "MGP", "u32", "Connections of clients that are open"),
    (18, "CumConns", "MCP", "u32", "Connections of clients so far"),
    (19, "CumReq", "MCP", "u32", "Requests so far"),
    (20, "MaxSslConns", "MMP", "u32", "Limit of TLS connections, 0 = none"),
    (21, "CurrSslConns", "MGP", "u32", "TLS connections that are open, to clients and to servers"),
    (22, "CumSslConns", "MCP", "u32", "TLS connections so far, to clients and to servers"),
    (23, "Maxpipes", "CLP", "u32", "Limit of pipes for splicing, 0 = none"),
    (24, "PipesUsed", "MGP", "u32", "Pipes that carry data now"),
    (25, "PipesFree", "MGP", "u32", "Pipes that are kept for the next one"),
    (26, "ConnRate", "MRP", "u32", "Connections of clients in the last second"),
    (27, "ConnRateLimit", "CLP", "u32", "Limit of connections per second (maxconnrate)"),
    (28, "MaxConnRate", "MMP", "u32", "The most connections in any second"),
    (29, "SessRate", "MRP", "u32", "Sessions in the last second"),
    (30, "SessRateLimit", "CLP", "u32", "Limit of sessions per second (maxsessrate)"),
    (31, "MaxSessRate", "MRP", "u32", "The most sessions in any second"),
    (32, "SslRate", "MRP", "u32", "TLS sessions of clients in the last second"),
    (33, "SslRateLimit", "CLP", "u32", "Limit of TLS sessions per second (maxsslrate)"),
    (34, "MaxSslRate", "MMP", "u32", "The most TLS sessions in any second"),
    (35, "SslFrontendKeyRate", "MGP", "u32", "Full TLS handshakes with clients in the last second"),
    (36, "SslFrontendMaxKeyRate", "MMP", "u32", "The most full handshakes with clients in any second"),
    (37, "SslFrontendSessionReuse_pct", "MGP", "u32", "Per cent of the TLS sessions of clients that were resumed"),
    (38, "SslBackendKeyRate", "MRP", "u32", "Full TLS handshakes with servers in the last second"),
    (39, "SslBackendMaxKeyRate", "MMP", "u32", "The most full handshakes with servers in any second"),
    (40, "SslCacheLookups", "MCP", "u32", "Resumptions that clients asked for"),
    (41, "SslCacheMisses", "MCP", "u32", "Resumptions that could not be given"),
    (42, "CompressBpsIn", "MRP", "u32", "Bytes given to the compressor in the last second"),
    (43, "CompressBpsOut", "MRP", "u32", "Bytes that it made of them in the last second"),
    (44, "CompressBpsRateLim", "CLP", "u32", "Limit of compressed bytes per second"),
    (47, "Tasks", "MGP", "u32", "Coroutines that carry sessions or wait for one"),
    (48, "Run_queue", "MGP", "u32", "Coroutines that are ready to go on"),
    (49, "Idle_pct", "MaP", "u32", "Per cent of the last second that the processes waited"),
    (50, "node", "COS", "str", "Name of this node (global.node)"),
    (51, "description", "COS", "str", "Description of this node (global.description)"),
    (52, "Stopping", "MGP", "u32", "1 while the service stops"),
    (53, "Jobs", "MGP", "u32", "Connections and listeners"),
    (54, "Unstoppable Jobs", "MGP", "u32", "Connections that do not hold up a stop"),
    (55, "Listeners", "MGP", "u32", "Listeners that are open"),
    (56, "ActivePeers", "MGP", "u32", "Peers that are in touch"),
    (57, "ConnectedPeers", "MGP", "u32", "Peers that are connected"),
    (58, "DroppedLogs", "MGP", "u32", "Log lines that a receiver did not take"),
    (59, "BusyPolling", "MGP", "u32", "1 if processes poll without waiting"),
    (60, "FailedResolutions", "MGP", "u32", "Names that could not be resolved"),
    (61, "TotalBytesOut", "MGP", "u64", "Bytes sent to clients so far"),
    (62, "TotalSplicdedBytesOut", "MGP", "u64", "Bytes that the kernel moved between sockets"),
    (63, "BytesOutRate", "MRP", "u64", "Bytes sent to clients in the last second"),
    (64, "DebugCommandsIssued", "MGP", "u32", "Expert commands given so far"),
    (65, "CumRecvLogs", "MCP", "u32", "Log messages received"),
    (66, "Build info", "POS", "str", "Version of the program"),
    (67, "Memmax_bytes", "CLP", "u32", "Limit of memory in bytes, 0 = none"),
    (68, "PoolAlloc_bytes", "MGP", "u64", "Memory of all processes in bytes"),
    (69, "PoolUsed_bytes", "MGP", "u64", "Memory of all processes in bytes"),
    (70, "Start_time_sec", "MDP", "u32", "Time of the start in seconds since 1970"),
    (71, "Tainted", "SGP", "str", "Whether experimental features were used"),
)  # fmt: skip
_FLOATS: Final = frozenset(("Uptime_sec", "Start_time_sec"))  # more exact on request


def items(config: Config, counters: Counters, facts: ProcessFacts, now: float, *, floats: bool = False) -> list[Item]:
    """All fields that have a value. floats: some as fractions (`show info float`)."""
    values = dict(_values(config, counters, facts, now, floats))
    return [
        Item(position, name, tags, "flt" if floats and name in _FLOATS else kind, values[name], description)
        for position, name, tags, kind, description in _FIELDS
        if name in values
    ]


def plain(found: list[Item], *, descriptions: bool = False) -> str:
    """`Name: value` lines."""
    return "".join(f"{item.name}: {one_line(item.value)}" + (f':"{item.description}"\n' if descriptions else "\n") for item in found)


def typed(found: list[Item], *, descriptions: bool = False) -> str:
    return "".join(typed_line(item, "", descriptions=descriptions) for item in found)


def json_text(found: list[Item]) -> str:
    return dump_items(found)


def uptime_text(seconds: float) -> str:
    """0d 1h02m03s"""
    whole = int(seconds)
    return f"{whole // 86400}d {whole // 3600 % 24}h{whole // 60 % 60:02d}m{whole % 60:02d}s"


def _values(config: Config, counters: Counters, facts: ProcessFacts, now: float, floats: bool) -> Iterator[tuple[str, int | str | float]]:
    yield from _identity(facts, floats)
    process, service = counters.total(0), counters.globals
    fronts = _sums(counters, "F")
    servers = _sums(counters, "S")
    yield "Maxconn", service[G_MAXCONN] or facts.maxconn
    yield "CurrConns", fronts[f.SCUR]
    yield "CumConns", fronts[f.CONN_TOT]
    yield "CumReq", fronts[f.REQ_TOT]
    yield "MaxSslConns", config.globals.maxsslconn
    yield "CurrSslConns", fronts[f.SSL_CUR] + servers[f.SSL_CUR]
    yield "CumSslConns", fronts[f.SSL_SESS] + servers[f.SSL_SESS]
    yield "Maxpipes", 0
    yield "PipesUsed", process[f.P_PIPES_USED]
    yield "PipesFree", process[f.P_PIPES_FREE]
    yield from _rates(config, counters, fronts, servers, now)
    reused = fronts[f.SSL_REUSED_SESS]
    yield "SslFrontendSessionReuse_pct", reused * 100 // fronts[f.SSL_SESS] if fronts[f.SSL_SESS] else 0
    yield "SslCacheLookups", reused
    yield "SslCacheMisses", 0
    yield "Tasks", process[f.P_TASKS]
    yield "Run_queue", 0
    busy = r.Rates(counters, now).rate(0, r.RATE_BUSY, process[f.P_BUSY_MS])
    yield "Idle_pct", max(0, 100 - busy // (10 * counters.layout.processes))
    yield "Stopping", int(bool(service[G_STOPPING]))
    yield "Jobs", facts.jobs or fronts[f.SCUR] + facts.listeners
    yield "DroppedLogs", process[f.P_DROPPED_LOGS]
    yield "FailedResolutions", process[f.P_FAILED_RESOLUTIONS]
    yield "TotalBytesOut", fronts[f.BOUT]
    yield "TotalSplicdedBytesOut", fronts[f.H1_SPLICED_BYTES_OUT]
    yield "DebugCommandsIssued", 0
    memory = facts.memory_used or process[f.P_MEMORY_KB] * 1024
    yield from (("PoolAlloc_MB", memory >> 20), ("PoolUsed_MB", memory >> 20), ("PoolAlloc_bytes", memory), ("PoolUsed_bytes", memory))


def _identity(facts: ProcessFacts, floats: bool) -> Iterator[tuple[str, int | str | float]]:
    yield from (("Name", facts.name), ("Version", facts.version), ("Release_date", facts.release_date), ("Build info", facts.version))
    yield from (("Nbthread", 1), ("Nbproc", facts.workers), ("Process_num", 1), ("Pid", facts.pid))
    yield "Uptime", uptime_text(facts.uptime_s)
    yield "Uptime_sec", facts.uptime_s if floats else int(facts.uptime_s)
    yield "Start_time_sec", facts.started_epoch if floats else int(facts.started_epoch)
    yield from (("Memmax_MB", facts.memory_limit >> 20), ("Memmax_bytes", facts.memory_limit), ("PoolFailed", 0))
    yield from (("Ulimit-n", facts.ulimit_n), ("Maxsock", facts.maxsock), ("Hard_maxconn", facts.maxconn))
    yield "node", facts.node
    if facts.description:
        yield "description", facts.description
    yield from (("Unstoppable Jobs", facts.unstoppable_jobs), ("Listeners", facts.listeners))
    yield from (("ActivePeers", 0), ("ConnectedPeers", 0), ("BusyPolling", 0), ("CumRecvLogs", 0), ("Tainted", "0"))


def _rates(config: Config, counters: Counters, fronts: list[int], servers: list[int], now: float) -> Iterator[tuple[str, int]]:
    rates, limits, limit_words = r.Rates(counters, now), config.globals, counters.globals
    keys = fronts[f.SSL_SESS] - fronts[f.SSL_REUSED_SESS]
    server_keys = servers[f.SSL_SESS] - servers[f.SSL_REUSED_SESS]
    for name, largest, rate, total in (
        ("ConnRate", "MaxConnRate", r.RATE_CONNECTIONS, fronts[f.CONN_TOT]),
        ("SessRate", "MaxSessRate", r.RATE_SESSIONS, fronts[f.STOT]),
        ("SslRate", "MaxSslRate", r.RATE_SSL, fronts[f.SSL_SESS]),
        ("SslFrontendKeyRate", "SslFrontendMaxKeyRate", r.RATE_SSL_KEYS, keys),
        ("SslBackendKeyRate", "SslBackendMaxKeyRate", r.RATE_SERVER_KEYS, server_keys),
    ):
        current = rates.rate(0, rate, total)
        yield name, current
        yield largest, rates.largest(0, rate, current)
    for name, rate, word in (
        ("BytesOutRate", r.RATE_BYTES_OUT, f.BOUT),
        ("CompressBpsIn", r.RATE_COMP_IN, f.COMP_IN),
        ("CompressBpsOut", r.RATE_COMP_OUT, f.COMP_OUT),
    ):
        yield name, rates.rate(0, rate, fronts[word])
    yield "ConnRateLimit", limit_words[G_RATE_CONNECTIONS] or limits.maxconnrate
    yield "SessRateLimit", limit_words[G_RATE_SESSIONS] or limits.maxsessrate
    yield "SslRateLimit", limit_words[G_RATE_SSL] or limits.maxsslrate
    yield "CompressBpsRateLim", limit_words[G_RATE_COMPRESSION]


def _sums(counters: Counters, kind: str) -> list[int]:
    """All objects of a kind added up."""
    blocks = [counters.total(number) for number in counters.layout.objects_of_kind(kind)]
    return [sum(column) for column in zip(*blocks, strict=True)] if blocks else [0] * len(f.NAMES)
