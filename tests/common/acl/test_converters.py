from __future__ import annotations

from common.acl.converters import CONVERTERS
from tests.common.acl import keywords_of_haproxy


def test_every_converter_of_haproxy_is_here() -> None:
    assert set(keywords_of_haproxy.CONVERTERS.split()) <= set(CONVERTERS.rows)


def test_every_row_is_documented() -> None:
    for name, row in CONVERTERS.rows.items():
        assert name in row.names
        assert row.doc.endswith("."), name
        assert 0 <= row.required <= len(row.arguments)
