"""What is counted: the words of one block of shared counters. Sans-io.

Every object (the process as a whole, a frontend, a listener, a backend, a server) has a block of the same shape, so one
set of constants serves all. The names are those of HAProxy's `show stat` columns; what is ours is marked.
Source: HAProxy management guide 9.1.

A story counts with `block[STOT] += 1`. To keep that cheap, nothing that can be derived is counted:

- a backend's bytes, responses, aborts, retries … are those of its servers plus what its own block says about requests
  that had no server (`SUMMED_FROM_SERVERS`): count them once, at the server when there is one, else at the backend;
- rates, averages of times and "last session" come from samples of the counters once a second (common/observe/rates.py).
"""

from __future__ import annotations

from typing import Final

NAMES: Final = (
    # Sessions. Gauges go up and down; maxima are kept by whoever raises the gauge.
    "scur", "smax", "stot", "conn_tot", "qcur", "qmax", "lbtot",
    # Bytes and requests.
    "bin", "bout", "req_tot", "intercepted",
    "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other",
    # What went wrong.
    "dreq", "dresp", "dcon", "dses", "ereq", "econ", "eresp", "eint", "wrew", "wretr", "wredis", "cli_abrt", "srv_abrt",
    # Connections to servers.
    "connect", "reuse", "idle_conn_cur", "safe_conn_cur", "used_conn_cur", "priv_idle_cur",
    # Times in milliseconds: sums over all requests (ours: HAProxy keeps a sliding average only), how many, and maxima.
    "timed", "qtime_sum", "ctime_sum", "rtime_sum", "ttime_sum", "qtime_max", "ctime_max", "rtime_max", "ttime_max",
    # Compression and cache.
    "comp_in", "comp_out", "comp_byp", "comp_rsp", "cache_lookups", "cache_hits",
    # TLS.
    "ssl_sess", "ssl_reused_sess", "ssl_failed_handshake", "ssl_cur",
    # Sessions and requests by protocol version.
    "sess_other", "h1sess", "h2sess", "h3sess", "req_other", "h1req", "h2req", "h3req",
    "h1_open_connections", "h1_open_streams", "h1_spliced_bytes_in", "h1_spliced_bytes_out",
    "h2_open_connections", "h2_backend_open_streams", "h2_rst_stream_rcvd", "h2_goaway_rcvd",
    # Ours: what workers tell each other of a server (worker/servers/places.py): places taken; who waits first, 0 for nobody.
    "places", "queue_head",
)  # fmt: skip

(
    SCUR, SMAX, STOT, CONN_TOT, QCUR, QMAX, LBTOT,
    BIN, BOUT, REQ_TOT, INTERCEPTED,
    HRSP_1XX, HRSP_2XX, HRSP_3XX, HRSP_4XX, HRSP_5XX, HRSP_OTHER,
    DREQ, DRESP, DCON, DSES, EREQ, ECON, ERESP, EINT, WREW, WRETR, WREDIS, CLI_ABRT, SRV_ABRT,
    CONNECT, REUSE, IDLE_CONN_CUR, SAFE_CONN_CUR, USED_CONN_CUR, PRIV_IDLE_CUR,
    TIMED, QTIME_SUM, CTIME_SUM, RTIME_SUM, TTIME_SUM, QTIME_MAX, CTIME_MAX, RTIME_MAX, TTIME_MAX,
    COMP_IN, COMP_OUT, COMP_BYP, COMP_RSP, CACHE_LOOKUPS, CACHE_HITS,
    SSL_SESS, SSL_REUSED_SESS, SSL_FAILED_HANDSHAKE, SSL_CUR,
    SESS_OTHER, H1SESS, H2SESS, H3SESS, REQ_OTHER, H1REQ, H2REQ, H3REQ,
    H1_OPEN_CONNECTIONS, H1_OPEN_STREAMS, H1_SPLICED_BYTES_IN, H1_SPLICED_BYTES_OUT,
    H2_OPEN_CONNECTIONS, H2_BACKEND_OPEN_STREAMS, H2_RST_STREAM_RCVD, H2_GOAWAY_RCVD,
    PLACES, QUEUE_HEAD,
) = range(73)  # fmt: skip

# The process block (object 0) uses the same words for what concerns the process and no proxy. These names replace
# words that mean nothing there.
P_DROPPED_LOGS: Final = DREQ
P_FAILED_RESOLUTIONS: Final = EREQ
P_PIPES_USED: Final = IDLE_CONN_CUR
P_PIPES_FREE: Final = SAFE_CONN_CUR
P_TASKS: Final = USED_CONN_CUR
P_LISTENERS: Final = PRIV_IDLE_CUR
P_BUSY_MS: Final = TTIME_SUM  # time spent working, for Idle_pct
P_MEMORY_KB: Final = H1_OPEN_CONNECTIONS
P_COMMANDS: Final = LBTOT

BLOCK_WORDS: Final = 80  # a multiple of 8 words, so that no two writers share a cache line

GAUGES: Final = frozenset((
    SCUR, QCUR, IDLE_CONN_CUR, SAFE_CONN_CUR, USED_CONN_CUR, PRIV_IDLE_CUR, SSL_CUR,
    H1_OPEN_CONNECTIONS, H1_OPEN_STREAMS, H2_OPEN_CONNECTIONS, H2_BACKEND_OPEN_STREAMS, PLACES, QUEUE_HEAD,
))  # fmt: skip
MAXIMA: Final = frozenset((SMAX, QMAX, QTIME_MAX, CTIME_MAX, RTIME_MAX, TTIME_MAX))
COUNTERS: Final = frozenset(range(len(NAMES))) - GAUGES - MAXIMA

SUMMED_FROM_SERVERS: Final = (
    BIN, BOUT, HRSP_1XX, HRSP_2XX, HRSP_3XX, HRSP_4XX, HRSP_5XX, HRSP_OTHER,
    DRESP, ECON, ERESP, EINT, WREW, WRETR, WREDIS, CLI_ABRT, SRV_ABRT, CONNECT, REUSE, LBTOT,
    IDLE_CONN_CUR, SAFE_CONN_CUR, USED_CONN_CUR, PRIV_IDLE_CUR,
    TIMED, QTIME_SUM, CTIME_SUM, RTIME_SUM, TTIME_SUM, SSL_SESS, SSL_REUSED_SESS, SSL_FAILED_HANDSHAKE, SSL_CUR,
    H1_SPLICED_BYTES_IN, H1_SPLICED_BYTES_OUT,
)  # fmt: skip
LARGEST_OF_SERVERS: Final = (QTIME_MAX, CTIME_MAX, RTIME_MAX, TTIME_MAX)

_RESPONSES = {1: HRSP_1XX, 2: HRSP_2XX, 3: HRSP_3XX, 4: HRSP_4XX, 5: HRSP_5XX}
# block[RESPONSE_OF_STATUS[status]] += 1
RESPONSE_OF_STATUS: Final = bytes(_RESPONSES.get(status // 100, HRSP_OTHER) for status in range(1000))


def record_times(block: memoryview[int], queue_ms: int, connect_ms: int, response_ms: int, total_ms: int) -> None:
    """Count the times of one request at its server's (or, without one, its backend's) block. -1 = not reached."""
    block[TIMED] += 1
    if queue_ms > 0:
        block[QTIME_SUM] += queue_ms
        if queue_ms > block[QTIME_MAX]:
            block[QTIME_MAX] = queue_ms
    if connect_ms > 0:
        block[CTIME_SUM] += connect_ms
        if connect_ms > block[CTIME_MAX]:
            block[CTIME_MAX] = connect_ms
    if response_ms > 0:
        block[RTIME_SUM] += response_ms
        if response_ms > block[RTIME_MAX]:
            block[RTIME_MAX] = response_ms
    if total_ms > 0:
        block[TTIME_SUM] += total_ms
        if total_ms > block[TTIME_MAX]:
            block[TTIME_MAX] = total_ms


def enter(block: memoryview[int]) -> None:
    """One more session here: the gauge, its maximum and the total."""
    block[STOT] += 1
    current = block[SCUR] + 1
    block[SCUR] = current
    if current > block[SMAX]:
        block[SMAX] = current
