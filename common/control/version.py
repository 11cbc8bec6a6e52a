"""`usher -v` and `usher -vv`: which version this is, and what it found to run with.

Source: HAProxy management guide 3 (-v, -vv).
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import select
import socket
import sys

from common.config.options import ENABLED, FEATURES, VERSION
from common.control.configuration import ssl_library
from common.model import Global
from common.process.facts import version

_LIBRARIES = ("trio", "cryptography", "pyOpenSSL", "h11", "google-re2")


def line() -> str:
    return (
        f"Usher version {version()} - answers as HAProxy version {VERSION}\n"
        f"Status: development; the configuration language is HAProxy's, conditions are evaluated as by version {VERSION}.\n"
        f"Running on: {' '.join(platform.uname()[index] for index in (0, 2, 3, 4))}\n"
    )


def details() -> str:
    settings = Global()
    features = " ".join(f"+{name}" for name in sorted(FEATURES))
    rows = [
        line(),
        "Build options :",
        f"  Python       = {platform.python_implementation()} {platform.python_version()} ({sys.executable})",
        *(f"  {name:<12} = {_library(name)}" for name in _LIBRARIES),
        "",
        f"Feature list : {features}",
        f"Enabled : {' '.join(sorted(ENABLED))}",
        "",
        "Default settings :",
        f"  bufsize = {settings.bufsize}, maxrewrite = {settings.maxrewrite}, maxhdr = {settings.max_headers}",
        "",
        f"Running on OpenSSL version : {ssl_library()}",
        "OpenSSL library supports TLS extensions : yes",
        "OpenSSL library supports SNI : yes",
        "",
        "Kernel facilities :",
        *(f"  {name:<30} : {found}" for name, found in facilities()),
        "",
        "Available polling systems :",
        "      epoll : pref=300,  test result OK",
        "Total: 1 (1 usable), will use epoll.",
        "",
    ]
    return "\n".join(rows)


def facilities() -> list[tuple[str, str]]:
    """What the service uses of the kernel, tried where trying does no harm: "yes", or what is missing and what happens instead."""
    return [
        ("descriptor passing", "yes" if hasattr(socket, "SCM_RIGHTS") else "no: connections are relayed"),
        ("abstract unix sockets", _tried(_abstract, "no: the tiers cannot meet")),
        ("splice", "yes" if hasattr(os, "splice") else "no: bodies are copied (Python 3.10 or newer has it)"),
        ("pidfd", _tried(_pidfd, "no: Linux 5.3 or newer is needed")),
        ("memfd", _tried(_memfd, "no: statistics cannot be shared")),
        ("SO_REUSEPORT", "yes" if hasattr(socket, "SO_REUSEPORT") else "no: one dispatcher only"),
        ("TCP_FASTOPEN", "yes" if hasattr(socket, "TCP_FASTOPEN") else "no: `tfo` has no effect"),
        ("TCP_DEFER_ACCEPT", "yes" if hasattr(socket, "TCP_DEFER_ACCEPT") else "no: `defer-accept` has no effect"),
        ("edge-triggered epoll", "yes" if hasattr(select, "EPOLLET") else "no"),
    ]


def _library(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _tried(attempt: object, otherwise: str) -> str:
    assert callable(attempt)
    try:
        attempt()
    except (OSError, AttributeError):
        return otherwise
    return "yes"


def _abstract() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind("")  # the kernel chooses an abstract name


def _pidfd() -> None:
    os.close(os.pidfd_open(os.getpid()))


def _memfd() -> None:
    os.close(os.memfd_create("usher-try"))
