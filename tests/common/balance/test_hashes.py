"""Every value of the tables was returned by a stock HAProxy 2.6 (converters with and without avalanche, with seed 7)."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.balance import hashes

_LONG = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.~_"
_LONGER = _LONG + _LONG[:62]

# key: sdbm djb2 wt6 crc32 crc32c xxh32 xxh64 | sdbm, djb2, wt6, crc32 with avalanche | xxh32, xxh64 with seed 7
HAPROXY = {
    b"a": "97 177670 1900802597 3904355907 3251651376 1426945110 D24EC4F1A98C6E5B "
    "1830748055 3548763807 1986649387 1288200982 3666002600 DC6349D489E0F965",
    b"abc": "807794786 193485963 2483038440 891568578 910901175 852579327 44BC2CF5AD770999 "
    "659243622 2235766107 266135527 930845320 1473238068 9E755206156676D7",
    b"123456789": "1755344949 902675330 2225171485 3421780262 3808858755 2474356071 8CB841DB40E6AE83 "
    "3400502718 2717138294 4053691039 1130417534 2836932084 442641F4FD396175",
    b"Nobody_inspects_the_spammish_repetition": "2252314436 2532960315 3654813215 3144416807 2600011926 2681501413 FBA6B577234216FE "
    "2475180226 2737398195 1060388693 868158523 978339105 E667FC43FE9847D5",
    _LONGER: "4215907808 3068266035 3840674772 990350915 3419377135 4102862914 38FCFE756CB4EE6A "
    "2472259807 639666051 3498954709 398942235 162208785 10B55855BC20A818",
}


@pytest.mark.parametrize("key", HAPROXY)
def test_hashes_are_the_ones_of_haproxy(key: bytes) -> None:
    plain = [hashes.sdbm(key), hashes.djb2(key), hashes.wt6(key), hashes.crc32(key)]
    ours = [
        *plain,
        hashes.crc32c(key),
        hashes.xxh32(key),
        f"{hashes.xxh64(key):016X}",
        *map(hashes.avalanche, plain),
        hashes.xxh32(key, 7),
        f"{hashes.xxh64(key, 7):016X}",
    ]
    assert [str(value) for value in ours] == HAPROXY[key].split()


@pytest.mark.parametrize(
    ("function", "empty"),
    [(hashes.sdbm, 0), (hashes.djb2, 5381), (hashes.crc32, 0), (hashes.xxh32, 0x02CC5D05), (hashes.xxh64, 0xEF46DB3751D8E999)],
)
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
    assert 0 <= hashes.xxh32(key, seed) < 2**32
    assert 0 <= hashes.xxh64(key, seed << 32 | seed) < 2**64


def test_avalanche_loses_no_value() -> None:
    assert len({hashes.avalanche(value) for value in range(20000)}) == 20000


@pytest.mark.parametrize(("key", "value"), [(b"", 0), (b"\x01", 1), (b"\x01\x02\x03\x04", 0x01020304), (b"\xff\x00\x00\x00\x07", 7)])
def test_none_takes_the_key_as_the_hash(key: bytes, value: int) -> None:
    assert hashes.identity(key) == value
