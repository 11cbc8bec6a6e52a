"""The choices of the first tables were made by a stock HAProxy 2.6 for the same keys, weights and hash types."""

from __future__ import annotations

import ipaddress
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.balance.balancer import Balancer, Candidate
from common.balance.hashing import address_number
from common.balance.make import make
from common.balance.ring import Ring, points_of_address, points_of_id
from tests.common.balance.farm import candidates, unloaded

KEYS = (
    b"w02707bq7 x6eqituah k61f2ewea 5hh95k8ty h7y86knff ckvayml3r lrzc9a04a 2nuabg8h1 77mms1d02 4b8dmv7m7 tllgcfy9f b9toiv3qp "
    b"c6br4e08w 2dpf4kq94 9qr0rkofn 98wrmdj25 n21zx1nzk r1yk8xuat jyq3x2mx0 3m45y98st f47ryz0g2 uxpw1wzaf pxhywbqib elggbqnwv "
    b"i6aokoe3n bwdtmu83p 3xnfvu88v m6aduwfw6 npik9n86v j9rol9rkr ewpk23atj 72ijf9kvr xv0e1ktmk tqm0vbjq6 5ta2puzwr 6no4hk3c4 "
    b"zpk26frtr lfv3ci32x a099zb4hx 8zek7fvof"
).split()


def _make(words: str, hash_type: str, *weights: float, **options: object) -> Balancer:
    return make(words.split(), hash_type.split(), candidates(*weights), chance=random.Random(1).random, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hash_type", "weights", "choices"),
    [
        ("map-based sdbm", (3, 2, 1), "0010011011102011000120102110002000112101"),
        ("map-based sdbm", (5, 1, 1, 4), "0231300010013120102113303031230303331002"),
        ("consistent sdbm", (1, 1, 1), "0020020100202121212010021121011012010012"),
        ("consistent sdbm", (3, 1, 2), "0020000000202101002000220000011012002022"),
        ("consistent sdbm avalanche", (1, 1, 1), "0122022210001001210020000102221210101012"),
        ("consistent", (1, 1, 1), "0122022210001001210020000102221210101012"),
    ],
)
def test_keys_reach_the_server_that_haproxy_would_choose(hash_type: str, weights: tuple[int, ...], choices: str) -> None:
    balancer = _make("hdr(k)", hash_type, *weights)
    assert "".join(str(balancer.choose(key, unloaded)) for key in KEYS) == choices


@pytest.mark.parametrize(
    ("source", "map_based", "consistent"),
    [("127.0.0.9", 0, 2), ("127.1.2.3", 0, 0), ("127.200.7.1", 3, 3), ("127.3.3.250", 0, 0), ("127.77.1.2", 2, 2), ("127.9.200.31", 2, 2)],
)
def test_sources_reach_the_server_that_haproxy_would_choose(source: str, map_based: int, consistent: int) -> None:
    key = ipaddress.ip_address(source).packed
    assert _make("source", "map-based", 7, 1, 5, 4).choose(key, unloaded) == map_based
    assert _make("source", "map-based wt6", 7, 1, 5, 4).choose(key, unloaded) == map_based
    assert _make("source", "consistent", 7, 1, 5, 4).choose(key, unloaded) == consistent


def test_long_addresses_are_folded() -> None:
    assert address_number(ipaddress.ip_address("1:2:3:4:5:6:7:8").packed) == 0x00010002 ^ 0x00030004 ^ 0x00050006 ^ 0x00070008


@pytest.mark.parametrize("hash_type", ["map-based", "consistent", "map-based none", "consistent crc32 avalanche"])
def test_without_a_key_servers_take_turns(hash_type: str) -> None:
    balancer = _make("hdr(host)", hash_type, 1, 1, 1)
    assert Counter(balancer.choose(None, unloaded) for _ in range(9)) == {0: 3, 1: 3, 2: 3}
    balancer.update(1, usable=False)
    assert {balancer.choose(None, unloaded) for _ in range(9)} == {0, 2}


@given(st.sets(st.binary(min_size=1, max_size=12), min_size=20, max_size=60), st.integers(0, 4))
def test_consistent_moves_only_the_keys_of_the_server_that_left(keys: set[bytes], gone: int) -> None:
    balancer = _make("uri", "consistent", 1, 2, 3, 1, 2)
    before = {key: balancer.choose(key, unloaded) for key in keys}
    balancer.update(gone, usable=False)
    for key in keys:
        after = balancer.choose(key, unloaded)
        assert after != gone
        assert before[key] in (gone, after)
    balancer.update(gone, usable=True)
    assert {key: balancer.choose(key, unloaded) for key in keys} == before


def test_a_lighter_server_only_gives_keys_away() -> None:
    balancer = _make("uri", "consistent", 4, 4, 4)
    keys = [b"/page/%d" % number for number in range(2000)]
    before = [balancer.choose(key, unloaded) for key in keys]
    balancer.update(1, weight=2)
    after = [balancer.choose(key, unloaded) for key in keys]
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert moved
    assert all(old == 1 for old, _ in moved)


@pytest.mark.parametrize("hash_type", ["map-based sdbm avalanche", "map-based crc32", "consistent", "consistent crc32 avalanche"])
def test_shares_follow_weights(hash_type: str) -> None:
    weights = (10, 20, 10, 40)
    balancer = _make("uri", hash_type, *weights)
    counts = Counter(balancer.choose(b"/item/%d/x" % number, unloaded) for number in range(8000))
    for index, weight in enumerate(weights):
        assert counts[index] == pytest.approx(8000 * weight / 80, rel=0.25)


@pytest.mark.parametrize("hash_type", ["map-based", "consistent"])
def test_redispatch_of_a_key_is_stable_and_reaches_everybody(hash_type: str) -> None:
    balancer = _make("uri", hash_type, 1, 1, 1, 1)
    order = list(balancer.candidates(b"/a", unloaded))
    assert sorted(order) == [0, 1, 2, 3]
    assert list(balancer.candidates(b"/a", unloaded)) == order
    assert balancer.choose(b"/a", unloaded, {0, 1, 2, 3}) is None


@pytest.mark.parametrize("hash_type", ["map-based", "consistent"])
def test_full_server_keeps_its_keys_unless_affinity_yields(hash_type: str) -> None:
    always = _make("uri", hash_type, 1, 1, 1)
    owner = always.choose(b"/a", unloaded)
    assert always.choose(b"/a", unloaded, full=lambda index: index == owner) == owner
    yielding = _make("uri", hash_type, 1, 1, 1, hash_preserve_affinity="maxqueue")
    other = yielding.choose(b"/a", unloaded, full=lambda index: index == owner)
    assert other not in (owner, None)
    assert yielding.choose(b"/a", unloaded, full=lambda index: True) == owner, "where all are full, waiting at home is best"


@pytest.mark.parametrize("factor", [110, 150, 200])
def test_bounded_load_is_kept_and_weights_count(factor: int) -> None:
    weights = (1, 2, 4, 1)
    balancer = _make("uri", "consistent", *weights, hash_balance_factor=factor)
    chance = random.Random(3)
    loads = [0] * 4
    for _ in range(2000):
        if chance.random() < 0.3 and any(loads):
            loads[chance.choice([index for index, load in enumerate(loads) if load])] -= 1
            continue
        index = balancer.choose(b"/hot", loads.__getitem__)
        assert index is not None
        loads[index] += 1
        average = sum(loads) / sum(weights)
        assert loads[index] <= average * weights[index] * factor / 100 + 1


def test_address_keys_do_not_depend_on_the_order_of_the_list() -> None:
    servers = [Candidate(index + 1, 2, address=b"10.0.0.%d:80" % index) for index in range(4)]
    swapped = [Candidate(index + 1, 2, address=one.address) for index, one in enumerate(reversed(servers))]
    ours = make(["uri"], ["consistent"], servers, chance=random.random, hash_key="addr-port")
    theirs = make(["uri"], ["consistent"], swapped, chance=random.random, hash_key="addr-port")
    for number in range(300):
        key = b"/%d" % number
        here, there = ours.choose(key, unloaded), theirs.choose(key, unloaded)
        assert here is not None
        assert there == 3 - here


def test_server_without_an_address_stands_by_its_id() -> None:
    named = make(["uri"], ["consistent"], candidates(1, 1), chance=random.random, hash_key="addr")
    plain = make(["uri"], ["consistent"], candidates(1, 1), chance=random.random)
    assert [named.choose(b"%d" % n, unloaded) for n in range(50)] == [plain.choose(b"%d" % n, unloaded) for n in range(50)]


@pytest.mark.parametrize("hash_type", ["map-based", "consistent"])
def test_hash_farm_grows_and_empties(hash_type: str) -> None:
    balancer = _make("uri", hash_type, 1)
    balancer.add(Candidate(2))
    assert {balancer.choose(b"/%d" % number, unloaded) for number in range(64)} == {0, 1}
    assert {balancer.choose(None, unloaded) for _ in range(4)} == {0, 1}
    balancer.update(0, usable=False)
    balancer.update(1, usable=False)
    assert balancer.choose(b"/", unloaded) is None
    assert balancer.choose(None, unloaded) is None


def test_points_of_one_server_differ() -> None:
    for points in (points_of_id(7, 256), points_of_address(b"192.0.2.1", 256)):
        assert len(set(points)) == 4096
    ring = Ring([(0, [10, 20]), (1, [30])])
    assert [ring.owner(ring.closest(value)) for value in (0, 10, 14, 16, 25, 26, 30, 2**32 - 1)] == [0, 0, 0, 0, 0, 1, 1, 0]
    assert len(ring) == 3
    assert [list(ring.owners_from(position)) for position in range(3)] == [[0, 1], [0, 1], [1, 0]]


def test_long_keys_are_hashed_and_not_remembered() -> None:
    balancer = _make("uri", "map-based", 1, 1, 1)
    long_key = b"/x" * 4000
    assert balancer.choose(long_key, unloaded) == balancer.choose(long_key, unloaded)
