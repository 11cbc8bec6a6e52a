"""ACL keywords: a fetch with its matching method in one word (path_beg), and the predefined ACLs. Sans-io.

An ACL keyword's method counts only where no converter follows: what is matched then is the converter's result, by its own type.

Source: HAProxy configuration manual 7.3.6 "ACL derivatives" and 7.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.acl.patterns import Method


@dataclass(frozen=True, slots=True)
class AclKeyword:
    """versions: integers are written major.minor."""

    name: str
    fetch: str
    method: Method
    versions: bool = False


_STRING_METHODS = (Method.BEG, Method.DIR, Method.DOM, Method.END, Method.LEN, Method.REG, Method.SUB)

# Keyword without suffix -> fetch: each also has the seven suffixed forms.
_FAMILIES = {
    "base": "base",
    "cook": "req.cook",
    "hdr": "req.hdr",
    "path": "path",
    "req.cook": "req.cook",
    "req.hdr": "req.hdr",
    "res.cook": "res.cook",
    "res.hdr": "res.hdr",
    "scook": "res.cook",
    "shdr": "res.hdr",
    "url": "url",
    "urlp": "urlp",
    "url_param": "urlp",
}

_SINGLES = (
    AclKeyword("http_auth_group", "http_auth_group", Method.STR),
    AclKeyword("method", "method", Method.STR),
    AclKeyword("payload", "req.payload", Method.BIN),
    AclKeyword("payload_lv", "req.payload_lv", Method.BIN),
    AclKeyword("req.ssl_ver", "req.ssl_ver", Method.INT, versions=True),
    AclKeyword("req_ssl_ver", "req.ssl_ver", Method.INT, versions=True),
    AclKeyword("req_rdp_cookie", "req.rdp_cookie", Method.STR),
    AclKeyword("req_rdp_cookie_cnt", "req.rdp_cookie_cnt", Method.INT),
    AclKeyword("req_ssl_sni", "req.ssl_sni", Method.STR),
    AclKeyword("req_ver", "req.ver", Method.STR),
    AclKeyword("resp_ver", "res.ver", Method.STR),
    AclKeyword("ssl_fc_sni_end", "ssl_fc_sni", Method.END),
    AclKeyword("ssl_fc_sni_reg", "ssl_fc_sni", Method.REG),
)

ACL_KEYWORDS: Mapping[str, AclKeyword] = {
    keyword.name: keyword
    for keyword in (
        *(AclKeyword(name, fetch, Method.STR) for name, fetch in _FAMILIES.items()),
        *(AclKeyword(f"{name}_{method.value}", fetch, method) for name, fetch in _FAMILIES.items() for method in _STRING_METHODS),
        *_SINGLES,
    )
}

PREDEFINED: Mapping[str, tuple[str, ...]] = {
    "FALSE": ("always_false",),
    "HTTP": ("req.proto_http",),
    "HTTP_1.0": ("req.ver", "1.0"),
    "HTTP_1.1": ("req.ver", "1.1"),
    "HTTP_2.0": ("req.ver", "2.0"),
    "HTTP_3.0": ("req.ver", "3.0"),
    "HTTP_CONTENT": ("req.hdr_val(content-length)", "gt", "0"),
    "HTTP_URL_ABS": ("url_reg", "^[^/:]*://"),
    "HTTP_URL_SLASH": ("url_beg", "/"),
    "HTTP_URL_STAR": ("url", "*"),
    "LOCALHOST": ("src", "127.0.0.1/8", "::1"),
    "METH_CONNECT": ("method", "CONNECT"),
    "METH_DELETE": ("method", "DELETE"),
    "METH_GET": ("method", "GET", "HEAD"),
    "METH_HEAD": ("method", "HEAD"),
    "METH_OPTIONS": ("method", "OPTIONS"),
    "METH_POST": ("method", "POST"),
    "METH_PUT": ("method", "PUT"),
    "METH_TRACE": ("method", "TRACE"),
    "RDP_COOKIE": ("req.rdp_cookie_cnt", "gt", "0"),
    "REQ_CONTENT": ("req.len", "gt", "0"),
    "TRUE": ("always_true",),
    "WAIT_END": ("wait_end",),
}
