"""A relay that is so far away: every byte arrives so many milliseconds later, in order, whatever the throughput.

    python -m tests.bench.delaying 127.0.0.1:29091 127.0.0.1:29090 0.5       (0.5 ms each way: 1 ms there and back)
"""

from __future__ import annotations

import asyncio
import sys


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await source.read(65536):
        loop.call_later(delay_s, target.write, data)
    loop.call_later(delay_s, target.close)


async def serve(listen: str, connect: str, delay_s: float) -> None:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*address(connect))
        await asyncio.gather(carry(reader, server_writer, delay_s), carry(server_reader, writer, delay_s))

    server = await asyncio.start_server(one, *address(listen))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000))
