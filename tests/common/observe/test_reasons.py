from __future__ import annotations

import re

import pytest

from common.observe.reason import REASON_WORDS, Reason
from common.observe.reasons import CAUSES, INDEX, PHASES, REASONS, SLUGS, describe, index_of, of_termination
from common.observe.reasons_client import CLIENT, MALFORMED, WIRE
from common.observe.reasons_local import LOCAL
from common.observe.reasons_retry import RETRY
from common.observe.reasons_server import SERVER, SERVER_TLS
from common.wire.reasons import REASONS as WIRE_REASONS

# RFC 9209 section 2.3
PROXY_ERRORS = {
    "dns_timeout",
    "dns_error",
    "destination_not_found",
    "destination_unavailable",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "connection_read_timeout",
    "connection_write_timeout",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "tls_alert_received",
    "http_request_error",
    "http_request_denied",
    "http_response_incomplete",
    "http_response_header_section_size",
    "http_response_header_size",
    "http_response_body_size",
    "http_response_trailer_section_size",
    "http_response_trailer_size",
    "http_response_transfer_coding",
    "http_response_content_coding",
    "http_response_timeout",
    "http_upgrade_failed",
    "http_protocol_error",
    "proxy_internal_response",
    "proxy_internal_error",
    "proxy_configuration_error",
    "proxy_loop_detected",
}


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.slug)
def test_each_reason_is_complete(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", reason.slug)
    assert reason.terminations
    for letters in reason.terminations:
        assert letters[0] in CAUSES
        assert letters[1] in PHASES
    assert reason.status == 0 or 200 <= reason.status <= 599
    assert reason.proxy_status in PROXY_ERRORS or not reason.proxy_status
    assert reason.cause
    assert reason.cure[-1] in ".)"


def test_no_slug_is_there_twice() -> None:
    everything = [reason.slug for table in (LOCAL, CLIENT, SERVER, SERVER_TLS, RETRY, MALFORMED, WIRE) for reason in table]
    assert sorted(everything) == list(SLUGS)
    assert len(SLUGS) <= REASON_WORDS


def test_what_the_codecs_raise_is_explained() -> None:
    assert set(WIRE_REASONS) <= set(REASONS)


@pytest.mark.parametrize(  # every combination that HAProxy's manual lists in 8.5
    "letters",
    [
        "CC",
        "CD",
        "cD",
        "CH",
        "cH",
        "CQ",
        "CR",
        "cR",
        "CT",
        "LR",
        "SC",
        "sC",
        "SD",
        "sD",
        "SH",
        "sH",
        "sQ",
        "PC",
        "PD",
        "PH",
        "PR",
        "PT",
        "RC",
    ],
)
def test_every_documented_termination_has_a_reason(letters: str) -> None:
    assert of_termination(letters)


def test_the_usual_reasons_of_a_termination_come_first() -> None:
    found = of_termination("PH")
    assert found[0].terminations[0] == "PH"
    assert found[-1].terminations[0] != "PH"


def test_a_slug_is_explained_with_cause_and_cure() -> None:
    text = describe("connect_refused")
    assert text.startswith("connect_refused: termination SC; status 503; Proxy-Status error=connection_refused\n")
    assert "Cause: The server refused" in text
    assert "Cure: " in text
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("word", ["SC", "SC--"])
def test_a_termination_code_is_explained_by_its_reasons(word: str) -> None:
    assert describe(word).startswith("SC: the server ended or refused the connection, connecting to the server.\n")
    assert "connect_refused" in describe(word)


@pytest.mark.parametrize("word", ["", "nonsense", "XX", "S", "SCX"])
def test_nonsense_is_not_explained(word: str) -> None:
    assert describe(word) == ""


def test_an_unknown_slug_is_counted_as_other() -> None:
    assert index_of("denied") == INDEX["denied"]
    assert index_of("never_heard_of") == INDEX["other"]
