"""Rows of proxies that are refused: functions of HAProxy's that are not here, and words that HAProxy itself has dropped.

Sans-io.
Source: HAProxy configuration manual 4.2, and those of older versions.
"""

from __future__ import annotations

from common.config.keywords import D_PROXIES, Keyword, Status
from common.config.proxy_words import SectionParser
from common.config.unused import unused


def _refused(name: str, instead: str) -> Keyword[SectionParser]:
    return Keyword(name, D_PROXIES, f"{name} …", unused, "Not available here.", most=None, status=Status.REFUSED, instead=instead)


ROWS: tuple[Keyword[SectionParser], ...] = (
    *(
        _refused(f"email-alert {name}", "Mails are not sent: let your monitoring watch the statistics or the log.")
        for name in ("from", "level", "mailers", "myhostname", "to")
    ),
    *(
        _refused(f"compression {name}", "Bodies are not compressed here: let the servers compress.")
        for name in ("algo", "type", "offload", "algo-req", "algo-res", "type-req", "type-res", "direction", "minsize-req", "minsize-res")
    ),
    *(_refused(f"external-check {name}", "Programs are never run as checks: use tcp-check or http-check.") for name in ("command", "path")),
    _refused("filter", "Filters (trace, compression, SPOE, cache, bandwidth) are not available: remove the line."),
    _refused("use-fcgi-app", "FastCGI is not spoken: put a web server in front of the application."),
    _refused("dispatch", "Write: server NAME ADDRESS:PORT"),
    _refused("transparent", "Connecting to the client's original target is not available: name the servers."),
    _refused("filter-sequence", "Filters are not available: remove the line."),
    _refused("quic-initial", "QUIC is not spoken: remove the line."),
    *(
        _refused(name, "It was removed from HAProxy: use http-request and http-response rules.")
        for name in (
            "reqadd",
            "reqallow",
            "reqdel",
            "reqdeny",
            "reqiallow",
            "reqidel",
            "reqideny",
            "reqipass",
            "reqirep",
            "reqitarpit",
            "reqpass",
            "reqrep",
            "reqtarpit",
            "rspadd",
            "rspdel",
            "rspdeny",
            "rspidel",
            "rspideny",
            "rspirep",
            "rsprep",
        )
    ),
    _refused("block", "It was removed from HAProxy: write http-request deny if …"),
    *(
        _refused(name, f"It was removed from HAProxy: write timeout {better}.")
        for name, better in (("clitimeout", "client"), ("contimeout", "connect"), ("srvtimeout", "server"))
    ),
    _refused("redispatch", "Write: option redispatch"),
    _refused("appsession", "It was removed from HAProxy: use stick-table and stick on."),
)
