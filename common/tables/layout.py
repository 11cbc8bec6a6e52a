"""Where a stick table lies in the memory that all processes share. Sans-io.

    header    HEADER_WORDS words
    buckets   the heads of the hash chains; a power of two
    entries   `size` places, each: what Word says, then the data, one word of shares per column, then the key
    strings   names of servers, where the table keeps them

Places are named by number + 1, so that a fresh (zeroed) mapping is an empty table. All words are signed 64 bits.

A *column* belongs to one process: how often it tracks an entry now. What a killed process held can so be given back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from common.tables.definition import FIRST_WORD, TableDefinition

WORD_BYTES = 8
HEADER_WORDS = 16
STRINGS_MAX = 1024
STRING_BYTES = 256


class Header(IntEnum):
    USED = 0  # entries
    TOP = 1  # places that were ever used
    FREE = 2  # the first free place below that
    NEWEST = 3
    OLDEST = 4
    BUSY = 5  # 0; the place whose data is being written; STRUCTURE
    FACTOR = 6  # of the hash; chosen by whoever made the table
    STRINGS = 7  # how many are there
    REPAIRED = 8  # how often an update was found unfinished


STRUCTURE = -1
"""In Header.BUSY: chains, lists or counts are being written."""

GENERATION, NEXT, NEWER, OLDER, LISTED, TOUCHED, TRACKERS, KEY_BYTES, BUCKET = range(9)
"""Words of an entry; its data follow. GENERATION: odd while the place is in use, and never the same twice. TOUCHED: when it was last
used; LISTED: the same when it got its place in the list; both in ms."""
DATA = FIRST_WORD


@dataclass(frozen=True, slots=True)
class Layout:
    """Word numbers for one definition."""

    buckets: int
    entries: int
    entry_words: int
    shares: int  # within an entry
    key: int  # within an entry
    columns: int
    size: int
    strings: int  # in bytes
    bytes: int

    @staticmethod
    def of(definition: TableDefinition, columns: int) -> Layout:
        buckets = 1 << max(3, (definition.size - 1).bit_length())
        shares = DATA + definition.data_words
        key = shares + columns
        entry_words = key + -(-definition.key_bytes // WORD_BYTES)
        entries = HEADER_WORDS + buckets
        strings = (entries + definition.size * entry_words) * WORD_BYTES
        keeps = definition.find("server_key") is not None
        return Layout(
            buckets, entries, entry_words, shares, key, columns, definition.size, strings, strings + keeps * STRINGS_MAX * STRING_BYTES
        )


assert BUCKET + 1 == DATA
