"""How the heads of a proxy's messages are to be read, by what the configuration says.

Source: HAProxy manual 4.2 "option accept-unsafe-violations-in-http-request", "-response"; 3.1 "h1-accept-payload-with-any-method",
"h1-do-not-close-on-insecure-transfer-encoding".
"""

from __future__ import annotations

from common import model
from worker.http.head import Options

_BOTH_LENGTHS = "h1-do-not-close-on-insecure-transfer-encoding"


def request_options(proxy: model.Proxy, settings: model.Global) -> Options:
    options = proxy.options
    return Options(
        strict="http-strict-framing" in options,
        accept_invalid=bool(options & {"accept-invalid-http-request", "accept-unsafe-violations-in-http-request"}),
        payload_with_any_method=_is_on(settings, "h1-accept-payload-with-any-method"),
        keeps_both_lengths=_is_on(settings, _BOTH_LENGTHS),
    )


def response_options(proxy: model.Proxy, settings: model.Global) -> Options:
    options = proxy.options
    return Options(
        strict="http-strict-framing" in options,
        accept_invalid=bool(options & {"accept-invalid-http-response", "accept-unsafe-violations-in-http-response"}),
        keeps_both_lengths=_is_on(settings, _BOTH_LENGTHS),
    )


def _is_on(settings: model.Global, keyword: str) -> bool:
    """A keyword without argument, not taken back by `no`."""
    lines = settings.extra.get(keyword)
    return lines is not None and lines[-1] != ("off",)
