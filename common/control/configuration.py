"""From the command line's files to a checked configuration: reads them, loads them, and lays the command line's own wishes over it.

Source: HAProxy management guide 3 (-f, --, -n, -N, -L, -dr, -dV, -dW, -q); configuration manual 2.3 (variables), 3.3 (quiet, zero-warning).
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from common.config import build
from common.config.diagnostics import Diagnostic, Severity, render
from common.config.options import LoadOptions
from common.config.source import FILE_BYTES_MAX
from common.control import machine
from common.control.arguments import Options
from common.errors import ConfigError
from common.model import Config
from common.process.switches import is_on

FILES_MAX = 10_000  # of one folder
_SSL_CONDITIONS = (b"openssl_version", b"ssllib_name")


@dataclass(frozen=True, slots=True)
class Reading:
    """config: None if it is refused. environment: as the files left it."""

    config: Config | None
    diagnostics: Sequence[Diagnostic]
    environment: Mapping[str, str]

    @property
    def warnings(self) -> bool:
        """Whether there is anything that HAProxy itself would warn about."""
        return any(diagnostic.severity is Severity.WARNING for diagnostic in self.diagnostics)


def read(options: Options) -> Reading:
    """Raises ConfigError for files that cannot be read; what is wrong inside them is in the diagnostics."""
    sources = sources_of(options.files)
    loaded = build.load(sources, _environment(options, sources), options=load_options(options, sources))
    if loaded.config is None:
        return Reading(None, loaded.diagnostics, loaded.environment)
    config = _with_wishes(loaded.config, options)
    found = machine.faults(config)
    return Reading(None if found else config, [*loaded.diagnostics, *found], loaded.environment)


def load_options(options: Options, sources: Sequence[tuple[str, bytes]] = ()) -> LoadOptions:
    """What the machine and the command line tell the parser. The library's name costs its import: only where it is asked for."""
    texts = [content for _name, content in sources] + [(options.condition or "").encode()]
    return LoadOptions(
        ssl_library=ssl_library() if any(word in text for text in texts for word in _SSL_CONDITIONS) else "",
        pid=os.getpid(),
        workers=options.workers,
        peer_name=options.peer_name or socket.gethostname(),
        read_file=read_file,
        list_folder=os.listdir,
        now=time.time(),
    )


def shown(diagnostics: Sequence[Diagnostic], options: Options) -> str:
    """The findings as they are printed: with -dD those of style too."""
    wanted = [each for each in diagnostics if each.severity is not Severity.DIAG or options.diagnostics]
    return "".join(render(diagnostic, os.getpid()) + "\n" for diagnostic in wanted)


def ssl_library() -> str:
    """The TLS library's own name and version."""
    from OpenSSL import SSL

    return SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode("ascii", "replace")


def sources_of(names: Sequence[str]) -> list[tuple[str, bytes]]:
    """(name, content) of each file, folders opened up: their files called *.cfg, in the order of their bytes. Raises ConfigError."""
    sources = []
    for name in names:
        try:
            if stat.S_ISDIR(os.stat(name).st_mode):
                sources += [(path, read_file(path)) for path in _in_folder(name)]
            else:
                sources.append((name, read_file(name)))
        except OSError as error:
            raise ConfigError(f"Cannot open configuration file/directory {error.filename or name} : {error.strerror}") from error
    return sources


def read_file(name: str) -> bytes:
    """At most one byte more than any file may have: whoever reads it will refuse it. Raises OSError."""
    with open(name, "rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
        assert isinstance(content, bytes)
        return content


def _in_folder(folder: str) -> list[str]:
    names = [entry.name for entry in os.scandir(folder) if entry.name.endswith(".cfg") and not entry.name.startswith(".")]
    if len(names) > FILES_MAX:
        raise ConfigError(f"{folder} holds {len(names)} files; at most {FILES_MAX} are read")
    paths = [os.path.join(folder, name) for name in sorted(names, key=os.fsencode)]
    return [path for path in paths if stat.S_ISREG(os.stat(path).st_mode)]


def _environment(options: Options, sources: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """The process's own variables, those that HAProxy defines, and the sockets that a service manager passed by name."""
    environment = dict(os.environ)
    environment["HAPROXY_LOCALPEER"] = options.peer_name or environment.get("HAPROXY_LOCALPEER") or socket.gethostname()
    environment["HAPROXY_CFGFILES"] = ";".join(name for name, _content in sources)
    if options.master_worker:
        environment["HAPROXY_MWORKER"] = "1"
    return {**_passed_sockets(environment), **environment}


def _passed_sockets(environment: Mapping[str, str]) -> dict[str, str]:
    """systemd's sockets: FileDescriptorName=web makes `bind "fd@${web}"` work. Source: sd_listen_fds(3)."""
    if environment.get("LISTEN_PID") != str(os.getpid()) or not environment.get("LISTEN_FDS", "").isdigit():
        return {}
    names = environment.get("LISTEN_FDNAMES", "").split(":")[: int(environment["LISTEN_FDS"])]
    return {name: str(3 + position) for position, name in enumerate(names) if name}


def _with_wishes(config: Config, options: Options) -> Config:
    """The command line prevails over the files."""
    settings = config.globals
    if options.maxconn:
        settings.maxconn = options.maxconn
    if options.maxconn_proxy:
        for proxy in config.proxies:
            proxy.maxconn = proxy.maxconn or options.maxconn_proxy
    if options.pidfile:
        settings.pidfile = options.pidfile
    settings.daemon = (settings.daemon or options.daemon) and not options.foreground
    for flag, keyword in (("R", "noreuseport"), ("S", "nosplice"), ("G", "nogetaddrinfo")):
        if flag in options.debug:
            settings.extra[keyword] = ((),)
    if "V" in options.debug:
        for server in (server for proxy in config.proxies for server in proxy.servers):
            server.tls = replace(server.tls, verify="none") if server.tls else None
    if "r" in options.debug:
        for server in (server for proxy in config.proxies for server in proxy.servers):
            server.options["init-addr"] = (*server.options.get("init-addr", ("libc",)), "none")
    options.quiet = options.quiet or (is_on(settings, "quiet") and not options.verbose)
    options.zero_warning = options.zero_warning or is_on(settings, "zero-warning")
    options.master_worker = options.master_worker or is_on(settings, "master-worker")
    return config
