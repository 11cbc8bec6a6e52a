"""`usher -c -V`: which limits will hold, where each comes from, and what they need of the machine.

Source: HAProxy configuration manual 3.1, 3.2, 4.2 (timeout and its fall-backs); management guide 5, 6.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.model import Config, Global, Proxy, Timeouts
from common.process import limits
from common.process.launch import DISPATCHER, WORKER
from common.process.plan import Plan, plan

_MIB = 1 << 20
# timeout -> those that are asked in its place when it is not set
_FALLBACKS = {
    "connect": (),
    "client": (),
    "server": (),
    "http_request": ("client",),
    "http_keep_alive": ("http_request", "client"),
    "queue": ("connect",),
    "tunnel": (),
    "check": (),
    "tarpit": ("connect",),
    "client_fin": (),
    "server_fin": (),
}
_BUFFERS = {
    "tune.bufsize": "bufsize",
    "tune.maxrewrite": "maxrewrite",
    "tune.http.maxhdr": "max_headers",
    "tune.maxaccept": "maxaccept",
}

Row = tuple[str, str, str]


def effective(config: Config) -> str:
    """The whole page."""
    whole = plan(config, limits.usable_cores())
    rows = [("setting", "value", "from"), *_processes(config, whole), *_connections(config, whole), *_buffers(config.globals)]
    for proxy in config.proxies:
        rows += _of_proxy(proxy)
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}".rstrip() + "\n" for name, value, origin in rows)


def _processes(config: Config, whole: Plan) -> Iterator[Row]:
    settings = config.globals
    workers, dispatchers = whole.of(WORKER), whole.of(DISPATCHER)
    if any(process.handover for process in workers):
        named = any(bind.processes for proxy in config.proxies for bind in proxy.binds)
        origin = "process" if named else "workers" if settings.workers else "nbproc" if settings.nbproc else "usable cores"
    else:
        origin = "process" if workers else "no bind needs one"
    of_dispatchers = "dispatchers" if settings.dispatchers > 1 else "default" if dispatchers else "no bind needs one"
    yield "dispatchers", str(len(dispatchers)), of_dispatchers
    yield "workers", str(len(workers)), origin


def _connections(config: Config, whole: Plan) -> Iterator[Row]:
    descriptors = limits.raise_descriptors(limits.descriptors_needed(config))
    found = limits.effective_maxconn(config, whole, descriptors)
    yield "open files per process", str(descriptors), "system limit (ulimit -n)"
    yield "maxconn", str(found.value), found.origin
    yield "connections per process", str(found.per_process), f"{limits.FDS_PER_CONNECTION} files each"
    needed = limits.memory_needed_bytes(config, found.value)
    yield "memory for all of them", f"{-(-needed // _MIB)} MB", "two buffers and a session each, at most"


def _buffers(settings: Global) -> Iterator[Row]:
    usual = Global()
    for name, field in _BUFFERS.items():
        value = getattr(settings, field)
        yield name, str(value), "default" if value == getattr(usual, field) else "configuration"


def _of_proxy(proxy: Proxy) -> Iterator[Row]:
    kind = "listen" if proxy.frontend and proxy.backend else "frontend" if proxy.frontend else "backend"
    title = f"{kind} {proxy.name}: "
    if proxy.frontend:
        yield title + "maxconn", str(proxy.maxconn or "-"), "configuration" if proxy.maxconn else "global maxconn"
    for name in _FALLBACKS:
        if _concerns(proxy, name):
            yield title + f"timeout {name.replace('_', '-')}", *_timeout(proxy.timeouts, name)


def _concerns(proxy: Proxy, name: str) -> bool:
    if name.startswith("http"):
        return proxy.frontend and proxy.mode == "http"
    if name in ("client", "client_fin"):
        return proxy.frontend
    return proxy.backend


def _timeout(timeouts: Timeouts, name: str) -> tuple[str, str]:
    for source in (name, *_FALLBACKS[name]):
        value = getattr(timeouts, source)
        if value is not None:
            return f"{value:g} s", "configuration" if source == name else f"timeout {source.replace('_', '-')}"
    return "none", "not set"
