from __future__ import annotations

import pytest

from common.acl.connection_errors import ConnectionFault, message


@pytest.mark.parametrize(
    "fault, sentence",
    [
        (ConnectionFault.NONE, b"Success"),
        (ConnectionFault.PROXY_CLOSED, b"Connection closed while waiting for PROXY protocol header"),
        (ConnectionFault.TLS_HANDSHAKE, b"SSL handshake failure"),
        (ConnectionFault.TLS_FATAL, b"SSL fatal error"),
        (999, b"Unknown error 999"),
        (-1, b"Unknown error -1"),
    ],
)
def test_sentences(fault: int, sentence: bytes) -> None:
    assert message(fault) == sentence


def test_numbers_are_without_gaps() -> None:
    assert [fault.value for fault in ConnectionFault] == list(range(len(ConnectionFault)))
