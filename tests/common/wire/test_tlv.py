from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.tlv import SslClient, SslInfo, SslType, decode_ssl, encode_ssl, join_tlvs, printable, split_tlvs

vectors = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8).map(tuple)
texts = st.none() | st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=("Cs",)), max_size=20)
infos = st.builds(
    SslInfo,
    client=st.integers(0, 7).map(SslClient),
    verify=st.integers(0, 2**32 - 1),
    version=texts,
    cn=texts,
    cipher=texts,
    sig_alg=texts,
    key_alg=texts,
    group=texts,
    sig_scheme=texts,
    client_cert=st.none() | st.binary(max_size=50),
)


@given(vectors)
def test_vectors_survive_joining_and_splitting(tlvs: tuple[tuple[int, bytes], ...]) -> None:
    assert split_tlvs(join_tlvs(tlvs)) == tlvs


@given(st.binary(max_size=60))
def test_a_block_splits_exactly_or_not_at_all(block: bytes) -> None:
    tlvs = split_tlvs(block)
    assert tlvs is None or join_tlvs(tlvs) == block


@pytest.mark.parametrize("block", [b"\2", b"\2\0", b"\2\0\1", b"\2\0\5abcd", b"\2\0\1ab", b"\4\0\0\2\xff\xff"])
def test_a_block_that_ends_inside_a_vector_is_none(block: bytes) -> None:
    assert split_tlvs(block) is None


@pytest.mark.parametrize("vector", [(256, b""), (-1, b""), (1, bytes(65536))])
def test_what_fits_no_vector_is_not_joined(vector: tuple[int, bytes]) -> None:
    with pytest.raises(ValueError, match="no TLV"):
        join_tlvs([vector])


@given(infos)
def test_ssl_information_survives(info: SslInfo) -> None:
    assert decode_ssl(encode_ssl(info)) == info


@given(st.binary(max_size=60))
def test_no_bytes_make_ssl_information_raise(value: bytes) -> None:
    decode_ssl(value)


@pytest.mark.parametrize("value", [b"", b"\1\0\0\0", b"\1\0\0\0\0\x21", b"\1\0\0\0\0\x21\0\5TLS"])
def test_malformed_ssl_information_is_none(value: bytes) -> None:
    assert decode_ssl(value) is None


def test_sub_vectors_of_unknown_types_are_skipped_and_the_last_of_two_counts() -> None:
    value = b"\1\0\0\0\0" + join_tlvs([(0x77, b"?"), (SslType.CN, b"a"), (SslType.CN, b"b"), (SslType.VERSION, b"TLSv1.3")])
    assert decode_ssl(value) == SslInfo(SslClient.SSL, 0, version="TLSv1.3", cn="b")


@pytest.mark.parametrize(
    ("client", "verify", "ssl", "certificate", "verified"),
    [
        (0, 0, False, False, False),
        (0, 1, False, False, False),
        (1, 0, True, False, False),  # no certificate: verify 0 proves nothing
        (3, 0, True, True, True),
        (5, 0, True, True, True),
        (7, 18, True, True, False),
    ],
)
def test_only_a_certificate_that_was_shown_and_found_good_is_verified(
    client: int, verify: int, ssl: bool, certificate: bool, verified: bool
) -> None:
    info = SslInfo(SslClient(client), verify)
    assert (info.has_ssl, info.has_certificate, info.verified) == (ssl, certificate, verified)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", ""),
        (b"a.example", "a.example"),
        ("bücher".encode(), "bücher"),
        (b"a\r\nb", None),
        (b"a\0", None),
        (b"\x7f", None),
        (b"\xff", None),
    ],
)
def test_text_with_control_characters_is_no_text(value: bytes, text: str | None) -> None:
    assert printable(value) == text
