from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import cache

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from common.wire.client_hello import (
    HELLO_BYTES_MAX,
    RECORDS_MAX,
    ClientHello,
    Extension,
    Kind,
    first_bytes,
    is_grease,
    parse,
)
from tests.common.wire.feeding import check_monotonic, first_outcome, outcome

RANDOM = bytes(range(32))


def vector(length_bytes: int, content: bytes) -> bytes:
    return len(content).to_bytes(length_bytes, "big") + content


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def extension(kind: int, content: bytes) -> bytes:
    return numbers(kind) + vector(2, content)


def body(*extensions: bytes, session_id: bytes = b"", ciphers: bytes = numbers(0x1301), compressions: bytes = b"\0") -> bytes:
    fixed = b"\3\3" + RANDOM + vector(1, session_id) + vector(2, ciphers) + vector(1, compressions)
    return fixed + (vector(2, b"".join(extensions)) if extensions else b"")


def records(message: bytes, sizes: Iterable[int] = ()) -> bytes:
    """The message in records of the given sizes, then one of what is left."""
    out = b""
    for size in sizes:
        out += b"\x16\3\1" + vector(2, message[:size])
        message = message[size:]
    return out + (b"\x16\3\1" + vector(2, message) if message else b"")


def hello(*extensions: bytes, **fields: bytes) -> bytes:
    return records(b"\1" + vector(3, body(*extensions, **fields)))


def parsed(data: bytes) -> ClientHello:
    found = parse(data)
    assert found is not None
    return found


SNI = extension(0, vector(2, b"\0" + vector(2, b"a.Example")))
ALPN = extension(16, vector(2, vector(1, b"h2") + vector(1, b"http/1.1")))


def psk(*identities: bytes, binders: int) -> bytes:
    return extension(
        41, vector(2, b"".join(vector(2, identity) + b"ages" for identity in identities)) + vector(2, vector(1, b"b" * 32) * binders)
    )


PSK = psk(b"i" * 40, b"second", binders=2)
EVERYTHING = hello(
    extension(0x0A0A, b""),
    SNI,
    extension(10, vector(2, numbers(0x1A1A, 29, 23))),
    extension(11, vector(1, b"\0\1")),
    extension(13, vector(2, numbers(0x0403, 0x0804))),
    ALPN,
    extension(35, b"t" * 100),
    extension(43, vector(1, numbers(0x2A2A, 0x0304, 0x0303))),
    extension(45, vector(1, b"\1")),
    extension(50, vector(2, numbers(0x0403))),
    extension(42, b""),
    PSK,
    session_id=b"s" * 32,
    ciphers=numbers(0x3A3A, 0x1301, 0xC02B),
)


def test_everything_is_read() -> None:
    assert parse(EVERYTHING) == ClientHello(
        record_version=0x0301,
        legacy_version=0x0303,
        random=RANDOM,
        session_id=b"s" * 32,
        ciphers=(0x3A3A, 0x1301, 0xC02B),
        compressions=b"\0",
        size=len(EVERYTHING),
        extensions=(0x0A0A, 0, 10, 11, 13, 16, 35, 43, 45, 50, 42, 41),
        supported_versions=(0x2A2A, 0x0304, 0x0303),
        sni="a.Example",
        alpn=(b"h2", b"http/1.1"),
        groups=(0x1A1A, 29, 23),
        point_formats=b"\0\1",
        signature_algorithms=(0x0403, 0x0804),
        signature_algorithms_cert=(0x0403,),
        ticket=b"t" * 100,
        psk_identities=(b"i" * 40, b"second"),
        psk_modes=b"\1",
        has_early_data=True,
    )
    found = parsed(EVERYTHING)
    assert found.version == 0x0304
    assert found.resumption == b"i" * 40
    assert found.ticket_key_name == b"i" * 16


def test_a_hello_without_extensions_is_one() -> None:
    found = parsed(hello())
    assert (found.extensions, found.sni, found.alpn, found.ticket, found.version, found.resumption) == ((), None, (), None, 0x0303, None)
    assert found.ticket_key_name is None


def test_an_empty_ticket_asks_for_one_and_resumes_nothing() -> None:
    found = parsed(hello(extension(35, b"")))
    assert found.ticket == b""
    assert found.resumption is None


def test_a_ticket_too_short_for_a_key_name_has_none() -> None:
    found = parsed(hello(extension(35, b"short")))
    assert (found.resumption, found.ticket_key_name) == (b"short", None)


def test_server_names_of_other_types_are_skipped() -> None:
    assert parsed(hello(extension(0, vector(2, b"\1" + vector(2, b"?") + b"\0" + vector(2, b"a"))))).sni == "a"
    assert parsed(hello(extension(0, vector(2, b"\1" + vector(2, b"?"))))).sni is None


MESSAGE = b"\1" + vector(3, body(SNI, ALPN))


@pytest.mark.parametrize("sizes", [(), (1,), (3,), (4,), (5,), (40, 10), (1, 1, 1, 1), (len(MESSAGE) - 1,), (1,) * (RECORDS_MAX - 1)])
def test_a_hello_may_be_scattered_over_records(sizes: tuple[int, ...]) -> None:
    data = records(MESSAGE, sizes)
    found = parsed(data)
    assert (found.sni, found.alpn, found.size) == ("a.Example", (b"h2", b"http/1.1"), len(data))
    assert first_outcome(parse, data) == (found, len(data))
    assert parse(data + b"\x14\3\3\0\1\1") == found
    assert parse(bytearray(data)) == parse(memoryview(data)) == found


def test_what_follows_in_the_same_record_is_not_looked_at() -> None:
    data = records(MESSAGE + b"\2more")
    found = parsed(data)
    assert found.size == len(data) - 5
    assert parse(data[: found.size]) == found


REFUSED: dict[str, tuple[bytes, str]] = {
    "http": (b"GET / HTTP/1.1\r\n\r\n", "tls_not_handshake"),
    "an alert": (b"\x15\3\3\0\2\2\x28", "tls_not_handshake"),
    "sslv2": (b"\x80\x2e\x01\x00\x02\0\x15\0\0\0\x10", "tls_sslv2_hello"),
    "a record of version 2": (b"\x16\2\0\0\5", "tls_bad_record_version"),
    "an empty record": (b"\x16\3\1\0\0", "tls_bad_record_length"),
    "an empty second record": (records(MESSAGE[:10]) + b"\x16\3\1\0\0", "tls_bad_record_length"),
    "a record too long": (b"\x16\3\1\x40\1", "tls_bad_record_length"),
    "another type between": (records(MESSAGE[:10]) + b"\x17\3\1\0\1x", "tls_not_handshake"),
    "65 records": (records(MESSAGE, (1,) * RECORDS_MAX), "tls_too_many_records"),
    "a server hello": (records(b"\2" + MESSAGE[1:]), "tls_not_client_hello"),
    "a hello of 16 MB": (records(b"\1\xff\xff\xff" + bytes(100)), "tls_hello_too_long"),
    "nothing in it": (records(b"\1\0\0\0"), "tls_bad_hello"),
    "half a random": (records(b"\1" + vector(3, b"\3\3" + RANDOM[:31])), "tls_bad_hello"),
    "no session id": (records(b"\1" + vector(3, b"\3\3" + RANDOM)), "tls_bad_hello"),
    "a session id of 33 bytes": (hello(session_id=bytes(33)), "tls_bad_hello"),
    "no cipher": (hello(ciphers=b""), "tls_bad_hello"),
    "half a cipher": (hello(ciphers=b"\x13\1\x13"), "tls_bad_hello"),
    "no compression": (hello(compressions=b""), "tls_bad_hello"),
    "ciphers past the end": (records(b"\1" + vector(3, b"\3\3" + RANDOM + b"\0" + b"\xff\xff\x13\1")), "tls_bad_hello"),
    "bytes behind the extensions": (records(b"\1" + vector(3, body(SNI) + b"x")), "tls_bad_hello"),
    "extensions past the end": (records(b"\1" + vector(3, body() + b"\0\5ab")), "tls_bad_hello"),
    "half an extension's head": (records(b"\1" + vector(3, body() + vector(2, b"\0\1\0"))), "tls_bad_hello"),
    "an extension past the end": (hello(b"\0\1\0\5abc"), "tls_bad_hello"),
    "an extension twice": (hello(SNI, SNI), "tls_duplicate_extension"),
    "an empty list of names": (hello(extension(0, vector(2, b""))), "tls_bad_extension"),
    "no list of names": (hello(extension(0, b"")), "tls_bad_extension"),
    "a name past the end": (hello(extension(0, vector(2, b"\0\0\5ab"))), "tls_bad_extension"),
    "bytes behind the names": (hello(extension(0, vector(2, b"\0" + vector(2, b"a")) + b"x")), "tls_bad_extension"),
    "an empty name": (hello(extension(0, vector(2, b"\0" + vector(2, b"")))), "tls_bad_server_name"),
    "two names": (hello(extension(0, vector(2, (b"\0" + vector(2, b"a")) * 2))), "tls_bad_server_name"),
    "a name with NUL": (hello(extension(0, vector(2, b"\0" + vector(2, b"a\0b")))), "tls_bad_server_name"),
    "a name with CR LF": (hello(extension(0, vector(2, b"\0" + vector(2, b"a\r\nb")))), "tls_bad_server_name"),
    "a name not in ASCII": (hello(extension(0, vector(2, b"\0" + vector(2, "ü".encode())))), "tls_bad_server_name"),
    "a name of 256 bytes": (hello(extension(0, vector(2, b"\0" + vector(2, b"a" * 256)))), "tls_bad_server_name"),
    "an empty protocol": (hello(extension(16, vector(2, vector(1, b"h2") + b"\0"))), "tls_bad_extension"),
    "a protocol past the end": (hello(extension(16, vector(2, b"\5h2"))), "tls_bad_extension"),
    "half a group": (hello(extension(10, vector(2, b"\0\x1d\0"))), "tls_bad_extension"),
    "no version": (hello(extension(43, vector(1, b""))), "tls_bad_extension"),
    "early data with content": (hello(extension(42, b"x")), "tls_bad_extension"),
    "psk not last": (hello(PSK, SNI), "tls_bad_extension"),
    "psk without binders": (hello(extension(41, vector(2, vector(2, b"i") + b"ages"))), "tls_bad_extension"),
    "psk with a binder too few": (hello(psk(b"i", b"j", binders=1)), "tls_bad_extension"),
    "psk with half an age": (hello(extension(41, vector(2, vector(2, b"i") + b"ag") + vector(2, b"\1b"))), "tls_bad_extension"),
    "psk with an empty identity": (hello(psk(b"", binders=1)), "tls_bad_extension"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_hellos_that_are_refused(name: str) -> None:
    data, slug = REFUSED[name]
    assert outcome(parse, data) == slug
    assert isinstance(first_outcome(parse, data)[0], str)


@pytest.mark.parametrize(
    ("data", "size"),
    [(b"G", 1), (b"\x16\2", 2), (b"\x16\3\1\0\0", 5), (b"\x16\3\1\0\5\2", 6), (b"\x16\3\1\0\5\1\1\0\0", 9)],
)
def test_a_hello_is_refused_at_the_byte_that_breaks_it(data: bytes, size: int) -> None:
    found, taken = first_outcome(parse, data)
    assert isinstance(found, str)
    assert taken == size == len(data)


def test_the_biggest_hello_is_a_setting() -> None:
    big = b"\1" + vector(3, body(extension(21, bytes(HELLO_BYTES_MAX))))
    assert outcome(parse, records(big, (16384,))[:9]) == "tls_hello_too_long"
    assert parse(records(big, (16384,)), hello_bytes_max=20000) is not None


@pytest.mark.parametrize(("value", "grease"), [(0x0A0A, True), (0xFAFA, True), (0x0A1A, False), (0x1301, False), (0x0304, False)])
def test_grease(value: int, grease: bool) -> None:
    assert is_grease(value) is grease


@given(st.binary(max_size=60), st.integers(0, 300), st.integers(0, 255))
def test_no_bytes_make_it_raise_anything_else_or_change_its_verdict(noise: bytes, position: int, value: int) -> None:
    check_monotonic(parse, noise)
    check_monotonic(parse, records(noise))
    broken = bytearray(EVERYTHING)
    broken[position % len(broken)] = value
    check_monotonic(parse, bytes(broken))
    outcome(parse, hello(extension(41, noise)))
    outcome(parse, hello(extension(0, noise), extension(16, noise), extension(43, noise)))


# ---- what OpenSSL says ----


@cache
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("a.example").configure_cert(context)
    return context


def client_context(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = context.minimum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def converse(context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None, bool]:
    """(the client's hello, its session afterwards, whether it was resumed)"""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="a.example", session=session)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    first = to_server.read()
    to_server.write(first)
    server = server_context().wrap_bio(to_server, to_client, server_side=True)
    for _ in range(2):
        for end in (server, client):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    server.write(b"x")
    assert client.read(1) == b"x"
    return first, client.session, bool(client.session_reused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_openssl_s_hello_reads_as_it_was_meant(version: ssl.TLSVersion) -> None:
    context = client_context(version)
    data, session, resumed = converse(context, None)
    found = parsed(data)
    assert first_bytes(data) is Kind.TLS
    assert (found.sni, found.alpn, found.version, found.size) == ("a.example", (b"h2", b"http/1.1"), int(version), len(data))
    assert set(found.ciphers) <= {cipher["id"] & 0xFFFF for cipher in context.get_ciphers()} | {0xFF}  # 0xff: secure renegotiation
    assert found.ciphers
    assert found.groups and found.signature_algorithms
    assert found.resumption is None
    assert not resumed

    again, _, resumed = converse(context, session)
    assert resumed
    ticket = parsed(again)
    assert session is not None and session.has_ticket
    assert ticket.ticket_key_name is not None
    assert (Extension.PRE_SHARED_KEY in ticket.extensions) is (version is ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tickets_of_one_context_have_one_key_name(version: ssl.TLSVersion) -> None:
    context = client_context(version)
    names = set()
    for _ in range(3):
        _, session, _ = converse(context, None)
        names.add(parsed(converse(context, session)[0]).ticket_key_name)
    assert len(names) == 1
