"""Volume: megabytes from both ends at once, through the program, compared at the other end."""

from __future__ import annotations

import hashlib
import threading

from tests.flows.harness import Flow
from tests.flows.peers import Peer

_BLOCK = bytes(range(256)) * 256
_JOIN_S = 20.0


def uses_usher_only(flow: Flow) -> bool:
    return all("usher" in instance.program.name for instance in flow.instances)


def pour_both_ways(client: Peer, server: Peer, size: int, *, end_while_pouring: bool) -> None:
    """Each sends `size` bytes while it receives as many; what arrives must be what was sent.

    end_while_pouring: each ends its stream as soon as it has sent all, while the other direction still flows. HAProxy 2.6
    now and then loses the rest of the other direction then, so with it the ends come afterwards.
    """
    blocks = size // len(_BLOCK)
    sums: dict[str, str] = {}

    def pour(peer: Peer) -> None:
        for _ in range(blocks):
            peer.send(_BLOCK)
        if end_while_pouring:
            peer.half_close()

    def drain(peer: Peer) -> None:
        data = peer.receive_to_end() if end_while_pouring else peer.receive_exactly(blocks * len(_BLOCK))
        sums[peer.name] = hashlib.sha256(data).hexdigest()

    threads = [threading.Thread(target=act, args=(peer,)) for act in (pour, drain) for peer in (client, server)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_JOIN_S)
        assert not thread.is_alive()
    wanted = hashlib.sha256(_BLOCK * blocks).hexdigest()
    assert sums == {client.name: wanted, server.name: wanted}
    if not end_while_pouring:
        client.half_close()
        assert server.ends() == "eof"
    if not end_while_pouring:
        client.half_close()
        assert server.ends() == "eof"
