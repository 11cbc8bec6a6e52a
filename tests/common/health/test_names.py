"""Which address a server gets, and which entry of a service record."""

from __future__ import annotations

import pytest

from common.health.names import Service, choose, matched, weight_of

FOUND = ("10.0.0.1", "192.0.2.1", "2001:db8::1")


@pytest.mark.parametrize(
    ("current", "taken", "networks", "chosen"),
    [
        ("", set(), (), "10.0.0.1"),
        ("192.0.2.1", set(), ("10.0.0.0/8",), "192.0.2.1"),
        ("192.0.2.1", {"192.0.2.1"}, (), "10.0.0.1"),
        ("", set(), ("192.0.2.0/24",), "192.0.2.1"),
        ("", set(), ("172.16.0.0/12", "2001:db8::/32"), "2001:db8::1"),
        ("", set(), ("172.16.0.0/12",), "10.0.0.1"),
        ("", set(FOUND), (), ""),
        ("10.9.9.9", set(), (), "10.0.0.1"),
    ],
)
def test_an_address_is_kept_preferred_or_the_first(current: str, taken: set[str], networks: tuple[str, ...], chosen: str) -> None:
    assert choose(FOUND, current, taken, networks) == chosen


def test_servers_keep_their_entries_and_the_rest_is_free() -> None:
    one, two, three = Service("a", 1, 0), Service("b", 1, 0), Service("b", 2, 0)
    kept, free = matched((one, two, three), {"v1": ("b", 2), "v2": None, "v3": ("gone", 1)})
    assert (kept, free) == ({"v1": three}, [one, two])


def test_two_servers_do_not_keep_one_entry() -> None:
    entry = Service("a", 1, 0)
    assert matched((entry,), {"v1": ("a", 1), "v2": ("a", 1)}) == ({"v1": entry}, [])


@pytest.mark.parametrize(("weight", "ours"), [(0, 0), (1, 1), (255, 1), (256, 1), (257, 2), (65535, 256)])
def test_weights_are_scaled_and_only_zero_becomes_zero(weight: int, ours: int) -> None:
    assert weight_of(Service("a", 1, weight)) == ours
