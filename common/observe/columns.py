"""The columns of `show stat`: position, name, who has it, how it may be aggregated, type. Sans-io.

Tools use positions, so a column never moves: the first 103 are HAProxy 2.6's, then those that later versions put before the
"-" that ends the fixed ones. Behind it presence and order are free, as the management guide says.

tags are three letters: origin, nature, scope (management guide 9.2). Where a backend's differ, they stand in backend_tags.
Source: HAProxy management guide 9.1, 9.2; tags and types observed from 2.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SEPARATOR: Final = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """position: of this column in every format. sides: which of L, F, B, S can have it."""

    position: int
    name: str
    sides: str
    tags: str
    type: str
    description: str
    backend_tags: str = ""

    def tags_of(self, side: str) -> str:
        return self.backend_tags if side == "B" and self.backend_tags else self.tags


_FIXED = (
    ("pxname", "LFBS", "KNS", "str", "Name of the proxy"),
    ("svname", "LFBS", "KNS", "str", "FRONTEND, BACKEND, or the name of the server or listener"),
    ("qcur", "BS", "MGP", "u32", "Requests that wait in the queue"),
    ("qmax", "BS", "MMP", "u32", "The most that ever waited in the queue"),
    ("scur", "LFBS", "MGP", "u32", "Sessions that are open"),
    ("smax", "LFBS", "MMP", "u32", "The most sessions that were ever open at once"),
    ("slim", "LFBS", "CLP", "u32", "Limit of sessions: maxconn, or fullconn of a backend"),
    ("stot", "LFBS", "MCP", "u64", "Sessions so far"),
    ("bin", "LFBS", "MCP", "u64", "Bytes of requests so far"),
    ("bout", "LFBS", "MCP", "u64", "Bytes of responses so far"),
    ("dreq", "LFB", "MCP", "u64", "Requests that a rule denied"),
    ("dresp", "LFBS", "MCP", "u64", "Responses that a rule denied"),
    ("ereq", "LF", "MCP", "u64", "Requests that were wrong, late or given up"),
    ("econ", "BS", "MCP", "u64", "Requests that got no connection to a server"),
    ("eresp", "BS", "MCP", "u64", "Responses that were wrong or incomplete"),
    ("wretr", "BS", "MCP", "u64", "Connections that were tried again"),
    ("wredis", "BS", "MCP", "u64", "Requests that were sent to another server"),
    ("status", "LFBS", "SGP", "str", "State of the service"),
    ("weight", "BS", "MaP", "u32", "Weight that counts now, of the server or of all usable ones"),
    ("act", "BS", "SGP", "u32", "Usable active servers; 1 for a server that is no backup", "MGP"),
    ("bck", "BS", "SGP", "u32", "Usable backup servers; 1 for a server that is a backup", "MGP"),
    ("chkfail", "S", "MCP", "u64", "Checks that failed while the server was up"),
    ("chkdown", "BS", "MCP", "u64", "Times it went from up to down"),
    ("lastchg", "BS", "MAP", "u32", "Seconds since it last went up or down"),
    ("downtime", "BS", "MCP", "u32", "Seconds that it has been down altogether"),
    ("qlimit", "S", "CGS", "u32", "Limit of the server's queue (maxqueue)"),
    ("pid", "LFBS", "KGP", "u32", "Number of the process: always 1, for the numbers are those of all"),
    ("iid", "LFBS", "KGS", "u32", "Number of the proxy"),
    ("sid", "LFBS", "KGS", "u32", "Number of the server or listener in its proxy"),
    ("throttle", "S", "CGP", "u32", "Per cent of its weight and maxconn that a starting server gets (slowstart)"),
    ("lbtot", "BS", "MCP", "u64", "Requests that load balancing sent there"),
    ("tracked", "S", "CNS", "str", "The server whose checks this one follows"),
    ("type", "LFBS", "CGS", "u32", "0 frontend, 1 backend, 2 server, 3 listener"),
    ("rate", "FBS", "MRP", "u32", "Sessions in the last second", "MGP"),
    ("rate_lim", "F", "CLP", "u32", "Limit of new sessions per second"),
    ("rate_max", "FBS", "MMP", "u32", "The most sessions in any second", "MGP"),
    ("check_status", "S", "MOP", "str", "How the last check ended"),
    ("check_code", "S", "MOP", "u32", "Status code that the last check got"),
    ("check_duration", "S", "MDP", "u64", "Milliseconds that the last check took"),
    ("hrsp_1xx", "FBS", "MCP", "u64", "HTTP responses with status 100 to 199"),
    ("hrsp_2xx", "FBS", "MCP", "u64", "HTTP responses with status 200 to 299"),
    ("hrsp_3xx", "FBS", "MCP", "u64", "HTTP responses with status 300 to 399"),
    ("hrsp_4xx", "FBS", "MCP", "u64", "HTTP responses with status 400 to 499"),
    ("hrsp_5xx", "FBS", "MCP", "u64", "HTTP responses with status 500 to 599"),
    ("hrsp_other", "FBS", "MCP", "u64", "HTTP responses with any other status"),
    ("hanafail", "S", "MCP", "u64", "Failures that were seen in traffic (observe)"),
    ("req_rate", "F", "MRP", "u32", "HTTP requests in the last second"),
    ("req_rate_max", "F", "MMP", "u32", "The most HTTP requests in any second"),
    ("req_tot", "FBS", "MCP", "u64", "HTTP requests so far"),
    ("cli_abrt", "BS", "MCP", "u64", "Transfers that the client gave up"),
    ("srv_abrt", "BS", "MCP", "u64", "Transfers that the server gave up"),
    ("comp_in", "FB", "MCP", "u64", "Bytes of responses given to the compressor"),
    ("comp_out", "FB", "MCP", "u64", "Bytes of responses that the compressor made of them"),
    ("comp_byp", "FB", "MCP", "u64", "Bytes that passed the compressor by for lack of room"),
    ("comp_rsp", "FB", "MCP", "u64", "Responses that were compressed"),
    ("lastsess", "BS", "MAP", "s32", "Seconds since the last session, -1 if there was none"),
    ("last_chk", "S", "MOP", "str", "What the last check got, or why it failed"),
    ("last_agt", "S", "MOP", "str", "What the last agent check got, or why it failed"),
    ("qtime", "BS", "MaP", "u32", "Mean milliseconds in the queue, over the last 1024 requests"),
    ("ctime", "BS", "MaP", "u32", "Mean milliseconds to connect, over the last 1024 requests"),
    ("rtime", "BS", "MaP", "u32", "Mean milliseconds to the response, over the last 1024 requests"),
    ("ttime", "BS", "MaP", "u32", "Mean milliseconds in all, over the last 1024 requests"),
    ("agent_status", "S", "MOP", "str", "How the last agent check ended"),
    ("agent_code", "S", "MOP", "u32", "Code that the agent gave"),
    ("agent_duration", "S", "MDP", "u64", "Milliseconds that the last agent check took"),
    ("check_desc", "S", "MOP", "str", "check_status in words"),
    ("agent_desc", "S", "MOP", "str", "agent_status in words"),
    ("check_rise", "S", "CGS", "u32", "Checks that must pass to bring the server up"),
    ("check_fall", "S", "CGS", "u32", "Checks that must fail to bring it down"),
    ("check_health", "S", "CGS", "u32", "Where between them it stands: 0 to rise+fall-1"),
    ("agent_rise", "S", "CGS", "u32", "Agent checks that must pass"),
    ("agent_fall", "S", "CGS", "u32", "Agent checks that must fail"),
    ("agent_health", "S", "CGS", "u32", "Where between them the agent stands"),
    ("addr", "LS", "CGS", "str", "Address and port, or unix"),
    ("cookie", "BS", "CNS", "str", "Cookie value of the server, or cookie name of the backend"),
    ("mode", "LFBS", "CGS", "str", "tcp or http"),
    ("algo", "B", "CGS", "str", "How a server is chosen"),
    ("conn_rate", "F", "MRP", "u32", "Connections in the last second"),
    ("conn_rate_max", "F", "MMP", "u32", "The most connections in any second"),
    ("conn_tot", "F", "MCP", "u64", "Connections so far"),
    ("intercepted", "FB", "MCP", "u64", "Requests answered here: redirects, statistics, services"),
    ("dcon", "LF", "MCP", "u64", "Connections that tcp-request connection rules refused"),
    ("dses", "LF", "MCP", "u64", "Connections that tcp-request session rules refused"),
    ("wrew", "LFBS", "MCP", "u64", "Messages that a rule could not change"),
    ("connect", "BS", "MCP", "u64", "Connections to servers that were tried"),
    ("reuse", "BS", "MCP", "u64", "Requests on connections that were there already"),
    ("cache_lookups", "FB", "MCP", "u64", "Requests looked up in the cache"),
    ("cache_hits", "FB", "MCP", "u64", "Requests answered from the cache"),
    ("srv_icur", "S", "MGP", "u32", "Idle connections to the server that can be used again"),
    ("src_ilim", "S", "CLP", "u32", "Limit of idle connections (pool-max-conn)"),
    ("qtime_max", "BS", "MMP", "u32", "The most milliseconds in the queue"),
    ("ctime_max", "BS", "MMP", "u32", "The most milliseconds to connect"),
    ("rtime_max", "BS", "MMP", "u32", "The most milliseconds to the response"),
    ("ttime_max", "BS", "MMP", "u32", "The most milliseconds in all"),
    ("eint", "LFBS", "MCP", "u64", "Internal errors"),
    ("idle_conn_cur", "S", "MGP", "u32", "Idle connections that only their own session should use"),
    ("safe_conn_cur", "S", "MGP", "u32", "Idle connections that any session may use"),
    ("used_conn_cur", "S", "MGP", "u32", "Connections in use"),
    ("need_conn_est", "S", "MGP", "u32", "Connections that will probably be needed"),
    ("uweight", "BS", "MaP", "u32", "Weight as set, of the server or of all usable ones"),
    ("agg_server_status", "B", "MGP", "u32", "Servers by state (metrics only)"),
    ("agg_server_check_status", "B", "MGP", "u32", "The same under its older name (metrics only)"),
    ("agg_check_status", "B", "MGP", "u32", "Servers by how their last check ended (metrics only)"),
    ("srid", "S", "MCP", "u32", "How often this server's place was taken by another one"),
    ("sess_other", "F", "MCP", "u64", "Sessions that speak no HTTP"),
    ("h1sess", "F", "MCP", "u64", "Sessions that speak HTTP/1"),
    ("h2sess", "F", "MCP", "u64", "Sessions that speak HTTP/2"),
    ("h3sess", "F", "MCP", "u64", "Sessions that speak HTTP/3"),
    ("req_other", "F", "MCP", "u64", "Requests that are no HTTP"),
    ("h1req", "F", "MCP", "u64", "Requests in HTTP/1"),
    ("h2req", "F", "MCP", "u64", "Requests in HTTP/2"),
    ("h3req", "F", "MCP", "u64", "Requests in HTTP/3"),
    ("proto", "L", "SGP", "str", "Protocol of the listener's socket"),
    ("priv_idle_cur", "S", "MGP", "u32", "Idle connections that belong to a session for good"),
)
_FREE = (
    ("ssl_sess", "LFBS", "MCP", "u64", "TLS sessions so far"),
    ("ssl_reused_sess", "LFBS", "MCP", "u64", "TLS sessions that were resumed"),
    ("ssl_failed_handshake", "LFBS", "MCP", "u64", "TLS handshakes that failed"),
    ("h2_rst_stream_rcvd", "FB", "MCP", "u64", "HTTP/2 streams that the peer reset"),
    ("h2_goaway_rcvd", "FB", "MCP", "u64", "HTTP/2 connections that the peer said good-bye to"),
    ("h2_open_connections", "FB", "MGP", "u64", "HTTP/2 connections that are open"),
    ("h2_backend_open_streams", "FB", "MGP", "u64", "HTTP/2 streams that are open"),
    ("h2_total_connections", "FB", "MCP", "u64", "HTTP/2 connections so far"),
    ("h2_backend_total_streams", "FB", "MCP", "u64", "HTTP/2 streams so far"),
    ("h1_open_connections", "FB", "MGP", "u64", "HTTP/1 connections that are open"),
    ("h1_open_streams", "FB", "MGP", "u64", "HTTP/1 requests under way"),
    ("h1_total_connections", "FB", "MCP", "u64", "HTTP/1 connections so far"),
    ("h1_total_streams", "FB", "MCP", "u64", "HTTP/1 requests so far"),
    ("h1_bytes_in", "FB", "MCP", "u64", "Bytes received by HTTP/1"),
    ("h1_bytes_out", "FB", "MCP", "u64", "Bytes sent by HTTP/1"),
    ("h1_spliced_bytes_in", "FB", "MCP", "u64", "Bytes received by HTTP/1 that the kernel moved"),
    ("h1_spliced_bytes_out", "FB", "MCP", "u64", "Bytes sent by HTTP/1 that the kernel moved"),
)

FIXED: Final = tuple(Column(position, *row) for position, row in enumerate(_FIXED))
FREE: Final = tuple(Column(position, *row) for position, row in enumerate(_FREE, len(_FIXED)))
COLUMNS: Final = FIXED + FREE
BY_NAME: Final = {column.name: column for column in COLUMNS}
HEADER: Final = "# " + ",".join([*(column.name for column in FIXED), SEPARATOR, *(column.name for column in FREE)]) + ","

# Columns that are words of the counters (common/observe/fields.py), by side; some only in HTTP mode.
FRONTEND_WORDS: Final = (
    "scur", "smax", "stot", "bin", "bout", "dreq", "dresp", "ereq", "req_tot", "conn_tot", "dcon", "dses", "wrew", "eint",
    "comp_in", "comp_out", "comp_byp", "comp_rsp", "ssl_sess", "ssl_reused_sess", "ssl_failed_handshake",
    "sess_other", "h1sess", "h2sess", "h3sess", "req_other", "h1req", "h2req", "h3req",
    "h1_open_connections", "h1_open_streams", "h1_spliced_bytes_in", "h1_spliced_bytes_out",
    "h2_open_connections", "h2_backend_open_streams", "h2_rst_stream_rcvd", "h2_goaway_rcvd",
)  # fmt: skip
RESPONSES_WORDS: Final = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
HTTP_ONLY_WORDS: Final = (*RESPONSES_WORDS, "intercepted", "cache_lookups", "cache_hits")
LISTENER_WORDS: Final = (
    "scur", "smax", "stot", "bin", "bout", "dreq", "dresp", "ereq", "dcon", "dses", "wrew", "eint",
    "ssl_sess", "ssl_reused_sess", "ssl_failed_handshake",
)  # fmt: skip
SERVER_WORDS: Final = (
    "qcur", "qmax", "scur", "smax", "stot", "bin", "bout", "dresp", "econ", "eresp", "wretr", "wredis", "lbtot", "cli_abrt", "srv_abrt",
    "wrew", "connect", "reuse", "qtime_max", "ctime_max", "rtime_max", "ttime_max", "eint",
    "idle_conn_cur", "safe_conn_cur", "used_conn_cur", "priv_idle_cur", "ssl_sess", "ssl_reused_sess", "ssl_failed_handshake",
)  # fmt: skip
BACKEND_WORDS: Final = (
    "qcur", "qmax", "scur", "smax", "stot", "bin", "bout", "dreq", "dresp", "econ", "eresp", "wretr", "wredis", "lbtot",
    "cli_abrt", "srv_abrt", "comp_in", "comp_out", "comp_byp", "comp_rsp", "wrew", "connect", "reuse",
    "qtime_max", "ctime_max", "rtime_max", "ttime_max", "eint", "ssl_sess", "ssl_reused_sess", "ssl_failed_handshake",
    "h1_open_connections", "h1_open_streams", "h1_spliced_bytes_in", "h1_spliced_bytes_out",
    "h2_open_connections", "h2_backend_open_streams", "h2_rst_stream_rcvd", "h2_goaway_rcvd",
)  # fmt: skip
