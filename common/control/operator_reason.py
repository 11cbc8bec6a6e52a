"""`usher reason WORD`: what a reason slug or a termination code of a log line means, its cause and its cure.

usher reason connect_timeout
usher reason sC--
usher reason                  all slugs
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.observe.reasons import REASONS, describe

EXIT_UNKNOWN = 1


def main(argv: Sequence[str]) -> int:
    if not argv:
        print("".join(f"{reason.slug:<32} {'/'.join(reason.terminations):<12} {reason.cause}\n" for reason in REASONS.values()), end="")
        return 0
    pages = [(word, describe(word)) for word in argv]
    for word, page in pages:
        if page:
            print(page, end="")
        else:
            print(f"usher reason: nothing is known of '{word}'; without a word all reasons are listed", file=sys.stderr)
    return 0 if all(page for _word, page in pages) else EXIT_UNKNOWN
