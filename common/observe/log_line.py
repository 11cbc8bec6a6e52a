"""Log lines as receivers want them: levels, facilities, headers, length, sampling. Sans-io.

Source: HAProxy configuration manual 4.2 `log`, RFC 3164 section 4, RFC 5424 section 6, sd-daemon(3) for `short`.

The text of a line is made elsewhere (common/acl/logformat). Here it gets the header of the target's format:

    local     <134>Nov 22 20:28:51 usher[123]: text
    rfc3164   <134>Nov 22 20:28:51 host usher[123]: text
    rfc5424   <134>1 2026-11-22T20:28:51.815528+00:00 host usher 123 - [structured="data"] text
    priority  <134>text
    short     <6>text
    timed     <6>2026-11-22T20:28:51.815540+00:00 text
    iso       2026-11-22T20:28:51.815543+00:00 text
    raw       text

Headers are cached per second and level, because formatting a date costs more than sending the line.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from common.model import LogTarget

LEVELS: Final = {"emerg": 0, "alert": 1, "crit": 2, "err": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
_FACILITY_NAMES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
    "uucp", "cron", "auth2", "ftp", "ntp", "audit", "alert", "cron2",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
FACILITIES: Final = {name: number for number, name in enumerate(_FACILITY_NAMES)}
FORMATS: Final = ("local", "rfc3164", "rfc5424", "priority", "short", "timed", "iso", "raw")
LENGTH_MIN: Final = 80
LENGTH_MAX: Final = 65535
DEFAULT_PORT: Final = 514

NO_STRUCTURED_DATA: Final = b"-"
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
# What would end a line early, or forge another one, once it is in a file or on a stream.
_LINE_BREAKS = bytes.maketrans(b"\n\r\0", b"   ")


@dataclass(frozen=True, slots=True)
class Stamps:
    """One second, as each format writes it. fraction goes between iso and zone."""

    epoch: int
    rfc3164: bytes
    iso: bytes
    zone: bytes


def stamps(epoch: int, utc_offset_s: int) -> Stamps:
    """The stamps of a second, in a zone so many seconds east of UTC."""
    moment = datetime.datetime.fromtimestamp(epoch, datetime.timezone(datetime.timedelta(seconds=utc_offset_s)))
    sign, offset_min = ("+", utc_offset_s // 60) if utc_offset_s >= 0 else ("-", -utc_offset_s // 60)
    return Stamps(
        epoch,
        b"%s %2d %02d:%02d:%02d" % (_MONTHS[moment.month - 1], moment.day, moment.hour, moment.minute, moment.second),
        moment.strftime("%Y-%m-%dT%H:%M:%S").encode(),
        b"%c%02d:%02d" % (sign.encode(), offset_min // 60, offset_min % 60),
    )


class Sample:
    """`sample 1,3-4:5`: of each `size` lines in a row, those whose index (from 1) is in one of the ranges."""

    __slots__ = ("_next", "_wanted")

    def __init__(self, ranges: tuple[tuple[int, int], ...], size: int) -> None:
        self._wanted = [any(low <= index <= high for low, high in ranges) for index in range(1, size + 1)]
        self._next = 0

    def take(self) -> bool:
        """Whether the next line is one of the sample."""
        wanted = self._wanted[self._next]
        self._next = (self._next + 1) % len(self._wanted)
        return wanted


class LineWriter:
    """Renders lines for one target.

    tag and pid: what the header names (the pid is the master's: one pid names the service). hostname: "" when
    `log-send-hostname` is not set; then the default format is `local`, and rfc3164 says "localhost", rfc5424 "-".
    """

    __slots__ = ("_cut", "_fraction", "_heads", "_hostname", "_middle", "_pid", "_priority", "_second", "_tag", "format")

    def __init__(self, target: LogTarget, tag: str, pid: int, hostname: str = "") -> None:
        self.format = target.format or ("rfc3164" if hostname else "local")
        self._tag, self._pid, self._hostname = tag.encode(), b"%d" % pid, hostname.encode()
        self._priority = 0 if self.format in ("short", "timed") else FACILITIES[target.facility] * 8
        self._cut = target.length
        self._second = -1
        self._heads: list[bytes | None] = [None] * len(LEVELS)
        self._fraction = self.format in ("rfc5424", "timed", "iso")
        self._middle = b""

    def render(self, level: int, text: bytes, now: Stamps, microsecond: int, structured: bytes = NO_STRUCTURED_DATA) -> bytes:
        """The whole line, ended by LF, cut to the target's length (which does not count the LF)."""
        if now.epoch != self._second:
            self._new_second(now)
        head = self._heads[level] or self._new_head(level, now)
        if self._fraction:
            head = b"%s%06d%s" % (head, microsecond, self._middle)
            if self.format == "rfc5424":
                head = b"%s%s " % (head, structured)
        if b"\n" in text or b"\r" in text or b"\0" in text:
            text = text.translate(_LINE_BREAKS)
        if len(head) + len(text) > self._cut:
            return (head + text)[: self._cut] + b"\n"
        return b"%s%s\n" % (head, text)

    def _new_second(self, now: Stamps) -> None:
        self._second = now.epoch
        self._heads = [None] * len(LEVELS)
        zone = now.zone + b" "
        if self.format == "rfc5424":
            zone += b"%s %s %s - " % (self._hostname or b"-", self._tag, self._pid)
        self._middle = zone

    def _new_head(self, level: int, now: Stamps) -> bytes:
        priority = b"<%d>" % (self._priority + level)
        if self.format == "local":
            head = b"%s%s %s[%s]: " % (priority, now.rfc3164, self._tag, self._pid)
        elif self.format == "rfc3164":
            head = b"%s%s %s %s[%s]: " % (priority, now.rfc3164, self._hostname or b"localhost", self._tag, self._pid)
        elif self.format == "rfc5424":
            head = b"%s1 %s." % (priority, now.iso)
        elif self.format == "timed":
            head = b"%s%s." % (priority, now.iso)
        elif self.format == "iso":
            head = now.iso + b"."
        else:
            head = b"" if self.format == "raw" else priority
        self._heads[level] = head
        return head
