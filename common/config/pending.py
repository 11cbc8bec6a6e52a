"""Keywords that are read and checked, and whose function the running program does not have yet.

Such a word is no fault (the file is right, and will do more with a later version) and must not be passed over in silence either: each use
gets a notice, which `-dW` lets pass, and docs/configuration.md marks it. Whoever builds the function takes the word out of here.
Sans-io.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from common.config.keywords import D_PROXIES, SERVERS, AnyKeyword, Section

REMARK = "is understood and checked, but has no effect in this version yet"
SLUG = "not-yet"

_GLOBAL = """
     pp2-never-send-local
    stats-file
    tune.h1.zero-copy-fwd-recv tune.h1.zero-copy-fwd-send tune.http.cookielen tune.http.logurilen tune.killer-window
    tune.max-rules-at-once
    tune.pattern.cache-size
    tune.vars.global-max-size
    tune.vars.proc-max-size tune.vars.reqres-max-size tune.vars.sess-max-size tune.vars.txn-max-size
"""

_PROXIES = """
    force-be-switch/guid/log-steps
"""

_BIND = "guid-prefix"

_SERVER = """
    guid
"""

# Kind of line -> its pending keywords.
PENDING: Mapping[Section, frozenset[str]] = {
    Section.GLOBAL: frozenset(_GLOBAL.split()),
    D_PROXIES: frozenset(name.strip() for name in re.split(r"[/\n]", _PROXIES) if name.strip()),
    Section.BIND: frozenset(_BIND.split()),
    SERVERS: frozenset(_SERVER.split()),
    Section.TOP: frozenset({"log-profile"}),
}


def is_pending(row: AnyKeyword) -> bool:
    return any(row.sections & sections and row.name in names for sections, names in PENDING.items())


def remark(row: AnyKeyword, prefix: str) -> str:
    """What to say of a line, "" when it does what it says. prefix: its `no` or `default`, which takes nothing away from nobody."""
    if prefix:
        return ""
    return f"'{row.name.removesuffix('()')}' {REMARK}" if is_pending(row) else ""
