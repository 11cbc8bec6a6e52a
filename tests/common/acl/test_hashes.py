"""Expected values: a running HAProxy 2.6; RFC 3720 appendix B.4 for CRC-32C."""

from __future__ import annotations

import pytest

from common.acl import hashes


@pytest.mark.parametrize(
    "name, plain, mixed",
    [("djb2", 261238937, 1119739105), ("sdbm", 684824882, 2061535398), ("wt6", 3538347703, 140457739), ("crc32c", 2591144780, 2290590055)],
)
def test_of_hello(name: str, plain: int, mixed: int) -> None:
    function = getattr(hashes, name)
    assert function(b"hello") == plain
    assert function(b"hello", avalanche=True) == mixed


@pytest.mark.parametrize(
    "data, value",
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (bytes(range(31, -1, -1)), 0x113FDB5C), (b"", 0)],
)
def test_crc32c(data: bytes, value: int) -> None:
    assert hashes.crc32c(data) == value


def test_crc32() -> None:
    assert hashes.crc32(b"123456789") == 0xCBF43926
    assert hashes.crc32(b"a", avalanche=True) == 1288200982


@pytest.mark.parametrize("data, value", [(b"hello world foo", 635854141), (b"\0\xff\x80", 2467266719)])
def test_wt6(data: bytes, value: int) -> None:
    assert hashes.wt6(data) == value


def test_of_nothing() -> None:
    assert (hashes.djb2(b""), hashes.sdbm(b""), hashes.crc32(b"")) == (5381, 0, 0)
