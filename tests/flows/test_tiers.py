"""The two tiers, in every combination of Usher and stock HAProxy, by relay in both PROXY versions and by handover.

The same stories run over each topology; none of them may see a difference, except that the worker knows the client.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import need
from tests.flows import certificates
from tests.flows.answering import AnsweringServer
from tests.flows.harness import Flow
from tests.flows.pouring import pour_both_ways, uses_usher_only
from tests.flows.programs import PROGRAMS
from tests.flows.scenarios import Scenario
from tests.flows.topologies import TOPOLOGIES, Topology

_GET = """
        client << GET /x HTTP/1.1|Host: a||
        server >> GET /x HTTP/1.1|Host: a|X-Forwarded-For: 127.0.0.1||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
"""

SCENARIOS = [
    Scenario(
        "plain",
        _GET * 2 + r"log >> ^127\.0\.0\.1:[0-9]+ \[[^ ]+\] plain plain/s [0-9/]+ 200 [0-9]+ - - ---- ",
        lines="option forwardfor",
    ),
    Scenario(
        "encrypted",
        _GET * 2 + r"log >> ^127\.0\.0\.1:[0-9]+ \[[^ ]+\] encrypted~ encrypted/s [0-9/]+ 200 ",
        lines="option forwardfor",
        bind="ssl crt <file:localhost.pem>",
        tls=True,
    ),
    Scenario("bytewise", _GET.replace("client << ", "client <<1 "), lines="option forwardfor"),
    Scenario(
        "pipelined",
        """
        client << GET /1 HTTP/1.1|Host: a||GET /2 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 1||1
        client >> HTTP/1.1 200 OK|Content-Length: 1||1
        server >> GET /2 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 1||2
        client >> HTTP/1.1 200 OK|Content-Length: 1||2
        """,
    ),
    Scenario(
        "chunked",
        """
        client << POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|hello|0||
        server >> POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|hello|0||
        server << HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|world|0||
        client >> HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|world|0||
        """,
    ),
    Scenario(
        "upgraded",
        """
        client << GET /chat HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: echo||
        server >> GET /chat HTTP/1.1|Host: a|Connection: ~(?i)upgrade|Upgrade: echo||
        server << HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: echo||
        client >> HTTP/1.1 101 Switching Protocols|Connection: ~(?i)upgrade|Upgrade: echo||
        client << ping
        server >> bytes ping
        server << pong
        client >> bytes pong
        server << close
        client >> end
        """,
    ),
    Scenario(
        "refused_by_rule",
        """
        client << GET / HTTP/1.1|Host: a||
        client >> HTTP/1.1 403 Forbidden|...||*
        """,
        lines="http-request deny if { src 127.0.0.1 }",
    ),
    Scenario(
        "bad_request",
        """
        client << GET / HTTP/1.1|Host: a|X Y: 1||
        client >> HTTP/1.1 400 Bad request|...||*
        client >> end
        """,
    ),
    Scenario(
        "tcp",
        """
        client << hello
        server >> bytes hello
        client << half-close
        server >> eof
        server << a late answer
        server << close
        client >> bytes a late answer
        client >> eof
        """,
        lines="mode tcp\n    option tcplog",
    ),
    Scenario(
        "server_first",
        """
        client << connect
        server << 220 ready|
        client >> bytes 220 ready|
        server << close
        client >> end
        """,
        lines="mode tcp\n    option tcplog",
    ),
    Scenario("volume", "", lines="mode tcp"),
    Scenario("held", "", lines="option forwardfor"),
]
PLAYED = [scenario for scenario in SCENARIOS if scenario.story]


@pytest.fixture(
    scope="module",
    params=[topology for topology in TOPOLOGIES if topology.programs() <= set(PROGRAMS)],
    ids=str,
)
def tiers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    topology: Topology = request.param
    if "haproxy" in topology.programs():
        need("haproxy")
    folder = tmp_path_factory.mktemp("tiers")
    certificates.put_into(folder)
    with Flow(folder, *topology.tiers(SCENARIOS)) as flow:
        yield flow


@pytest.mark.parametrize("scenario", PLAYED, ids=str)
def test_story(tiers: Flow, scenario: Scenario) -> None:
    scenario.play(tiers)


def test_megabytes_pass_unchanged_both_ways_at_once(tiers: Flow) -> None:
    client = tiers.connect("volume.client")
    client.send(b"!")
    server = tiers.server("volume.server").accept()
    assert server.receive_exactly(1) == b"!"
    pour_both_ways(client, server, 4 << 20, end_while_pouring=uses_usher_only(tiers))
    client.close()
    server.close()



def test_forty_held_connections_are_all_served_again_and_again(tiers: Flow) -> None:
    server = AnsweringServer(tiers.server("held.server"))
    clients = [tiers.connect("held.client") for _ in range(40)]
    for _round in range(2):
        for number, client in enumerate(clients):
            client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        for number, client in enumerate(clients):
            client.receive_until(b"\r\n\r\n")
            body = b"/%d 127.0.0.1" % number
            assert client.receive_exactly(len(body)) == body
    for client in clients:
        client.close()
    server.stop()
