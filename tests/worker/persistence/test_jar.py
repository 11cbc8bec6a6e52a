"""Cookie lines: which servers they ask for, and how they go on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.persistence.jar import Jar
from worker.persistence.settings import Mode, read_settings


def jar(words: str, group: bytes = b"0a0b") -> Jar:
    settings = read_settings(words.split())
    assert settings is not None
    return Jar(settings, group)


def offers(one: Jar, line: bytes) -> list[tuple[bytes, int, int]]:
    reading = one.read(line)
    return [tuple(offer) for offer in reading.offers] if reading is not None else []  # type: ignore[misc]


def forwarded(one: Jar, line: bytes, chosen: bytes | None = None) -> bytes:
    reading = one.read(line)
    return line if reading is None else reading.forwarded(chosen)


@pytest.mark.parametrize(
    ("line", "names", "rest"),
    [
        (b"SRV=A", [b"A"], b""),
        (b"a=b; SRV=A; c=d", [b"A"], b"a=b; c=d"),
        (b"SRV=A; SRV=B", [b"A", b"B"], b""),
        (b"SRV=A,SRV=B", [b"A", b"B"], b""),
        (b"  SRV = A ;x", [b"A"], b"x"),
        (b'x="a;SRV=A"; y=1', [], b'x="a;SRV=A"; y=1'),
        (b"$Version=1; SRV=A; $Path=/; b=c", [b"A"], b"$Version=1; b=c"),
        (b"srv=A; XSRV=B; SRVX=C", [], b"srv=A; XSRV=B; SRVX=C"),
        (b"SRV", [], b"SRV"),
        (b"SRV=", [b""], b""),
        (b"; SRV=A", [b"A"], b""),
        (b"=A; SRV=A", [b"A"], b"=A"),
        (b'SRV="A"', [b'"A"'], b""),
        (b'SRV="A', [b'"A'], b""),
        (b"\xff\x80=1; SRV=\xe4", [b"\xe4"], b"\xff\x80=1"),
    ],
)
def test_inserted_cookies_are_found_and_hidden(line: bytes, names: list[bytes], rest: bytes) -> None:
    one = jar("SRV insert indirect")
    assert [offer[0] for offer in offers(one, line)] == names
    assert forwarded(one, line) == rest
    assert forwarded(jar("SRV insert"), line) == line


@pytest.mark.parametrize(
    ("line", "names", "rest"),
    [
        (b"SRV=A~hello", [b"A"], b"SRV=hello"),
        (b"SRV=A~", [b"A"], b"SRV="),
        (b"SRV=~x", [b""], b"SRV=x"),
        (b"SRV=B~x~y; q=1", [b"B"], b"SRV=x~y; q=1"),
        (b"SRV=A~x; SRV=B~y", [b"A", b"B"], b"SRV=x; SRV=y"),
        (b"SRV=hello", [b"hello"], b"SRV=hello"),
    ],
)
def test_prefixes_are_taken_off(line: bytes, names: list[bytes], rest: bytes) -> None:
    one = jar("SRV prefix")
    assert [offer[0] for offer in offers(one, line)] == names
    assert forwarded(one, line) == rest


def test_dates_are_read_where_cookies_are_inserted_only() -> None:
    assert offers(jar("SRV insert maxidle 30m"), b"SRV=A|awN/s|awNjj") == [(b"A", 1795391408, 1795384204)]
    assert offers(jar("SRV insert"), b"SRV=A|zz|awNjj|more") == [(b"A", 0, 1795384204)]
    assert offers(jar("SRV rewrite"), b"SRV=A|awN/s") == [(b"A|awN/s", 0, 0)]


@pytest.mark.parametrize(
    ("line", "chosen", "rest"),
    [
        (b"S~0a0b~s1=x", b"s1", b"S=x"),
        (b"a=b; S~0a0b~s1=x; S~ffff~s1=y; c=d", b"s1", b"a=b; S=x; c=d"),
        (b"S~0a0b~s1=x; S~0a0b~s2=y", b"s2", b"S=y"),
        (b"S~0a0b~s1=x; S~0a0b~s2=y", None, b"S=x"),
        (b"S=plain; S~0a0b~s1=x", b"s1", b"S=x"),
        (b"S=plain; S~ffff~s1=y", None, b"S=plain"),
        (b"S~ffff~s1=y", None, b""),
        (b"S~=1; S~~=2; S~0a0b=3", None, b"S=3"),
    ],
)
def test_renamed_cookies_get_their_names_back(line: bytes, chosen: bytes | None, rest: bytes) -> None:
    assert forwarded(jar("S rename"), line, chosen) == rest


PIECES = [b"SRV", b"S", b"=", b";", b",", b" ", b'"', b"~", b"|", b"$Path", b"A", b"\t", b"\xff", b"0a0b"]
LINES = st.lists(st.sampled_from(PIECES)).map(b"".join)


@given(LINES, st.sampled_from([f"SRV {mode.value}".replace(" passive", "") for mode in Mode] + ["SRV insert indirect", "SRV rename"]))
def test_any_line_has_some_reading(line: bytes, words: str) -> None:
    """It never raises, adds nothing, and reading what goes on finds nothing more to hide."""
    one = jar(words)
    rest = forwarded(one, line)
    assert len(rest) <= len(line)
    if words == "SRV insert indirect":
        assert not offers(one, rest)


def test_huge_lines_take_time_in_proportion() -> None:
    one = jar("SRV insert indirect")
    line = b'SRV=A; x="' * 20000
    assert one.read(line) is not None
    assert one.read(b"SRV=" + b"=" * 60000) is not None
    assert one.read(b"SRV" + b" " * 60000 + b"=A") is not None
