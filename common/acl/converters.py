"""All converters: one table, joined from the modules that hold them by subject. Sans-io. Source: HAProxy configuration manual 7.3.1."""

from __future__ import annotations

from common.acl import (
    converters_addresses,
    converters_hashes,
    converters_maps,
    converters_messages,
    converters_numbers,
    converters_strings,
    converters_text,
)
from common.acl.table import ConverterTable

CONVERTERS = ConverterTable()

for _module in (
    converters_addresses,
    converters_hashes,
    converters_maps,
    converters_messages,
    converters_numbers,
    converters_strings,
    converters_text,
):
    for _name, _row in _module.TABLE.rows.items():
        assert _name not in CONVERTERS.rows, f"{_name} is in two tables"
        CONVERTERS.rows[_name] = _row
