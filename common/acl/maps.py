"""Pattern lists that can be changed while they are used: map files, ACL files, and the patterns written in ACLs. Sans-io.

One `PatternList` holds the lines of one file (or of one ACL's words) in order. Each use of it, an ACL or a map converter with its way
of matching, attaches an `Index`; a change goes to the list, and from there to every index. A file used twice is one list: what the
operator changes, changes for all its users, as with HAProxy.

`MapStore` names the lists as the operator socket shows them: "#3" by id, or by file name. Its `prepare`/`commit` replace a whole list
at once: entries are added under a future generation that no index sees until it is committed.

Source: HAProxy management guide, "show map", "add map", "clear map", "commit map", "del map", "get map", "prepare map", "set map", and
the same for acl; configuration manual 7.1 (-f, -M, -u) and 7.3.1 (map).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from common.acl.indexes import Entry, Index
from common.errors import ExpressionError

LINE_LENGTH_MAX = 65536  # of a pattern or map file; longer is a mistake


@dataclass(frozen=True, slots=True)
class Use:
    """One attached index. fold: the -i of that use. accepts: reads a value as its map's type does, raises ExpressionError. title: how
    it matches."""

    index: Index
    fold: bool
    accepts: Callable[[bytes], object] | None
    title: str = ""


class PatternList:
    """Entries in order, and the indexes that see them."""

    __slots__ = (
        "_next_generation",
        "_next_order",
        "_pending",
        "_shared",
        "description",
        "entries",
        "generation",
        "id",
        "is_map",
        "name",
        "uses",
    )

    def __init__(self, id: int, name: str, is_map: bool, description: str = "") -> None:
        self.id = id
        self.name = name  # file name; "" for patterns that stand in the configuration
        self.is_map = is_map
        self.description = description
        self.entries: dict[int, Entry] = {}  # by order
        self.generation = 0
        self._next_order = 1
        self._next_generation = 1
        self._pending: dict[int, list[Entry]] = {}
        self.uses: list[Use] = []
        self._shared: dict[str, Index] = {}

    def attach(self, index: Index, fold: bool = False, accepts: Callable[[bytes], object] | None = None, title: str = "") -> None:
        """Lets an index see all entries, now and later. Raises ExpressionError, attaching nothing, if an entry does not suit it."""
        use = Use(index, fold, accepts, title)
        for entry in self.entries.values():
            try:
                self._check_value(use, entry.key, entry.value)
                index.add(entry, fold)
            except ExpressionError as error:
                raise ExpressionError(f'file "{self.name}": {error}' if self.name else str(error), hint=error.hint) from None
        self.uses.append(use)

    def shared(self, key: str, make: Callable[[], Index], accepts: Callable[[bytes], object] | None = None) -> Index:
        """The index of that kind, made and attached on first use: a file used twice in the same way is indexed once."""
        title = key
        if accepts is not None:
            key += f" {accepts.__name__}"
        index = self._shared.get(key)
        if index is None:
            index = make()
            self.attach(index, False, accepts, title)
            self._shared[key] = index
        return index

    def add(self, key: bytes, value: bytes | None = None, generation: int | None = None) -> Entry:
        """Appends. Raises ExpressionError, changing nothing, if the key or value suits one of the uses not; KeyError for a generation
        that was not prepared."""
        entry = Entry(self._next_order, key, value, self.generation if generation is None else generation)
        if generation is not None and generation != self.generation:
            for use in self.uses:
                self._check(use, entry)
            self._pending[generation].append(entry)
        else:
            self._enter(entry)
            self.entries[entry.order] = entry
        self._next_order += 1
        return entry

    def delete(self, entry: Entry) -> None:
        if self.entries.pop(entry.order, None) is not None:
            for use in self.uses:
                use.index.remove(entry, use.fold)
        else:
            for pending in self._pending.values():
                if entry in pending:
                    pending.remove(entry)

    def set(self, entry: Entry, value: bytes) -> None:
        """Changes a map entry's value. Raises ExpressionError if a use does not take it."""
        for use in self.uses:
            self._check_value(use, entry.key, value)
        entry.value = value

    def clear(self, generation: int | None = None) -> None:
        if generation is not None and generation != self.generation:
            self._pending[generation].clear()
            return
        for entry in list(self.entries.values()):
            self.delete(entry)

    def clear_at(self, generation: int | None) -> None:
        """The same; a generation that there is not holds nothing."""
        if generation is None or generation == self.generation or generation in self._pending:
            self.clear(generation)

    def add_at(self, key: bytes, value: bytes | None, generation: int | None) -> None:
        """As add; what goes into a generation that is gone by now is never seen."""
        if generation is None or generation == self.generation or generation in self._pending:
            self.add(key, value, generation)

    def put(self, key: bytes, value: bytes | None) -> bool:
        """Each key once: one that is there gets the new value. None: the key goes. False: that changes nothing.

        By key alone: "#3" is no reference here. A key or value that a use cannot take changes nothing.
        """
        found = [entry for entry in self.entries.values() if entry.key == key]
        if value is None:
            for entry in found:
                self.delete(entry)
            return bool(found)
        try:
            if not found:
                self.add(key, value if self.is_map else None)
                return True
            if not self.is_map or all(entry.value == value for entry in found):
                return False
            for entry in found:
                self.set(entry, value)
        except ExpressionError:
            return False
        return True

    @property
    def last_generation(self) -> int:
        """Of those that were prepared, committed or not."""
        return self._next_generation - 1

    def entries_at(self, generation: int | None) -> list[Entry]:
        """The entries of a version, none for one that there is not."""
        known = generation is None or generation == self.generation or generation in self._pending
        return self.entries_of(generation) if known else []

    def prepare(self) -> int:
        """Opens a future generation and returns its number."""
        number = self._next_generation
        self._next_generation += 1
        self._pending[number] = []
        return number

    def commit(self, generation: int) -> None:
        """Replaces everything by that generation's entries; older ones that were not committed are dropped. KeyError if not prepared."""
        entering = self._pending.pop(generation)
        for entry in list(self.entries.values()):
            self.delete(entry)
        self.generation = generation
        for entry in entering:
            self._enter(entry)
            self.entries[entry.order] = entry
        for older in [number for number in self._pending if number < generation]:
            del self._pending[older]

    @property
    def pending_generations(self) -> tuple[int, ...]:
        return tuple(self._pending)

    def entries_of(self, generation: int | None = None) -> list[Entry]:
        """In order. KeyError for a generation that was not prepared."""
        if generation is None or generation == self.generation:
            return list(self.entries.values())
        return list(self._pending[generation])

    def select(self, text: str, generation: int | None = None) -> list[Entry]:
        """The entries an operator means: "#0x12" one by its reference, else all whose key is exactly that."""
        entries = self.entries_of(generation)
        if text.startswith("#"):
            try:
                order = int(text[1:], 16)
            except ValueError:
                return []
            return [entry for entry in entries if entry.order == order]
        key = text.encode("utf-8", "surrogateescape")
        return [entry for entry in entries if entry.key == key]

    def lookup(self, value: bytes) -> Iterator[tuple[Index, Entry | None]]:
        """What each use would find for a sample given as text: `get map`."""
        for use in self.uses:
            yield use.index, use.index.find(value)

    @property
    def indexes(self) -> tuple[Index, ...]:
        return tuple(use.index for use in self.uses)

    def _enter(self, entry: Entry) -> None:
        """Adds to all indexes or, when one refuses, to none."""
        done: list[Use] = []
        try:
            for use in self.uses:
                self._check_value(use, entry.key, entry.value)
                use.index.add(entry, use.fold)
                done.append(use)
        except ExpressionError:
            for use in done:
                use.index.remove(entry, use.fold)
            raise

    def _check(self, use: Use, entry: Entry) -> None:
        self._check_value(use, entry.key, entry.value)
        use.index.add(entry, use.fold)
        use.index.remove(entry, use.fold)

    @staticmethod
    def _check_value(use: Use, key: bytes, value: bytes | None) -> None:
        if use.accepts is not None:
            try:
                use.accepts(value or b"")
            except ExpressionError as error:
                raise ExpressionError(f'value of "{key.decode("utf-8", "replace")}": {error}') from None


class MapStore:
    """All pattern lists of one process, by id."""

    __slots__ = ("_by_name", "_forced", "_owned", "lists", "tell")

    def __init__(self) -> None:
        self.lists: list[PatternList] = []
        self.tell: Callable[[str], None] | None = None  # where a change that a rule makes is told, as a command
        self._by_name: dict[str, PatternList] = {}
        self._forced: dict[int, PatternList] = {}
        self._owned: dict[str, PatternList] = {}

    def file(self, name: str, is_map: bool, read_file: Callable[[str], bytes], description: str = "") -> PatternList:
        """The list of a file, read on first use. Raises ExpressionError (unreadable, or used both as map and as ACL before).

        "opt@NAME": no error if there is no such file. "virt@NAME": no file at all, filled at run time (3.0).
        """
        known = self._by_name.get(name)
        if known is not None:
            if known.is_map is not is_map:
                kinds = ("two-column map", "one-column list") if known.is_map else ("one-column list", "two-column map")
                raise ExpressionError(f'file "{name}" is already used as a {kinds[0]}: it cannot also be a {kinds[1]}')
            if description and description not in known.description:
                known.description += ", by " + description
            return known
        created = self._new(name, is_map, f"pattern loaded from file '{name}' used by {description}")
        for key, value in parse_lines(_contents(name, read_file), is_map, name):
            created.add(key, value)
        self._by_name[name] = created
        return created

    def inline(self, description: str, forced_id: int | None = None, owner: str = "") -> tuple[PatternList, bool]:
        """(list for the patterns that stand in one ACL, whether it is new). forced_id: -u. owner: who has one list, however often
        he asks; "" is nobody."""
        known = self._owned.get(owner)
        if known is not None:
            return known, False
        created = self._new("", False, description)
        if forced_id is not None:
            if forced_id in self._forced or any(other.id == forced_id for other in self.lists if other is not created):
                raise ExpressionError(f"ACL id {forced_id} (-u) is already in use")
            created.id = forced_id
            self._forced[forced_id] = created
        if owner:
            self._owned[owner] = created
        return created, True

    def find(self, reference: str, is_map: bool) -> PatternList | None:
        """By "#id", or by file name."""
        if reference.startswith("#"):
            number = reference[1:]
            wanted = int(number) if number.isdigit() else -1
            return next((found for found in self.lists if found.id == wanted and found.is_map is is_map), None)
        found = self._by_name.get(reference)
        return found if found is not None and found.is_map is is_map else None

    def named(self, name: str) -> PatternList | None:
        """A file's list, map or ACL."""
        return self._by_name.get(name)

    def _new(self, name: str, is_map: bool, description: str) -> PatternList:
        identity = len(self.lists)
        while identity in self._forced:
            identity += 1
        created = PatternList(identity, name, is_map, description)
        self.lists.append(created)
        return created


def _contents(name: str, read_file: Callable[[str], bytes]) -> bytes:
    if name.startswith("virt@"):
        return b""
    optional = name.startswith("opt@")
    path = name.removeprefix("opt@").removeprefix("file@")
    try:
        return read_file(path)
    except FileNotFoundError as error:
        if optional:
            return b""
        raise ExpressionError(f'cannot read pattern file "{path}": {error.strerror or error}') from None
    except OSError as error:
        raise ExpressionError(f'cannot read pattern file "{path}": {error.strerror or error}') from None


def parse_lines(contents: bytes, is_map: bool, name: str) -> Iterable[tuple[bytes, bytes | None]]:
    """(key, value) of each line of a pattern file; value is None unless it is a map. Comments and empty lines are left out.

    Leading blanks are stripped from keys; a one-column line is taken to its end. A "#" starts a comment only in the first column.
    """
    for number, line in enumerate(contents.split(b"\n"), 1):
        if len(line) > LINE_LENGTH_MAX:
            raise ExpressionError(f'line {number} of "{name}" is longer than {LINE_LENGTH_MAX} bytes')
        line = line.removesuffix(b"\r")
        if line.startswith(b"#"):
            continue
        line = line.lstrip(b" \t")
        if not line:
            continue
        if not is_map:
            yield line, None
            continue
        key, *rest = re.split(rb"[ \t]+", line, maxsplit=1)
        yield key, rest[0].rstrip(b" \t") if rest else b""
