"""What all balancing algorithms share: the list of servers, who of them may be chosen now, and the contract. Sans-io.

Source: HAProxy manual 4.2 "balance", "option allbackups", "option redispatch"; 5.2 "weight", "backup".

A balancer only knows indexes 0 … n-1. Who is elected follows the manual:

1. the usable active servers with a weight above 0, if there is one;
2. else the first usable backup server (in the order of the configuration);
3. with `option allbackups`, all usable backup servers instead of the first.

Election happens when something changes (a few times a minute), never when a server is chosen (thousands of times a second).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

WEIGHT_MAX = 256
WEIGHT_STEP = 1 / 16
"""The finest difference of weights: a server of weight 1 in slow start has sixteen steps (manual 5.2 "slowstart")."""

Load = Callable[[int], int]
"""index -> how many connections and queued requests that server has now, over all processes that count."""

Full = Callable[[int], bool]
"""index -> True while that server takes no more (its maxconn and, where it may queue, its maxqueue are reached)."""

NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One server as balancing sees it. weight: 0 … 256 in steps of 1/16. address: what `hash-key addr|addr-port` hashes."""

    id: int
    weight: float = 1
    usable: bool = True
    backup: bool = False
    address: bytes = b""

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= WEIGHT_MAX:
            raise ValueError(f"a weight must be between 0 and {WEIGHT_MAX}, got {self.weight}")


class Balancer:
    """One of many. Subclasses say how in `_elected_changed` (rare) and `choose` (hot)."""

    __slots__ = ("_all_backups", "_candidates", "_elected")

    sticky = False
    """True if the same key gives the same server: then a full server is waited for in its own queue, and
    `option prefer-last-server` has no effect."""

    asks_load = False
    """Whether `choose` compares loads: then they must be those of all workers. The bound of `hash-balance-factor` holds in each worker
    by itself: a key must not leave its server because another worker has not yet counted a request as over."""

    static = False
    """True if a weight that changes while the server is up has no effect, but for 0 (manual: "this algorithm is static")."""

    def __init__(self, candidates: Iterable[Candidate], *, all_backups: bool = False) -> None:
        self._candidates = list(candidates)
        self._all_backups = all_backups
        self._elected: tuple[int, ...] = ()
        self._elect()

    @property
    def elected(self) -> tuple[int, ...]:
        """The servers among which `choose` chooses now, in the order of the configuration."""
        return self._elected

    def weight(self, index: int) -> float:
        return self._candidates[index].weight

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        """The index of the server for this key, not one of `exclude` and not one that is `full`; None if there is none.

        key: what hashing hashes; other algorithms ignore it. A hashing algorithm without a key takes turns.
        The choice counts: what takes turns has taken one.
        """
        raise NotImplementedError

    def candidates(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> Iterator[int]:
        """All servers, each once, in the order in which one after the other should be tried (redispatch)."""
        tried = set(exclude)
        while (index := self.choose(key, load, tried, full)) is not None:
            yield index
            tried.add(index)

    def update(self, index: int, *, weight: float | None = None, usable: bool | None = None, address: bytes | None = None) -> None:
        """A health check, the operator, slow start or a name server changed a server."""
        before = self._candidates[index]
        after = replace(
            before,
            weight=before.weight if weight is None else weight,
            usable=before.usable if usable is None else usable,
            address=before.address if address is None else address,
        )
        if after == before:
            return
        self._candidates[index] = after
        self._elect()

    def add(self, candidate: Candidate) -> int:
        """A server that came at run time; returns its index."""
        self._candidates.append(candidate)
        self._elect()
        return len(self._candidates) - 1

    def check_invariants(self) -> None:
        """Raises AssertionError when the book is broken."""
        for index in self._elected:
            candidate = self._candidates[index]
            assert candidate.usable and candidate.weight > 0, f"{candidate} is elected"
        if any(not self._candidates[index].backup for index in self._elected):
            assert not any(self._candidates[index].backup for index in self._elected), "backups beside active servers"
        assert list(self._elected) == sorted(set(self._elected))

    def _elect(self) -> None:
        may = [index for index, one in enumerate(self._candidates) if one.usable and one.weight > 0]
        elected = [index for index in may if not self._candidates[index].backup]
        if not elected:
            elected = may if self._all_backups else may[:1]
        self._elected = tuple(elected)
        self._elected_changed()

    def _elected_changed(self) -> None:
        """The elected servers, or a weight among them, changed."""
        raise NotImplementedError


def allowed(order: Iterable[int], exclude: Collection[int], full: Full | None) -> list[int]:
    """Those of `order` that may be chosen."""
    if full is None:
        return [index for index in order if index not in exclude]
    return [index for index in order if index not in exclude and not full(index)]
