"""All sample fetches: one table, joined from the modules that hold them by layer. Sans-io. Source: HAProxy configuration manual 7.3.2-6."""

from __future__ import annotations

from common.acl import (
    fetches_auth,
    fetches_body,
    fetches_connection,
    fetches_content,
    fetches_cookies,
    fetches_counters,
    fetches_headers,
    fetches_internal,
    fetches_request,
    fetches_response,
    fetches_servers,
    fetches_tls,
)
from common.acl.table import FetchTable

FETCHES = FetchTable()

for _module in (
    fetches_auth,
    fetches_body,
    fetches_connection,
    fetches_content,
    fetches_cookies,
    fetches_counters,
    fetches_headers,
    fetches_internal,
    fetches_request,
    fetches_response,
    fetches_servers,
    fetches_tls,
):
    for _name, _row in _module.TABLE.rows.items():
        assert _name not in FETCHES.rows, f"{_name} is in two tables"
        FETCHES.rows[_name] = _row
