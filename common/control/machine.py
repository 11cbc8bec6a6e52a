"""What a configuration needs of this machine: users, groups, a directory, names that resolve, descriptors, memory.

The parser looks at no machine; this is asked of it afterwards, by the check and by every start and reload.

Source: HAProxy configuration manual 3.1 (user, group, default-path, maxconn), 5.2 (init-addr); management guide 3 (-c, -dr).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from common.config.diagnostics import Diagnostic, Severity
from common.config.limits import Limits, Machine, effective_limits
from common.errors import ConfigError
from common.model import AddressKind, Config, Place, Server
from common.net.sockaddr import initial
from common.process import limits, privileges
from common.process.plan import plan

_CURE = "Correct the name, or add `init-addr last,libc,none` to start without an address."


def faults(config: Config) -> list[Diagnostic]:
    """What the files say rightly and this machine cannot do."""
    return [*_identity(config), *_directory(config), *_names(config)]


def effective(config: Config) -> Limits:
    """The limits that will hold for that configuration here."""
    descriptors = limits.raise_descriptors(limits.descriptors_needed(config))
    cores = limits.usable_cores()
    holders = limits.connection_holders(config, plan(config, cores))
    return effective_limits(config, Machine(descriptors, cores, limits.memory_bytes(), holders))


def _identity(config: Config) -> Iterator[Diagnostic]:
    try:
        privileges.identity(config.globals)
    except ConfigError as error:
        yield Diagnostic(Severity.ALERT, Place(), str(error), slug="identity")


def _directory(config: Config) -> Iterator[Diagnostic]:
    """default-path: where the processes will look for their files."""
    if config.directory and not os.access(config.directory, os.X_OK):
        message = f"cannot change to directory '{config.directory}', which 'default-path' says"
        yield Diagnostic(Severity.ALERT, Place(), message, slug="default-path")


def _names(config: Config) -> Iterator[Diagnostic]:
    """Servers whose names do not resolve at the start, unless they may start without an address."""
    asked: dict[tuple[str, AddressKind, tuple[str, ...]], bool] = {}  # a thousand servers of one name are one question
    for proxy in config.proxies:
        for server in () if proxy.disabled else proxy.servers:
            key = (server.address.host, server.address.kind, server.options.get("init-addr", ()))
            if key not in asked:
                asked[key] = _has_address(server)
            if not asked[key]:
                message = f"'server {proxy.name}/{server.name}' : could not resolve address '{server.address.host}'."
                yield Diagnostic(Severity.ALERT, server.place, message, _CURE, slug="unresolved-name")


def _has_address(server: Server) -> bool:
    try:
        initial(server)
    except ConfigError:
        return False
    return True
