"""Every kind of address that a bind or a server line may name."""

from __future__ import annotations

import socket

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import connect
from tests.flows.scenarios import Scenario, sections

_STORY = """
        client << GET /x HTTP/1.1|Host: a||
        server >> GET /x HTTP/1.1|Host: a||
        server << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        log >> /s [0-9]+/[0-9]+/[0-9]+/[0-9]+/[0-9]+ 204
"""


def bound(name: str, bind: str, *, only_usher: str = "") -> Scenario:
    section = f"\nlisten {{name}}\n    bind {bind}\n    server s <server:server>\n"
    return Scenario(f"bind_{name}", _STORY, config=section, only_usher=only_usher)


def served(name: str, server: str) -> Scenario:
    return Scenario(f"server_{name}", _STORY, servers=f"server s {server}")


SCENARIOS = [
    bound("ipv4_and_port", "<listen:client>"),
    bound("with_ipv4_prefix", "ipv4@<listen:client>"),
    bound("port_alone", ":<port:client>"),
    bound("star_and_port", "*:<port:client>"),
    bound("socket_path", "<unix:client>"),
    bound("unix_prefix", "unix@<unix:client>"),
    bound("abstract_name", "abns@<abns:client>"),
    bound("abstract_name_of_exact_length", "abnsz@<abnsz:client>", only_usher="abnsz@ came with HAProxy 3.1"),
    bound("inherited_descriptor", "fd@<fd:client>"),
    bound("two_addresses_on_one_line", "<listen:client>,<listen:second>"),
    served("ipv4_and_port", "<server:server>"),
    served("with_ipv4_prefix", "ipv4@<server:server>"),
    served("host_name", "localhost:<serverport:server>"),
    served("socket_path", "<unixserver:server>"),
    served("unix_prefix", "unix@<unixserver:server>"),
    served("abstract_name", "abns@<abnsserver:server>"),
]

_IPV6 = """
listen ipv6
    bind [::1]:<port:six>
    server s <server:six>
listen range
    bind ::1:<port:range> name second
    server s <server:range>
"""


def configuration(program: str) -> str:
    return defaults() + sections(SCENARIOS, program) + _IPV6


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)


@pytest.mark.parametrize("name", ["six", "range"])
def test_ipv6_client_is_served_and_logged(module_flow: Flow, name: str) -> None:
    client = connect(("::1", module_flow.port(name)))
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server = module_flow.server(name).accept()
    assert server.receive_until(b"\r\n\r\n").startswith(b"GET / HTTP/1.1\r\n")
    server.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 204")
    module_flow.log.expect(r"^::1:[0-9]+ \[.*/s .* 204 ")
    client.close()
    server.close()


def test_second_address_of_a_line_serves_too(module_flow: Flow) -> None:
    client = module_flow.connect("bind_two_addresses_on_one_line.second")
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server = module_flow.server("bind_two_addresses_on_one_line.server").accept()
    server.receive_until(b"\r\n\r\n")
    server.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 204")
    client.close()
    server.close()


def test_inherited_descriptor_stays_open_for_us(module_flow: Flow) -> None:
    address = module_flow.places.address("bind_inherited_descriptor.client")
    assert isinstance(address, tuple)
    with socket.create_connection(address, 5):
        pass
