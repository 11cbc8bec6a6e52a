"""The `log` line: where messages go, in which form, and which of them.

`log global` in a proxy stands for the log lines of section global. Rings and TCP receivers need a buffer between a slow receiver and
the data plane that survives it; they are refused with what to use instead.
Sans-io.
Source: HAProxy configuration manual 3.1 "log", 4.2 "log"; 8.1 (levels).
"""

from __future__ import annotations

import re

from common.config.address import LOG, AddressError, parse_address
from common.config.statement import Statement, Words
from common.config.suggest import did_you_mean
from common.model import Address, LogTarget

LENGTH_MIN, LENGTH_MAX, LENGTH_DEFAULT = 80, 65535, 1024
SAMPLE_MAX = 1 << 20
FORMATS = ("local", "rfc3164", "rfc5424", "priority", "short", "timed", "iso", "raw")
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp", "audit", "alert", "cron2"),
    *(f"local{number}" for number in range(8)),
)
LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
LOG_STEPS = (
    *("accept", "any", "close", "connect", "error", "request", "response"),
    *("http-req", "http-res", "http-after-res", "tcp-req-conn", "tcp-req-sess", "tcp-req-cont"),
)
_RANGES = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*:[0-9]+")
_EXPECTS = "log : expects <address> and <facility>%s as arguments"


def parse_target(statement: Statement, *, in_proxy: bool) -> LogTarget:
    """The target of one `log` line. Raises Fault."""
    words = Words(statement)
    expects = _EXPECTS % (" or global" if in_proxy else " ")
    if not words:
        raise statement.fault(expects, 0, "For example: log 127.0.0.1:514 local0")
    if in_proxy and words.peek() == "global":
        if len(words.texts) > 1:
            raise statement.fault(f"'log global' cannot handle unexpected argument '{words.texts[1]}'.", 1)
        return LogTarget(statement.place, None, use_global=True)
    stream, address = _receiver(words)
    length, form, profile = LENGTH_DEFAULT, "", ""
    sample: tuple[tuple[int, int], ...] = ()
    sample_size = 0
    while words.peek() in ("len", "format", "sample", "profile"):
        option = words.next()
        if option == "len":
            length = _length(words)
        elif option == "format":
            form = _known(words, FORMATS, "format")
        elif option == "profile":
            profile = words.required("a log-profile name")
        else:
            sample, sample_size = _sample(words)
    if not words:
        raise statement.fault(expects, words.position, f"Facilities are {', '.join(FACILITIES)}.")
    facility = _known(words, FACILITIES, "facility")
    level = _known(words, LEVELS, "optional log level") if words else "debug"
    min_level = _known(words, LEVELS, "optional minimum log level") if words else "emerg"
    if words:
        raise statement.fault(f"log : cannot handle unexpected argument '{words.peek()}'.", words.position)
    return LogTarget(
        statement.place, address, stream, length, form, facility, level, min_level, sample, sample_size, use_global=False, profile=profile
    )


def _receiver(words: Words) -> tuple[str, Address | None]:
    text = words.next()
    if text in ("stdout", "stderr"):
        return text, None
    if text.startswith("backend@"):
        raise words.fault(
            "log : log backends are not supported by Usher", "Name the receivers on several log lines, with sample to share them."
        )
    if text.startswith(("tcp@", "tcp4@", "tcp6@", "stream+")):
        raise words.fault("log : TCP receivers are not supported by Usher", "Log by UDP or to a local syslog server that forwards by TCP.")
    try:
        address = parse_address(text, LOG)
    except AddressError as error:
        raise words.fault(f"log : {error.message}", error.hint) from None
    return "", address


def _length(words: Words) -> int:
    text = words.required("a length")
    if not re.fullmatch(r"[0-9]{1,9}", text) or not LENGTH_MIN <= int(text) <= LENGTH_MAX:
        raise words.fault(f"log : invalid log length '{text}', must be between {LENGTH_MIN} and {LENGTH_MAX}")
    return int(text)


def _known(words: Words, known: tuple[str, ...], what: str) -> str:
    text = words.next() if words else ""
    if text not in known:
        raise words.fault(
            f"log : unknown {'log ' if what in ('facility', 'format') else ''}{what} '{text}'{did_you_mean(text, known)}",
            f"Known are {', '.join(known)}.",
        )
    return text


def _sample(words: Words) -> tuple[tuple[tuple[int, int], ...], int]:
    """`<ranges>:<size>`: indexes from 1 to size whose messages are sent."""
    text = words.required("<ranges>:<sample_size>")
    if not _RANGES.fullmatch(text) or len(text) > 4096:
        raise words.fault(f"log : invalid sample '{text}'", "Write ranges and the size of the sample, as in sample 1,3-5:10")
    ranges_text, _, size_text = text.rpartition(":")
    size = int(size_text)
    ranges: list[tuple[int, int]] = []
    for part in ranges_text.split(","):
        first, _, last = part.partition("-")
        ranges.append((int(first), int(last or first)))
    if not 1 <= size <= SAMPLE_MAX:
        raise words.fault(f"log : invalid sample size '{size_text}'", f"1 to {SAMPLE_MAX} are possible.")
    ranges.sort()
    for (low, high), following in zip(ranges, [*ranges[1:], (size + 1, size + 1)], strict=True):
        if not 1 <= low <= high:
            raise words.fault(f"log : invalid range '{low}-{high}' in sample", "Ranges count from 1, the lower number first.")
        if high > size:
            raise words.fault(f"log : range '{low}-{high}' is above the sample size {size}")
        if high >= following[0]:
            raise words.fault(f"log : sample ranges '{low}-{high}' and '{following[0]}-{following[1]}' overlap")
    return tuple(ranges), size
