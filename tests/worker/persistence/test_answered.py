"""Set-Cookie: the server's and ours. How HAProxy does it is asked in tests/flows/test_cookies.py; here stand the rules by themselves."""

from __future__ import annotations

import pytest

from tests.worker.persistence.test_jar import jar
from worker.persistence.answered import Set, due, inserted, treat
from worker.persistence.cacheable import is_cacheable
from worker.persistence.dates import decode_date, encode_date, is_outside
from worker.persistence.jar import Offer
from worker.persistence.presented import Shown, choose
from worker.persistence.settings import read_settings

NOW = 1795391405.0


@pytest.mark.parametrize(
    ("words", "value", "mark", "led_here", "expected"),
    [
        ("SRV rewrite", b"SRV=x; path=/", b"A", False, (b"SRV=A; path=/", Set.REWRITTEN)),
        ("SRV rewrite", b"SRV = x ; path=/", b"A", False, (b"SRV=A ; path=/", Set.REWRITTEN)),
        ("SRV rewrite", b"SRV=x", None, False, (b"SRV=x", Set.PROVIDED)),
        ("SRV prefix", b"SRV=x; HttpOnly", b"A", True, (b"SRV=A~x; HttpOnly", Set.REWRITTEN)),
        ("SRV prefix indirect", b"SRV=x", b"A", True, (None, Set.DELETED)),
        ("SRV insert", b"SRV=x", b"A", False, (None, Set.DELETED)),
        ("SRV insert preserve", b"SRV=x", b"A", True, (b"SRV=x", Set.PROVIDED)),
        ("SRV indirect", b"SRV=x", b"A", False, (b"SRV=x", Set.PROVIDED)),
        ("SRV indirect", b"SRV=x", b"A", True, (None, Set.DELETED)),
        ("SRV rename", b"SRV=x; path=/", b"A", False, (b"SRV~0a0b~A=x; path=/", Set.REWRITTEN)),
        ("SRV rename", b'SRV="x;y"; path=/', b"A", False, (b'SRV~0a0b~A="x;y"; path=/', Set.REWRITTEN)),
    ],
)
def test_the_servers_cookie(words: str, value: bytes, mark: bytes | None, led_here: bool, expected: tuple[bytes | None, Set]) -> None:
    treated = treat(jar(words), [b"other=SRV=1", value], mark, led_here=led_here)
    fields = treated.fields if treated.fields is not None else [b"other=SRV=1", value]
    assert (fields[1:], treated.told) == ([expected[0]] if expected[0] is not None else [], expected[1])
    assert fields[0] == b"other=SRV=1" and treated.found


@pytest.mark.parametrize("value", [b"SRV", b"srv=1", b"a=b; SRV=1", b"", b";SRV=1", b"SRVX=1", b"\xffSRV=1"])
def test_cookies_of_other_names_stay(value: bytes) -> None:
    assert treat(jar("SRV insert"), [value], b"A", led_here=False) == (False, Set.NONE, None)


def test_an_inserted_cookie_carries_dates_where_it_must_end() -> None:
    settings = read_settings(["SRV", "insert", "maxidle", "30m", "maxlife", "8h", "domain", ".x.org"])
    assert settings is not None
    assert inserted(settings, b"A", None, NOW) == b"SRV=A|awN/s|awN/s; path=/; domain=.x.org"
    assert inserted(settings, b"A", Offer(b"A", 5, 1795384204), NOW) == b"SRV=A|awN/s|awNjj; path=/; domain=.x.org"
    assert inserted(settings, None, None, NOW) == b"SRV=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/; domain=.x.org"


def test_a_cookie_is_due() -> None:
    def asked(words: str, offer: Offer | None, *, led_here: bool = True, method: bytes = b"GET", found: bool = False) -> Set:
        settings = read_settings(words.split())
        assert settings is not None
        return due(settings, offer, NOW, led_here=led_here, method=method, found=found)

    assert asked("SRV insert", None, led_here=False) is Set.INSERTED
    assert asked("SRV insert", Offer(b"A")) is Set.NONE
    assert asked("SRV insert preserve", None, led_here=False, found=True) is Set.NONE
    assert asked("SRV insert postonly", None, led_here=False) is Set.NONE
    assert asked("SRV insert postonly", None, led_here=False, method=b"POST") is Set.INSERTED
    assert asked("SRV insert maxidle 30m", Offer(b"A", int(NOW) - 60)) is Set.UPDATED
    assert asked("SRV insert maxidle 30m", Offer(b"A", int(NOW) + 3)) is Set.NONE
    assert asked("SRV insert maxlife 8h", Offer(b"A", 0, 5)) is Set.NONE
    assert asked("SRV rewrite", None, led_here=False) is Set.NONE


def test_dates_reverse_each_other() -> None:
    for seconds in range(1795391400, 1795391410):
        assert 0 <= decode_date(encode_date(seconds)) - seconds < 4
    assert decode_date(b"") == decode_date(b"abcd") == decode_date(b"ab_cd") == decode_date(b"\xff" * 5) == 0
    assert is_outside(int(NOW) - 61, NOW, 60) and is_outside(int(NOW) + 86410, NOW, 60)
    assert not is_outside(0, NOW, 60) and not is_outside(5, NOW, 0)


def test_the_first_cookie_that_leads_somewhere_is_followed() -> None:
    settings = read_settings(["SRV", "insert", "maxidle", "30m"])
    assert settings is not None
    up = {"a": True, "b": False}
    servers = {b"A": ["a"], b"B": ["b"]}

    def ask(*offers: Offer, forced: bool = False) -> tuple[Shown, str | None]:
        found = choose(settings, offers, lambda mark: servers.get(mark, []), lambda one: up[one], NOW, forced=lambda: forced)
        return found.shown, found.server

    assert ask() == (Shown.NONE, None)
    assert ask(Offer(b"B"), Offer(b"A")) == (Shown.VALID, "a")
    assert ask(Offer(b"B"), Offer(b"zz")) == ask(Offer(b"zz"), Offer(b"B")) == (Shown.DOWN, None)
    assert ask(Offer(b"B"), forced=True) == (Shown.DOWN, "b")
    assert ask(Offer(b"A", int(NOW) - 7200)) == (Shown.EXPIRED, None)
    assert ask(Offer(b"")) == (Shown.INVALID, None)


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        (b"GET", {b"cache-control": [b"max-age=3"]}, True),
        (b"POST", {b"cache-control": [b"max-age=3"]}, False),
        (b"GET", {b"cache-control": [b"max-age=3", b"No-Store"]}, False),
        (b"GET", {b"cache-control": [b"public"]}, False),
        (b"HEAD", {b"etag": [b"x"]}, True),
        (b"GET", {b"etag": [b"x"], b"pragma": [b"no-cache"]}, False),
    ],
)
def test_cacheable(method: bytes, fields: dict[bytes, list[bytes]], expected: bool) -> None:
    class Head:
        def values(self, name_lower: bytes) -> list[bytes]:
            return fields.get(name_lower, [])

    assert is_cacheable(method, Head()) is expected
