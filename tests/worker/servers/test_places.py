from __future__ import annotations

import mmap
import os
import time
import warnings
from pathlib import Path
from threading import Lock

import pytest

from worker.servers.places import Capacity, LocalPlaces, SharedPlaces, dynamic_limit, fullconn_default


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
    places = LocalPlaces([0])
    assert [places.enter(0, 2) for _ in range(3)] == [True, True, False]
    assert places.enter(0, 0)
    places.leave(0)
    assert places.used(0) == 2
    places.add()
    assert places.enter(1, 1)
    with pytest.raises(AssertionError):
        LocalPlaces([0]).leave(0)


def shared(cells: list[int], heads: list[int], me: int, called: list[int] | None = None) -> SharedPlaces:
    return SharedPlaces([cells], [heads], me, lambda: None, (called if called is not None else []).append)


def test_who_waits_longest_is_called_wherever_it_waits() -> None:
    cells, heads, called = [0, 0, 0], [0, 0, 0], list[int]()
    places = [shared(cells, heads, me, called) for me in range(3)]
    assert not places[0].is_behind(0, 0)
    places[0].call_first(0)
    assert called == []
    places[1].announce(0, 50)
    places[2].announce(0, 40)
    assert places[0].is_behind(0, 0) and places[0].is_behind(0, 60) and not places[0].is_behind(0, 30)
    assert not places[2].is_behind(0, 40) and places[1].is_behind(0, 50)
    places[0].call_first(0)
    assert called == [2]
    places[2].announce(0, 0)
    places[0].call_first(0)
    assert called == [2, 1]


def test_shared_places_count_everybody() -> None:
    cells, heads = [0, 0, 0], [0, 0, 0]
    places = [shared(cells, heads, me) for me in range(3)]
    assert [places[number % 3].enter(0, 4) for number in range(6)] == [True] * 4 + [False] * 2
    assert places[0].used(0) == 4
    places[2].leave(0)
    assert places[1].enter(0, 4)
    assert places[1].enter(0, 0), "no limit"
    assert cells == [2, 3, 0]
    with pytest.raises(AssertionError):
        places[2].leave(0)


def _work(me: int, workers: int, limit: int, cells: memoryview[int], report: Path) -> None:
    """One process: take and give back as fast as it can; write down when it held a place."""
    lock = Lock()

    def fence() -> None:
        with lock:
            pass

    places = SharedPlaces([cells], [[0] * workers], me, fence, lambda row: None)
    held = []
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        if places.enter(0, limit):
            begin = time.monotonic_ns()
            end = time.monotonic_ns()
            places.leave(0)
            held.append((begin, end))
    report.write_text("\n".join(f"{begin} {end}" for begin, end in held))


@pytest.mark.parametrize("limit", [1, 2])
def test_processes_never_hold_more_than_the_limit(limit: int, tmp_path: Path) -> None:
    workers = 4
    with mmap.mmap(-1, 4096) as memory:
        cells = memoryview(memory)[: 8 * workers].cast("q")
        children = []
        for me in range(workers):
            with warnings.catch_warnings():  # other tests may have left threads behind; the child only runs _work
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if not child:
                status = 1
                try:
                    _work(me, workers, limit, cells, tmp_path / str(me))
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * workers
        assert list(cells) == [0] * workers
        cells.release()
    changes = []
    for me in range(workers):
        spans = [line.split() for line in (tmp_path / str(me)).read_text().splitlines()]
        changes += [change for begin, end in spans for change in ((int(begin), 1), (int(end), -1))]
    assert len(changes) > 200
    holding = most = 0
    for _, change in sorted(changes):
        holding += change
        most = max(most, holding)
    assert most <= limit
