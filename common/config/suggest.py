"""Did you mean? The known word that is nearest to a mistyped one.

Distance: the fewest insertions, deletions, replacements and swaps of neighbours (optimal string alignment), with one of them being
cheap enough to be a typing error: at most one for three letters. Equal distance: the candidate that starts alike wins, then the
first by name, so that the answer is always the same.
Sans-io.
"""

from __future__ import annotations

from collections.abc import Iterable

WORD_LENGTH_MAX = 64  # nobody mistypes a keyword into more than this; keeps the cost bounded


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was probably meant, or None when nothing is near."""
    if not word or len(word) > WORD_LENGTH_MAX:
        return None
    lowered = word.lower()
    best: tuple[int, bool, str] | None = None
    for candidate in candidates:
        allowed = max(1, min(len(word), len(candidate)) // 3)
        if best is not None:
            allowed = min(allowed, best[0])
        distance = _distance(lowered, candidate.lower(), allowed)
        if distance > allowed:
            continue
        rank = (distance, not candidate.lower().startswith(lowered[:1]), candidate)
        if best is None or rank < best:
            best = rank
    return best[2] if best else None


def did_you_mean(word: str, candidates: Iterable[str], *, otherwise: str = "") -> str:
    """The end of a message: "; did you mean 'x' maybe ?", or `otherwise` when nothing is near."""
    found = nearest(word, candidates)
    return f"; did you mean '{found}' maybe ?" if found else otherwise


def _distance(one: str, other: str, limit: int) -> int:
    """The distance, or anything above limit as soon as it is known to be above."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    previous = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        current = [row]
        for column, against in enumerate(other, 1):
            cost = min(previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (letter != against))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == against:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return previous[-1]
