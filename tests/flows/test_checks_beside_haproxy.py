"""Health checks of Usher beside HAProxy's: the same bytes to the server, the same words in the log, at the same level."""

from __future__ import annotations

import re
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.conftest import need
from tests.flows import certificates
from tests.flows.check_cases import CASES, CLOSE, PAUSE, RST, STALL, CheckCase
from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import BY_NAME, HAPROXY, PROGRAMS, Program
from tests.flows.serving import Serve, ServingThread, over_tls

OTHER = BY_NAME["usher" if "usher" in PROGRAMS else "haproxy"]
_ABOUT_SERVER = re.compile(r"^(?:Health check for server|Server|backend) ([a-z0-9_]+)[/ ]")
# The reset is told only if the kernel said so in time.
_VARYING = re.compile(r"check duration: \d+ms|node=[^;]*|port=\d+|port \d+| \(Connection reset by peer\)")
_VARYING_BYTES = re.compile(rb"127\.0\.0\.1 127\.0\.0\.1 \d+ \d+|(node|address|port)=[^;]*")

PAUSE_S = 0.05
DEADLINE_S = 10.0
TLS_RECORD = 0x16


class Traces:
    """What the server of one case has heard, connection by connection."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []


def serve(case: CheckCase, traces: Traces) -> Serve:
    """Plays the case's talk on each connection."""

    def play(connection: socket.socket) -> None:
        heard = b""
        try:
            for step in case.talk:
                if step.startswith(">"):
                    connection.sendall(step[1:].encode("latin-1"))
                elif step == RST:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                elif step == PAUSE:
                    time.sleep(PAUSE_S)  # what the server does, not synchronisation
                elif step == CLOSE:
                    return
                else:
                    until = None if step == STALL else step[1:].encode()
                    while data := connection.recv(65536):
                        heard += data
                        if until is not None and until in heard:
                            break
            while data := connection.recv(65536):
                heard += data
        finally:
            traces.heard.append(heard)

    return play


class Farm:
    """One program with all cases at work."""

    def __init__(self, program: Program, folder: Path) -> None:
        certificates.put_into(folder)
        (folder / "other.pem").write_bytes(certificates.other_authority())
        text = defaults() + "listen nobody\n    bind <listen:nobody>\n" + "".join(case.section() for case in CASES)
        self.flow = Flow(folder, (program, text.replace("<refused_port>", str(self._refused_port()))))
        self.traces = {case.name: Traces() for case in CASES}
        self.lines: dict[str, list[tuple[int, str]]] = {case.name: [] for case in CASES}
        context = certificates.server_context(certificates.made())
        context.set_alpn_protocols(["http/1.1"])
        self._threads = []
        for case in CASES:
            if case.talk and case.place == "server":
                play = serve(case, self.traces[case.name])
                self._threads.append(ServingThread(self.flow.server(case.name), over_tls(context, play) if case.tls else play))

    def _refused_port(self) -> int:
        self._reserved = socket.socket()
        self._reserved.bind(("127.0.0.1", 0))
        port: int = self._reserved.getsockname()[1]
        return port

    def run(self) -> Farm:
        """Until something was logged of every server, and a moment more."""
        try:
            with self.flow:
                eventually(lambda: all(self._heard().values()), "something is logged of every server", deadline_s=DEADLINE_S)
                eventually(lambda: all(map(is_complete, self._heard().values())), "all is logged", deadline_s=DEADLINE_S)
        finally:
            for thread in self._threads:
                thread.stop()
            self._reserved.close()
        return self

    def _heard(self) -> dict[str, list[tuple[int, str]]]:
        """All lines that have come, by case."""
        for line in self.flow.log.seen("."):
            about = _ABOUT_SERVER.match(line.text)
            if about and about[1] in self.lines:
                self.lines[about[1]].append((line.severity, _VARYING.sub(lambda found: "" if "reset" in found[0] else "~", line.text)))
        self.flow.log.lines.clear()
        return self.lines

    def told(self, case: CheckCase) -> list[tuple[int, str]]:
        """The first lines about that case's server: of its check, and of what came of it."""
        lines = self.lines[case.name]
        return lines[: 3 if "failed" in lines[0][1] else 1]

    def heard(self, case: CheckCase) -> set[bytes]:
        """Everything different that checks said to the server, but TLS and what varies. A check that was cut off says nothing new."""
        said = {_VARYING_BYTES.sub(b"~", data) for data in self.traces[case.name].heard if data and data[0] != TLS_RECORD}
        if "send-state" in case.lines:
            said = {data for data in said if b"state" in data}  # HAProxy leaves it out of the first check
        return {data for data in said if not any(other != data and other.startswith(data) for other in said)}


def is_complete(lines: list[tuple[int, str]]) -> bool:
    return len(lines) >= (3 if "failed" in lines[0][1] else 1)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Farm, Farm]:
    """One after the other: side by side they would be slow enough for checks to time out."""
    need("haproxy")
    stock, ours = (Farm(program, tmp_path_factory.mktemp(program.name)).run() for program in (HAPROXY, OTHER))
    return stock, ours


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_programs_log_and_send_the_same(both: tuple[Farm, Farm], case: CheckCase) -> None:
    stock, ours = both
    if case.differs and OTHER is not HAPROXY:
        assert ours.told(case) != stock.told(case), f"no difference any more: {case.differs}"
    else:
        assert ours.told(case) == stock.told(case)
    assert ours.heard(case) == stock.heard(case)
