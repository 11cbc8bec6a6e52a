"""What the dispatchers of one generation tell each other: shared memory with a row of words each. Sans-io.

Several dispatchers accept from the same addresses, each from a socket of its own, and give to the same workers. So that limits hold
for all of them together and the fewest connections are the fewest of all, each writes what it has into its own row, and adds up the
rows of the others when it decides. A word has one writer; there is no lock. Two that decide in the same microsecond may both take the
last place: what is beyond a limit then is at most one connection for each dispatcher.

    row:  connections and places taken in advance | by bind: held now | by bind: came since the start | by worker and bind: given

A dispatcher that was started again begins with an empty row and fills it by what the workers hold.
"""

from __future__ import annotations

WORD_BYTES = 8


class Board:
    """One dispatcher's view. own: its row. binds, workers: how many there are, in all of the configuration."""

    __slots__ = ("_binds", "_others", "_own", "_workers", "seen")

    def __init__(self, page: memoryview | bytearray, own: int, dispatchers: int, binds: int, workers: int) -> None:
        words = memoryview(page).cast("B").cast("q")
        size = self.row_words(binds, workers)
        rows = [words[row * size : (row + 1) * size] for row in range(dispatchers)]
        self._binds = binds
        self._workers = workers
        self._own = rows[own]
        self._others = [row for number, row in enumerate(rows) if number != own]
        self.seen = [self._came_elsewhere(bind) for bind in range(binds)]  # of the others' connections, those that are counted here
        for word in range(size):
            self._own[word] = 0

    @staticmethod
    def row_words(binds: int, workers: int) -> int:
        return 1 + 2 * binds + workers * binds

    @staticmethod
    def page_bytes(dispatchers: int, binds: int, workers: int) -> int:
        return dispatchers * Board.row_words(binds, workers) * WORD_BYTES

    # --- the whole service's maxconn ------------------------------------------------------------------------------

    def reserve(self, connections: int) -> None:
        """How many connections this dispatcher has or may accept without looking again."""
        self._own[0] = connections

    @property
    def reserved_elsewhere(self) -> int:
        return sum(row[0] for row in self._others)

    # --- limits of binds and proxies ---------------------------------------------------------------------------------

    def holds(self, bind: int, connections: int) -> None:
        self._own[1 + bind] = connections

    def came(self, bind: int) -> None:
        self._own[1 + self._binds + bind] += 1

    def held_elsewhere(self, bind: int) -> int:
        return sum(row[1 + bind] for row in self._others)

    def news(self, bind: int) -> int:
        """Connections that others accepted since the last time."""
        came = self._came_elsewhere(bind)
        news, self.seen[bind] = came - self.seen[bind], came
        return max(0, news)  # a row that began anew: the next difference is right again

    def _came_elsewhere(self, bind: int) -> int:
        word = 1 + self._binds + bind
        return sum(row[word] for row in self._others)

    # --- who has how many --------------------------------------------------------------------------------------------

    def counts(self, worker: int) -> memoryview:
        """By bind, what this dispatcher has given to a worker: the book counts right there."""
        start = self._start(worker)
        return self._own[start : start + self._binds]

    def given_elsewhere(self, worker: int, bind: int) -> int:
        """bind -1: of all."""
        start = self._start(worker)
        if bind >= 0:
            return sum(row[start + bind] for row in self._others)
        return sum(sum(row[start : start + self._binds]) for row in self._others)

    def _start(self, worker: int) -> int:
        return 1 + 2 * self._binds + worker * self._binds
