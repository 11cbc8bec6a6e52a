"""Where everything lies in the one mapping that all processes share. Sans-io.

    header      magic, version, length of the description          64 bytes
    globals     words of the master: versions, limits at run time   64 words
    heartbeats  16 words per process, written by that process
    description JSON: from it alone a reader finds everything (after a crash, from another program) but the servers
                that were added at run time
    rows        one row per process, then CARRIED, CLEARED, WATCH and STATE, written by the master;
                a row holds one block of BLOCK_WORDS words per object
    reasons     one row per process, then carried and cleared: REASON_WORDS words per proxy

All words are signed 64 bits in the machine's order: a gauge that was decremented once too often then shows as -1 and
can be found, instead of raising in the data plane. A word has one writer; readers sum. An aligned word is written whole by
the processors we run on, so no locks are needed.

Objects are numbered in file order: 0 is the process itself, then per proxy its frontend, its binds, its backend, its
servers; at the end stand spare objects for servers added at run time. Their *keys* (kind and names) are what survives a
reload: counters are carried from generation to generation by key.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from common.errors import UsherError
from common.model import Config
from common.observe.fields import BLOCK_WORDS, NAMES
from common.observe.reason import REASON_WORDS
from common.observe.reasons import SLUGS

MAGIC = b"usherSHM"
WORD_BYTES = 8
GLOBAL_WORDS = 64
HEARTBEAT_WORDS = 16
MASTER_ROWS = 4  # CARRIED, CLEARED, WATCH, STATE
SPARE_SERVERS = 64  # places for `add server`

HEADER_BYTES = 64
VERSION = zlib.crc32(repr((1, NAMES, BLOCK_WORDS, GLOBAL_WORDS, HEARTBEAT_WORDS, MASTER_ROWS, REASON_WORDS)).encode())  # what words mean
_HEADER = struct.Struct("=8sIIIIII32x")  # magic, version, description bytes, processes, objects, proxies, spare

(
    G_STATES_VERSION, G_BOUNDARY_AT_MS, G_STARTED_AT_MS, G_STARTED_EPOCH, G_STOPPING, G_GENERATION, G_RELOADS, G_RELOADS_FAILED,
    G_MAXCONN, G_RATE_CONNECTIONS, G_RATE_SESSIONS, G_RATE_SSL, G_RATE_COMPRESSION, G_MASTER_PID,
) = range(14)  # fmt: skip
G_SECRET = 32  # first of the words that tokens of forms are made from
SECRET_WORDS = 4
(HB_STAMP_MS, HB_PID, HB_GENERATION, HB_STATE, HB_ROLE, HB_NUMBER, HB_STARTED_AT_MS, HB_RESTARTS, HB_LAG_MAX_US) = range(9)


class LayoutError(UsherError):
    """A mapping that is not one of ours, or of another version."""


class Key(NamedTuple):
    """What an object is, whatever its number: kind P, F, L, B or S; proxy; listener or server name."""

    kind: str
    proxy: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Numbers and offsets of every object. Proxies are counted by their position in Config.proxies, servers by
    their position in their proxy, listeners by Bind.id. -1: there is no such object."""

    processes: int
    keys: tuple[Key, ...]
    frontends: tuple[int, ...]
    backends: tuple[int, ...]
    servers: tuple[tuple[int, ...], ...]
    listeners: dict[int, int]  # Bind.id -> object
    reasons: tuple[str, ...]  # which slug each reason word counts: another version of the program may know others
    spare: int = 0  # objects at the end that no server uses yet
    description: bytes = field(default=b"", repr=False)

    @staticmethod
    def of(config: Config, processes: int, spare_servers: int = SPARE_SERVERS) -> Layout:
        """The layout for a configuration and so many processes (dispatchers and workers together)."""
        proxies = [
            [
                proxy.name,
                int(proxy.frontend),
                int(proxy.backend),
                [[bind.id, bind.name or str(bind.address)] for bind in proxy.binds],
                [server.name for server in proxy.servers],
            ]
            for proxy in config.proxies
        ]
        return _build(json.dumps([processes, spare_servers, SLUGS, proxies], separators=(",", ":")).encode())

    @staticmethod
    def read(buffer: memoryview | bytes) -> Layout:
        """The layout that the header of a mapping describes. Raises LayoutError."""
        if len(buffer) < _HEADER.size:
            raise LayoutError("the statistics mapping is too short")
        magic, version, length, *_ = _HEADER.unpack_from(buffer)
        if magic != MAGIC:
            raise LayoutError("this is not a statistics mapping of Usher")
        if version != VERSION:
            raise LayoutError(f"the statistics mapping has version {version:#x}, this program reads version {VERSION:#x}")
        processes = _HEADER.unpack_from(buffer)[3]
        start = _fixed_bytes(processes)
        try:
            return _build(bytes(buffer[start : start + length]))
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise LayoutError(f"the statistics mapping is damaged: {error}") from error

    def write(self, buffer: memoryview) -> None:
        """Put header and description into a fresh (zeroed) mapping. The rest is zeroes, which is right."""
        view = buffer.cast("B")
        proxies = len(self.frontends)
        _HEADER.pack_into(view, 0, MAGIC, VERSION, len(self.description), self.processes, len(self.keys), proxies, self.spare)
        view[self.description_offset : self.description_offset + len(self.description)] = self.description

    @property
    def description_offset(self) -> int:
        return _fixed_bytes(self.processes)

    @property
    def rows_offset(self) -> int:
        """Bytes before the first row."""
        return _aligned(self.description_offset + len(self.description))

    @property
    def row_words(self) -> int:
        return len(self.keys) * BLOCK_WORDS

    @property
    def reasons_offset(self) -> int:
        return self.rows_offset + (self.processes + MASTER_ROWS) * self.row_words * WORD_BYTES

    @property
    def size(self) -> int:
        """Bytes of the whole mapping."""
        return self.reasons_offset + (self.processes + 2) * len(self.frontends) * REASON_WORDS * WORD_BYTES

    def objects_of_kind(self, kind: str) -> Iterator[int]:
        return (number for number, key in enumerate(self.keys) if key.kind == kind)

    def with_server(self, proxy: int, name: str) -> Layout:
        """The layout after `add server`: the first spare object becomes the last server of that proxy.

        Every process that hears of the additions in the same order comes to the same numbers. Raises LayoutError when no
        spare is left.
        """
        if not self.spare:
            raise LayoutError("no room for another server: the configuration must be reloaded first")
        number = len(self.keys) - self.spare
        keys = (*self.keys[:number], Key("S", self.keys[self.backends[proxy]].proxy, name), *self.keys[number + 1 :])
        servers = (*self.servers[:proxy], (*self.servers[proxy], number), *self.servers[proxy + 1 :])
        return replace(self, keys=keys, servers=servers, spare=self.spare - 1)

    def without_server(self, proxy: int, position: int) -> Layout:
        """The layout after `del server`. Its object is not used again before the next reload."""
        number = self.servers[proxy][position]
        keys = (*self.keys[:number], Key(""), *self.keys[number + 1 :])
        left = (*self.servers[proxy][:position], *self.servers[proxy][position + 1 :])
        return replace(self, keys=keys, servers=(*self.servers[:proxy], left, *self.servers[proxy + 1 :]))


def _build(description: bytes) -> Layout:
    """Number the objects that a description names."""
    processes, spare, slugs, proxies = json.loads(description)
    keys = [Key("P")]
    frontends: list[int] = []
    backends: list[int] = []
    servers: list[tuple[int, ...]] = []
    listeners: dict[int, int] = {}

    def new(key: Key) -> int:
        keys.append(key)
        return len(keys) - 1

    for name, frontend, backend, bind_names, server_names in proxies:
        frontends.append(new(Key("F", name)) if frontend else -1)
        for bind_id, bind_name in bind_names:
            listeners[bind_id] = new(Key("L", name, bind_name))
        backends.append(new(Key("B", name)) if backend else -1)
        servers.append(tuple(new(Key("S", name, server)) for server in server_names))
    keys.extend([Key("")] * spare)
    numbers = (tuple(frontends), tuple(backends), tuple(servers), listeners)
    return Layout(processes, tuple(keys), *numbers, tuple(slugs), spare, description)


def _fixed_bytes(processes: int) -> int:
    return _HEADER.size + (GLOBAL_WORDS + HEARTBEAT_WORDS * processes) * WORD_BYTES


def _aligned(offset: int) -> int:
    return -(-offset // 64) * 64
