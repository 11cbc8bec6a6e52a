from __future__ import annotations

import pytest

from worker.servers.places import Capacity, LocalPlaces, dynamic_limit, fullconn_default


@pytest.mark.parametrize(
    ("maxconn", "minconn", "load", "fullconn", "ratio", "limit"),
    [
        (0, 0, 50, 100, 1.0, 0),
        (1000, 0, 5, 10000, 1.0, 1000),
        # the manual's example: 100 to 1000, the whole when the backend has 10000
        (1000, 100, 0, 10000, 1.0, 100),
        (1000, 100, 1000, 10000, 1.0, 100),
        (1000, 100, 5000, 10000, 1.0, 500),
        (1000, 100, 9999, 10000, 1.0, 999),
        (1000, 100, 10000, 10000, 1.0, 1000),
        (1000, 100, 99999, 10000, 1.0, 1000),
        (0, 7, 3, 10, 1.0, 7),
        (10, 20, 3, 100, 1.0, 10),
        (100, 0, 0, 0, 0.0, 1),
        (100, 0, 0, 0, 0.25, 25),
        (1000, 100, 5000, 10000, 0.5, 250),
    ],
)
def test_limit_is_on_the_ramp(maxconn: int, minconn: int, load: int, fullconn: int, ratio: float, limit: int) -> None:
    assert dynamic_limit(Capacity(maxconn, minconn), load, fullconn, ratio) == limit


@pytest.mark.parametrize(("maxconns", "fullconn"), [([2000], 200), ([1000, 1005], 201), ([], 1), ([5], 1)])
def test_fullconn_defaults_to_a_tenth_of_the_frontends(maxconns: list[int], fullconn: int) -> None:
    assert fullconn_default(maxconns) == fullconn


def test_places_are_counted() -> None:
    places = LocalPlaces(1)
    assert [places.enter(0, 2) for _ in range(3)] == [True, True, False]
    assert places.enter(0, 0)
    places.leave(0)
    assert places.used(0) == 2
    places.add()
    assert places.enter(1, 1)
    with pytest.raises(AssertionError):
        LocalPlaces(1).leave(0)
