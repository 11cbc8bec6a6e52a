"""What section global says of TLS, for all contexts of a process.

Source: HAProxy manual 3.1 "ssl-dh-param-file", "ssl-security-level"; 3.2 "tune.ssl.…"; RFC 7919 appendix A (Diffie-Hellman groups).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache

from common.errors import ConfigError
from common.model import Global
from common.units import parse_time

LIFETIME_S = 300.0
DH_BITS = 2048
IDLE_S = 1.0
ROTATION_S = 12 * 3600.0

# RFC 7919: p = 2^bits - 2^(bits-64) + (floor(2^(bits-130) e) + offset) 2^64 - 1
_OFFSETS = {2048: 560316, 3072: 2625351, 4096: 5736041, 6144: 15705020, 8192: 10965728}


@dataclass(frozen=True, slots=True)
class Tuning:
    """max_record, hard_max_record: bytes, 0 = no limit of ours. lifetime_s: of sessions. dh: parameters in PEM.

    capture_bytes: of hellos that are kept. rotation_s: of ticket keys.
    """

    max_record: int = 0
    hard_max_record: int = 0
    idle_s: float = IDLE_S
    lifetime_s: float = LIFETIME_S
    keeps_sessions: bool = True
    security_level: int | None = None
    dh: bytes = b""
    capture_bytes: int = 0
    keeps_secrets: bool = False
    rotation_s: float = ROTATION_S

    @classmethod
    def of(cls, settings: Global) -> Tuning:
        """Raises ConfigError."""
        tune = settings.tune
        level = settings.extra.get("ssl-security-level", ())
        return cls(
            max_record=_number(tune, "tune.ssl.maxrecord"),
            hard_max_record=_number(tune, "tune.ssl.hard-maxrecord"),
            idle_s=_time(tune, "tune.idletimer", IDLE_S, "ms"),
            lifetime_s=_time(tune, "tune.ssl.lifetime", LIFETIME_S, "s"),
            keeps_sessions=_number(tune, "tune.ssl.cachesize", 1) > 0,
            security_level=int(level[-1][0]) if level else None,
            dh=_parameters(settings),
            capture_bytes=_number(tune, "tune.ssl.capture-buffer-size") or _number(tune, "tune.ssl.capture-cipherlist-size"),
            keeps_secrets=tune.get("tune.ssl.keylog", ("off",))[0] == "on",
            rotation_s=_time(tune, "tune.ssl.ticket-rotation", ROTATION_S, "ms"),
        )


def _number(tune: dict[str, tuple[str, ...]], name: str, default: int = 0) -> int:
    return int(tune[name][0]) if name in tune else default


def _time(tune: dict[str, tuple[str, ...]], name: str, default: float, unit: str) -> float:
    return parse_time(tune[name][0], unit) if name in tune else default


def _parameters(settings: Global) -> bytes:
    files = settings.extra.get("ssl-dh-param-file", ())
    if not files:
        return group(_bits(_number(settings.tune, "tune.ssl.default-dh-param", DH_BITS)))
    path = files[-1][0]
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ConfigError(f"unable to load DH parameters from file '{path}': {error.strerror}") from error
    if b"BEGIN DH PARAMETERS" not in data:
        raise ConfigError(f"unable to load DH parameters from file '{path}': no PEM parameters in it")
    return data


def _bits(wanted: int) -> int:
    """The largest group that is not above what is wanted; the smallest there is for less than that."""
    return max((bits for bits in _OFFSETS if bits <= wanted), default=min(_OFFSETS))


@cache
def group(bits: int) -> bytes:
    """A Diffie-Hellman group of RFC 7919, in PEM."""
    prime = (1 << bits) - (1 << (bits - 64)) + ((_e(bits - 130) + _OFFSETS[bits]) << 64) - 1
    body = _integer(prime) + _integer(2)
    text = base64.encodebytes(b"\x30" + _length(len(body)) + body)
    return b"-----BEGIN DH PARAMETERS-----\n" + text + b"-----END DH PARAMETERS-----\n"


def _integer(number: int) -> bytes:
    """DER."""
    content = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return b"\x02" + _length(len(content)) + content


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def _e(bits: int) -> int:
    """floor(2^bits e), by its series with 64 bits to spare."""
    term = total = 1 << (bits + 64)
    divisor = 0
    while term:
        divisor += 1
        term //= divisor
        total += term
    return total >> 64
