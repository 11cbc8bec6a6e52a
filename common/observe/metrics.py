"""Names of the metrics: which column or field of `show info` is which metric, under HAProxy's names. Sans-io.

Source: HAProxy's Prometheus exporter, names and types observed from 2.6; those that begin with `usher_` are ours.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Metric(NamedTuple):
    """name: without the prefix (haproxy_frontend_ …) and without _total. source: a column, or a field of `show info`.
    scale: what the value is multiplied by (milliseconds to seconds). http: only in HTTP mode."""

    name: str
    source: str
    counter: bool
    scale: float = 1
    http: bool = False


def _gauge(name: str, source: str, scale: float = 1, *, http: bool = False) -> Metric:
    return Metric(name, source, False, scale, http)


def _count(name: str, source: str, *, http: bool = False) -> Metric:
    return Metric(name, source, True, 1, http)


PROCESS: Final = (
    _gauge("nbthread", "Nbthread"),
    _gauge("nbproc", "Nbproc"),
    _gauge("relative_process_id", "Process_num"),
    _gauge("uptime_seconds", "Uptime_sec"),
    _count("pool_failures", "PoolFailed"),
    _gauge("max_fds", "Ulimit-n"),
    _gauge("max_sockets", "Maxsock"),
    _gauge("max_connections", "Maxconn"),
    _gauge("hard_max_connections", "Hard_maxconn"),
    _gauge("current_connections", "CurrConns"),
    _count("connections", "CumConns"),
    _count("requests", "CumReq"),
    _gauge("max_ssl_connections", "MaxSslConns"),
    _gauge("current_ssl_connections", "CurrSslConns"),
    _count("ssl_connections", "CumSslConns"),
    _gauge("max_pipes", "Maxpipes"),
    _count("pipes_used", "PipesUsed"),
    _count("pipes_free", "PipesFree"),
    _gauge("current_connection_rate", "ConnRate"),
    _gauge("limit_connection_rate", "ConnRateLimit"),
    _gauge("max_connection_rate", "MaxConnRate"),
    _gauge("current_session_rate", "SessRate"),
    _gauge("limit_session_rate", "SessRateLimit"),
    _gauge("max_session_rate", "MaxSessRate"),
    _gauge("current_ssl_rate", "SslRate"),
    _gauge("limit_ssl_rate", "SslRateLimit"),
    _gauge("max_ssl_rate", "MaxSslRate"),
    _gauge("current_frontend_ssl_key_rate", "SslFrontendKeyRate"),
    _gauge("max_frontend_ssl_key_rate", "SslFrontendMaxKeyRate"),
    _gauge("frontend_ssl_reuse", "SslFrontendSessionReuse_pct"),
    _gauge("current_backend_ssl_key_rate", "SslBackendKeyRate"),
    _gauge("max_backend_ssl_key_rate", "SslBackendMaxKeyRate"),
    _count("ssl_cache_lookups", "SslCacheLookups"),
    _count("ssl_cache_misses", "SslCacheMisses"),
    _count("http_comp_bytes_in", "CompressBpsIn"),
    _count("http_comp_bytes_out", "CompressBpsOut"),
    _gauge("limit_http_comp", "CompressBpsRateLim"),
    _gauge("current_tasks", "Tasks"),
    _gauge("current_run_queue", "Run_queue"),
    _gauge("idle_time_percent", "Idle_pct"),
    _gauge("stopping", "Stopping"),
    _gauge("jobs", "Jobs"),
    _gauge("unstoppable_jobs", "Unstoppable Jobs"),
    _gauge("listeners", "Listeners"),
    _gauge("active_peers", "ActivePeers"),
    _gauge("connected_peers", "ConnectedPeers"),
    _count("dropped_logs", "DroppedLogs"),
    _gauge("busy_polling_enabled", "BusyPolling"),
    _gauge("failed_resolutions", "FailedResolutions"),  # a counter whose name does not say so
    _count("bytes_out", "TotalBytesOut"),
    _count("spliced_bytes_out", "TotalSplicdedBytesOut"),
    _gauge("bytes_out_rate", "BytesOutRate"),
    _count("recv_logs", "CumRecvLogs"),
    _gauge("max_memory_bytes", "Memmax_bytes"),
    _gauge("pool_allocated_bytes", "PoolAlloc_bytes"),
    _gauge("pool_used_bytes", "PoolUsed_bytes"),
    _gauge("start_time_seconds", "Start_time_sec"),
)

_SESSIONS = (
    _gauge("current_sessions", "scur"),
    _gauge("max_sessions", "smax"),
    _gauge("limit_sessions", "slim"),
    _count("sessions", "stot"),
    _count("bytes_in", "bin"),
    _count("bytes_out", "bout"),
)
_QUEUE = (_gauge("current_queue", "qcur"), _gauge("max_queue", "qmax"))
_COMPRESSION = (
    _count("http_comp_bytes_in", "comp_in", http=True),
    _count("http_comp_bytes_out", "comp_out", http=True),
    _count("http_comp_bytes_bypassed", "comp_byp", http=True),
    _count("http_comp_responses", "comp_rsp", http=True),
)
_CACHE = (_count("http_cache_lookups", "cache_lookups", http=True), _count("http_cache_hits", "cache_hits", http=True))
_TLS = (
    _count("ssl_sess", "ssl_sess"),
    _count("ssl_reused_sess", "ssl_reused_sess"),
    _count("ssl_failed_handshake", "ssl_failed_handshake"),
)
_TO_SERVERS = (
    _count("connection_errors", "econ"),
    _count("response_errors", "eresp"),
    _count("retry_warnings", "wretr"),
    _count("redispatch_warnings", "wredis"),
    _gauge("weight", "weight"),
    _gauge("uweight", "uweight"),
    _count("check_up_down", "chkdown"),
    _gauge("check_last_change_seconds", "lastchg"),
    _count("downtime_seconds", "downtime"),
    _count("loadbalanced", "lbtot"),
    _gauge("current_session_rate", "rate"),
    _gauge("max_session_rate", "rate_max"),
    _count("client_aborts", "cli_abrt"),
    _count("server_aborts", "srv_abrt"),
    _gauge("last_session_seconds", "lastsess"),
    _gauge("queue_time_average_seconds", "qtime", 0.001),
    _gauge("connect_time_average_seconds", "ctime", 0.001),
    _gauge("response_time_average_seconds", "rtime", 0.001),
    _gauge("total_time_average_seconds", "ttime", 0.001),
    _gauge("max_queue_time_seconds", "qtime_max", 0.001),
    _gauge("max_connect_time_seconds", "ctime_max", 0.001),
    _gauge("max_response_time_seconds", "rtime_max", 0.001),
    _gauge("max_total_time_seconds", "ttime_max", 0.001),
    _count("connection_attempts", "connect"),
    _count("connection_reuses", "reuse"),
)
_COMMON = (
    _count("responses_denied", "dresp"),
    _count("failed_header_rewriting", "wrew"),
    _count("internal_errors", "eint"),
    *_TLS,
)
_CLIENTS = (
    _count("requests_denied", "dreq"),
    _count("request_errors", "ereq"),
    _count("denied_connections", "dcon"),
    _count("denied_sessions", "dses"),
)

FRONTEND: Final = (
    *_SESSIONS,
    *_CLIENTS,
    *_COMMON,
    _gauge("current_session_rate", "rate"),
    _gauge("limit_session_rate", "rate_lim"),
    _gauge("max_session_rate", "rate_max"),
    _gauge("http_requests_rate_current", "req_rate", http=True),
    _gauge("http_requests_rate_max", "req_rate_max", http=True),
    _count("http_requests", "req_tot", http=True),
    *_COMPRESSION,
    _gauge("connections_rate_current", "conn_rate"),
    _gauge("connections_rate_max", "conn_rate_max"),
    _count("connections", "conn_tot"),
    _count("intercepted_requests", "intercepted", http=True),
    *_CACHE,
)
LISTENER: Final = (*_SESSIONS, *_CLIENTS, *_COMMON)
BACKEND: Final = (
    *_QUEUE,
    *_SESSIONS,
    *_TO_SERVERS,
    *_COMMON,
    _count("requests_denied", "dreq"),
    _gauge("active_servers", "act"),
    _gauge("backup_servers", "bck"),
    _count("http_requests", "req_tot", http=True),
    *_COMPRESSION,
    *_CACHE,
)
SERVER: Final = (
    *_QUEUE,
    *_SESSIONS,
    *_TO_SERVERS,
    *_COMMON,
    _count("check_failures", "chkfail"),
    _gauge("queue_limit", "qlimit"),
    _gauge("current_throttle", "throttle"),
    _gauge("check_code", "check_code"),
    _gauge("check_duration_seconds", "check_duration", 0.001),
    _count("http_requests", "req_tot", http=True),
    _gauge("idle_connections_current", "srv_icur"),
    _gauge("idle_connections_limit", "src_ilim"),
    _gauge("unsafe_idle_connections_current", "idle_conn_cur"),
    _gauge("safe_idle_connections_current", "safe_conn_cur"),
    _gauge("used_connections_current", "used_conn_cur"),
    _gauge("need_connections_current", "need_conn_est"),
)

RESPONSE_CODES: Final = {
    "1xx": "hrsp_1xx",
    "2xx": "hrsp_2xx",
    "3xx": "hrsp_3xx",
    "4xx": "hrsp_4xx",
    "5xx": "hrsp_5xx",
    "other": "hrsp_other",
}
PROXY_STATES: Final = ("DOWN", "UP")
LISTENER_STATES: Final = ("WAITING", "OPEN", "FULL")
SERVER_STATES: Final = ("DOWN", "UP", "MAINT", "DRAIN", "NOLB")


def server_state(status: str) -> str:
    """The state of a metric for a `status` column of a server."""
    for state in ("MAINT", "NOLB", "DRAIN", "DOWN"):
        if status.startswith(state):
            return state
    return "UP"
