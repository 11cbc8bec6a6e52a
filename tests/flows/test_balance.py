"""Balancing over several workers, and hashing beside stock HAProxy: the same key to the same server in both programs."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterator

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import Peer
from tests.flows.programs import BY_NAME, Program
from tests.flows.serving import ServingThread, greeting
from tests.flows.test_cookies import setting
from tests.flows.test_tables import ask

_CROWD = """
global
    workers 4
    log <log> local0
defaults
    timeout connect 2s
    timeout client 30s
    timeout server 30s
listen even
    bind <listen:even>
    mode tcp
    balance leastconn
    server s1 <server:s1>
    server s2 <server:s2>
    server s3 <server:s3>
    server s4 <server:s4>
listen weighted
    bind <listen:weighted>
    mode tcp
    balance leastconn
    server s1 <server:s1> weight 3
    server s2 <server:s2> weight 1
"""


@pytest.fixture(scope="module")
def crowd(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    if program.name != "usher":
        pytest.skip("several worker processes")
    with Flow(tmp_path_factory.mktemp("crowd"), (program, _CROWD)) as flow:
        threads = [ServingThread(flow.server(name), greeting(name)) for name in ("s1", "s2", "s3", "s4")]
        yield flow
        for thread in threads:
            thread.stop()


def _open(flow: Flow, section: str, peers: list[Peer], served: list[str], count: int) -> None:
    for _ in range(count):
        peer = flow.connect(section)
        served.append(peer.receive_until(b"\n").decode().strip())
        peers.append(peer)


def test_leastconn_is_exact_over_all_workers(crowd: Flow) -> None:
    """Two hundred long connections, one after the other, through four processes: no server ever has two more than another."""
    peers: list[Peer] = []
    served: list[str] = []
    for opened in range(1, 201):
        _open(crowd, "even", peers, served, 1)
        counts = collections.Counter(served)
        assert max(counts.values()) - min(counts.get(name, 0) for name in ("s1", "s2", "s3", "s4")) <= 1, (opened, counts)
    # Those of one server leave: it gets the next ones.
    leaving = [peer for peer, name in zip(peers, served, strict=True) if name == "s2"][:20]
    for peer in leaving:
        peer.close()
    later: list[str] = []
    _open(crowd, "even", peers, later, 20)
    assert collections.Counter(later)["s2"] >= 14, later  # the first ones may come while some are still on their way out
    for peer in peers:
        peer.close()


def test_leastconn_under_simultaneous_connections_stays_even(crowd: Flow) -> None:
    peers: list[Peer] = []
    served: list[str] = []
    threads = [threading.Thread(target=_open, args=(crowd, "weighted", peers, served, 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = collections.Counter(served)
    assert abs(counts["s1"] - 60) <= 3 and abs(counts["s2"] - 20) <= 3, counts
    for peer in peers:
        peer.close()


# --- the same choice as HAProxy ----------------------------------------------------------------------------------------

ALGORITHMS = {
    "uri": "balance uri",
    "uri-consistent": "balance uri\n    hash-type consistent",
    "uri-whole": "balance uri whole\n    hash-type consistent djb2 avalanche",
    "uri-depth": "balance uri depth 2\n    hash-type map-based wt6",
    "uri-len": "balance uri len 5\n    hash-type consistent crc32",
    "uri-path": "balance uri path-only",
    "param": "balance url_param id\n    hash-type consistent",
    "header": "balance hdr(x-key)\n    hash-type map-based sdbm avalanche",
    "header-consistent": "balance hdr(x-key)\n    hash-type consistent wt6 avalanche",
    "domain": "balance hdr(host) use_domain_only",
    "source": "balance source",
    "source-consistent": "balance source\n    hash-type consistent",
    "expression": "balance hash req.hdr(x-key),lower\n    hash-type consistent",
}
_SECTION = """
listen {name}
    bind <listen:{name}>
    {lines}
    server a <server:a> weight 10
    server b <server:b> weight 20
    server c <server:c> weight 5 id 77
    server d <server:d> weight 10 disabled
    server e <server:e> weight 10
"""

def _both(program: str) -> str:
    return defaults() + "".join(_SECTION.replace("{name}", name).replace("{lines}", lines) for name, lines in ALGORITHMS.items())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flow, Flow]]:
    with (
        Flow(tmp_path_factory.mktemp("ours"), (BY_NAME["usher"], _both("usher"))) as ours,
        Flow(tmp_path_factory.mktemp("theirs"), (BY_NAME["haproxy"], _both("haproxy"))) as theirs,
    ):
        threads = [ServingThread(flow.server(name), setting(name)) for flow in (ours, theirs) for name in "abcde"]
        yield ours, theirs
        for thread in threads:
            thread.stop()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_keys_go_where_haproxy_sends_them(two: tuple[Flow, Flow], name: str) -> None:
    ours, theirs = two
    if name in theirs.refused:
        pytest.skip("this HAProxy does not know the words")

    def choices(flow: Flow) -> list[str]:
        peer = flow.connect(name)
        found = []
        for number in range(60):
            path = f"/p{number}/q{number % 7}/r?id={number * 37}&x={number}"
            found.append(ask(peer, name, path, f"X-Key: Key-{number * 101}", host=f"www.site{number}.example")["x-server"])
        return found

    assert choices(ours) == choices(theirs)
    assert "d" not in choices(ours)
