"""mode tcp: bytes through, half-closes passed on, resets, volume, and the log line of a relayed connection."""

from __future__ import annotations

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.pouring import pour_both_ways, uses_usher_only
from tests.flows.scenarios import Scenario, sections

_TCP = "mode tcp\n    option tcplog\n    no option dontlognull"

SCENARIOS = [
    Scenario(
        "bytes_pass_both_ways",
        """
        client << hello \\x00\\xff
        server >> bytes hello \\x00\\xff
        server << world
        client >> bytes world
        client << close
        server >> eof
        server << close
        log >> bytes_pass_both_ways/s [0-9]+/[0-9]+/[0-9]+ 5 -- [0-9]+/[0-9]+/[0-9]+/[0-9]+/0 0/0
        """,
        lines=_TCP,
    ),
    Scenario(
        "server_that_speaks_first_is_heard",
        """
        client << connect
        server << 220 ready|
        client >> bytes 220 ready|
        server << close
        client >> end
        """,
        lines=_TCP,
    ),
    Scenario(
        "half_close_of_the_client_is_passed_on",
        """
        client << question
        client << half-close
        server >> bytes question
        server >> eof
        server << a late answer
        server << close
        client >> bytes a late answer
        client >> eof
        """,
        lines=_TCP,
    ),
    Scenario(
        "half_close_of_the_server_is_passed_on",
        """
        client << connect
        server << greeting
        server << half-close
        client >> bytes greeting
        client >> eof
        client << a late word
        server >> bytes a late word
        client << close
        server >> end
        """,
        lines=_TCP,
    ),
    Scenario(
        "reset_of_the_client_reaches_the_server",
        """
        client << x
        server >> bytes x
        client << reset
        server >> end
        log >> /s [0-9]+/[0-9]+/[0-9]+ 0 CD
        """,
        lines=_TCP,
    ),
    Scenario(
        "reset_of_the_server_reaches_the_client",
        """
        client << x
        server >> bytes x
        server << reset
        client >> end
        log >> /s [0-9]+/[0-9]+/[0-9]+ 0 SD
        """,
        lines=_TCP,
    ),
    Scenario(
        "refused_server_ends_the_client",
        """
        client << x
        client >> end
        log >> /s -?[0-9]+/-1/[0-9]+ 0 SC
        """,
        lines=_TCP + "\n    retries 0",
        servers="server s <refused:server>",
    ),
    Scenario(
        "idle_connection_is_closed_by_the_client_timeout",
        """
        client << x
        server >> bytes x
        client >> silence 0.1
        client >> end
        server >> end
        log >> /s [0-9]+/[0-9]+/[0-9]+ 0 cD
        """,
        lines=_TCP + "\n    timeout client 200ms\n    timeout server 400ms",
    ),
    Scenario(
        "idle_connection_is_closed_by_the_server_timeout",
        """
        client << x
        server >> bytes x
        client >> silence 0.1
        client >> end
        server >> end
        log >> /s [0-9]+/[0-9]+/[0-9]+ 0 sD
        """,
        lines=_TCP + "\n    timeout server 200ms\n    timeout client 400ms",
    ),
    Scenario(
        "redispatch_finds_the_other_server",
        """
        client << x
        good >> bytes x
        good << y
        client >> bytes y
        """,
        lines=_TCP + "\n    balance roundrobin\n    retries 1\n    option redispatch",
        servers="server bad <refused:bad>\n    server good <server:good>",
    ),
]


def configuration(program: str) -> str:
    return defaults() + sections(SCENARIOS, program) + Scenario("volume", "", lines=_TCP).section()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)


def test_megabytes_pass_unchanged_both_ways_at_once(module_flow: Flow) -> None:
    client = module_flow.connect("volume.client")
    client.send(b"!")
    server = module_flow.server("volume.server").accept()
    assert server.receive_exactly(1) == b"!"
    pour_both_ways(client, server, 4 << 20, end_while_pouring=uses_usher_only(module_flow))
    client.close()
    server.close()
