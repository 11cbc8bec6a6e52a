from __future__ import annotations

from dispatcher.policy.heartbeat import Heartbeats, Pulse


def test_beating_worker_is_never_hung() -> None:
    hearts = Heartbeats(0.25, 30.0)
    hearts.start(0, 0.0)
    assert all(hearts.look(0, 0.4 * turn, turn) is None for turn in range(1, 100))


def test_silence_of_two_beats_is_hung_once_and_a_beat_wakes_it() -> None:
    hearts = Heartbeats(0.25, 30.0)
    hearts.start(0, 0.0, beat=7)
    assert hearts.look(0, 0.49, 7) is None
    assert hearts.look(0, 0.5, 7) is Pulse.HUNG
    assert hearts.look(0, 0.6, 7) is None
    assert hearts.last_seen_s(0, 0.6) == 0.6
    assert hearts.look(0, 0.7, 8) is Pulse.ALIVE
    assert hearts.look(0, 0.8, 8) is None


def test_silence_beyond_the_limit_kills_once_and_it_stays_dead() -> None:
    hearts = Heartbeats(0.25, 30.0)
    hearts.start(0, 0.0)
    assert hearts.look(0, 29.0, 0) is Pulse.HUNG
    assert hearts.look(0, 30.0, 0) is Pulse.KILL
    assert hearts.look(0, 31.0, 0) is None
    assert hearts.look(0, 32.0, 1) is None, "too late: it is being killed"
    hearts.start(0, 33.0, 1)
    assert hearts.look(0, 33.6, 1) is Pulse.HUNG


def test_worker_that_is_not_watched_says_nothing() -> None:
    hearts = Heartbeats()
    hearts.start(0, 0.0)
    hearts.stop(0)
    assert hearts.look(0, 99.0, 0) is None
    assert hearts.last_seen_s(0, 99.0) == 0.0
