"""The one keyword table: every row of every section.

Sans-io.
"""

from __future__ import annotations

from common.config import (
    bind,
    table_global,
    table_global_absent,
    table_global_tls,
    table_global_tuning,
    table_options,
    table_proxy,
    table_proxy_refused,
    table_rules,
    table_sections,
    table_server,
    table_side,
)
from common.config.keywords import AnyKeyword, Keyword, Table
from common.config.proxy_words import SectionParser
from common.config.sections import SectionOpener

SECTION_TABLE: Table[SectionParser] = Table(
    [
        *table_global.ROWS,
        *table_global_tls.ROWS,
        *table_global_tuning.ROWS,
        *table_global_absent.ROWS,
        *table_proxy.ROWS,
        *table_proxy_refused.ROWS,
        *table_options.ROWS,
        *table_rules.ROWS,
        *table_side.ROWS,
    ]
)

SECTION_WORDS: dict[str, Keyword[SectionOpener]] = {row.name: row for row in table_sections.ROWS}

EVERY_ROW: tuple[AnyKeyword, ...] = (*table_sections.ROWS, *SECTION_TABLE.rows, *bind.WORDS.rows, *table_server.WORDS.rows)
