"""Fetches of responses, of what was captured, and of the exchange as a whole: status, sizes, timers, end. Sans-io.

Source: HAProxy configuration manual 7.3.6, and the timers and states of later versions ("txn.timer.total" …).
"""

from __future__ import annotations

from collections.abc import Callable

from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.fetches_internal import unit_factor
from common.acl.http_values import target_path_and_query
from common.acl.log_variables import LOG_VARIABLES
from common.acl.table import FetchTable, Getter
from common.acl.types import SampleType

TABLE = FetchTable()

_HTTP, _LAYER4 = "7.3.6", "7.3.3"


@TABLE.plain("status", SampleType.INT, Needs.RESPONSE_KEPT, _HTTP, "The response's status.")
def status(facts: Facts) -> int | None:
    response = facts.response
    if response is None:
        facts.undecided = True
        return None
    return response.status


@TABLE.plain("txn.status", SampleType.INT, Needs.RESPONSE_KEPT, _HTTP, "The status as it is sent to the client.")
def final_status(facts: Facts) -> int | None:
    return status(facts)


@TABLE.plain("server_status", SampleType.INT, Needs.RESPONSE_KEPT, _HTTP, "The status as the server sent it.")
def server_status(facts: Facts) -> int | None:
    return facts.server_status


@TABLE.plain("res.ver resp_ver", SampleType.STR, Needs.RESPONSE_KEPT, _HTTP, "The response's HTTP version, such as 1.1.")
def response_version(facts: Facts) -> bytes | None:
    response = facts.response
    if response is None:
        facts.undecided = True
        return None
    return b"%d.%d" % divmod(response.version, 10)


@TABLE.row(
    "capture.req.hdr", SampleType.STR, Needs.REQUEST_KEPT, _HTTP, "Captured request header number <idx>, from 0.", arguments="idx:integer"
)
def make_request_capture(environment: CompileEnvironment, index: int) -> Getter:
    return lambda facts: _slot(facts.request_captures, index)


@TABLE.row(
    "capture.res.hdr", SampleType.STR, Needs.RESPONSE_KEPT, _HTTP, "Captured response header number <idx>, from 0.", arguments="idx:integer"
)
def make_response_capture(environment: CompileEnvironment, index: int) -> Getter:
    return lambda facts: _slot(facts.response_captures, index)


def _slot(captures: object, index: int) -> bytes | None:
    assert isinstance(captures, list | tuple)
    return captures[index] if 0 <= index < len(captures) else None


def _request_words(facts: Facts) -> list[bytes]:
    words = facts.request_line.split(b" ")
    return words if len(words) == 3 else []


@TABLE.plain("capture.req.method", SampleType.STR, Needs.REQUEST_KEPT, _HTTP, "The request's method, as received.")
def captured_method(facts: Facts) -> bytes | None:
    words = _request_words(facts)
    return words[0] if words else None


@TABLE.plain("capture.req.uri", SampleType.STR, Needs.REQUEST_KEPT, _HTTP, "The request's path and query, as received.")
def captured_target(facts: Facts) -> bytes | None:
    words = _request_words(facts)
    return target_path_and_query(words[1]) if words else None


@TABLE.plain("capture.req.ver", SampleType.STR, Needs.REQUEST_KEPT, _HTTP, "The request's version, as HTTP/1.1.")
def captured_version(facts: Facts) -> bytes | None:
    words = _request_words(facts)
    return words[2] if words else None


@TABLE.plain("capture.res.ver", SampleType.STR, Needs.REQUEST_KEPT, _HTTP, "The response's version, as HTTP/1.1.")
def captured_response_version(facts: Facts) -> bytes | None:
    response = facts.response
    return None if response is None else b"HTTP/%d.%d" % divmod(response.version, 10)


@TABLE.plain("unique-id", SampleType.STR, Needs.NOTHING, _HTTP, "The exchange's unique id, by unique-id-format.")
def unique_id(facts: Facts) -> bytes | None:
    return facts.unique_id or None


@TABLE.plain("txn.conn_retries", SampleType.INT, Needs.SERVER_CONNECTION, _LAYER4, "Attempts to connect after the first.")
def connection_retries(facts: Facts) -> int:
    return facts.retries


@TABLE.plain("txn.redispatched", SampleType.BOOL, Needs.SERVER_CONNECTION, _LAYER4, "Another server than the first was chosen.")
def redispatched(facts: Facts) -> bool:
    return facts.redispatched


@TABLE.plain("txn.sess_term_state", SampleType.STR, Needs.NOTHING, _LAYER4, "The termination state, as %ts or %tsc.")
def termination_state(facts: Facts) -> bytes:
    frontend = facts.session.frontend
    http = frontend is not None and frontend.mode == "http"
    return facts.termination + facts.persistence_state if http else facts.termination


@TABLE.plain("bytes_in req.bytes_in", SampleType.INT, Needs.REQUEST_KEPT, _LAYER4, "Bytes received from the client so far.")
def bytes_in(facts: Facts) -> int:
    return facts.bytes_in


@TABLE.plain("bytes_out res.bytes_in res.bytes_out", SampleType.INT, Needs.SERVER, _LAYER4, "Bytes sent to the client so far.")
def bytes_out(facts: Facts) -> int:
    return facts.bytes_out


def _date(name: str, needs: Needs, doc: str, read: Callable[[Facts], float]) -> None:
    @TABLE.row(name, SampleType.INT, needs, _LAYER4, doc + ", in <unit>: s, ms or us.", arguments="unit:string", required=0)
    def make(environment: CompileEnvironment, unit: bytes | None) -> Getter:
        factor = unit_factor(unit)
        return lambda facts: int(read(facts) * factor)


_date("accept_date", Needs.CLIENT, "When the connection was accepted", lambda facts: facts.session.accept_date)
_date("request_date", Needs.REQUEST_KEPT, "When the request's first byte came", lambda facts: facts.request_date)


def _timer(name: str, variable: str, needs: Needs) -> None:
    """A timer of the log line (manual 8.4) as a sample; not found while its stage was not reached."""
    row = LOG_VARIABLES[variable]

    def get(facts: Facts) -> int | None:
        value = row.get(facts)
        assert isinstance(value, int)
        return value if value >= 0 else None

    TABLE.plain(name, SampleType.INT, needs, _LAYER4, f"%{variable}: {row.doc}.")(get)


_timer("fc.timer.handshake", "Th", Needs.CLIENT)
_timer("fc.timer.total", "Tt", Needs.LISTENER)
_timer("req.timer.idle", "Ti", Needs.REQUEST_KEPT)
_timer("req.timer.hdr", "TR", Needs.REQUEST_KEPT)
_timer("req.timer.tq", "Tq", Needs.REQUEST_KEPT)
_timer("req.timer.queue", "Tw", Needs.SERVER_CONNECTION)
_timer("bc.timer.connect", "Tc", Needs.SERVER_CONNECTION)
_timer("res.timer.hdr", "Tr", Needs.RESPONSE_KEPT)
_timer("res.timer.data", "Td", Needs.SERVER)
_timer("txn.timer.total", "Ta", Needs.REQUEST_KEPT)
_timer("txn.timer.user", "Tu", Needs.REQUEST_KEPT)
