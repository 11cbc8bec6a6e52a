from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from tests.worker.http.messages import chunked_bodies, feed_in_pieces
from worker.http.chunked import EXTENSION_BYTES_MAX, LAST_CHUNK, ChunkedBody, encode_chunk

GOOD = [  # received, forwarded, payload
    (b"0\r\n\r\n", b"0\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"0005\r\nhello\r\n000\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b'5;a="b;\\"\xe9";c\r\nhello\r\n0;x\r\n\r\n', b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"5 ; a = b\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"5 \t\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"2\r\n\r\n\r\n1\r\n0\r\n0\r\n\r\n", b"2\r\n\r\n\r\n1\r\n0\r\n0\r\n\r\n", b"\r\n0"),
    (b"1\r\na\r\n0\r\nX-T: v\r\nX-U:w\r\n\r\n", b"1\r\na\r\n0\r\nX-T: v\r\nX-U: w\r\n\r\n", b"a"),
    (b"1\r\na\r\n0\r\nX-T: v\nX-U: w\r\n x\r\n\n", b"1\r\na\r\n0\r\nX-T: v\r\nX-U: w x\r\n\r\n", b"a"),
    (b"1\r\na\r\n0\r\nContent-Length: 3\r\nHOST: b\r\nX: y\r\n\r\n", b"1\r\na\r\n0\r\nX: y\r\n\r\n", b"a"),
]


@pytest.mark.parametrize(("received", "forwarded", "payload"), GOOD)
@pytest.mark.parametrize("trailing", [b"", b"GET / HTTP/1.1\r\n"])
def test_body_is_forwarded_and_decoded(received: bytes, forwarded: bytes, payload: bytes, trailing: bytes) -> None:
    data = received + trailing
    every_byte = list(range(len(data)))
    for cuts in ([], every_byte):
        assert feed_in_pieces(ChunkedBody(), data, cuts) == (forwarded, trailing)
        body = ChunkedBody(decode=True)
        assert feed_in_pieces(body, data, cuts) == (payload, trailing)
        assert body.done and body.payload_bytes == len(payload)


@given(chunked_bodies(), st.lists(st.integers(0, 300), max_size=10))
def test_cuts_change_nothing(body: tuple[bytes, bytes], cuts: list[int]) -> None:
    coded, payload = body
    whole = feed_in_pieces(ChunkedBody(), coded, [])
    assert feed_in_pieces(ChunkedBody(), coded, cuts) == whole
    assert feed_in_pieces(ChunkedBody(decode=True), whole[0], cuts) == (payload, b"")


def test_plain_spelling_goes_on_without_a_copy() -> None:
    data = b"5\r\nhello\r\n3\r\nfoo\r\n"
    pieces, end = ChunkedBody().feed(data)
    assert len(pieces) == 1 and pieces[0] is data and end == len(data)


def test_last_chunk_waits_for_its_trailers() -> None:
    body = ChunkedBody()
    assert body.feed(b"1\r\na\r\n0\r\nX: y\r\n") == ([b"1\r\na\r\n"], 15)
    assert not body.done
    assert body.feed(b"\r\nrest") == ([b"0\r\nX: y\r\n\r\n"], 2)
    assert body.done and body.trailers == [(b"X", b"y")]


def test_trailers_can_be_dropped() -> None:
    body = ChunkedBody(keep_trailers=False)
    assert feed_in_pieces(body, b"0\r\nX: y\r\n\r\n", []) == (b"0\r\n\r\n", b"")


BAD = [
    (b"\t5\r\n", "bad_chunk_size"),
    (b" 5\r\n", "bad_chunk_size"),
    (b"x\r\n", "bad_chunk_size"),
    (b"\r\n", "bad_chunk_size"),
    (b"+5\r\n", "bad_chunk_size"),
    (b"-5\r\n", "bad_chunk_size"),
    (b"0x5\r\n", "bad_chunk_size"),
    (b"5_0\r\n", "bad_chunk_size"),
    (b"5\nhello\n", "bad_chunk_size"),
    (b"5\rhello", "bad_chunk_size"),
    (b"5;\nx", "bad_chunk_size"),
    (b"5;\r\n", "bad_chunk_size"),
    (b"5;a\x00\r\n", "bad_chunk_size"),
    (b"5;a\rb\r\n", "bad_chunk_size"),
    (b'5;a="\r\n"\r\n', "bad_chunk_size"),
    (b"5 x\r\n", "bad_chunk_size"),
    (b"10000000000000005\r\n", "bad_chunk_size"),
    (b"0" * 17 + b"5\r\n", "bad_chunk_size"),
    (b"FFFFFFFFFFFFFFFF\r\n", "chunk_too_big"),
    (b"8000000000000000\r\n", "chunk_too_big"),
    (b"5;" + b"a" * 4096 + b"\r\n", "bad_chunk_size"),
    (b"5\r\nhello0\r\n", "chunk_without_end"),
    (b"5\r\nhello\n", "chunk_without_end"),
    (b"5\r\nhello\rx", "chunk_without_end"),
    (b"4\r\nhello\r\n", "chunk_without_end"),
    (b"0\r\n\n", "bare_lf"),
    (b"0\r\nGET / HTTP/1.1\r\n\r\n", "field_without_colon"),
    (b"0\r\nX : y\r\n\r\n", "space_before_colon"),
    (b"0\r\n X: y\r\n\r\n", "space_before_first_field"),
    (b"0\r\nX: a\x00b\r\n\r\n", "nul_in_field"),
    (b"0\r\nX: a\rb\r\n\r\n", "bare_cr"),
    (b"0\r\n: b\r\n\r\n", "empty_field_name"),
    (b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n", "too_many_trailers"),
    (b"0\r\n" + b"X: y\r\n" * 20000, "trailers_too_big"),
]


@pytest.mark.parametrize(("data", "slug"), BAD, ids=lambda value: value[:20])
def test_what_two_readers_could_take_differently_is_refused(data: bytes, slug: str) -> None:
    for cuts in ([], list(range(min(len(data), 200)))):
        with pytest.raises(WireError, match=slug):
            feed_in_pieces(ChunkedBody(), data, cuts)


@pytest.mark.parametrize("data", [b"5 \r\n", b"0\r\nX: y\n\r\n", b"0\r\nX: y\r\n z\r\n\r\n"])
def test_strict_reader_repairs_nothing(data: bytes) -> None:
    with pytest.raises(WireError):
        ChunkedBody(strict=True).feed(data)


def test_extensions_may_not_be_far_ahead_of_the_payload() -> None:
    line = b"1;" + b"a" * 1000 + b"\r\nx\r\n"
    with pytest.raises(WireError, match="chunk_extensions_too_big"):
        ChunkedBody().feed(line * (EXTENSION_BYTES_MAX // 1000 + 2))
    balanced = ChunkedBody()
    balanced.feed((b"400;" + b"a" * 1000 + b"\r\n" + b"x" * 1024 + b"\r\n") * 100)
    assert balanced.payload_bytes == 102400


@given(st.binary(max_size=80), st.lists(st.integers(0, 80), max_size=4), st.booleans())
def test_no_bytes_raise_anything_else(data: bytes, cuts: list[int], decode: bool) -> None:
    try:
        feed_in_pieces(ChunkedBody(decode=decode), data, cuts)
    except WireError:
        pass


@given(st.lists(st.binary(min_size=1, max_size=50)))
def test_encoding_and_decoding_reverse_each_other(parts: list[bytes]) -> None:
    coded = b"".join(b"".join(encode_chunk(part)) for part in parts) + LAST_CHUNK
    assert feed_in_pieces(ChunkedBody(decode=True), coded, []) == (b"".join(parts), b"")
