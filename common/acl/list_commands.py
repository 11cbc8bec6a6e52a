"""What operators ask of maps and ACLs at run time, and what rules have changed in other processes. Sans-io.

    answer(maps, ("get", "map", "/etc/hosts.map", "a.example"), None) -> the text of the answer

A list is named by its file or as #id; @<version> before it means entries that were prepared and not committed yet. Every worker holds
its own lists and is given the same commands in the same order, so the numbers of entries and versions are the same everywhere.

Source: HAProxy management guide 9.3, "add map" … "show map" and the same for acl.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from common.acl.addresses import parse_address
from common.acl.casts import integer_of
from common.acl.indexes import Entry
from common.acl.indexes_numbers import AddressIndex, IntegerIndex
from common.acl.maps import MapStore, PatternList, Use
from common.errors import ExpressionError

_VERBS = ("add", "clear", "commit", "del", "get", "prepare", "share", "show")
NAMES = (*(f"{verb} {kind}" for kind in ("acl", "map") for verb in _VERBS), "set map")

_TITLES = {True: "map", False: "ACL"}
_SEVERAL = "This command expects two parameters: {} identifier and key.\n"
_NEEDS = {
    ("add", True): "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload\n",
    ("add", False): "'add acl' expects two parameters: ACL identifier and pattern.\n",
    ("set", True): "'set map' expects three parameters: map identifier, key and value.\n",
}
_KINDS_OF_VALUES = {4: "ipv4", 16: "ipv6"}


class _Refused(Exception):
    """The command cannot be obeyed; the text says why."""


def answer(maps: MapStore, words: Sequence[str], payload: str | None) -> str:
    """words: all of the line. "" when there is nothing to say, as after every change."""
    verb, kind = words[0], words[1]
    try:
        return _COMMANDS[verb](maps, kind == "map", _Arguments(words[2:]), payload)
    except _Refused as refusal:
        return str(refusal)
    except ExpressionError as error:
        return f"{error}\n"


class _Arguments:
    """What follows `add map` and its like: a version that may stand first, then words."""

    __slots__ = ("version", "words")

    def __init__(self, words: Sequence[str]) -> None:
        self.version: int | None = None
        if words and words[0].startswith("@"):
            digits = words[0][1:]
            self.version = int(digits) if digits.isdecimal() else -1
            words = words[1:]
        self.words = list(words)

    def word(self, index: int) -> str:
        return self.words[index] if index < len(self.words) else ""


def _list(maps: MapStore, is_map: bool, reference: str) -> PatternList:
    found = maps.find(reference, is_map)
    if found is None:
        raise _Refused(f"Unknown {_TITLES[is_map]} identifier. Please use #<id> or <file>.\n")
    return found


def _show(maps: MapStore, is_map: bool, arguments: _Arguments, payload: str | None) -> str:
    reference = arguments.word(0)
    if not reference:
        return "# id (file) description\n" + "".join(_summary(one) for one in maps.lists if one.is_map is is_map)
    found = _list(maps, is_map, reference)
    return "".join(_line(entry, is_map) for entry in found.entries_at(arguments.version))


def _summary(one: PatternList) -> str:
    counts = f"curr_ver={one.generation} next_ver={one.last_generation} entry_cnt={len(one.entries)}"
    return f"{one.id} ({one.name}) {one.description}. {counts}\n"


def _line(entry: Entry, is_map: bool) -> str:
    value = f" {_text(entry.value or b'')}" if is_map else ""
    return f"0x{entry.order:x} {_text(entry.key)}{value}\n"


def _add(maps: MapStore, is_map: bool, arguments: _Arguments, payload: str | None) -> str:
    reference, key, value = (arguments.word(index) for index in range(3))
    if not reference or (not key and not (is_map and payload is not None)) or (is_map and key and not value and payload is None):
        raise _Refused(_NEEDS["add", is_map])
    found = _list(maps, is_map, reference)
    if arguments.version is not None and arguments.version > found.last_generation:
        raise _Refused(f"Version number in the future, please use 'prepare {'map' if is_map else 'acl'}' before.\n")
    if payload is None or not is_map:
        pairs = iter([(_bytes(key), _bytes(value) if is_map else None)])
    else:
        pairs = iter(list(_pairs(payload)))  # all of it reads, or nothing is added
    for one, its_value in pairs:
        found.add_at(one, its_value, arguments.version)
    return ""


def _pairs(payload: str) -> Iterator[tuple[bytes, bytes]]:
    for line in payload.split("\n"):
        key, *value = line.strip(" \t\r").split(maxsplit=1)[:2] if line.strip(" \t\r") else ("",)
        if key and not value:
            raise _Refused(f"Missing value for key '{key}'.\n")
        if key:
            yield _bytes(key), _bytes(value[0])


def _set(maps: MapStore, is_map: bool, arguments: _Arguments, payload: str | None) -> str:
    reference, key, value = (arguments.word(index) for index in range(3))
    if not (reference and key and value):
        raise _Refused(_NEEDS["set", True])
    found = _list(maps, True, reference)
    entries = found.select(key)
    if not entries:
        raise _Refused("key or pattern not found.\n" if _is_reference(key) else "entry not found.\n")
    for entry in entries:
        found.set(entry, _bytes(value))
    return ""


def _delete(maps: MapStore, is_map: bool, arguments: _Arguments, payload: str | None) -> str:
    reference, key = arguments.word(0), arguments.word(1)
    if arguments.version is not None:
        reference, key = "@", ""
    if not (reference and key) and reference != "@":
        raise _Refused(_SEVERAL.format(_TITLES[is_map]))
    found = _list(maps, is_map, reference)
    entries = found.select(key)
    if not entries:
        raise _Refused("Key not found.\n")
    for entry in entries:
        found.delete(entry)
    return ""


def _is_reference(key: str) -> bool:
    try:
        return key.startswith("#") and int(key[1:], 16) >= 0
    except ValueError:
        return False


def _clear(maps: MapStore, is_map: bool, arguments: _Arguments, payload: str | None) -> str:
    if not arguments.word(0):
        raise _Refused(f"Missing {_TITLES[is_map]} identifier.\n")
    _list(maps, is_map, arguments.word(0)).clear_at(arguments.version)
    return ""


def _prepare(maps: MapStore, is_map: bool, arguments: _Arguments, payload: str | None) -> str:
    return f"New version created: {_list(maps, is_map, arguments.word(0)).prepare()}\n"


def _commit(maps: MapStore, is_map: bool, arguments: _Arguments, payload: str | None) -> str:
    if arguments.version is None:
        raise _Refused("Missing version number.\n")
    found = _list(maps, is_map, arguments.word(0))
    if not found.generation < arguments.version <= found.last_generation:
        raise _Refused("Version number out of range.\n")
    found.commit(arguments.version)
    return ""


# --- looking up ----------------------------------------------------------------------------------------------------------


def _get(maps: MapStore, is_map: bool, arguments: _Arguments, payload: str | None) -> str:
    reference, value = arguments.word(0), arguments.word(1)
    if not (reference and value):
        raise _Refused(f"Missing {_TITLES[is_map]} identifier and/or key.\n")
    found = _list(maps, is_map, reference)
    lines = [_found(use, _bytes(value), is_map) for use in found.uses]
    return "".join(dict.fromkeys(lines))


def _found(use: Use, value: bytes, is_map: bool) -> str:
    """What one way of matching finds for a sample that is given as text."""
    folds = "insensitive" if use.fold else "sensitive"
    sample = _sample(use, value)
    entry = None if sample is None else use.index.find(sample)
    word = "found" if is_map else "match"
    start = f"type={use.title}, case={folds}, {word}={'no' if entry is None else 'yes'}"
    if entry is None:
        return f"{start}\n"
    shape = "tree" if use.title in ("str", "beg", "ip", "bin", "end") and not use.fold else "list"
    if not is_map:
        return f'{start}, idx={shape}, pattern="{_text(entry.key)}"\n'
    return f'{start}, idx={shape}, key="{_text(entry.key)}", value="{_text(entry.value or b"")}", type="{_kind(use, entry)}"\n'


def _sample(use: Use, value: bytes) -> object:
    if isinstance(use.index, AddressIndex):
        return parse_address(value)
    if isinstance(use.index, IntegerIndex) and use.title != "len":
        return integer_of(value) if value.lstrip(b"-")[:1].isdigit() else None
    return value


def _kind(use: Use, entry: Entry) -> str:
    """The type that a map's value has for this use."""
    if use.accepts is None:
        return "str"
    try:
        made = use.accepts(entry.value or b"")
    except ExpressionError:
        return "str"
    return _KINDS_OF_VALUES.get(len(made), "str") if isinstance(made, bytes) else "sint"


# --- changes of rules ----------------------------------------------------------------------------------------------------


def shared_change(is_map: bool, file: str, key: bytes, value: bytes | None) -> str:
    """The command that tells other processes what a rule has changed here. value: b"" for an ACL's entry, None: deleted.

    In hexadecimal: what comes from clients must not be read as words of a command.
    """
    what = "-" if value is None else f"={value.hex()}"
    return f"share {'map' if is_map else 'acl'} {file.encode('utf-8', 'surrogateescape').hex()} ={key.hex()} {what}"


def _share(maps: MapStore, is_map: bool, arguments: _Arguments, payload: str | None) -> str:
    """Obeyed by the process that made the change as well: all end with the change that was told last."""
    file = bytes.fromhex(arguments.word(0)).decode("utf-8", "surrogateescape")
    found = maps.find(file, is_map)
    if found is not None:
        value = arguments.word(2)
        found.put(bytes.fromhex(arguments.word(1)[1:]), bytes.fromhex(value[1:]) if value.startswith("=") else None)
    return ""


_COMMANDS = {
    "add": _add,
    "clear": _clear,
    "commit": _commit,
    "del": _delete,
    "get": _get,
    "prepare": _prepare,
    "set": _set,
    "share": _share,
    "show": _show,
}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
