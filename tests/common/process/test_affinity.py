"""cpu-map, as the manual writes it."""

from __future__ import annotations

import pytest

from common.model import Address, AddressKind, Bind, Config, Global, Place, Proxy
from common.process.affinity import cores


def config(*lines: str, named: bool = False) -> Config:
    bind = Bind(Place(), Address(AddressKind.INET), processes=frozenset({1} if named else ()))
    proxies = [Proxy(Place(), "www", True, False, binds=[bind])]
    return Config(globals=Global(cpu_map=[tuple(line.split()) for line in lines]), proxies=proxies)


CASES = [
    (["1 0"], 1, {0}),
    (["1 0"], 2, set()),
    (["1 0 2-3"], 1, {0, 2, 3}),
    (["1 0,2-3"], 1, {0, 2, 3}),
    (["1-4 0-3"], 3, {0, 1, 2, 3}),
    (["auto:1-4 0-3"], 3, {2}),
    (["auto:1-4 4 5 6 7"], 4, {7}),
    (["auto:1-4 0-1"], 3, set()),
    (["1/2 5"], 2, {5}),
    (["1/2 5"], 1, set()),
    (["auto:1/1-4 0-3"], 2, {1}),
    (["auto:1/1- 0-3"], 4, {3}),
    (["all 3"], 9, {3}),
    (["odd 0", "even 1"], 4, {1}),
    (["odd 0", "even 1"], 5, {0}),
    (["all 0", "2 1"], 2, {1}),
    (["2 1", "3 0"], 2, {1}),
]


@pytest.mark.parametrize(("lines", "number", "expected"), CASES)
def test_cores_of_a_worker(lines: list[str], number: int, expected: set[int]) -> None:
    assert cores(config(*lines), "worker", number) == expected


def test_sets_without_an_end_name_every_core_there_may_be() -> None:
    assert {0, 2, 4} < cores(config("1 even"), "worker", 1)
    assert {1, 3} < cores(config("1 odd"), "worker", 1)
    assert {0, 1} < cores(config("1 all"), "worker", 1)


def test_dispatchers_are_bound_only_where_the_file_numbers_all_processes() -> None:
    assert cores(config("1 0"), "dispatcher", 1) == set()
    assert cores(config("1 0", named=True), "dispatcher", 1) == {0}
