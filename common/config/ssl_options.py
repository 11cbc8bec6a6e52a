"""What may stand on ssl-default-bind-options and ssl-default-server-options: the versions, tickets and preferences of such lines.

Sans-io.
Source: HAProxy configuration manual 3.1.
"""

from __future__ import annotations

from common.config.keywords import Section, Table
from common.config.tls_words import ROWS, TlsParser

_VERSION_WORDS = ("ssl-min-ver", "ssl-max-ver", "force-", "no-sslv3", "no-tlsv1", "tls-tickets", "no-tls-tickets", "ssl-preset")
_BIND_WORDS = (*_VERSION_WORDS, "prefer-client-ciphers", "strict-sni", "no-strict-sni")
_SERVER_WORDS = (*_VERSION_WORDS, "no-ssl-reuse", "ssl-reuse")

BIND_OPTIONS: Table[TlsParser] = Table(row for row in ROWS if row.sections & Section.BIND and row.name.startswith(_BIND_WORDS))
SERVER_OPTIONS: Table[TlsParser] = Table(row for row in ROWS if row.sections & Section.SERVER and row.name.startswith(_SERVER_WORDS))
