from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe import rates as r
from common.observe.counters import Counters
from common.observe.fields import (
    CONN_TOT,
    CTIME_SUM,
    P_BUSY_MS,
    QCUR,
    REQ_TOT,
    SCUR,
    SSL_REUSED_SESS,
    SSL_SESS,
    STOT,
    TTIME_SUM,
    USED_CONN_CUR,
    record_times,
)
from common.observe.layout import Layout
from common.observe.rates import FrequencyCounter, Rates, Sampler, blend
from tests.common.observe.configurations import web

FE, BE = 0, 1


class Service:
    """Two processes, a sampler, and a reader."""

    def __init__(self) -> None:
        self.layout = Layout.of(web(), 2)
        self.buffer = bytearray(self.layout.size)
        self.processes = [Counters(self.buffer, self.layout, index) for index in range(2)]
        self.reader = Counters(self.buffer, self.layout)
        self.sampler = Sampler(self.reader)

    def frontend(self) -> int:
        return self.layout.frontends[FE]

    def rate(self, now: float) -> int:
        number = self.frontend()
        return Rates(self.reader, now).rate(number, r.RATE_SESSIONS, self.reader.total(number)[STOT])


@pytest.fixture
def service() -> Service:
    made = Service()
    made.sampler.boundary(100.0)
    return made


def test_a_rate_slides_over_the_last_second_and_over_all_processes(service: Service) -> None:
    service.processes[0].frontend(FE)[STOT] += 6
    service.processes[1].frontend(FE)[STOT] += 4
    assert service.rate(100.5) == 10
    service.sampler.boundary(101.0)
    assert service.rate(101.0) == 10
    assert service.rate(101.5) == 5
    service.processes[0].frontend(FE)[STOT] += 2
    assert service.rate(101.75) == 4
    service.sampler.boundary(102.0)
    service.sampler.boundary(103.0)
    assert service.rate(103.0) == 0


def test_without_samples_a_rate_is_the_mean_since_the_last(service: Service) -> None:
    service.processes[0].frontend(FE)[STOT] += 30
    assert service.rate(110.0) == 3


def test_the_largest_rate_is_remembered_and_can_be_forgotten(service: Service) -> None:
    for second, events in ((101.0, 5), (102.0, 9), (103.0, 1)):
        service.processes[0].frontend(FE)[STOT] += events
        service.sampler.boundary(second)
    rates = Rates(service.reader, 103.0)
    assert rates.largest(service.frontend(), r.RATE_SESSIONS) == 9
    assert rates.largest(service.frontend(), r.RATE_SESSIONS, 12) == 12
    service.sampler.clear_maxima()
    assert rates.largest(service.frontend(), r.RATE_SESSIONS) == 0


def test_a_late_boundary_does_not_make_a_large_rate(service: Service) -> None:
    service.processes[0].frontend(FE)[STOT] += 40
    service.sampler.boundary(104.0)
    assert Rates(service.reader, 104.0).largest(service.frontend(), r.RATE_SESSIONS) == 10


def test_the_first_boundary_takes_what_is_there_for_no_event() -> None:
    service = Service()
    service.processes[0].frontend(FE)[STOT] = 1_000_000
    service.sampler.boundary(50.0)
    assert service.rate(50.0) == 0
    assert Rates(service.reader, 50.0).largest(service.frontend(), r.RATE_SESSIONS) == 0


def test_the_process_object_has_the_rates_of_all_frontends_and_the_keys_of_all_servers(service: Service) -> None:
    service.processes[0].frontend(FE)[CONN_TOT] += 3
    service.processes[0].frontend(2)[CONN_TOT] += 4
    service.processes[0].frontend(FE)[SSL_SESS] += 5
    service.processes[0].frontend(FE)[SSL_REUSED_SESS] += 2
    service.processes[1].server(BE, 0)[SSL_SESS] += 6
    service.processes[1].process()[P_BUSY_MS] += 250
    service.sampler.boundary(101.0)
    rates = Rates(service.reader, 101.0)
    watched = (r.RATE_CONNECTIONS, r.RATE_SSL, r.RATE_SSL_KEYS, r.RATE_SERVER_KEYS, r.RATE_BUSY)
    assert [rates.largest(0, rate) for rate in watched] == [7, 5, 3, 6, 250]


def test_averages_are_the_mean_until_1024_requests(service: Service) -> None:
    block = service.processes[0].server(BE, 0)
    for total_ms in (10, 20, 30):
        record_times(block, 0, 2, 5, total_ms)
    service.sampler.boundary(101.0)
    for _ in range(3):
        record_times(block, 0, 0, 0, 40)
    service.sampler.boundary(102.0)
    rates = Rates(service.reader, 102.0)
    server, backend = service.layout.servers[BE][0], service.layout.backends[BE]
    assert [rates.average_ms(server, place) for place in range(4)] == [0, 1, 2, 30]
    assert rates.average_ms(backend, 3) == 30, "a backend's requests are those of its servers"


def test_averages_forget_what_is_long_ago() -> None:
    average = blend(0, 0, 1000, 1000 * 100)
    assert average // 1024 == 100
    for _ in range(10):
        average = blend(average, 2000, 1024, 0)
    assert average // 1024 == 0


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**5), st.integers(0, 10**4))
def test_an_average_stays_between_the_old_one_and_the_new_mean(average: int, seen: int, new: int, mean_ms: int) -> None:
    blended = blend(average, seen, new, new * mean_ms)
    low, high = sorted((average if seen else mean_ms * 1024, mean_ms * 1024))
    assert low - 1 <= blended <= high + 1


def test_maxima_are_of_the_sums_at_each_sample(service: Service) -> None:
    for process in service.processes:
        process.frontend(FE)[SCUR] = 3
        process.backend(BE)[QCUR] = 2
    service.sampler.boundary(101.0)
    for process in service.processes:
        process.frontend(FE)[SCUR] = 1
    service.sampler.boundary(102.0)
    rates = Rates(service.reader, 102.0)
    assert rates.largest_sessions(service.frontend()) == 6
    assert rates.largest_queue(service.layout.backends[BE]) == 4


def test_the_estimate_of_needed_connections_falls_slowly(service: Service) -> None:
    server = service.layout.servers[BE][0]
    estimates = []
    for second, used in enumerate((8, 0, 0, 0, 4)):
        service.processes[0].server(BE, 0)[USED_CONN_CUR] = used
        service.sampler.boundary(101.0 + second)
        estimates.append(Rates(service.reader, 101.0).needed_connections(server))
    assert estimates == [8, 4, 2, 1, 4]


def test_the_last_session_is_known_to_the_second(service: Service) -> None:
    number = service.frontend()
    assert Rates(service.reader, 100.0).last_session_s(number, 0) == -1
    service.processes[0].frontend(FE)[STOT] += 1
    assert Rates(service.reader, 100.9).last_session_s(number, 1) == 0
    service.sampler.boundary(101.0)
    service.sampler.boundary(102.0)
    assert Rates(service.reader, 107.5).last_session_s(number, 1) == 6


def test_clearing_or_a_new_generation_is_no_burst(service: Service) -> None:
    service.processes[0].frontend(FE)[STOT] += 1000
    service.sampler.boundary(101.0)
    service.reader.clear_counters()
    service.sampler.restart(101.5)
    assert service.rate(101.6) == 0
    service.processes[0].frontend(FE)[STOT] += 1
    assert service.rate(101.9) == 1


def test_a_new_generation_goes_on_with_maxima_averages_and_times(service: Service) -> None:
    service.processes[0].frontend(FE)[STOT] += 50
    record_times(service.processes[0].server(BE, 0), 0, 0, 0, 80)
    service.sampler.boundary(101.0)
    fresh = Counters(bytearray(service.layout.size), service.layout, 0)
    fresh.carry(service.reader, gauges=True)
    sampler = Sampler(fresh)
    sampler.carry(service.reader, 105.0)
    rates, number = Rates(fresh, 105.0), service.frontend()
    assert rates.largest(number, r.RATE_SESSIONS) == 50
    assert rates.last_session_s(number, 50) == 4
    assert rates.average_ms(service.layout.servers[BE][0], 3) == 80
    assert rates.rate(number, r.RATE_SESSIONS, 50) == 0


def test_columns_are_the_totals_of_every_object(service: Service) -> None:
    service.processes[0].frontend(FE)[REQ_TOT] += 3
    service.processes[1].server(BE, 1)[REQ_TOT] += 4
    for word in (REQ_TOT, CTIME_SUM, TTIME_SUM):
        column = service.reader.total_column(word)
        assert column == [service.reader.total(number)[word] for number in range(len(service.layout.keys))]


def test_a_frequency_counter_slides() -> None:
    counter = FrequencyCounter()
    for _ in range(10):
        counter.add(50.2)
    assert counter.read(50.9) == 10
    assert counter.read(51.25) == 7  # the period began at 50.0: a quarter of the next has passed
    assert counter.read(52.0) == 0
    assert counter.read(1000.0) == 0


@pytest.mark.parametrize(("limit", "allowed"), [(0, 100), (10, 10), (1, 1)])
def test_a_limit_per_period_holds(limit: int, allowed: int) -> None:
    counter = FrequencyCounter(10.0)
    taken = 0
    for _ in range(100):
        if counter.allows(33.0, limit):
            counter.add(33.0)
            taken += 1
    assert taken == allowed
