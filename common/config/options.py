"""What the command line and the machine tell the parser: version, features, limits, and how to read a file that a line names.

Sans-io: reading is a callable. Source: HAProxy management guide section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.config import source

VERSION = "3.5.0"  # the language's version: what version_atleast() and friends are answered with
FEATURES = frozenset(
    {"ACCEPT4", "CPU_AFFINITY", "CRYPT_H", "EPOLL", "GETADDRINFO", "LINUX_SPLICE", "OPENSSL", "PRCTL", "PROMEX", "SYSTEMD", "TFO"}
)
ENABLED = frozenset({"EPOLL", "FAST-FORWARD", "GETADDRINFO", "POLL", "REUSEPORT", "SPLICE"})


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """version: of the language. ssl_library: name and version as OpenSSL says it ("OpenSSL 3.5.1 1 Jul 2025").

    features, enabled: what feature() and enabled() are true for. workers: `--workers N`, overriding the file.
    read_file: bytes of a file that a line names (error pages, maps, pattern lists); it may raise OSError. None: they are not looked at.
    list_folder: the names in a directory of certificates; it may raise OSError. None: directories are not looked into.
    peer_name: -L. now: seconds since 1970, for certificates that expire; None: not checked.
    """

    version: str = VERSION
    ssl_library: str = ""
    features: frozenset[str] = FEATURES
    enabled: frozenset[str] = ENABLED
    fips: bool = False
    pid: int = 0
    file_bytes_max: int = source.FILE_BYTES_MAX
    line_bytes_max: int = source.LINE_BYTES_MAX
    workers: int | None = None
    now: float | None = None
    peer_name: str = "localhost"
    read_file: Callable[[str], bytes] | None = None
    list_folder: Callable[[str], list[str]] | None = None
