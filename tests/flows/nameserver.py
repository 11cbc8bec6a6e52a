"""A name server for tests: answers what its records say, over UDP and TCP, in one thread. The records may change at any time."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class NameServer:
    """records: (name, type) -> texts of its data; a name that has none of any type does not exist.

    mute: it hears and says nothing. rcode: what it says to everything instead of an answer. asked: (name, type) in order.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.mute = False
        self.rcode: dns.rcode.Rcode | None = None
        self.truncates = False  # over UDP
        self.asked: list[tuple[str, str]] = []
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._wake_in, self._wake_out = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._wake_out.send(b"x")
        self._thread.join(5)
        for one in (self._tcp, self._udp, self._wake_in, self._wake_out):
            one.close()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._tcp, self._udp, self._wake_in], [], [])
            if self._wake_in in ready:
                return
            with contextlib.suppress(OSError):
                if self._udp in ready:
                    data, peer = self._udp.recvfrom(65536)
                    if not self.mute:
                        self._udp.sendto(self._answer(data, udp=True), peer)
                if self._tcp in ready:
                    self._serve_stream(self._tcp.accept()[0])

    def _serve_stream(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            size = int.from_bytes(connection.recv(2), "big")
            if size and not self.mute:
                answer = self._answer(connection.recv(size), udp=False)
                connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, data: bytes, *, udp: bool) -> bytes:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        response = dns.message.make_response(query)
        if self.rcode is not None:
            response.set_rcode(self.rcode)
        elif udp and self.truncates:
            response.flags |= dns.flags.TC
        elif self.records.get((name, kind)):
            response.answer.append(dns.rrset.from_text(question.name, 1, "IN", kind, *self.records[name, kind]))
        elif not any(known == name for (known, _), found in self.records.items() if found):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return bytes(response.to_wire())
