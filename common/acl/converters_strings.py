"""Converters of strings: case, parts, joining, replacing. Sans-io. Source: HAProxy configuration manual 7.3.1."""

from __future__ import annotations

from common.acl.table import ConverterTable
from common.acl.types import SampleType

TABLE = ConverterTable()

_S = SampleType.STR


@TABLE.plain("lower", _S, _S, "In lower case.")
def lower(value: bytes) -> bytes:
    return value.lower()


@TABLE.plain("upper", _S, _S, "In upper case.")
def upper(value: bytes) -> bytes:
    return value.upper()


@TABLE.plain("length", _S, SampleType.INT, "The number of bytes.")
def length(value: bytes) -> int:
    return len(value)
