"""All converters: one table, joined from the modules that hold them by subject. Sans-io. Source: HAProxy configuration manual 7.3.1."""

from __future__ import annotations

from common.acl import converters_strings
from common.acl.table import ConverterTable

CONVERTERS = ConverterTable()

for _module in (converters_strings,):
    for _name, _row in _module.TABLE.rows.items():
        assert _name not in CONVERTERS.rows, f"{_name} is in two tables"
        CONVERTERS.rows[_name] = _row
