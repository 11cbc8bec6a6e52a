"""first, random(N) and budget; slow start; keys; the words of `balance`."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from common.balance.budget import Budget
from common.balance.draw import RandomDraws, xorshift
from common.balance.first import First
from common.balance.keys import domain_key, parameter_key, uri_key
from common.balance.make import Algorithm, HashType, make, parse_algorithm, parse_hash_type
from common.balance.weights import effective_maxconn, effective_weight, slowstart_ratio
from common.errors import ExpressionError
from tests.common.balance.farm import candidates, unloaded


def test_first_fills_the_lowest_id_that_has_room() -> None:
    servers = candidates(1, 1, 1)
    servers.reverse()  # ids 3, 2, 1
    balancer = First(servers)
    loads = [0, 0, 0]
    order = []
    for _ in range(6):
        index = balancer.choose(None, loads.__getitem__, full=lambda index: loads[index] >= 2)
        assert index is not None
        loads[index] += 1
        order.append(index)
    assert order == [2, 2, 1, 1, 0, 0]
    assert balancer.choose(None, loads.__getitem__, full=lambda index: loads[index] >= 2) is None


def test_random_follows_weights_and_weight_changes() -> None:
    balancer = RandomDraws(candidates(1, 3), random.Random(7).random, draws=1)
    assert Counter(balancer.choose(None, unloaded) for _ in range(4000))[1] == pytest.approx(3000, rel=0.05)
    balancer.update(1, weight=1)
    assert Counter(balancer.choose(None, unloaded) for _ in range(4000))[1] == pytest.approx(2000, rel=0.08)


def test_random_without_a_given_chance_is_fair_and_repeats_itself() -> None:
    first, second = (make(["random(1)"], ["map-based"], candidates(1, 1, 2)) for _ in range(2))
    choices = [first.choose(None, unloaded) for _ in range(4000)]
    assert choices == [second.choose(None, unloaded) for _ in range(4000)]
    assert Counter(choices)[2] == pytest.approx(2000, rel=0.08)
    chance = xorshift(0)
    assert all(0 <= chance() < 1 for _ in range(1000))


def test_two_draws_avoid_the_most_loaded_and_many_find_the_least() -> None:
    loads = [9, 0, 5]
    two = RandomDraws(candidates(1, 1, 1), random.Random(7).random, draws=2)
    counts = Counter(two.choose(None, loads.__getitem__) for _ in range(3000))
    assert counts[0] < counts[2] < counts[1]
    many = RandomDraws(candidates(1, 1, 1), random.Random(7).random, draws=64)
    assert {many.choose(None, loads.__getitem__) for _ in range(50)} == {1}


def test_random_respects_exclusions_fullness_and_the_factor() -> None:
    balancer = RandomDraws(candidates(1, 1, 1), random.Random(7).random)
    assert {balancer.choose(None, unloaded, {0}) for _ in range(30)} == {1, 2}
    assert balancer.choose(None, unloaded, full=lambda index: index != 2) == 2
    assert balancer.choose(None, unloaded, {0, 1, 2}) is None
    loads = [100, 0, 0]
    bounded = RandomDraws(candidates(1, 1, 1), random.Random(7).random, draws=1, factor_percent=150)
    assert {bounded.choose(None, loads.__getitem__) for _ in range(60)} == {1, 2}
    assert bounded.choose(None, loads.__getitem__, {1, 2}) == 0


class _SeedBudget:
    """The scheme of the mail, step by step, as written there."""

    def __init__(self, size: int) -> None:
        self.budgets = [0] * size

    def accepted(self, index: int) -> None:
        self.budgets[index] -= 1

    def closed(self, index: int) -> None:
        self.budgets[index] += 1

    def settle(self) -> None:
        if all(budget > 1 for budget in self.budgets):
            lowest = min(self.budgets)
            self.budgets = [budget - lowest for budget in self.budgets]
        if all(budget == 0 for budget in self.budgets):
            self.budgets = [1] * len(self.budgets)


@pytest.mark.parametrize("seed", range(5))
def test_budget_does_what_the_mail_says(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.randint(1, 6)
    model, balancer, loads = _SeedBudget(size), Budget(candidates(*[1] * size)), [0] * size
    for _ in range(2000):
        if chance.random() < 0.45 and any(loads):
            index = chance.choice([index for index, load in enumerate(loads) if load])
            loads[index] -= 1
            model.closed(index)
            continue
        model.settle()
        chosen = balancer.choose(None, loads.__getitem__)
        assert chosen is not None
        assert list(balancer.budgets(loads.__getitem__).values()) == model.budgets
        assert model.budgets[chosen] > 0
        loads[chosen] += 1
        model.accepted(chosen)


def test_budget_keeps_growing_load_within_one() -> None:
    balancer, loads = Budget(candidates(1, 1, 1)), [0, 0, 0]
    for _ in range(100):
        index = balancer.choose(None, loads.__getitem__)
        assert index is not None
        loads[index] += 1
        assert max(loads) - min(loads) <= 1
    assert balancer.choose(None, loads.__getitem__, {0, 1}) == 2
    assert balancer.choose(None, loads.__getitem__, full=lambda index: True) is None


@pytest.mark.parametrize(("now", "ratio"), [(99.0, 0.0), (100.0, 0.0), (105.0, 0.5), (110.0, 1.0), (200.0, 1.0)])
def test_slow_start_grows_linearly(now: float, ratio: float) -> None:
    assert slowstart_ratio(now, 100.0, 10.0) == ratio


def test_slow_start_never_applies_at_start_up_or_without_a_time() -> None:
    assert slowstart_ratio(0.0, -math.inf, 60.0) == 1.0
    assert slowstart_ratio(0.0, 0.0, 0.0) == 1.0


@pytest.mark.parametrize(
    ("weight", "ratio", "effective"), [(1, 0, 1 / 16), (1, 0.5, 0.5), (100, 0.333, 33.3125), (0, 0.5, 0), (256, 1, 256), (1, 0.01, 1 / 16)]
)
def test_effective_weight_grows_from_the_smallest_step(weight: float, ratio: float, effective: float) -> None:
    assert effective_weight(weight, ratio) == effective


@pytest.mark.parametrize(("limit", "ratio", "effective"), [(100, 0, 1), (100, 0.5, 50), (100, 1, 100), (0, 0.1, 0)])
def test_effective_maxconn_grows_from_one(limit: int, ratio: float, effective: int) -> None:
    assert effective_maxconn(limit, ratio) == effective


@pytest.mark.parametrize(
    ("target", "options", "key"),
    [
        (b"/a/b/c?x=1", {}, b"/a/b/c"),
        (b"/a/b/c?x=1", {"whole": True}, b"/a/b/c?x=1"),
        (b"/a/b/c?x=1", {"length_max": 4}, b"/a/b"),
        (b"/a/b/c?x=1", {"depth_max": 1}, b"/a"),
        (b"/a/b/c?x=1", {"depth_max": 2}, b"/a/b"),
        (b"/a/b/c?x=1", {"depth_max": 9}, b"/a/b/c"),
        (b"/a/b/c?x=1", {"depth_max": 2, "length_max": 3}, b"/a/"),
        (b"http://h/a?x", {}, b"http://h/a"),
        (b"http://h/a?x", {"path_only": True}, b"/a"),
        (b"http://h", {"path_only": True}, b"/"),
        (b"http://h/a?x=http://y/z", {"path_only": True, "whole": True}, b"/a?x=http://y/z"),
        (b"*", {"path_only": True}, b"*"),
    ],
)
def test_uri_key(target: bytes, options: dict[str, int], key: bytes) -> None:
    assert uri_key(target, **options) == key  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "value"),
    [(b"id=7", b"7"), (b"x=1&id=7&id=8", b"7"), (b"xid=7", None), (b"id=", None), (b"id", None), (b"", None), (b"ID=1", None)],
)
def test_parameter_key(query: bytes, value: bytes | None) -> None:
    assert parameter_key(query, b"id") == value


@pytest.mark.parametrize(
    ("host", "key"),
    [
        (b"haproxy.1wt.eu", b"1wt"),
        (b"example.com", b"example"),
        (b"localhost", b"localhost"),
        (b"x.y.z.", b"z"),
        (b".com", None),
        (b"", None),
    ],
)
def test_domain_key(host: bytes, key: bytes | None) -> None:
    assert domain_key(host) == key


@pytest.mark.parametrize(
    ("words", "algorithm"),
    [
        ("roundrobin", Algorithm("roundrobin")),
        ("source", Algorithm("source")),
        ("random", Algorithm("random", draws=2)),
        ("random(5)", Algorithm("random", draws=5)),
        ("uri len 6 depth 2 whole path-only", Algorithm("uri", "", frozenset({"whole", "path-only"}), 6, 2)),
        ("url_param id check_post 64", Algorithm("url_param", "id", frozenset({"check_post"}))),
        ("hdr(Host) use_domain_only", Algorithm("hdr", "Host", frozenset({"use_domain_only"}))),
        ("rdp-cookie", Algorithm("rdp-cookie", "mstshash")),
        ("rdp-cookie(msts)", Algorithm("rdp-cookie", "msts")),
        ("hash req.hdr_ip(x-forwarded-for,-1),ipmask(24)", Algorithm("hash", "req.hdr_ip(x-forwarded-for,-1),ipmask(24)")),
    ],
)
def test_words_of_balance(words: str, algorithm: Algorithm) -> None:
    assert parse_algorithm(words.split()) == algorithm
    assert make(words.split(), ["map-based"], candidates(1, 1), chance=random.random).choose(b"1234", unloaded) in (0, 1)


@pytest.mark.parametrize(
    ("words", "word", "message"),
    [
        ("", 0, "needs an algorithm"),
        ("fastest", 0, "unknown balancing algorithm"),
        ("hash", 0, "needs a sample expression"),
        ("url_param", 0, "needs the name"),
        ("hdr", 0, "needs the name of a header"),
        ("hdr()", 0, "needs the name of a header"),
        ("random(0)", 0, "positive number"),
        ("random(x)", 0, "positive number"),
        ("uri len", 1, "positive number"),
        ("uri depth -1", 1, "positive number"),
        ("uri wide", 1, "does not know"),
        ("leastconn now", 1, "does not know"),
        ("source(1)", 0, "nothing in parentheses"),
    ],
)
def test_wrong_words_of_balance_are_named(words: str, word: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        parse_algorithm(words.split())
    assert caught.value.word == word


@pytest.mark.parametrize(
    ("words", "hash_type"),
    [
        ("map-based", HashType()),
        ("consistent", HashType(True, "sdbm", True)),
        ("consistent djb2", HashType(True, "djb2", False)),
        ("map-based crc32 avalanche", HashType(False, "crc32", True)),
    ],
)
def test_words_of_hash_type(words: str, hash_type: HashType) -> None:
    assert parse_hash_type(words.split()) == hash_type


@pytest.mark.parametrize(
    ("words", "word"), [("", 0), ("ketama", 0), ("consistent md5", 1), ("consistent sdbm mixed", 2), ("consistent sdbm avalanche x", 3)]
)
def test_wrong_words_of_hash_type_are_named(words: str, word: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_hash_type(words.split())
    assert caught.value.word == word
