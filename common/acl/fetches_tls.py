"""Fetches of TLS connections. Sans-io. Source: HAProxy configuration manual 7.3.4."""

from __future__ import annotations

from common.acl.environment import Needs
from common.acl.facts import Facts
from common.acl.table import FetchTable
from common.acl.types import SampleType

TABLE = FetchTable()

_LAYER5 = "7.3.4"


@TABLE.plain("ssl_fc", SampleType.BOOL, Needs.CLIENT, _LAYER5, "The client's connection is TLS, ended here.")
def ssl_fc(facts: Facts) -> bool:
    return facts.session.has_tls
