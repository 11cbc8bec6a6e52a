"""Each variable for itself, compared with what a running HAProxy 2.6 wrote where its facts could be arranged."""

from __future__ import annotations

import pytest

from common.acl.log_variables import ALIASES, LOG_VARIABLES, Kind, escape, escape_header
from common.acl.logformat import compile_log_format
from tests.common.acl.fakes import FakeExchange, bind, environment, facts
from tests.common.acl.logged import Timers, exchange
from tests.common.acl.test_fetches_tls import Tls


def shown(variable: str, logged: FakeExchange | None = None) -> bytes:
    return compile_log_format(f"%{variable}", environment()).build(logged or exchange())


@pytest.mark.parametrize(
    "variable, text",
    [
        ("B", b"2750"),
        ("H", b"lb1"),
        ("HM", b"GET"),
        ("HP", b"/p"),
        ("HPO", b"/p"),
        ("HQ", b"?q=1"),
        ("HU", b"/p?q=1"),
        ("HV", b"HTTP/1.1"),
        ("ID", b"u-1"),
        ("OG", b"-"),
        ("ST", b"200"),
        ("T", b"22/Nov/2026:21:49:59 +0000"),
        ("Ta", b"238"),
        ("Tc", b"2"),
        ("Td", b"115"),
        ("Th", b"0"),
        ("Ti", b"4"),
        ("Tl", b"22/Nov/2026:21:49:59 +0000"),
        ("Tq", b"5"),
        ("TR", b"1"),
        ("Tr", b"100"),
        ("Ts", b"1795384199"),
        ("Tt", b"242"),
        ("Tu", b"238"),
        ("Tw", b"20"),
        ("U", b"90"),
        ("ac", b"6"),
        ("b", b"app"),
        ("bc", b"4"),
        ("bi", b"10.0.0.2"),
        ("bp", b"40000"),
        ("bq", b"1"),
        ("ci", b"127.0.0.1"),
        ("cp", b"33317"),
        ("f", b"www"),
        ("fc", b"5"),
        ("fi", b"127.0.0.1"),
        ("fp", b"8080"),
        ("ft", b"www"),
        ("hr", b""),
        ("hrl", b""),
        ("lc", b"12"),
        ("ms", b"250"),
        ("pid", b"31953"),
        ("r", b"GET /p?q=1 HTTP/1.1"),
        ("rc", b"0"),
        ("rt", b"17"),
        ("s", b"s1"),
        ("sc", b"3"),
        ("si", b"192.0.2.1"),
        ("sp", b"80"),
        ("sq", b"0"),
        ("sslc", b"-"),
        ("sslv", b"-"),
        ("t", b"22/Nov/2026:21:49:59.250"),
        ("tr", b"22/Nov/2026:21:49:59.254"),
        ("trg", b"22/Nov/2026:21:49:59 +0000"),
        ("trl", b"22/Nov/2026:21:49:59 +0000"),
        ("ts", b"--"),
        ("tsc", b"----"),
        ("Ci", b"127.0.0.1"),
        ("st", b"200"),
    ],
)
def test_values(variable: str, text: bytes) -> None:
    assert shown(variable) == text


@pytest.mark.parametrize(
    "variable, digits",
    [
        ("ci", b"7F000001"),
        ("cp", b"8225"),
        ("Ts", b"6B036387"),
        ("pid", b"7CD1"),
        ("rt", b"0011"),
        ("lc", b"000C"),
        ("fp", b"1F90"),
        ("ST", b"200"),
        ("bp", b"9C40"),
        ("si", b"C0000201"),
    ],
)
def test_hexadecimal(variable: str, digits: bytes) -> None:
    assert shown("{+X}" + variable) == digits


@pytest.mark.parametrize("variable", sorted(LOG_VARIABLES))
def test_every_variable_has_something_to_say_about_nothing(variable: str) -> None:
    for flags in ("", "{+Q}", "{+X}", "{+E}", "{+Q,+E,+X,+M}"):
        assert isinstance(shown(flags + variable, facts()), bytes)


@pytest.mark.parametrize(
    "variable, text",
    [
        ("ci", b"unix"),
        ("cp", b"1"),
        ("fi", b"unix"),
        ("fp", b"1"),
        ("bi", b"-"),
        ("bp", b"-"),
        ("si", b"-"),
        ("sp", b"-"),
        ("s", b"<NOSRV>"),
        ("r", b"<BADREQ>"),
        ("HM", b"<BADREQ>"),
        ("HP", b"<BADREQ>"),
        ("HQ", b"<BADREQ>"),
        ("HU", b"<BADREQ>"),
        ("HV", b"<BADREQ>"),
        ("ID", b"-"),
        ("Tt", b"-1"),
        ("Ta", b"-1"),
        ("Tq", b"-1"),
        ("Td", b"-1"),
        ("Tu", b"-1"),
    ],
)
def test_an_empty_session(variable: str, text: bytes) -> None:
    assert shown(variable, facts().with_session(bind=bind(id=0))) == text


def test_who_answered() -> None:
    assert shown("b/%s", exchange(server=None, applet_name="STATS")) == b"app/<STATS>"
    assert shown("b/%s", exchange(server=None, backend=None)) == b"www/<NOSRV>"


def test_tls() -> None:
    secured = exchange().with_session(tls=Tls(), has_tls=True)
    assert shown("ft %sslv %sslc", secured) == b"www~ TLSv1.3 TLS_AES_128_GCM_SHA256"


def test_dates_are_local_where_they_say_so() -> None:
    east = exchange().with_world(offset=5 * 3600 + 1800)
    assert shown("Tl", east) == b"23/Nov/2026:03:19:59 +0530"
    assert shown("t", east) == b"23/Nov/2026:03:19:59.250"
    assert shown("T", east) == b"22/Nov/2026:21:49:59 +0000"
    assert shown("trl", exchange().with_world(offset=-3600)) == b"22/Nov/2026:20:49:59 -0100"


@pytest.mark.parametrize(
    "target, path, path_only, query",
    [
        (b"/a/b?c?d", b"/a/b", b"/a/b", b"?c?d"),
        (b"/nq", b"/nq", b"/nq", b""),
        (b"http://u.com:80/a?b", b"http://u.com:80/a", b"/a", b"?b"),
        (b"*", b"*", b"", b""),
    ],
)
def test_parts_of_targets(target: bytes, path: bytes, path_only: bytes, query: bytes) -> None:
    logged = exchange(request_line=b"GET " + target + b" HTTP/1.1")
    assert (shown("HP", logged), shown("HPO", logged), shown("HQ", logged), shown("HU", logged)) == (path, path_only, query, target)


def test_captures_are_delimited() -> None:
    slots = [b'a "b" {c|d} # \1e f', b"longv", None]
    logged = exchange(request_captures=slots)
    assert shown("hr", logged) == b"{a #22b#22 #7Bc#7Cd#7D #23 #01e f|longv|}"
    assert shown("hrl", logged) == b"a #22b#22 #7Bc#7Cd#7D #23 #01e f longv -"
    assert shown("{+Q}hr", logged) == b'"{a #22b#22 #7Bc#7Cd#7D #23 #01e f|longv|}"'
    assert shown("{+Q}hrl", logged) == b'"a #22b#22 #7Bc#7Cd#7D #23 #01e f" "longv" ""'
    assert shown("hs", logged) == shown("{+Q}hs", logged) == b""


def test_durations_that_did_not_happen_do_not_count() -> None:
    class Short(Timers):
        connect = None
        response = None
        total = 0.030

    logged = exchange(timers=Short())
    assert [shown(name, logged) for name in ("Tc", "Tr", "Td", "Tt", "Ta")] == [b"-1", b"-1", b"-1", b"30", b"26"]


def test_escaping() -> None:
    assert escape(b'a"#\x7f\x80\tz{|}') == b"a#22#23#7F#80#09z{|}"
    assert escape_header(b"{a|b}") == b"#7Ba#7Cb#7D"
    assert escape(b"plain text") == b"plain text"


def test_every_row_is_documented() -> None:
    for name, row in LOG_VARIABLES.items():
        assert row.name == name and row.doc
        assert not row.hexadecimal or row.kind is Kind.NUMBER
    assert set(ALIASES.values()) <= set(LOG_VARIABLES)
