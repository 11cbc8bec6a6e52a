from __future__ import annotations

from common.acl.absent import AbsentExchange
from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.acl.facts import Facts
from common.acl.fetches import FETCHES
from tests.common.acl.fakes import environment

# What a fetch needs so that it compiles.
ARGUMENTS = {
    "integer": "0",
    "string": "GET",
    "table": "t",
    "userlist": "u",
    "variable": "txn.v",
    "server": "b/s",
    "ipv4": "1.2.3.4",
    "ipv6": "::1",
}
SPECIAL = {"bin": "00", "bool": "1", "acl": "TRUE", "fc_pp_tlv": "1"}


def _call(name: str) -> str:
    row = FETCHES.rows[name]
    given = [SPECIAL.get(name, ARGUMENTS[argument.kind.value]) for argument in row.arguments[: row.required]]
    if name in ("req.payload_lv", "res.payload_lv", "payload_lv"):
        given[1] = "1"
    if name.startswith("src_") and row.arguments:
        given = [*given, "t"] if len(row.arguments) > row.required else given
    if name in ("table_cnt", "table_avl"):
        given = ["t"]
    return f"{name}({','.join(given)})" if given else name


def test_every_fetch_takes_facts_that_know_nothing() -> None:
    nothing: Facts = AbsentExchange()
    for name, row in FETCHES.rows.items():
        where = next(where for where in (Where.LOG, Where.REQUEST, Where.RESPONSE) if row.needs in where.offers)
        expression = compile_expression(_call(name), environment(where))
        expression.text_getter(nothing)
        list(expression.each(nothing))


def test_an_exchange_without_its_own_addresses_has_its_sessions() -> None:
    nothing = AbsentExchange()
    assert (nothing.src, nothing.src_port, nothing.dst, nothing.dst_port) == (b"", 0, b"", 0)
    assert nothing.request_date == nothing.session.accept_date
