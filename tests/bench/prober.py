"""How long established keep-alive sessions wait for an answer, while something else goes on.

    python -m tests.bench.prober HOST PORT CONNECTIONS SECONDS RATE_HZ [--tls]

Opens all connections first, then asks for /s on each at RATE_HZ and times each answer; prints percentiles as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import ssl
import time
from dataclasses import dataclass, field

import trio

OPEN_S = 10.0
ANSWER_S = 20.0
REQUEST = b"GET /s HTTP/1.1\r\nHost: probe.example\r\n\r\n"


@dataclass(slots=True)
class Tally:
    round_trips_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def report(self) -> dict[str, object]:
        ordered = sorted(self.round_trips_s)

        def percentile_ms(share: float) -> float:
            return round(1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else math.nan

        percentiles = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
        return {
            "n": len(ordered),
            "errors": len(self.errors),
            **{name: percentile_ms(share) for name, share in percentiles.items()},
            "first_error": self.errors[:1],
        }


async def open_stream(host: str, port: int, tls: bool) -> trio.abc.Stream:
    if not tls:
        return await trio.open_tcp_stream(host, port)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    stream = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context)
    await stream.do_handshake()
    return stream


async def probe(stream: trio.abc.Stream, until: float, rate_hz: float, tally: Tally) -> None:
    """Asks again and again on one connection, from a moment chosen at random within the first period."""
    await trio.sleep(random.random() / rate_hz)
    try:
        while time.monotonic() < until:
            began = time.perf_counter()
            with trio.fail_after(ANSWER_S):
                await stream.send_all(REQUEST)
                await receive_answer(stream)
            took_s = time.perf_counter() - began
            tally.round_trips_s.append(took_s)
            await trio.sleep(max(0.0, 1 / rate_hz - took_s))
    except (trio.BrokenResourceError, trio.TooSlowError, EOFError) as error:
        tally.errors.append(repr(error))


async def receive_answer(stream: trio.abc.Stream) -> bytes:
    """One answer with a Content-Length."""
    held = bytearray()
    wanted = -1
    while wanted < 0 or len(held) < wanted:
        data = await stream.receive_some(65536)
        if not data:
            raise EOFError("the connection ended")
        held += data
        if wanted < 0 and (end := held.find(b"\r\n\r\n")) >= 0:
            wanted = end + 4 + int(bytes(held).lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return bytes(held)


async def run(arguments: argparse.Namespace) -> None:
    tally = Tally()
    streams: list[trio.abc.Stream] = []

    async def open_one() -> None:
        try:
            streams.append(await open_stream(arguments.host, arguments.port, arguments.tls))
        except (OSError, trio.BrokenResourceError) as error:
            tally.errors.append(repr(error))

    with trio.move_on_after(OPEN_S):
        async with trio.open_nursery() as nursery:
            for _ in range(arguments.connections):
                nursery.start_soon(open_one)
    until = time.monotonic() + arguments.seconds
    async with trio.open_nursery() as nursery:
        for stream in streams:
            nursery.start_soon(probe, stream, until, arguments.rate_hz, tally)
    print(json.dumps(tally.report()))


def main() -> None:
    parser = argparse.ArgumentParser(description="round trips over established keep-alive sessions")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("rate_hz", type=float)
    parser.add_argument("--tls", action="store_true")
    trio.run(run, parser.parse_args())


if __name__ == "__main__":
    main()
