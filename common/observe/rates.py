"""Rates, averages and maxima over all processes, from samples of the counters once a second. Sans-io.

HAProxy updates a frequency counter per event. Here the events are counted anyway, so a rate needs only two samples: what the
counter was at the last whole second and at the one before. Between boundaries the rate slides as HAProxy's does:
events since the boundary plus the part of the second before that is still within the last 1000 ms. It costs the data plane nothing,
is right over all processes, and any process can read it.

The same samples give the averages of times over the last 1024 requests, the time of the last session, and maxima of sums
(the largest sum is not the sum of the largest). Whoever supervises calls `Sampler.boundary` once a second: the master, or a
tier that runs alone. If it stops, rates become averages since its last sample.

`FrequencyCounter` is the counter per event, for limits that one process enforces.
Source: HAProxy management guide 9.1 (rate, qtime …), configuration manual 4.2 `rate-limit sessions`.
"""

from __future__ import annotations

from array import array
from typing import Final

from common.observe.counters import Counters
from common.observe.fields import (
    BLOCK_WORDS,
    BOUT,
    COMP_IN,
    COMP_OUT,
    CONN_TOT,
    CTIME_SUM,
    QCUR,
    QTIME_SUM,
    REQ_TOT,
    RTIME_SUM,
    SCUR,
    SSL_REUSED_SESS,
    SSL_SESS,
    STOT,
    TIMED,
    TTIME_SUM,
    USED_CONN_CUR,
)
from common.observe.layout import G_BOUNDARY_AT_MS, Layout

AVERAGED_REQUESTS: Final = 1024
_FIXED: Final = 1024  # averages are kept in 1/1024 ms

# Rates that are watched: each has three words in the WATCH block, the last sample, the one before, and the largest rate.
(
    RATE_SESSIONS, RATE_REQUESTS, RATE_CONNECTIONS, RATE_SSL, RATE_SSL_KEYS, RATE_SERVER_KEYS,
    RATE_BYTES_OUT, RATE_COMP_IN, RATE_COMP_OUT, RATE_BUSY,
) = range(10)  # fmt: skip
_RATES: Final = 10
_AVERAGES: Final = _RATES * 3  # four averages, then the samples that they are made from
_TIMED_SEEN: Final = _AVERAGES + 4
_SUMS_SEEN: Final = _TIMED_SEEN + 1
_SMAX, _QMAX, _LAST_SESSION_AT_MS, _NEED = range(_SUMS_SEEN + 4, _SUMS_SEEN + 8)
_TIME_SUMS: Final = (QTIME_SUM, CTIME_SUM, RTIME_SUM, TTIME_SUM)

Column = list[int]


class Sampler:
    """Takes the samples. One per service: it writes the WATCH row."""

    __slots__ = ("_counters", "_layout")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._layout = counters.layout

    def boundary(self, now: float) -> None:
        """A second has passed. now: monotonic seconds."""
        counters, layout = self._counters, self._layout
        began_ms = counters.globals[G_BOUNDARY_AT_MS]
        elapsed_s = max(now - began_ms / 1000, 0.001) if began_ms else 1.0
        columns = _watched(counters, layout)
        previous = [counters.watch_column(rate * 3).tolist() for rate in range(_RATES)]
        for rate, (column, before) in enumerate(zip(columns, previous, strict=True)):
            largest = counters.watch_column(rate * 3 + 2)
            if began_ms:
                rates = [round((value - old) / elapsed_s) for value, old in zip(column, before, strict=True)]
                _store(largest, [max(rate, old) for rate, old in zip(rates, largest.tolist(), strict=True)])
                _store(counters.watch_column(rate * 3 + 1), before)
            else:
                _store(counters.watch_column(rate * 3 + 1), column)
            _store(counters.watch_column(rate * 3), column)
        self._note_sessions(columns[RATE_SESSIONS], previous[RATE_SESSIONS], now)
        self._note_gauges()
        self._note_times()
        counters.globals[G_BOUNDARY_AT_MS] = int(now * 1000)

    def clear_maxima(self) -> None:
        """`clear counters`: forget the largest rates, sums and times of sessions."""
        for word in (*(rate * 3 + 2 for rate in range(_RATES)), _SMAX, _QMAX):
            _store(self._counters.watch_column(word), [0] * len(self._layout.keys))

    def restart(self, now: float) -> None:
        """`clear counters all`, or a new generation that carries: today's totals are no events."""
        self.clear_maxima()
        for word in range(_AVERAGES, _SUMS_SEEN + 4):
            _store(self._counters.watch_column(word), [0] * len(self._layout.keys))
        columns = _watched(self._counters, self._layout)
        for rate, column in enumerate(columns):
            _store(self._counters.watch_column(rate * 3), column)
            _store(self._counters.watch_column(rate * 3 + 1), column)
        self._counters.globals[G_BOUNDARY_AT_MS] = int(now * 1000)

    def carry(self, earlier: Counters, now: float) -> None:
        """Begin a generation: maxima, averages and times of last sessions go on by key, rates start from what is carried."""
        self.restart(now)
        numbers = {key: number for number, key in enumerate(earlier.layout.keys) if key.kind}
        for number, key in enumerate(self._layout.keys):
            source = numbers.get(key)
            if source is not None:
                old, new = earlier.watch(source), self._counters.watch(number)
                for word in (*(rate * 3 + 2 for rate in range(_RATES)), *range(_AVERAGES, _NEED + 1)):
                    new[word] = old[word]

    def _note_sessions(self, column: Column, before: Column, now: float) -> None:
        at = self._counters.watch_column(_LAST_SESSION_AT_MS)
        for number, (value, old) in enumerate(zip(column, before, strict=True)):
            if value != old and value:
                at[number] = int(now * 1000)

    def _note_gauges(self) -> None:
        for gauge, word in ((SCUR, _SMAX), (QCUR, _QMAX)):
            largest = self._counters.watch_column(word)
            _store(largest, [max(pair) for pair in zip(self._counters.total_column(gauge), largest.tolist(), strict=True)])
        need = self._counters.watch_column(_NEED)
        used = self._counters.total_column(USED_CONN_CUR)
        _store(need, [max(now, (old + now) // 2) for now, old in zip(used, need.tolist(), strict=True)])

    def _note_times(self) -> None:
        counters, layout = self._counters, self._layout
        timed = _with_servers(layout, counters.total_column(TIMED))
        timed_seen = counters.watch_column(_TIMED_SEEN)
        news = [value - old for value, old in zip(timed, timed_seen.tolist(), strict=True)]
        for place, word in enumerate(_TIME_SUMS):
            sums = _with_servers(layout, counters.total_column(word))
            average, seen = counters.watch_column(_AVERAGES + place), counters.watch_column(_SUMS_SEEN + place)
            for number, new in enumerate(news):
                if new:
                    average[number] = blend(average[number], timed[number] - new, new, sums[number] - seen[number])
            _store(seen, sums)
        _store(timed_seen, timed)


class Rates:
    """Reads rates and averages at one moment. now: monotonic seconds."""

    __slots__ = ("_counters", "_elapsed_s", "_layout", "_now_ms")

    def __init__(self, counters: Counters, now: float) -> None:
        self._counters = counters
        self._layout = counters.layout
        self._now_ms = int(now * 1000)
        self._elapsed_s = max(0.0, now - counters.globals[G_BOUNDARY_AT_MS] / 1000)

    def rate(self, number: int, rate: int, total: int) -> int:
        """Events in the last second, given the counter's total now."""
        watch = self._counters.watch(number)
        since = total - watch[rate * 3]
        if self._elapsed_s >= 1:
            return max(0, int(since / self._elapsed_s))
        return max(0, since + int((watch[rate * 3] - watch[rate * 3 + 1]) * (1 - self._elapsed_s)))

    def largest(self, number: int, rate: int, current: int = 0) -> int:
        """The largest rate in any second so far; current: the rate of this moment."""
        return max(self._counters.watch(number)[rate * 3 + 2], current)

    def average_ms(self, number: int, place: int) -> int:
        """Average time over the last 1024 requests. place: 0 queue, 1 connect, 2 response, 3 total."""
        return self._counters.watch(number)[_AVERAGES + place] // _FIXED

    def largest_sessions(self, number: int) -> int:
        return self._counters.watch(number)[_SMAX]

    def largest_queue(self, number: int) -> int:
        return self._counters.watch(number)[_QMAX]

    def needed_connections(self, number: int) -> int:
        return self._counters.watch(number)[_NEED]

    def last_session_s(self, number: int, sessions: int) -> int:
        """Seconds since the last session; -1 if there was none. sessions: the total now."""
        watch = self._counters.watch(number)
        if sessions != watch[RATE_SESSIONS * 3]:
            return 0
        at_ms = watch[_LAST_SESSION_AT_MS]
        return (self._now_ms - at_ms) // 1000 if at_ms else -1


class FrequencyCounter:
    """Events in the last period, per event: for `rate-limit sessions`, `maxconnrate` and the like in one process."""

    __slots__ = ("_before", "_began", "_now", "period_s")

    def __init__(self, period_s: float = 1.0) -> None:
        self.period_s = period_s
        self._began = 0.0  # of the current period
        self._now = 0  # events in it
        self._before = 0  # events in the one before

    def add(self, now: float, events: int = 1) -> None:
        if now - self._began >= self.period_s:
            self._turn(now)
        self._now += events

    def read(self, now: float) -> int:
        """Events within the last period, sliding."""
        if now - self._began >= self.period_s:
            self._turn(now)
        return self._now + int(self._before * (1 - (now - self._began) / self.period_s))

    def allows(self, now: float, limit: int) -> bool:
        """Whether one more event stays within a limit per period; a limit of 0 is none."""
        return not limit or self.read(now) < limit

    def _turn(self, now: float) -> None:
        periods = int((now - self._began) / self.period_s)
        self._before = self._now if periods == 1 else 0
        self._now = 0
        self._began += periods * self.period_s


def blend(average: int, seen: int, new: int, new_sum_ms: int) -> int:
    """The average (in 1/1024 ms) after `new` more requests that took `new_sum_ms` together; seen: how many came before.

    Up to 1024 requests it is the mean of all; after that older ones fade, as in a window of 1024.
    """
    mean = new_sum_ms * _FIXED // new
    filling = min(new, max(0, AVERAGED_REQUESTS - seen))
    if filling:
        average = (average * seen + mean * filling) // (seen + filling)
        new -= filling
    kept = (1 - 1 / AVERAGED_REQUESTS) ** new
    return int(average * kept + mean * (1 - kept))


def _watched(counters: Counters, layout: Layout) -> list[Column]:
    """The counters whose rates are watched, over all processes; object 0 gets the sums over all frontends or servers."""
    ssl, reused = counters.total_column(SSL_SESS), counters.total_column(SSL_REUSED_SESS)
    keys = [sessions - again for sessions, again in zip(ssl, reused, strict=True)]
    columns = [counters.total_column(word) for word in (STOT, REQ_TOT, CONN_TOT, SSL_SESS)]
    columns += [keys, keys.copy()]
    columns += [counters.total_column(word) for word in (BOUT, COMP_IN, COMP_OUT, TTIME_SUM)]
    frontends = [number for number in layout.frontends if number >= 0]
    servers = list(layout.objects_of_kind("S"))
    for rate, column in enumerate(columns[:RATE_BUSY]):  # the process block says itself how busy it was
        column[0] = sum(column[number] for number in (servers if rate == RATE_SERVER_KEYS else frontends))
    return columns


def _with_servers(layout: Layout, column: Column) -> Column:
    """A column in which each backend also has what its servers counted."""
    for backend, servers in zip(layout.backends, layout.servers, strict=True):
        if backend >= 0:
            column[backend] += sum(column[number] for number in servers)
    return column


def _store(words: memoryview[int], column: Column) -> None:
    words[:] = memoryview(array("q", column))


assert _NEED < BLOCK_WORDS
