"""Commands about stick tables: `show table`, `set table`, `clear table`. The tables are in memory that the master shares with all.

Source: HAProxy management guide 9.3.
"""

from __future__ import annotations

import trio

from common.control.operator_handlers import Request, handles
from common.control.operator_plane import ERROR, Answer
from common.tables import commands

LINES_PER_TURN = 500
"""A table may have a hundred thousand entries, and the master has other things to do."""


@handles("show table")
async def show_table(request: Request) -> Answer:
    try:
        pieces = commands.show(request.plane.tables, request.words)
        text = []
        for number, piece in enumerate(pieces):
            text.append(piece)
            if number % LINES_PER_TURN == LINES_PER_TURN - 1:
                await trio.lowlevel.checkpoint()
        return Answer("".join(text))
    except commands.Refused as refused:
        return Answer(str(refused), ERROR)


@handles("set table")
async def set_table(request: Request) -> Answer:
    try:
        return Answer(commands.change(request.plane.tables, request.words))
    except commands.Refused as refused:
        return Answer(str(refused), ERROR)


@handles("clear table")
async def clear_table(request: Request) -> Answer:
    try:
        return Answer(commands.clear(request.plane.tables, request.words))
    except commands.Refused as refused:
        return Answer(str(refused), ERROR)
