"""Sessions are resumed whatever happens to certificates, workers and configurations in between."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.flows.harness import Flow, defaults
from tests.flows.peers import Peer, eventually
from tests.flows.programs import USHER
from tests.flows.test_certificate_commands import ask, pem

_TEXT = """
listen a
    bind <listen:a> ssl crt <file:a.pem> crt <file:b.pem>
    http-request return status 200
listen stateful
    bind <listen:stateful> ssl crt <file:a.pem> no-tls-tickets
    http-request return status 200
"""
_REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


class Client:
    """Comes back with its last session each time."""

    def __init__(self, flow: Flow, version: ssl.TLSVersion, listen: str = "a") -> None:
        self.address = flow.places.address(listen)
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.minimum_version = self.context.maximum_version = version
        self.session: ssl.SSLSession | None = None

    def comes(self, name: str = "a.example") -> bool:
        """Whether its session was resumed."""
        plain = socket.create_connection(self.address, 10)  # type: ignore[arg-type]
        wrapped = self.context.wrap_socket(plain, server_hostname=name, session=self.session)
        wrapped.sendall(_REQUEST)
        peer = Peer(wrapped)
        assert peer.receive_to_end().startswith(b"HTTP/1.1 200")
        self.session, is_resumed = wrapped.session, bool(wrapped.session_reused)
        peer.close()
        return is_resumed


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    for name in ("a", "b"):
        (tmp_path / f"{name}.pem").write_bytes(pem(authority.issue_cert(f"{name}.example", key_type=trustme.KeyType.ECDSA)))
    return authority


def started(folder: Path, global_lines: str = "", workers: int = 2) -> Flow:
    lines = f"workers {workers}\n    stats socket <unix:operator> level admin\n    {global_lines}"
    return Flow(folder, (USHER, defaults(global_lines=lines) + _TEXT))


@pytest.fixture
def flow(tmp_path: Path, authority: trustme.CA) -> Iterator[Flow]:
    with started(tmp_path) as running:
        yield running


def replaced(flow: Flow, role: str) -> None:
    """Kill all processes of one kind, and wait for others."""
    before = flow.instance.by_role(role)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(set(flow.instance.by_role(role)) - set(before)) == len(before), f"other {role}s")


@VERSIONS
def test_a_hundred_reconnects_over_certificate_changes_worker_kills_and_reloads(
    flow: Flow, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    client = Client(flow, version)
    assert not client.comes()
    resumed = 0
    for number in range(100):
        if number % 25 == 5:
            path = flow.folder / "a.pem"
            path.write_bytes(pem(authority.issue_cert("a.example", key_type=trustme.KeyType.ECDSA)))
            ask(flow, f"set ssl cert {path}", path.read_bytes())
            assert "Success!" in ask(flow, f"commit ssl cert {path}")
        if number % 50 == 15:
            replaced(flow, "worker")
        if number % 50 == 40:
            before = set(flow.instance.by_role("worker"))
            ask(flow, "reload")
            eventually(lambda before=before: not before & set(flow.instance.by_role("worker")), "another generation")  # type: ignore[misc]
        resumed += client.comes("b.example" if number % 7 == 3 else "a.example")
    assert resumed == 100
    assert "0 (in memory: " in ask(flow, "show tls-keys")
    info = ask(flow, "show info")
    found = re.search(r"SslFrontendSessionReuse_pct: ([0-9]+)", info)
    assert found and int(found[1]) >= 95, info


@VERSIONS
def test_keys_change_by_time_and_old_tickets_are_honoured(tmp_path: Path, authority: trustme.CA, version: ssl.TLSVersion) -> None:
    """Four keys in turns of half a second: a client that comes all the time is always resumed."""
    with started(tmp_path, "tune.ssl.ticket-rotation 500ms") as flow:
        client = Client(flow, version)
        assert not client.comes()
        until = time.monotonic() + 3.2
        while time.monotonic() < until:
            assert client.comes()


@VERSIONS
def test_without_tickets_one_worker_knows_its_own_sessions(tmp_path: Path, authority: trustme.CA, version: ssl.TLSVersion) -> None:
    with started(tmp_path, workers=1) as flow:
        client = Client(flow, version, "stateful")
        assert [client.comes() for _ in range(4)] == [False, True, True, True]


def test_cache_of_no_size_keeps_nothing(tmp_path: Path, authority: trustme.CA) -> None:
    with started(tmp_path, "tune.ssl.cachesize 0", workers=1) as flow:
        client = Client(flow, ssl.TLSVersion.TLSv1_2, "stateful")
        assert not any(client.comes() for _ in range(3))
