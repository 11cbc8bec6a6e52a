"""Many idle connections: opens N, asks once on each, says how many are held, and holds them until stdin closes.

    python -m tests.bench.hold HOST PORT N [--tls]
"""

from __future__ import annotations

import argparse
import sys

import trio

from tests.bench.prober import REQUEST, open_stream, receive_answer

AT_ONCE = 50


async def run(arguments: argparse.Namespace) -> None:
    held: list[trio.abc.Stream] = []
    limit = trio.CapacityLimiter(AT_ONCE)

    async def hold_one() -> None:
        async with limit:
            try:
                stream = await open_stream(arguments.host, arguments.port, arguments.tls)
                await stream.send_all(REQUEST)
                await receive_answer(stream)
            except (OSError, trio.BrokenResourceError, EOFError) as error:
                print(repr(error), file=sys.stderr)
                return
            held.append(stream)

    async with trio.open_nursery() as nursery:
        for _ in range(arguments.connections):
            nursery.start_soon(hold_one)
    print(len(held), "held", flush=True)
    await trio.to_thread.run_sync(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description="hold many connections")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("--tls", action="store_true")
    trio.run(run, parser.parse_args())


if __name__ == "__main__":
    main()
