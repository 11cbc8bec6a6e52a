from __future__ import annotations

import ssl

from common.acl.cipher_names import cipher_name


def test_names_are_those_of_openssl() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL")
    known = {int(cipher["id"]) & 0xFFFF: str(cipher["name"]) for cipher in context.get_ciphers()}
    compared = {number: name for number, name in known.items() if not cipher_name(number).startswith("UNKNOWN")}
    assert compared and compared == {number: cipher_name(number) for number in compared}


def test_unknown_suites() -> None:
    assert cipher_name(0x1A1A) == "UNKNOWN(1a1a)"
