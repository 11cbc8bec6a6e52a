"""The words of a `stick-table` line, of `table` lines in peers, and of `stick` rules.

Sans-io.
Source: HAProxy configuration manual 4.2 "stick-table", "stick on", 3.5 "table".
"""

from __future__ import annotations

import re

from common.config.statement import Statement, Words
from common.config.suggest import did_you_mean
from common.units import parse_size, parse_time

TYPES = ("ip", "ipv6", "integer", "string", "binary")
DEFAULT_LENGTH = 32
LENGTH_MAX = 1 << 16
ARRAY_MAX = 100

_COUNTERS = (
    *("server_id", "gpc0", "gpc1", "gpt0", "conn_cnt", "conn_cur", "sess_cnt", "http_req_cnt", "http_err_cnt", "http_fail_cnt"),
    *("bytes_in_cnt", "bytes_out_cnt", "glitch_cnt"),
)
_RATES = (
    *("gpc0_rate", "gpc1_rate", "conn_rate", "sess_rate", "http_req_rate", "http_err_rate", "http_fail_rate", "bytes_in_rate"),
    *("bytes_out_rate", "glitch_rate"),
)
_ARRAYS = ("gpc", "gpt")
_ARRAY_RATES = ("gpc_rate",)
DATA_TYPES = (*_COUNTERS, *_RATES, *_ARRAYS, *_ARRAY_RATES)
_DATA = re.compile(r"([a-z_0-9]+)(?:\(([^()]*)\))?")
_OPTIONS = ("type", "size", "expire", "nopurge", "peers", "srvkey", "store", "write-to", "recv-only", "brates-factor")


def check_table(statement: Statement, start: int, *, peers_allowed: bool = True) -> None:
    """The words of a table from argument `start` on. Raises Fault at the first that is wrong."""
    words = Words(statement, start)
    seen: set[str] = set()
    stored: set[str] = set()
    while words:
        name = words.next()
        if name == "type":
            _type(words)
        elif name == "size":
            _size(words)
        elif name == "expire":
            _time(words, "expire")
        elif name == "srvkey":
            if words.required("'name' or 'addr'") not in ("name", "addr"):
                raise words.fault("stick-table: 'srvkey' only supports 'name' and 'addr'.")
        elif name == "store":
            _store(words, stored)
        elif name == "peers":
            words.required("a peers section")
            if not peers_allowed:
                raise words.fault("'peers' is not permitted in a table of a peers section.")
        elif name == "brates-factor":
            if not re.fullmatch(r"[0-9]{1,4}", words.required("a factor")):
                raise words.fault("stick-table: 'brates-factor' expects a number from 1 to 1024.")
        elif name == "write-to":
            raise words.fault("stick-table: 'write-to' is not supported by Usher", "Let the workers write to one table and read that.")
        elif name not in ("nopurge", "recv-only"):
            raise words.fault(f"stick-table: unknown argument '{name}'{did_you_mean(name, _OPTIONS, otherwise='.')}")
        seen.add(name)
    if "type" not in seen:
        raise statement.fault("stick-table: missing type.", hint="For example: stick-table type ip size 100k expire 30m")
    if "size" not in seen:
        raise statement.fault("stick-table: missing size.", hint="For example: stick-table type ip size 100k expire 30m")
    _settle(statement, seen, stored)


def _settle(statement: Statement, seen: set[str], stored: set[str]) -> None:
    for array, single in (("gpc", ("gpc0", "gpc1")), ("gpc_rate", ("gpc0_rate", "gpc1_rate")), ("gpt", ("gpt0",))):
        both = [name for name in single if name in stored]
        if array in stored and both:
            raise statement.fault(f"stick-table: '{both[0]}' cannot be stored beside the array '{array}', which holds it.")
    if "nopurge" in seen and "expire" not in seen:
        statement.note(
            "stick-table: 'nopurge' without 'expire': once full, the table takes no new entry ever again", hint="Add expire TIME."
        )


def _type(words: Words) -> None:
    name = words.required("a type")
    if name not in TYPES:
        raise words.fault(f"stick-table: unknown type '{name}'{did_you_mean(name, TYPES, otherwise='.')}", f"Known are {', '.join(TYPES)}.")
    if words.peek() != "len":
        return
    words.next()
    if name not in ("string", "binary"):
        raise words.fault(f"stick-table: type '{name}' takes no length.")
    text = words.required("a length")
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= LENGTH_MAX:
        raise words.fault(f"stick-table: length '{text}' is no number between 1 and {LENGTH_MAX}.")


def _size(words: Words) -> None:
    text = words.required("a size")
    try:
        size = parse_size(text)
    except ValueError:
        raise words.fault(f"stick-table: unexpected size '{text}'.", "Write how many entries, as in 100k.") from None
    if not 1 <= size < 1 << 31:
        raise words.fault(f"stick-table: size '{text}' is out of range.")


def _time(words: Words, name: str) -> None:
    text = words.required("a time")
    try:
        parse_time(text)
    except ValueError as error:
        raise words.fault(f"stick-table: '{name}': {error}") from None


def _store(words: Words, stored: set[str]) -> None:
    """`store <type>[(<argument>[,<period>])][,…]`."""
    for item in _items(words.required("a comma-delimited list of data types")):
        match = _DATA.fullmatch(item)
        name = match[1] if match else item
        if not match or name not in DATA_TYPES:
            raise words.fault(f"stick-table: unknown data type '{name}'{did_you_mean(name, DATA_TYPES, otherwise='.')}")
        if name in stored:
            raise words.fault(f"stick-table: data type '{name}' is stored twice.")
        arguments = [part.strip() for part in match[2].split(",")] if match[2] is not None else []
        _arguments(words, name, arguments)
        stored.add(name)


def _items(text: str) -> list[str]:
    """Split at commas outside parentheses."""
    return re.findall(r"(?:[^,(]|\([^)]*\)?)+", text)


def _arguments(words: Words, name: str, arguments: list[str]) -> None:
    wanted = 1 if name in _ARRAYS or name in _RATES else 2 if name in _ARRAY_RATES else 0
    if len(arguments) != wanted:
        form = {0: name, 1: f"{name}(<{'number' if name in _ARRAYS else 'period'}>)", 2: f"{name}(<number>,<period>)"}[wanted]
        raise words.fault(f"stick-table: data type '{name}' is written {form}.")
    if name in _ARRAYS + _ARRAY_RATES and not (re.fullmatch(r"[0-9]{1,3}", arguments[0]) and 1 <= int(arguments[0]) <= ARRAY_MAX):
        raise words.fault(f"stick-table: '{name}' has 1 to {ARRAY_MAX} elements (got '{arguments[0]}').")
    if name in _RATES + _ARRAY_RATES:
        try:
            seconds = parse_time(arguments[-1])
        except ValueError as error:
            raise words.fault(f"stick-table: period of '{name}': {error}") from None
        if seconds <= 0:
            raise words.fault(f"stick-table: period of '{name}' must be above zero.")
