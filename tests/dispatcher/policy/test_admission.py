from __future__ import annotations

import random
from math import inf

import pytest

from dispatcher.policy import admission
from dispatcher.policy.admission import Admission, Limits, ListenerLimits, Permission, Verdict

PLAIN = ListenerLimits(proxy=0)


def _fill(book: Admission, now: float, listener: int, count: int, source: str = "10.0.0.1") -> None:
    for _ in range(count):
        assert book.may_accept(now, listener, 4).accept > 0
        assert book.admit(now, listener, source) is Verdict.ADMIT
        book.check_invariants()


def test_without_limits_everything_is_accepted() -> None:
    book = Admission(Limits(), [PLAIN])
    assert book.may_accept(0.0, 0, 4) == Permission(4)
    _fill(book, 0.0, 0, 100)
    assert book.total == book.of_listener(0) == 100


@pytest.mark.parametrize(
    ("limits", "listener", "name"),
    [
        (Limits(maxconn=3), PLAIN, "maxconn"),
        (Limits(), ListenerLimits(0, maxconn=3), "bind maxconn"),
        (Limits(), ListenerLimits(0, proxy_maxconn=3), "proxy maxconn"),
    ],
)
def test_maxconn_leaves_the_listener_alone_until_an_end(limits: Limits, listener: ListenerLimits, name: str) -> None:
    book = Admission(limits, [listener])
    _fill(book, 0.0, 0, 2)
    assert book.may_accept(0.0, 0, 4) == Permission(1)
    _fill(book, 0.0, 0, 1)
    assert book.may_accept(0.0, 0, 4) == Permission(0, name, inf)
    assert book.ended(0, "10.0.0.1")
    assert book.may_accept(0.0, 0, 4) == Permission(1)
    assert not book.ended(0, "10.0.0.1"), "was not full"


@pytest.mark.parametrize(
    ("limits", "listener", "name"),
    [
        (Limits(maxconnrate=5), PLAIN, "maxconnrate"),
        (Limits(maxsessrate=5), PLAIN, "maxsessrate"),
        (Limits(maxsslrate=5), ListenerLimits(0, tls=True), "maxsslrate"),
        (Limits(), ListenerLimits(0, rate_limit_sessions=5), "rate-limit sessions"),
    ],
)
def test_rate_leaves_the_listener_alone_for_a_while(limits: Limits, listener: ListenerLimits, name: str) -> None:
    book = Admission(limits, [listener])
    _fill(book, 100.0, 0, 5)
    permission = book.may_accept(100.0, 0, 4)
    assert (permission.accept, permission.limit) == (0, name)
    assert 0 < permission.wait_s <= 1.2
    assert book.may_accept(100.0 + permission.wait_s + 1e-6, 0, 4).accept == 1
    assert book.may_accept(103.0, 0, 9).accept == 5


def test_ssl_rate_spares_plain_binds_and_proxies_have_their_own_limits() -> None:
    book = Admission(
        Limits(maxsslrate=1),
        [ListenerLimits(0, tls=True), ListenerLimits(0, proxy_maxconn=3), ListenerLimits(1, rate_limit_sessions=9, tls=True)],
    )
    _fill(book, 0.0, 0, 1)
    assert book.may_accept(0.0, 0, 1).limit == "maxsslrate"
    assert book.may_accept(0.0, 2, 1).limit == "maxsslrate"
    _fill(book, 0.0, 1, 2)
    assert book.may_accept(0.0, 1, 1).limit == "proxy maxconn", "binds of one proxy share its maxconn"
    assert book.rates(0.0) == {"conn": 3, "sess": 3, "ssl": 1}


def test_sources_are_limited_one_by_one() -> None:
    book = Admission(Limits(source_maxconn=2), [PLAIN])
    _fill(book, 0.0, 0, 2, "a")
    assert book.admit(0.0, 0, "a") is Verdict.SOURCE_FULL
    assert book.admit(0.0, 0, "b") is Verdict.ADMIT
    book.ended(0, "a")
    assert book.admit(0.0, 0, "a") is Verdict.ADMIT
    assert book.refused[Verdict.SOURCE_FULL] == 1
    assert book.total == 3


def test_sources_have_a_rate_of_their_own() -> None:
    book = Admission(Limits(source_maxconnrate=2), [PLAIN])
    _fill(book, 0.0, 0, 2, "a")
    assert book.admit(0.5, 0, "a") is Verdict.SOURCE_FAST
    assert book.admit(0.5, 0, "b") is Verdict.ADMIT
    assert book.admit(2.1, 0, "a") is Verdict.ADMIT


def test_memory_of_sources_is_bounded_and_forgets_the_idle_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SOURCES_MAX", 3)
    book = Admission(Limits(source_maxconn=1), [PLAIN])
    for source in ("busy", "idle", "third"):
        book.admit(0.0, 0, source)
    book.ended(0, "idle")
    book.admit(0.0, 0, "fourth")
    assert book.admit(0.0, 0, "busy") is Verdict.SOURCE_FULL
    book.check_invariants()
    for number in range(50):
        book.admit(0.0, 0, number)
        book.check_invariants()
    book.ended(0, "busy")


def test_memory_of_sources_that_are_all_busy_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SOURCES_MAX", 40)
    book = Admission(Limits(source_maxconn=1), [PLAIN])
    for number in range(41):
        assert book.admit(0.0, 0, number) is Verdict.ADMIT
    assert book.admit(0.0, 0, 1) is Verdict.SOURCE_FULL
    assert book.admit(0.0, 0, 0) is Verdict.ADMIT, "forgotten: it may once be above its limit"
    book.check_invariants()


def test_connections_of_a_dispatcher_before_count_but_are_not_new() -> None:
    book = Admission(Limits(maxconn=5, maxsessrate=1), [PLAIN])
    book.adopt(0, 5)
    assert book.may_accept(0.0, 0, 1).limit == "maxconn"
    assert book.ended(0, None)
    assert book.may_accept(0.0, 0, 1).accept == 1


@pytest.mark.parametrize("seed", range(4))
def test_random_life_keeps_every_limit(seed: int) -> None:
    chance = random.Random(seed)
    limits = Limits(maxconn=20, maxconnrate=50, maxsslrate=8, source_maxconn=4)
    listeners = [
        ListenerLimits(0, maxconn=7, proxy_maxconn=10, tls=True),
        ListenerLimits(0, proxy_maxconn=10),
        ListenerLimits(1, rate_limit_sessions=6),
    ]
    book = Admission(limits, listeners)
    open_ones: list[tuple[int, int]] = []
    tls_times: list[float] = []
    now = 0.0
    for _ in range(4000):
        now += chance.random() * 0.05
        listener = chance.randrange(3)
        if chance.random() < 0.7:
            for _ in range(book.may_accept(now, listener, 3).accept):
                source = chance.randrange(6)
                verdict = book.admit(now, listener, source)
                of_source = sum(1 for _, one in open_ones if one == source)
                assert (verdict is Verdict.SOURCE_FULL) == (of_source >= 4)
                if verdict is Verdict.ADMIT:
                    open_ones.append((listener, source))
                    if listeners[listener].tls:
                        tls_times.append(now)
        elif open_ones:
            listener, source = open_ones.pop(chance.randrange(len(open_ones)))
            book.ended(listener, source)
        book.check_invariants()
        assert book.total == len(open_ones) <= 20
        assert book.of_listener(0) <= 7
        assert book.of_listener(0) + book.of_listener(1) <= 10
    assert len(tls_times) <= 8 * (now + 1)


# --- TLS, other dispatchers, other limits ----------------------------------------------------------------------------------


def test_maxsslconn_counts_tls_listeners_only() -> None:
    book = Admission(Limits(maxsslconn=2), [ListenerLimits(0, tls=True), ListenerLimits(0), ListenerLimits(1, tls=True)])
    _fill(book, 0.0, 0, 1)
    _fill(book, 0.0, 1, 5)
    _fill(book, 0.0, 2, 1)
    assert book.may_accept(0.0, 0, 4) == book.may_accept(0.0, 2, 4) == Permission(0, "maxsslconn", inf)
    assert book.may_accept(0.0, 1, 4).accept == 4
    assert not book.ended(1, None)
    assert book.ended(2, None), "whoever waits may come in"
    book.check_invariants()
    assert book.may_accept(0.0, 0, 4).accept == 1


def test_what_others_hold_counts_and_is_asked_for_again_soon() -> None:
    elsewhere = {0: 2, 1: 0}
    book = Admission(Limits(), [ListenerLimits(0, proxy_maxconn=4), ListenerLimits(0, proxy_maxconn=4)], elsewhere.__getitem__)
    _fill(book, 0.0, 1, 2)
    permission = book.may_accept(0.0, 1, 4)
    assert permission.accept == 0 and 0 < permission.wait_s < 0.1, "an end elsewhere wakes nobody here"
    elsewhere[0] = 1
    assert book.may_accept(0.0, 1, 4).accept == 1


def test_what_came_to_others_counts_for_rates() -> None:
    book = Admission(Limits(maxconnrate=10), [ListenerLimits(0, tls=True)])
    book.learn(0.0, 0, 9)
    assert book.may_accept(0.0, 0, 4).accept == 1
    assert book.rates(0.0) == {"conn": 9, "sess": 9, "ssl": 9}
    assert book.total == 0


def test_limits_may_change_below_what_is_there() -> None:
    book = Admission(Limits(), [PLAIN])
    _fill(book, 0.0, 0, 5)
    book.change(Limits(maxconn=3), [PLAIN])
    assert book.may_accept(0.0, 0, 4).accept == 0
    for _ in range(3):
        book.ended(0, None)
    assert book.may_accept(0.0, 0, 4).accept == 1
