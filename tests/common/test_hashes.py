"""Every value of the tables was returned by a stock HAProxy 2.6 (converters with and without avalanche)."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import hashes
from common.wire.crc32c import crc32c

_LONG = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.~_"
_LONGER = _LONG + _LONG[:62]

# key: sdbm djb2 wt6 crc32, then the same with avalanche; None where HAProxy was not asked
HAPROXY = {
    b"a": (97, 177670, 1900802597, 3904355907, 1830748055, 3548763807, 1986649387, 1288200982),
    b"abc": (807794786, 193485963, 2483038440, 891568578, 659243622, 2235766107, 266135527, 930845320),
    b"123456789": (1755344949, 902675330, 2225171485, 3421780262, 3400502718, 2717138294, 4053691039, 1130417534),
    b"Nobody_inspects_the_spammish_repetition": (
        2252314436, 2532960315, 3654813215, 3144416807, 2475180226, 2737398195, 1060388693, 868158523,
    ),
    _LONGER: (4215907808, 3068266035, 3840674772, 990350915, 2472259807, 639666051, 3498954709, 398942235),
    b"\xc3\xa9": (12791974, 5866513, 3686392309, None, None, None, None, None),
    b"\xff\x80a\xfe": (2545076126, 2095780387, 1660329574, None, None, None, None, None),
}  # fmt: skip


@pytest.mark.parametrize("key", HAPROXY)
def test_hashes_are_the_ones_of_haproxy(key: bytes) -> None:
    plain = [hashes.sdbm(key), hashes.djb2(key), hashes.wt6(key), hashes.crc32(key)]
    ours = [*plain, *map(hashes.avalanche, plain)]
    for value, theirs in zip(ours, HAPROXY[key], strict=True):
        assert theirs in (None, value)


@pytest.mark.parametrize(("function", "empty"), [(hashes.sdbm, 0), (hashes.djb2, 5381), (hashes.crc32, 0)])
def test_hash_of_nothing(function: object, empty: int) -> None:
    assert callable(function)
    assert function(b"") == empty


@given(st.binary(max_size=300))
def test_long_keys_hash_like_their_definition(key: bytes) -> None:
    sdbm, djb2 = 0, 5381
    for byte in key:
        sdbm = (sdbm * 65599 + byte) % 2**32
        djb2 = (djb2 * 33 + byte) % 2**32
    assert (hashes.sdbm(key), hashes.djb2(key), hashes.crc32(key)) == (sdbm, djb2, zlib.crc32(key))


@given(st.binary(max_size=100), st.integers(0, 2**32 - 1))
def test_hashes_stay_within_their_bits(key: bytes, seed: int) -> None:
    for function in hashes.FUNCTIONS.values():
        assert 0 <= function(key) < 2**32
    assert 0 <= hashes.avalanche(seed) < 2**32


def test_avalanche_loses_no_value() -> None:
    assert len({hashes.avalanche(value) for value in range(20000)}) == 20000


@pytest.mark.parametrize(("key", "value"), [(b"", 0), (b"\x01", 1), (b"\x01\x02\x03\x04", 0x01020304), (b"\xff\x00\x00\x00\x07", 7)])
def test_none_takes_the_key_as_the_hash(key: bytes, value: int) -> None:
    assert hashes.identity(key) == value


@pytest.mark.parametrize(
    "function, plain, mixed",
    [
        (hashes.djb2, 261238937, 1119739105),
        (hashes.sdbm, 684824882, 2061535398),
        (hashes.wt6, 3538347703, 140457739),
        (crc32c, 2591144780, 2290590055),
    ],
)
def test_of_hello(function: Callable[[bytes], int], plain: int, mixed: int) -> None:
    assert function(b"hello") == plain
    assert hashes.avalanche(function(b"hello")) == mixed


def test_crc32() -> None:
    assert hashes.crc32(b"123456789") == 0xCBF43926
    assert hashes.avalanche(hashes.crc32(b"a")) == 1288200982


@pytest.mark.parametrize("data, value", [(b"hello world foo", 635854141), (b"\0\xff\x80", 2467266719)])
def test_wt6(data: bytes, value: int) -> None:
    assert hashes.wt6(data) == value


def test_of_nothing() -> None:
    assert (hashes.djb2(b""), hashes.sdbm(b""), hashes.crc32(b"")) == (5381, 0, 0)
