"""The ways to put two tiers together: which program is which, and how a connection gets from one to the other.

Each topology turns scenarios into configuration texts, so the same stories run over all of them. `dispatcher` and
`worker` are program names; a topology whose two names are equal and whose `split` is False runs from one file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.flows.harness import defaults
from tests.flows.programs import BY_NAME, Program, usher_tier
from tests.flows.scenarios import Scenario

_DISPATCHER = """
listen {name}-dispatcher
    mode tcp
    option tcplog
    bind <listen:{name}.client>{process1}
    balance leastconn
    server p2 abns@<abns:{name}.p2> {send}
    server p3 abns@<abns:{name}.p3> {send}
"""
_WORKER = """
listen {name}
    bind abns@<abns:{name}.p2>{process2} accept-proxy {bind}
    bind abns@<abns:{name}.p3>{process3} accept-proxy {bind}
    {lines}
    {servers}
"""


@dataclass(frozen=True, slots=True)
class Topology:
    """send: what stands on the dispatcher's server lines; "" for the implicit second tier (no dispatcher section at all).
    apart: the one file is run by `usher-dispatcher` and by an `usher-worker` for each worker, as service managers do.
    """

    name: str
    dispatcher: str
    worker: str
    send: str
    apart: bool = False

    def programs(self) -> set[str]:
        return {self.dispatcher, self.worker}

    def tiers(self, scenarios: list[Scenario], *, more: str = "", global_lines: str = "") -> list[tuple[Program, str]]:
        """(program, configuration) of each process to start, workers first so that the dispatcher finds them."""
        head = defaults(global_lines=global_lines)
        if not self.send:
            return [(BY_NAME[self.worker], head + "".join(scenario.section() for scenario in scenarios) + more)]
        dispatchers = "".join(self._fill(_DISPATCHER, scenario, self.dispatcher) for scenario in scenarios)
        workers = "".join(self._fill(_WORKER, scenario, self.worker) for scenario in scenarios) + more
        if self.apart:
            text = head + dispatchers + workers
            alone = [usher_tier("usher-worker", "--process", number) for number in ("2", "3")]
            return [(program, text) for program in [*alone, usher_tier("usher-dispatcher")]]
        if self.dispatcher == self.worker == "usher":
            return [(BY_NAME["usher"], head + dispatchers + workers)]
        return [(BY_NAME[self.worker], head + workers), (BY_NAME[self.dispatcher], head + dispatchers)]

    def _fill(self, text: str, scenario: Scenario, program: str) -> str:
        for number in (1, 2, 3):  # HAProxy 2.5 dropped processes; its one process serves all lines
            text = text.replace(f"{{process{number}}}", f" process {number}" if program == "usher" else "")
        values = {"name": scenario.name, "send": self.send, "bind": scenario.bind, "lines": scenario.lines, "servers": scenario.servers}
        filled = re.sub(r"\{(\w+)\}", lambda match: values[match[1]], text)
        return re.sub(r"<(server|refused):(?!" + re.escape(scenario.name) + r"\.)", rf"<\1:{scenario.name}.", filled)

    def __str__(self) -> str:
        return self.name


TOPOLOGIES = [
    Topology("haproxy one tier", "haproxy", "haproxy", ""),
    Topology("haproxy to haproxy v1", "haproxy", "haproxy", "send-proxy"),
    Topology("haproxy to haproxy v2", "haproxy", "haproxy", "send-proxy-v2"),
    Topology("usher implicit", "usher", "usher", ""),
    Topology("usher relay v1", "usher", "usher", "send-proxy"),
    Topology("usher relay v2", "usher", "usher", "send-proxy-v2"),
    Topology("usher handover", "usher", "usher", "send-proxy-v2 pass-fd"),
    Topology("usher tiers apart", "usher", "usher", "send-proxy-v2 pass-fd", apart=True),
    Topology("haproxy to usher v1", "haproxy", "usher", "send-proxy"),
    Topology("haproxy to usher v2", "haproxy", "usher", "send-proxy-v2"),
    Topology("usher to haproxy v1", "usher", "haproxy", "send-proxy"),
    Topology("usher to haproxy v2", "usher", "haproxy", "send-proxy-v2"),
]
