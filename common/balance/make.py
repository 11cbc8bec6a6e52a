"""From the words of `balance` and `hash-type` to a balancer. Sans-io. Source: HAProxy manual 4.2 "balance", "hash-type".

The words are read once into values, which the check of the configuration uses too; what is wrong with them is an
ExpressionError that names the word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from common.balance.balancer import Balancer, Candidate
from common.balance.budget import Budget
from common.balance.draw import DRAWS_DEFAULT, RandomDraws
from common.balance.first import First
from common.balance.hashing import MapHash, RingHash, address_number, remembered
from common.balance.leastconn import LeastConnections
from common.balance.roundrobin import RoundRobin
from common.balance.static_map import StaticRoundRobin
from common.errors import ExpressionError
from common.hashes import FUNCTIONS

ALGORITHMS = (
    "roundrobin", "static-rr", "leastconn", "first", "source", "uri", "url_param", "hdr", "random", "rdp-cookie", "hash", "budget",
)  # fmt: skip
_WORD = re.compile(r"([a-z_-]+)(?:\((.*)\))?", re.DOTALL)
_FLAGS = {"uri": ("whole", "path-only"), "url_param": ("check_post",), "hdr": ("use_domain_only",)}
_HASHING = frozenset(("source", "uri", "url_param", "hdr", "rdp-cookie", "hash"))
_RDP_COOKIE_DEFAULT = "mstshash"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """The `balance` line. argument: the header, the parameter, the RDP cookie or the expression that gives the key."""

    name: str
    argument: str = ""
    flags: frozenset[str] = frozenset()
    length_max: int = 0
    depth_max: int = 0
    draws: int = DRAWS_DEFAULT

    @property
    def hashes(self) -> bool:
        """Whether `choose` wants a key."""
        return self.name in _HASHING


@dataclass(frozen=True, slots=True)
class HashType:
    """The `hash-type` line."""

    consistent: bool = False
    function: str = "sdbm"
    avalanche: bool = False


def parse_algorithm(words: Sequence[str]) -> Algorithm:
    """The words after `balance`. Raises ExpressionError."""
    if not words:
        raise ExpressionError('"balance" needs an algorithm', 0, f"one of {', '.join(ALGORITHMS)}")
    match = _WORD.fullmatch(words[0])
    name, argument = (match[1], match[2]) if match else (words[0], None)
    if name not in ALGORITHMS:
        raise ExpressionError(f'unknown balancing algorithm "{words[0]}"', 0, f"one of {', '.join(ALGORITHMS)}")
    if name == "hash":
        return Algorithm(name, _needed(words, 'a sample expression, e.g. "balance hash req.hdr(host)"', " ".join(words[1:])))
    if name == "url_param":
        needed = _needed(words, "the name of the parameter", words[1] if len(words) > 1 else "")
        return _with_options(Algorithm(name, needed), words, 2)
    if name == "hdr" and not argument:
        raise ExpressionError('"hdr" needs the name of a header in parentheses', 0, 'e.g. "balance hdr(host)"')
    if name == "rdp-cookie":
        return _with_options(Algorithm(name, argument or _RDP_COOKIE_DEFAULT), words, 1)
    if name == "random":
        return _with_options(Algorithm(name, draws=_positive(argument, 0) if argument is not None else DRAWS_DEFAULT), words, 1)
    if argument is not None and name != "hdr":
        raise ExpressionError(f'"{name}" takes nothing in parentheses', 0)
    return _with_options(Algorithm(name, argument or ""), words, 1)


def parse_hash_type(words: Sequence[str]) -> HashType:
    """The words after `hash-type`. Raises ExpressionError."""
    if not words or words[0] not in ("map-based", "consistent"):
        raise ExpressionError(f'unknown hash type "{words[0] if words else ""}"', 0, '"map-based" or "consistent"')
    consistent = words[0] == "consistent"
    if len(words) == 1:  # the manual: consistent hashing uses sdbm and avalanche if no function is given
        return HashType(consistent, avalanche=consistent)
    if words[1] not in FUNCTIONS:
        raise ExpressionError(f'unknown hash function "{words[1]}"', 1, f"one of {', '.join(FUNCTIONS)}")
    if len(words) > 2 and words[2] != "avalanche":
        raise ExpressionError(f'unknown hash modifier "{words[2]}"', 2, 'only "avalanche"')
    if len(words) > 3:
        raise ExpressionError(f'unexpected "{words[3]}" after the hash modifier', 3)
    return HashType(consistent, words[1], avalanche=len(words) > 2)


def make(
    words: Sequence[str],
    hash_type: Sequence[str],
    candidates: Iterable[Candidate],
    *,
    chance: Callable[[], float] | None = None,
    hash_balance_factor: int = 0,
    all_backups: bool = False,
    hash_preserve_affinity: str = "always",
    hash_key: str = "id",
) -> Balancer:
    """The balancer of a backend. chance: a float in [0, 1) at each call, for `random`; None: a fixed sequence. Raises ExpressionError.

    hash_key: the servers' "id", "addr" or "addr-port"; for the last two each candidate carries its address (with port).
    """
    algorithm = parse_algorithm(words)
    if algorithm.hashes:
        return _make_hashing(
            algorithm,
            parse_hash_type(hash_type),
            candidates,
            factor_percent=hash_balance_factor,
            all_backups=all_backups,
            heed_full=hash_preserve_affinity != "always",
            by_address=hash_key != "id",
        )
    if algorithm.name == "random":
        return RandomDraws(candidates, chance, algorithm.draws, all_backups=all_backups, factor_percent=hash_balance_factor)
    return _PLAIN[algorithm.name](candidates, all_backups=all_backups)


_PLAIN: dict[str, type[RoundRobin | StaticRoundRobin | LeastConnections | First | Budget]] = {
    "roundrobin": RoundRobin,
    "static-rr": StaticRoundRobin,
    "leastconn": LeastConnections,
    "first": First,
    "budget": Budget,
}


def _make_hashing(
    algorithm: Algorithm,
    hash_type: HashType,
    candidates: Iterable[Candidate],
    *,
    factor_percent: int,
    all_backups: bool,
    heed_full: bool,
    by_address: bool,
) -> Balancer:
    function = address_number if algorithm.name == "source" else FUNCTIONS[hash_type.function]
    hash_of_key = remembered(function, mixed=hash_type.avalanche)
    if not hash_type.consistent:
        return MapHash(candidates, hash_of_key, all_backups=all_backups, heed_full=heed_full)
    return RingHash(
        candidates, hash_of_key, all_backups=all_backups, heed_full=heed_full, factor_percent=factor_percent, by_address=by_address
    )


def _needed(words: Sequence[str], what: str, value: str) -> str:
    if not value:
        raise ExpressionError(f'"balance {words[0]}" needs {what}', len(words) - 1)
    return value


def _with_options(algorithm: Algorithm, words: Sequence[str], start: int) -> Algorithm:
    flags: set[str] = set()
    numbers = {"len": 0, "depth": 0}
    at = start
    while at < len(words):
        word = words[at]
        if word in _FLAGS.get(algorithm.name, ()):
            flags.add(word)
            if word == "check_post" and at + 1 < len(words) and words[at + 1].isdigit():
                at += 1  # <max_wait>, which today's HAProxy ignores as well
        elif algorithm.name == "uri" and word in numbers:
            numbers[word] = _positive(words[at + 1] if at + 1 < len(words) else None, at)
            at += 1
        else:
            raise ExpressionError(f'"balance {algorithm.name}" does not know "{word}"', at)
        at += 1
    return Algorithm(algorithm.name, algorithm.argument, frozenset(flags), numbers["len"], numbers["depth"], algorithm.draws)


def _positive(text: str | None, word: int) -> int:
    if text is None or not text.isdecimal() or int(text) == 0:
        raise ExpressionError(f'a positive number must follow, got "{text or ""}"', word)
    return int(text)
