"""From a request to the bytes that are hashed. Sans-io. Source: HAProxy manual 4.2 "balance" (uri, url_param, hdr).

None means that there is no key, and the servers take turns.
"""

from __future__ import annotations


def uri_key(target: bytes, *, length_max: int = 0, depth_max: int = 0, whole: bool = False, path_only: bool = False) -> bytes:
    """`balance uri`: the target up to "?" (or all of it), at most length_max bytes and depth_max directories; 0 = no limit.

    One level of depth is counted for each slash, the first one not: depth 1 of /a/b/c is /a.
    """
    key = target
    if path_only and not key.startswith(b"/"):
        authority = key.find(b"://")
        path = key.find(b"/", authority + 3) if authority >= 0 else -1
        key = key[path:] if path >= 0 else b"/" if authority >= 0 else key
    if not whole:
        key = key.partition(b"?")[0]
    if length_max:
        key = key[:length_max]
    if depth_max:
        end = -1
        for _ in range(depth_max + 1):
            end = key.find(b"/", end + 1)
            if end < 0:
                return key
        key = key[:end]
    return key


def parameter_key(query: bytes, name: bytes) -> bytes | None:
    """`balance url_param`: the value of the first `name=` in a query (or, with check_post, in a form body), as it is written."""
    prefix = name + b"="
    for parameter in query.split(b"&"):
        if parameter.startswith(prefix):
            return parameter[len(prefix) :] or None
    return None


def domain_key(host: bytes) -> bytes | None:
    """`balance hdr(host) use_domain_only`: "1wt" of "haproxy.1wt.eu", the label before the last dot; all of it without a dot."""
    before, dot, _ = host.rpartition(b".")
    if not dot:
        return host or None
    return before.rpartition(b".")[2] or None
