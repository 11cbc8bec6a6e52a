"""The last wait for a client that still sends when its answer is out.

A socket that is closed with unread bytes in it sends a reset, and the reset may overtake the answer: the client then sees an error where
it was told 413 or 403. So the sending side is closed first, and what the client still sends is read and dropped for a while.

Source: RFC 9112 section 9.6.
"""

from __future__ import annotations

from common.net.pump import DeadlinePassed
from common.net.stream import READ_SIZE, Stream

LINGER_S = 2.0


async def linger(stream: Stream) -> None:
    """Until the client has closed its side too, or some time is over."""
    deadline = stream.pump.now + LINGER_S
    stream.shutdown_write()
    try:
        while await stream.recv(READ_SIZE, deadline):
            if not stream.drained:
                await stream.pump.pause()  # one that sends as fast as we read is not alone
                if stream.pump.now >= deadline:
                    return
    except (DeadlinePassed, OSError):
        pass
