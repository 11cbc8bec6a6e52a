"""Events per period, counted in three words: when the period began, how many since, how many in the period before. Sans-io.

The rate is what came since, and of the period before the share that the sliding window still covers. A single event that is about
to leave the window does not count any more, or a rate would flap between 0 and 1.

Source: HAProxy manual 4.2 "stick-table" (conn_rate and its like); numbers compared with a stock HAProxy.
"""

from __future__ import annotations

START, CURRENT, PREVIOUS = range(3)


def count(words: memoryview[int], at: int, period_ms: int, now_ms: int, by: int = 1) -> None:
    """`by` more events now. The rate's words begin at `at`."""
    age = now_ms - words[at]
    if age < period_ms:
        words[at + CURRENT] += by
    elif age < 2 * period_ms:
        words[at + PREVIOUS] = words[at + CURRENT]
        words[at] += period_ms
        words[at + CURRENT] = by
    else:
        words[at + PREVIOUS] = 0
        words[at] = now_ms
        words[at + CURRENT] = by


def read(words: memoryview[int], at: int, period_ms: int, now_ms: int) -> int:
    """Events per period."""
    age = max(0, now_ms - words[at])
    current, previous = words[at + CURRENT], words[at + PREVIOUS]
    if age >= period_ms:
        current, previous, age = 0, current, age - period_ms
    if age >= period_ms:
        return 0
    if not current and previous <= 1:
        return 0
    return current + previous * (period_ms - age) // period_ms


def begin(words: memoryview[int], at: int, now_ms: int, current: int) -> None:
    """So many events in a period that begins now, none before."""
    words[at] = now_ms
    words[at + CURRENT] = current
    words[at + PREVIOUS] = 0
