"""`server … pipeline N`: requests of several clients on one server connection, and what happens when it breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.programs import USHER
from tests.flows.scenarios import Scenario, sections

WARM = """
        client << GET /warm HTTP/1.1|Host: a||
        server >> GET /warm HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 4||warm
        client >> HTTP/1.1 200 OK|Content-Length: 4||warm
"""


def get(client: str, target: str) -> str:
    return f"        {client} << GET {target} HTTP/1.1|Host: a||\n"


def asked(target: str, server: str = "server") -> str:
    return f"        {server} >> GET {target} HTTP/1.1|Host: a||\n"


def answer(target: str, server: str = "server") -> str:
    return f"        {server} << HTTP/1.1 200 OK|Content-Length: {len(target)}||{target}\n"


def got(client: str, target: str) -> str:
    return f"        {client} >> HTTP/1.1 200 OK|Content-Length: {len(target)}||{target}\n"


PIPELINED = [
    Scenario(
        "requests_of_three_clients_go_out_before_the_first_is_answered",
        WARM
        + get("client", "/1") + asked("/1") + get("client2", "/2") + asked("/2") + get("client3", "/3") + asked("/3")
        + "        client2 >> silence 0.05\n"
        + answer("/1") + got("client", "/1") + answer("/2") + answer("/3") + got("client3", "/3") + got("client2", "/2"),
    ),
    Scenario(
        "answers_that_come_together_go_to_their_clients",
        WARM
        + get("client", "/1") + asked("/1") + get("client2", "/2") + asked("/2") + get("client3", "/3") + asked("/3")
        + "        server << HTTP/1.1 200 OK|Content-Length: 2||/1HTTP/1.1 200 OK|Content-Length: 2||/2"
        + "HTTP/1.1 200 OK|Content-Length: 2||/3\n"
        + got("client", "/1") + got("client2", "/2") + got("client3", "/3")
        + get("client2", "/4") + asked("/4") + answer("/4") + got("client2", "/4"),
    ),
    Scenario(
        "answers_that_come_byte_by_byte_go_to_their_clients",
        WARM
        + get("client", "/1") + asked("/1") + get("client2", "/2") + asked("/2")
        + "        server <<1 HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|/1|0||HTTP/1.1 200 OK|Content-Length: 2||/2\n"
        + "        client >> HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|/1|0||\n"
        + got("client2", "/2"),
    ),
    Scenario(
        "first_request_after_connecting_goes_alone",
        get("client", "/1") + asked("/1") + get("client2", "/2") + asked("/2", "server2")
        + answer("/2", "server2") + got("client2", "/2") + answer("/1") + got("client", "/1"),
    ),
    Scenario(
        "post_goes_behind_nobody",
        WARM
        + get("client", "/1") + asked("/1")
        + "        client2 << POST /2 HTTP/1.1|Host: a|Content-Length: 2||hi\n"
        + "        server2 >> POST /2 HTTP/1.1|Host: a|Content-Length: 2||hi\n"
        + answer("/2", "server2") + got("client2", "/2") + answer("/1") + got("client", "/1"),
    ),
    Scenario(
        "nothing_follows_a_post_until_it_is_answered",
        WARM
        + "        client << POST /1 HTTP/1.1|Host: a|Content-Length: 2||hi\n"
        + "        server >> POST /1 HTTP/1.1|Host: a|Content-Length: 2||hi\n"
        + get("client2", "/2") + asked("/2", "server2")
        + answer("/2", "server2") + got("client2", "/2") + answer("/1") + got("client", "/1"),
    ),
    Scenario(
        "killing_request_takes_no_others_along",
        WARM
        + get("client", "/kill") + asked("/kill") + get("client2", "/2") + asked("/2") + get("client3", "/3") + asked("/3")
        + "        server << close\n"
        + asked("/kill", "server2") + "        server2 << close\n"
        + asked("/2", "server3") + answer("/2", "server3") + got("client2", "/2")
        + asked("/3", "server4") + answer("/3", "server4") + got("client3", "/3")
        + "        client >> HTTP/1.1 502 Bad Gateway|...||*\n",
    ),
    Scenario(
        "planned_close_sends_the_others_again",
        WARM
        + get("client", "/1") + asked("/1") + get("client2", "/2") + asked("/2")
        + "        server << HTTP/1.1 200 OK|Content-Length: 2|Connection: close||/1\n        server << close\n"
        + got("client", "/1")
        + asked("/2", "server2") + answer("/2", "server2") + got("client2", "/2"),
    ),
    Scenario(
        "one_connection_carries_all_where_no_more_are_allowed",
        get("client", "/1") + asked("/1") + get("client2", "/2") + get("client3", "/3")
        + "        server >> silence 0.05\n"
        + answer("/1") + got("client", "/1") + asked("/2") + asked("/3")
        + get("client", "/4") + asked("/4")
        + answer("/2") + answer("/3") + answer("/4") + got("client2", "/2") + got("client3", "/3") + got("client", "/4"),
        servers="server s <server:server> maxconn 1 pipeline 8",
    ),
    Scenario(
        "post_waits_for_its_place_and_is_not_passed",
        WARM
        + get("client", "/1") + asked("/1")
        + "        client2 << POST /2 HTTP/1.1|Host: a|Content-Length: 2||hi\n        client2 >> silence 0.05\n"
        + get("client3", "/3")
        + "        server >> silence 0.05\n"
        + answer("/1") + got("client", "/1")
        + "        server >> POST /2 HTTP/1.1|Host: a|Content-Length: 2||hi\n"
        + answer("/2") + got("client2", "/2") + asked("/3") + answer("/3") + got("client3", "/3"),
        servers="server s <server:server> maxconn 1 pipeline 8",
    ),
    Scenario(
        "depth_is_a_limit",
        WARM
        + get("client", "/1") + asked("/1") + get("client2", "/2") + asked("/2") + get("client3", "/3")
        + "        server >> silence 0.05\n"
        + answer("/1") + got("client", "/1") + asked("/3") + answer("/2") + answer("/3") + got("client2", "/2") + got("client3", "/3"),
        servers="server s <server:server> maxconn 1 pipeline 2",
    ),
    Scenario(
        "client_that_is_gone_disturbs_nobody",
        WARM
        + get("client", "/1") + asked("/1") + get("client2", "/2") + asked("/2") + get("client3", "/3") + asked("/3")
        + "        client2 << reset\n"
        + answer("/1") + got("client", "/1") + answer("/2") + answer("/3") + got("client3", "/3"),
    ),
]  # fmt: skip

SCENARIOS = [
    Scenario(
        one.name,
        one.story,
        lines="http-reuse always\n    timeout queue 3s",
        servers=one.servers if "pipeline" in one.servers else "server s <server:server> pipeline 8",
        only_usher="pipelining to servers is ours",
    )
    for one in PIPELINED
]


def configuration(program: str) -> str:
    idle = "" if program == "usher" else "listen idle\n    bind <listen:idle>\n"  # a program that has nothing to do does not start
    return defaults(global_lines=one_worker(program)) + sections(SCENARIOS, program) + idle


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)


def test_what_is_no_response_is_kept_for_the_operator(tmp_path: Path) -> None:
    text = defaults(global_lines="workers 1\n    stats socket <unix:operator> level operator") + sections(
        [Scenario("junk", WARM, lines="http-reuse always", servers="server s <server:server> pipeline 8")], "usher"
    )
    with Flow(tmp_path, (USHER, text)) as flow:
        in_line = WARM + get("client", "/1") + asked("/1") + get("client2", "/2") + asked("/2") + answer("/1") + got("client", "/1")
        flow.play(in_line + "server << HTTP/1.1 oops||\nclient2 >> HTTP/1.1 502 Bad Gateway|...||*", name="junk")
        operator = flow.connect("operator")
        operator.send(b"show errors junk response\n")
        shown = operator.receive_to_end().decode()
    assert "backend junk (#" in shown and "oops" in shown
