"""Scenarios: a `listen` section and a story each, many of them on one started program.

A scenario's places are private to it: `<listen:client>` in its lines means the place `NAME.client`, and so on; only files
are shared. Sections carry the scenario's name, so its log lines are found by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.flows import certificates
from tests.flows.blocks import block
from tests.flows.harness import Flow

_PRIVATE = re.compile(r"<(listen|port|fd|unix|abns|abnsz|server|serverport|unixserver|abnsserver|full|refused):")

_SECTION = """
listen {name}
    bind <listen:client>{bind}
    {lines}
    {servers}
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """name: also the section's. story: see story.py. lines: more of the section. servers: replaces the usual server line.
    bind: words after the address. config: whole sections instead of the usual one ({name} is replaced).
    unlike_haproxy: why Usher deliberately does something else here. With HAProxy the story must then fail, or the mark is stale.
    not_yet: what Usher lacks for it. With Usher the story must then fail, or the mark is stale.
    only_usher: why HAProxy 2.6 cannot even read the section; it is left out there.
    tls, server_name: clients speak TLS and ask for that name. server_tls: scripted servers do. See certificates.py.
    """

    name: str
    story: str
    lines: str = ""
    servers: str = "server s <server:server>"
    bind: str = ""
    config: str = ""
    unlike_haproxy: str = ""
    not_yet: str = ""
    only_usher: str = ""
    tls: bool = False
    server_name: str | None = "localhost"
    server_tls: bool = False

    def section(self) -> str:
        text = self.config or _SECTION.replace("{lines}", self.lines.strip()).replace("{servers}", self.servers.strip())
        text = text.replace("{bind}", f" {self.bind}" if self.bind else "").replace("{name}", self.name)
        return block(self.name, _PRIVATE.sub(rf"<\1:{self.name}.", text))

    def play(self, flow: Flow) -> None:
        __tracebackhide__ = True
        if self.name in flow.refused:
            pytest.fail(f"the program does not read its section: {flow.refused[self.name]}", pytrace=False)
        on_haproxy = flow.instance.program.name == "haproxy"
        if on_haproxy and self.only_usher:
            pytest.skip(self.only_usher)
        if (on_haproxy and self.unlike_haproxy) or (not on_haproxy and self.not_yet):
            with pytest.raises(AssertionError):
                self._play(flow)
            return
        self._play(flow)

    def _play(self, flow: Flow) -> None:
        __tracebackhide__ = True
        client_tls = certificates.client_context(flow.folder) if self.tls else None
        server_tls = certificates.server_context(flow.folder) if self.server_tls else None
        flow.play(self.story, name=self.name, tls=client_tls, server_name=self.server_name, server_tls=server_tls)

    def __str__(self) -> str:
        return self.name


def sections(scenarios: list[Scenario], program: str) -> str:
    """The sections of all scenarios that this program can read."""
    return "\n".join(scenario.section() for scenario in scenarios if not (program == "haproxy" and scenario.only_usher))
