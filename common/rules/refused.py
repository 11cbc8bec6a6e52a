"""Actions that HAProxy has or had and Usher has not: why, and what to write instead. Sans-io."""

from __future__ import annotations

REFUSED: dict[str, str] = {
    "attach-srv": "Connections that servers open to the proxy are not taken here.",
    "block": "It is gone from HAProxy too: write deny.",
    "cache-store": "There is no cache here: use one behind it.",
    "cache-use": "There is no cache here: use one behind it.",
    "del-headers-bin": "Write del-header for each name, or -m with a pattern.",
    "add-headers-bin": "Write add-header for each field.",
    "set-headers-bin": "Write set-header for each field.",
    "dgram-drop": "There is no QUIC here.",
    "do-resolve": "Names are not resolved during a request here: it would wait for strangers. Resolve servers with a resolvers section.",
    "expect-netscaler-cip": "NetScaler's header is not understood here: use the PROXY protocol (expect-proxy layer4).",
    "lua": "There is no Lua here.",
    "reqadd": "It is gone from HAProxy too: write http-request add-header.",
    "reqdel": "It is gone from HAProxy too: write http-request del-header.",
    "reqrep": "It is gone from HAProxy too: write http-request replace-header or replace-path.",
    "send-retry": "There is no QUIC here.",
    "send-spoe-group": "There is no SPOE here.",
    "set-bandwidth-limit": "Bandwidth is not limited here: use the kernel's queueing (tc), with set-mark to choose the class.",
}
