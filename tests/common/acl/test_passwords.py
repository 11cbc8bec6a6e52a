"""Hashes are those of `openssl passwd` and of the C library's crypt(3)."""

from __future__ import annotations

import pytest

from common import model
from common.acl import passwords
from common.acl.passwords import Userlist, check_supported, crypt, verify
from common.errors import ExpressionError

LONG = b"long" * 30


@pytest.mark.parametrize(
    "password, stored",
    [
        (b"Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (b"Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"),
        (b"Hello world!", "$1$abcdefgh$fzmjzFdo5nMtBG8gtud5e0"),
        (LONG, "$5$xyz$xKK2DcFgRH5nylPJ8qJiyH4cPSUUvm2X0YPRK4TVzB."),
        (LONG, "$1$ab$cH9ZvjRRA0k.9oV7bfHVW."),
        (b"x", "$6$rounds=1234$abc0123456789$VlMAeWAnWbZkNhtMOT0nDpzs.hLE7FVCBk.jvv8PGF1i6RbkhYuZ/z7CUqSh9z9PVIAQiFAcvu9XhRoMQQneJ1"),
    ],
)
def test_hashes_of_others_verify(password: bytes, stored: str) -> None:
    assert verify(password, stored, encrypted=True)
    assert not verify(password + b"x", stored, encrypted=True)
    check_supported(model.User("u", stored, True))


def test_few_rounds_are_raised_to_the_least_that_is_allowed() -> None:
    made = crypt(b"x", "$5$rounds=10$abc$" + "a" * 43)
    assert made is not None and made.startswith(b"$5$rounds=1000$abc$")


@pytest.mark.parametrize("stored", ["$2b$12$abcdefghijklmnopqrstuv", "$y$j9T$abc$def", "rl0p1WTQzVWCQ", "$5$onlysalt", "", "plain"])
def test_other_schemes_are_refused_and_never_match(stored: str) -> None:
    assert crypt(b"x", stored) is None
    assert not verify(b"x", stored, encrypted=True)
    with pytest.raises(ExpressionError, match='user "u"'):
        check_supported(model.User("u", stored, True))


def test_plain_passwords_are_compared_as_they_are() -> None:
    assert verify(b"$1$x$", "$1$x$", encrypted=False)
    assert not verify(b"a", "A", encrypted=False)
    check_supported(model.User("u", "anything", False))


def users() -> Userlist:
    return Userlist([model.User("ann", "pw", False, ("g", "h")), model.User("bob", "$1$abcdefgh$fzmjzFdo5nMtBG8gtud5e0", True)])


def test_users() -> None:
    found = users()
    assert found.accepts(b"ann", b"pw") and not found.accepts(b"ann", b"x") and not found.accepts(b"eve", b"pw")
    assert found.groups(b"ann") == (b"g", b"h")
    assert found.groups(b"bob") == found.groups(b"eve") == ()


def test_verdicts_are_remembered_for_the_pair_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def counted(password: bytes, stored: str) -> bytes | None:
        hashed.append(password)
        return crypt(password, stored)

    monkeypatch.setattr(passwords, "crypt", counted)
    found = users()
    for _ in range(3):
        assert found.accepts(b"bob", b"Hello world!")
        assert not found.accepts(b"bob", b"wrong")
    assert hashed == [b"Hello world!", b"wrong"]


def test_a_stream_of_guesses_does_not_grow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "crypt", lambda password, stored: b"")
    monkeypatch.setattr(passwords, "VERDICTS_KEPT_MAX", 10)
    found = users()
    for number in range(100):
        found.accepts(b"bob", b"%d" % number)
    assert len(found._verdicts) <= 10
