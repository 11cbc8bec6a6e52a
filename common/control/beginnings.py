"""What is known of servers before a generation starts: the addresses of their names, and what a state file says.

Source: HAProxy configuration manual 3.1 "server-state-base", "server-state-file", 4.2 "load-server-state-from-file",
"server-state-file-name", 5.2 "init-addr".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from common.errors import ConfigError
from common.model import AddressKind, Config, Proxy, Server, last_word
from common.net.sockaddr import initial, is_numeric
from common.observe.state_file import Saved, read_states
from common.observe.state_setup import is_service

STATE_FILE_BYTES_MAX = 16 << 20
NO_DNS = "section resolvers needs the package dnspython, which is not installed: pip install 'usher[dns]'"


@dataclass(frozen=True, slots=True)
class Beginnings:
    """addresses: "backend/server" -> address of its name, "" for none yet. saved: of the backends that load a state file."""

    addresses: dict[str, str] = field(default_factory=dict)
    saved: dict[str, Saved] = field(default_factory=dict)


def beginnings(config: Config, complain: Callable[[str], None]) -> Beginnings:
    """complain: hears of state files that cannot be read, which stops nothing. Raises ConfigError for names that must resolve."""
    saved = _saved(config, complain)
    if (
        config.resolvers
        and find_spec("dns") is None
        and any("resolvers" in one.options for proxy in config.proxies for one in proxy.servers)
    ):
        raise ConfigError(NO_DNS)
    return Beginnings(_addresses(config, saved), saved)


def _addresses(config: Config, saved: dict[str, Saved]) -> dict[str, str]:
    found: dict[str, str] = {}
    asked: dict[tuple[str, AddressKind, tuple[str, ...], str], str] = {}
    for proxy in config.proxies:
        for server in () if proxy.disabled else proxy.servers:
            if is_numeric(server.address):
                continue
            name = f"{proxy.name}/{server.name}"
            last = saved[name].address if name in saved and "last" in _ways(server) else ""
            key = (server.address.host, server.address.kind, _ways(server), last)
            if key not in asked:
                asked[key] = _address(server, last)
            found[name] = asked[key]
    return found


def _ways(server: Server) -> tuple[str, ...]:
    return server.options.get("init-addr", ("last", "libc"))


def _address(server: Server, last: str) -> str:
    """ "" for one that starts without. Raises ConfigError."""
    if last:
        return last
    if is_service(server) and "resolvers" in server.options:
        return ""
    address = initial(server)
    return address.host if address is not None else ""


def _saved(config: Config, complain: Callable[[str], None]) -> dict[str, Saved]:
    read: dict[Path, dict[str, Saved]] = {}
    found: dict[str, Saved] = {}
    for proxy in config.proxies:
        path = _state_file(config, proxy)
        if path is None:
            continue
        if path not in read:
            read[path] = _read(path, complain)
        found.update({name: one for name, one in read[path].items() if name.startswith(f"{proxy.name}/")})
    return found


def _state_file(config: Config, proxy: Proxy) -> Path | None:
    """Where the states of a backend's servers are, if they are to be loaded."""
    how = last_word(proxy.extra, "load-server-state-from-file", "none")
    extra = config.globals.extra
    base = Path(last_word(extra, "server-state-base"))
    if how == "global":
        return base / extra["server-state-file"][-1][0] if "server-state-file" in extra else None
    if how == "local":
        named = proxy.extra.get("server-state-file-name")
        words = named[-1] if named else ()
        return base / (words[0] if words and words[0] != "use-backend-name" else proxy.name)
    return None


def _read(path: Path, complain: Callable[[str], None]) -> dict[str, Saved]:
    try:
        with path.open("rb") as file:
            text = file.read(STATE_FILE_BYTES_MAX).decode("utf-8", "replace")
    except OSError as error:
        complain(f"config : Can't open server state file '{path}': {error.strerror}")
        return {}
    found = read_states(text)
    if not found and text.strip():
        complain(f"config : server state file '{path}' has no line of a version that is known: nothing is loaded from it")
    return found
