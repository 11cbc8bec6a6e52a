"""`option redispatch`: which retries of a failed connect go to another server. Sans-io. Source: HAProxy manual 4.2 "option redispatch"."""

from __future__ import annotations

from common import model


def redispatch_interval(proxy: model.Proxy) -> int:
    """`option redispatch [N]`: every Nth retry; -1 (the default) only the last one; 0: the option is off."""
    if "redispatch" in proxy.option_args:
        words = proxy.option_args["redispatch"]
        return int(words[0]) if words else -1
    return -1 if "redispatch" in proxy.options else 0


def redispatches(interval: int, retry: int, retries_max: int) -> bool:
    """Whether that retry (1 is the first) goes to another server. `option redispatch N`: N > 0 every Nth retry; N < 0 only the
    Nth from the end, -1 the last one; 0 never."""
    if interval > 0:
        return retry % interval == 0
    return interval < 0 and retry == max(1, retries_max + 1 + interval)
