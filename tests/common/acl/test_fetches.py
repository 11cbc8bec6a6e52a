from __future__ import annotations

from common.acl.environment import Where
from common.acl.fetches import FETCHES
from tests.common.acl import keywords_of_haproxy

OF_ITS_SCHEDULER = "cpu_calls cpu_ns_avg cpu_ns_tot lat_ns_avg lat_ns_tot"
OF_FILTERS_THAT_ARE_REFUSED = "fcgi.docroot fcgi.index res.cache_hit res.cache_name res.comp res.comp_algo"


def listed() -> dict[str, dict[Where, bool]]:
    return {
        name: dict(zip(keywords_of_haproxy.MOMENTS, (mark == "x" for mark in marks), strict=True))
        for marks, names in keywords_of_haproxy.FETCHES.items()
        for name in names.split()
    }


def _differs(name: str) -> set[Where]:
    """Where a fetch may be used with us and not with HAProxy, or the other way round."""
    row, theirs = FETCHES.rows[name], listed()[name]
    return {where for where in theirs if theirs[where] is not (row.needs in where.offers)}


def test_every_fetch_of_haproxy_is_here() -> None:
    missing = {name for name in listed() if name not in FETCHES.rows and not name.startswith("internal.")}
    assert missing == {*OF_ITS_SCHEDULER.split(), *OF_FILTERS_THAT_ARE_REFUSED.split()}


def test_they_may_be_used_where_haproxy_lets_them() -> None:
    different = {name: where for name in listed() if name in FETCHES.rows and (where := _differs(name))}
    for name in ("distcc_body", "distcc_param"):  # of the client's first bytes, which are gone by then
        assert different.pop(name) == {Where.RESPONSE_CONTENT, Where.RESPONSE, Where.CHECK}
    for name in ("res.ver", "resp_ver"):
        assert different.pop(name) == {Where.LOG}
    assert all(name.startswith("ssl_s_") for name in different), "the server's certificate, which HAProxy lets requests ask for in vain"


def test_every_row_is_documented() -> None:
    for name, row in FETCHES.rows.items():
        assert name in row.names or name.startswith("hdr_")
        assert row.doc.endswith(".") or row.doc.endswith("?"), name
        assert len(row.doc.split()) >= 2 or row.constant, name
        assert row.section.startswith("7.3.")
        assert 0 <= row.required <= len(row.arguments)


def test_signatures_read_like_the_manual() -> None:
    assert FETCHES.rows["req.hdr"].signature == "req.hdr([<name>[,<occ>]])"
    assert FETCHES.rows["src"].signature == "src"
    assert FETCHES.rows["int"].signature == "int(<integer>)"
    assert FETCHES.rows["acl"].signature == "acl(<name>[,…])"
