"""What a configuration needs of this machine: users, groups, a directory, names that resolve, inherited sockets, descriptors, memory.

The parser looks at no machine; this is asked of it afterwards, by the check and by every start and reload.

Source: HAProxy configuration manual 3.1 (user, group, default-path, maxconn), 5.2 (init-addr); management guide 3 (-c, -dr).
"""

from __future__ import annotations

import grp
import itertools
import os
import pwd
import socket
from collections.abc import Iterator

from common.config.address import BIND, CHECK, SOURCE, AddressError, parse_addresses
from common.config.diagnostics import Diagnostic, Severity
from common.config.limits import Limits, Machine, effective_limits
from common.errors import ConfigError
from common.model import Address, AddressKind, Config, Place, Proxy, Server
from common.net.sockaddr import initial, resolve
from common.process import limits, privileges
from common.process.plan import plan

_CURE = "Correct the name, or add `init-addr last,libc,none` to start without an address."


def faults(config: Config) -> list[Diagnostic]:
    """What the files say rightly and this machine cannot do."""
    return [*_identity(config), *_directory(config), *_sockets(config), *_names(config), *_other_names(config)]


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


def _sockets(config: Config) -> Iterator[Diagnostic]:
    """Owners of unix sockets, and sockets that whoever starts us should have left open."""
    binds = [bind for proxy in config.proxies if not proxy.disabled for bind in proxy.binds]
    wanted = [(bind.place, f"bind {bind.address}", bind.address, bind.user, bind.group) for bind in binds]
    for words in config.globals.stats_sockets:
        settings = dict(itertools.pairwise(words))
        wanted.append((Place(), "stats socket", _socket_address(words[0]), settings.get("user"), settings.get("group")))
    for place, title, address, user, group in wanted:
        for what, name, known in (("user", user, _is_user), ("group", group, _is_group)):
            if name is not None and not known(name):
                yield _alert(place, f"'{title}' : '{what}' : unknown {what} name '{name}'", f"Use the name of a {what} of this machine.")
        trouble = _trouble_of(address.fd) if address.kind is AddressKind.FD else ""
        if trouble:
            hint = "Start Usher with an open socket of that number."
            yield _alert(place, f"'{title}' : cannot use file descriptor '{address.fd}' : {trouble}.", hint)


def _socket_address(text: str) -> Address:
    """Of a `stats socket`, which the parser has taken: a path may stand by itself."""
    return parse_addresses(text if "/" not in text or "@" in text else f"unix@{text}", BIND)[0]


def _is_user(name: str) -> bool:
    try:
        return bool(pwd.getpwnam(name))
    except (KeyError, ValueError):
        return False


def _is_group(name: str) -> bool:
    try:
        return bool(grp.getgrnam(name))
    except (KeyError, ValueError):
        return False


def _trouble_of(fd: int) -> str:
    """Why that descriptor cannot be listened on; "" if it can."""
    try:
        copy = socket.socket(fileno=os.dup(fd))
    except OSError as error:
        return error.strerror or str(error)
    copy.close()
    return ""


def _alert(place: Place, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.ALERT, place, message, hint, slug="not-here")


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


def _other_names(config: Config) -> Iterator[Diagnostic]:
    """Names of log receivers, of the addresses that connections come from, and of those that checks go to."""
    targets = {id(target): target for logs in (config.globals.logs, *(proxy.logs for proxy in config.proxies)) for target in logs}
    wanted = [(target.place, "log", target.address) for target in targets.values() if target.address is not None]
    for proxy in config.proxies:
        if proxy.backend and not proxy.disabled:
            wanted += _addresses_of(proxy)
    for place, title, address in wanted:
        try:
            resolve(address)
        except ConfigError:
            message = f"{title} : invalid address: '{address.host}'"
            hint = "Write an address, or a name that this machine can resolve."
            yield Diagnostic(Severity.ALERT, place, message, hint, slug="unresolved-name")


def _addresses_of(proxy: Proxy) -> Iterator[tuple[Place, str, Address]]:
    """(place, keyword, address) of `source`, `addr` and `agent-addr`."""
    for words in proxy.extra.get("source", ()):
        yield from _parsed(proxy.place, "'source'", words[0], source=True)
    for server in proxy.servers:
        if server.disabled:
            continue
        owner = f"'server {proxy.name}/{server.name}'"
        if server.source is not None:
            yield server.place, f"{owner} : 'source'", server.source
        for keyword in ("addr", "agent-addr"):
            if keyword in server.options:
                yield from _parsed(server.place, f"{owner} : '{keyword}'", server.options[keyword][0])


def _parsed(place: Place, title: str, text: str, *, source: bool = False) -> Iterator[tuple[Place, str, Address]]:
    """The first address of a text that the parser has already taken."""
    try:
        yield place, title, parse_addresses(text, SOURCE if source else CHECK)[0]
    except AddressError:
        return
