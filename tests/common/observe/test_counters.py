from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe.counters import Counters
from common.observe.fields import BIN, GAUGES, HRSP_2XX, QCUR, SCUR, SMAX, STOT, TTIME_MAX, enter
from common.observe.layout import G_MAXCONN, HB_GENERATION, HB_NUMBER, HB_PID, HB_ROLE, HB_STAMP_MS, HB_STATE, Layout, LayoutError
from common.observe.reasons import INDEX
from tests.common.observe.configurations import server, web

FE, BE, LI = 0, 1, 2  # positions in web()


def mapped(processes: int = 2) -> tuple[Layout, bytearray]:
    layout = Layout.of(web(), processes)
    buffer = bytearray(layout.size)
    layout.write(memoryview(buffer))
    return layout, buffer


def test_readers_sum_what_each_process_counted() -> None:
    layout, buffer = mapped()
    first, second, reader = Counters(buffer, layout, 0), Counters(buffer, layout, 1), Counters(buffer, layout)
    first.frontend(FE)[STOT] += 5
    second.frontend(FE)[STOT] += 7
    second.listener(1)[STOT] += 1
    assert reader.total(layout.frontends[FE])[STOT] == 12
    assert reader.of_process(1, layout.frontends[FE])[STOT] == 7
    assert reader.total(layout.listeners[1])[STOT] == 1
    assert sum(reader.across(layout.frontends[FE], STOT)) == 12


def test_one_process_can_be_read_alone() -> None:
    layout, buffer = mapped()
    first, second = Counters(buffer, layout, 0), Counters(buffer, layout, 1)
    first.server(BE, 0)[STOT] += 5
    second.server(BE, 0)[STOT] += 7
    alone = Counters(buffer, layout).only(1)
    number = layout.servers[BE][0]
    assert (alone.total(number)[STOT], alone.total_column(STOT)[number]) == (7, 7)
    assert Counters(buffer, layout).total(number)[STOT] == 12


def test_a_strided_view_stays_live() -> None:
    layout, buffer = mapped()
    sessions = Counters(buffer, layout).across(layout.servers[BE][1], SCUR)
    worker = Counters(buffer, layout, 1)
    worker.server(BE, 1)[SCUR] += 3
    assert sum(sessions) == 3


def test_blocks_do_not_overlap() -> None:
    layout, buffer = mapped(3)
    blocks = []
    for index in range(3):
        view = Counters(buffer, layout, index)
        blocks += [view.process(), view.frontend(FE), view.backend(BE), view.server(BE, 0), view.server(BE, 1), view.listener(0)]
        blocks += [view.frontend(LI), view.backend(LI), view.server(LI, 0), view.reasons(FE), view.reasons(LI), view.heartbeat(index)]
    blocks += [view.globals, *(view.watch(n) for n in range(len(layout.keys))), *(view.state(n) for n in range(len(layout.keys)))]
    for number, block in enumerate(blocks, 1):
        for word in range(len(block)):
            assert block[word] == 0
            block[word] = number
    assert all(set(block.tolist()) == {number} for number, block in enumerate(blocks, 1))
    assert Layout.read(bytes(buffer)) == layout, "and none of them lies in the header"


def test_a_backend_adds_what_is_counted_at_its_servers() -> None:
    layout, buffer = mapped()
    worker = Counters(buffer, layout, 0)
    worker.backend(BE)[HRSP_2XX] += 1
    worker.server(BE, 0)[HRSP_2XX] += 2
    worker.server(BE, 1)[HRSP_2XX] += 3
    worker.server(BE, 1)[TTIME_MAX] = 9
    worker.server(BE, 1)[STOT] += 50  # counted at the backend itself
    total = worker.total_backend(BE)
    assert (total[HRSP_2XX], total[TTIME_MAX], total[STOT]) == (6, 9, 0)


def test_a_restarted_process_goes_on_counting_but_has_no_sessions() -> None:
    layout, buffer = mapped()
    worker = Counters(buffer, layout, 1)
    worker.start(100, 2, 1, 7, now=1.0)
    enter(worker.server(BE, 0))
    worker.backend(BE)[QCUR] += 1
    reborn = Counters(buffer, layout, 1)
    reborn.start(101, 2, 1, 7, now=2.5)
    enter(reborn.server(BE, 0))
    total = reborn.total(layout.servers[BE][0])
    assert (total[STOT], total[SCUR], total[SMAX]) == (2, 1, 1)
    assert reborn.total(layout.backends[BE])[QCUR] == 0


def test_the_master_takes_back_the_gauges_of_a_dead_process() -> None:
    layout, buffer = mapped()
    enter(Counters(buffer, layout, 0).frontend(FE))
    enter(Counters(buffer, layout, 1).frontend(FE))
    master = Counters(buffer, layout)
    master.reset_gauges(1)
    assert master.total(layout.frontends[FE])[SCUR] == 1


def test_a_heartbeat_says_who_when_and_what() -> None:
    layout, buffer = mapped()
    worker = Counters(buffer, layout, 1)
    worker.start(4711, 2, 1, 3, now=10.0)
    worker.beat(12.25, state=5)
    heart = Counters(buffer, layout).heartbeat(1)
    assert [heart[word] for word in (HB_PID, HB_ROLE, HB_NUMBER, HB_GENERATION, HB_STAMP_MS, HB_STATE)] == [4711, 2, 1, 3, 12250, 5]


def test_the_next_generation_carries_what_was_counted_before() -> None:
    layout, buffer = mapped()
    old = Counters(buffer, layout, 0)
    for _ in range(3):
        enter(old.server(BE, 1))
    old.reasons(FE)[4] += 2
    config = web()
    config.proxies.reverse()
    config.proxies[1].servers.insert(0, server("s0"))
    fresh = Layout.of(config, 1)
    new = Counters(bytearray(fresh.size), fresh, 0)
    new.carry(old, gauges=True)
    s2 = fresh.servers[1][2]
    assert new.total(s2)[STOT] == 3
    assert new.total(s2)[SCUR] == 3
    assert new.total_reasons(2)[4] == 2

    old.server(BE, 1)[STOT] += 1  # it drains
    old.server(BE, 1)[SCUR] -= 2
    enter(new.server(1, 2))
    new.carry(old, gauges=True)
    assert (new.total(s2)[STOT], new.total(s2)[SCUR]) == (5, 2)

    new.carry(old, gauges=False)  # and has ended, killed with one session
    assert (new.total(s2)[STOT], new.total(s2)[SCUR]) == (5, 1)


def test_reasons_are_carried_by_slug_for_another_version_may_number_them_otherwise() -> None:
    layout, buffer = mapped()
    old = Counters(buffer, replace(layout, reasons=("gone", "denied")), 0)
    old.reasons(FE)[0] += 3
    old.reasons(FE)[1] += 5
    new = Counters(bytearray(layout.size), layout, 0)
    new.carry(old, gauges=True)
    counted = new.total_reasons(FE)
    assert counted[INDEX["denied"]] == 5
    assert sum(counted) == 5


def test_clearing_maxima_leaves_counters() -> None:
    layout, buffer = mapped()
    worker = Counters(buffer, layout, 0)
    enter(worker.frontend(FE))
    Counters(buffer, layout).clear_maxima()
    total = worker.total(layout.frontends[FE])
    assert (total[SMAX], total[STOT], total[SCUR]) == (0, 1, 1)


def test_clearing_all_makes_totals_zero_also_when_carried_and_later_counts_are_whole() -> None:
    layout, buffer = mapped()
    old, new = Counters(buffer, layout, 0), Counters(bytearray(layout.size), layout, 0)
    enter(old.frontend(FE))
    enter(new.frontend(FE))
    old.reasons(FE)[1] += 1
    new.carry(old, gauges=True)
    new.clear_counters()
    number = layout.frontends[FE]
    assert (new.total(number)[STOT], new.total(number)[SCUR], new.total_reasons(FE)[1]) == (0, 2, 0)
    enter(old.frontend(FE))
    enter(new.frontend(FE))
    new.carry(old, gauges=True)
    assert new.total(number)[STOT] == 2


def test_a_gauge_that_went_below_zero_is_seen_and_raises_nothing() -> None:
    layout, buffer = mapped()
    worker = Counters(buffer, layout, 0)
    worker.frontend(FE)[SCUR] -= 1
    assert worker.total(layout.frontends[FE])[SCUR] == -1


def test_global_words_belong_to_the_service() -> None:
    layout, buffer = mapped()
    Counters(buffer, layout).globals[G_MAXCONN] = 77
    assert Counters(buffer, layout, 1).globals[G_MAXCONN] == 77


def test_a_mapping_that_is_too_small_or_a_row_that_is_not_there_is_refused() -> None:
    layout, buffer = mapped()
    with pytest.raises(LayoutError, match="needs"):
        Counters(buffer[:-1], layout)
    with pytest.raises(LayoutError, match="process 2 of 2"):
        Counters(buffer, layout, 2)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([STOT, BIN, HRSP_2XX]), st.integers(0, 10**9), st.booleans()), max_size=40))
def test_no_counter_ever_goes_back_over_crashes_and_reloads(events: list[tuple[int, int, int, bool]]) -> None:
    layout, buffer = mapped(3)
    generations = [[Counters(buffer, layout, index) for index in range(3)]]
    expected = dict.fromkeys((STOT, BIN, HRSP_2XX), 0)
    for process, word, amount, reload in events:
        if reload:
            buffer = bytearray(layout.size)
            generations.append([Counters(buffer, layout, index) for index in range(3)])
        elif amount % 2:
            generations[-1][process].reset_gauges()
        generations[amount % len(generations)][process].frontend(FE)[word] += amount
        expected[word] += amount
        for earlier, later in itertools.pairwise(generations):
            later[0].carry(earlier[0], gauges=True)
        total = generations[-1][1].total(layout.frontends[FE])
        assert {key: total[key] for key in expected} == expected


def test_gauges_are_what_reset_clears_and_nothing_else() -> None:
    layout, buffer = mapped(1)
    worker = Counters(buffer, layout, 0)
    block = worker.server(BE, 0)
    for word in range(len(block)):
        block[word] = 1
    worker.reset_gauges()
    assert {word for word in range(len(block)) if not block[word]} == GAUGES
