"""Checking passwords of userlists: plain ones and crypt(3) hashes. Sans-io.

crypt(3) left Python's library with 3.13 and is not in every libc; its MD5, SHA-256 and SHA-512 schemes are done here with hashlib.
bcrypt, yescrypt and DES are not: such a password is refused when the configuration is checked.

A SHA-512 crypt takes milliseconds on purpose, and Basic authentication repeats with every request: verdicts are remembered under a
digest of the pair, so that a known client costs one SHA-256.

Source: HAProxy configuration manual 3.4 (userlists); U. Drepper, "Unix crypt using SHA-256 and SHA-512"; P.-H. Kamp's MD5 crypt.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from common import model
from common.errors import ExpressionError

VERDICTS_KEPT_MAX = 4096
ROUNDS_DEFAULT, ROUNDS_MIN, ROUNDS_MAX = 5000, 1000, 999_999_999

_ALPHABET = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHA = re.compile(r"\$([56])\$(?:rounds=([0-9]+)\$)?([^$]{0,16})[^$]*\$([./0-9A-Za-z]+)")
_MD5 = re.compile(r"\$1\$([^$]{0,8})[^$]*\$([./0-9A-Za-z]{22})")

# Which three bytes of the digest make each group of four characters.
_ORDER_256 = tuple((i % 30, (i + 10) % 30, (i + 20) % 30) for i in (0, 21, 12, 3, 24, 15, 6, 27, 18, 9))
_ORDER_512 = tuple((i % 63, (i + 21) % 63, (i + 42) % 63) for i in (22 * step % 63 for step in range(21)))
_ORDER_MD5 = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


def check_supported(user: model.User) -> None:
    """Raises ExpressionError for a hash that cannot be verified here."""
    if user.encrypted and not (_SHA.fullmatch(user.password) or _MD5.fullmatch(user.password)):
        raise ExpressionError(
            f'the password of user "{user.name}" is not a hash that can be checked here: '
            "use SHA-512 ($6$), SHA-256 ($5$) or MD5 ($1$) crypt, for instance from `openssl passwd -6`"
        )


def verify(password: bytes, stored: str, encrypted: bool) -> bool:
    if not encrypted:
        return hmac.compare_digest(password, stored.encode("utf-8", "surrogateescape"))
    found = crypt(password, stored)
    return found is not None and hmac.compare_digest(found, stored.encode("ascii", "replace"))


def crypt(password: bytes, stored: str) -> bytes | None:
    """The password hashed as `stored` says (scheme, rounds, salt); None for a scheme that is not done here."""
    match = _SHA.fullmatch(stored)
    if match:
        scheme, rounds, salt = match[1], match[2], match[3].encode()
        count = ROUNDS_DEFAULT if rounds is None else max(ROUNDS_MIN, min(ROUNDS_MAX, int(rounds)))
        prefix = b"$%b$" % scheme.encode() + (b"rounds=%d$" % count if rounds is not None else b"")
        return prefix + salt + b"$" + _sha_crypt(password, salt, "sha256" if scheme == "5" else "sha512", count)
    match = _MD5.fullmatch(stored)
    if match:
        salt = match[1].encode()
        return b"$1$" + salt + b"$" + _md5_crypt(password, salt)
    return None


def _sha_crypt(password: bytes, salt: bytes, name: str, rounds: int) -> bytes:
    size = hashlib.new(name).digest_size

    def digest(data: bytes) -> bytes:
        return hashlib.new(name, data).digest()

    def stretch(data: bytes, length: int) -> bytes:
        return data * (length // size) + data[: length % size]

    other = digest(password + salt + password)
    start = bytearray(password + salt + stretch(other, len(password)))
    length = len(password)
    while length:
        start += other if length & 1 else password
        length >>= 1
    state = digest(bytes(start))
    key = stretch(digest(password * len(password)), len(password))
    pepper = stretch(digest(salt * (16 + state[0])), len(salt))
    for number in range(rounds):
        data = key if number & 1 else state
        data += pepper if number % 3 else b""
        data += key if number % 7 else b""
        data += state if number & 1 else key
        state = digest(data)
    if name == "sha256":
        return _groups(state, _ORDER_256) + _group(0, state[31], state[30], 3)
    return _groups(state, _ORDER_512) + _group(0, 0, state[63], 2)


def _md5_crypt(password: bytes, salt: bytes) -> bytes:
    other = hashlib.md5(password + salt + password).digest()
    start = bytearray(password + b"$1$" + salt + (other * (len(password) // 16 + 1))[: len(password)])
    length = len(password)
    while length:
        start += b"\0" if length & 1 else password[:1]
        length >>= 1
    state = hashlib.md5(bytes(start)).digest()
    for number in range(1000):
        data = password if number & 1 else state
        data += salt if number % 3 else b""
        data += password if number % 7 else b""
        data += state if number & 1 else password
        state = hashlib.md5(data).digest()
    return _groups(state, _ORDER_MD5) + _group(0, 0, state[11], 2)


def _groups(state: bytes, order: tuple[tuple[int, int, int], ...]) -> bytes:
    return b"".join(_group(state[high], state[middle], state[low], 4) for high, middle, low in order)


def _group(high: int, middle: int, low: int, characters: int) -> bytes:
    bits = high << 16 | middle << 8 | low
    return bytes(_ALPHABET[bits >> 6 * place & 0x3F] for place in range(characters))


class Userlist:
    """Users of one `userlist` section, and the verdicts already reached."""

    __slots__ = ("_users", "_verdicts")

    def __init__(self, users: list[model.User]) -> None:
        self._users = {user.name.encode("utf-8", "surrogateescape"): user for user in users}
        self._verdicts: dict[bytes, bool] = {}

    def accepts(self, name: bytes, password: bytes) -> bool:
        user = self._users.get(name)
        if user is None:
            return False
        if not user.encrypted:
            return verify(password, user.password, encrypted=False)
        seen = hashlib.sha256(len(name).to_bytes(4, "big") + name + password).digest()
        known = self._verdicts.get(seen)
        if known is None:
            if len(self._verdicts) >= VERDICTS_KEPT_MAX:
                self._verdicts.clear()
            known = self._verdicts[seen] = verify(password, user.password, encrypted=True)
        return known

    def groups(self, name: bytes) -> tuple[bytes, ...]:
        user = self._users.get(name)
        return () if user is None else tuple(group.encode("utf-8", "surrogateescape") for group in user.groups)
