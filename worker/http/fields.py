"""Field sections that the strict grammar does not match: header fields of unusual heads, trailer fields. Sans-io. Cold path.

What is repaired and what refused is told in worker/http/repair.py.

Source: RFC 9112 sections 2.2 and 5; RFC 9110 section 5.5.
"""

from __future__ import annotations

from common.errors import WireError
from worker.http.grammar import CONTROLS_TO_SPACE, HEAD_END, SPECIAL_FIELDS, TOKEN_ONLY, TOLERANT_FIELD_LINE

Fields = list[tuple[bytes, bytes]]


def section_end(section: bytes) -> int | None:
    """Index behind the empty line that ends a section of at least one line; None if it has not come. Lines may end in LF alone."""
    match = HEAD_END.search(section)
    return None if match is None else match.end()


def read_fields(section: bytes, *, strict: bool) -> Fields:
    """The fields of a complete section, its empty line included: (name as received, value without OWS). Raises WireError."""
    match = HEAD_END.search(section)
    assert match is not None
    lines = split_lines(section[: match.start() + 1], section[match.start() :], strict=strict)
    return fields_of(lines, strict=strict)


def split_lines(text: bytes, ending: bytes, *, strict: bool) -> list[bytes]:
    """The lines of a text without their ends. ending: from the last line's LF to the end of the empty line behind it.

    Raises WireError for CR elsewhere than before LF; when strict, for an LF without CR.
    """
    lines = text[:-1].split(b"\n")
    if strict and not (ending == b"\n\r\n" and all(line.endswith(b"\r") for line in lines)):
        raise WireError("bare_lf")
    lines = [line.removesuffix(b"\r") for line in lines]
    if any(b"\r" in line for line in lines):
        raise WireError("bare_cr")
    return lines


def fields_of(lines: list[bytes], *, strict: bool) -> Fields:
    """The fields on these lines, folded ones joined. Raises WireError."""
    fields: Fields = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if not fields:
                raise WireError("space_before_first_field")
            if strict:
                raise WireError("folded_field")
            name, value = fields[-1]
            fields[-1] = (name, (value + b" " + _clean_value(name, line, strict=strict)).strip(b" \t"))
            continue
        match = TOLERANT_FIELD_LINE.fullmatch(line)
        if match is None:
            raise WireError(_fault(line))
        fields.append((match[1], _clean_value(match[1], match[2], strict=strict)))
    return fields


def field_lines(fields: Fields) -> bytes:
    """The fields and the empty line."""
    return b"".join([name + b": " + value + b"\r\n" for name, value in fields]) + b"\r\n"


def _clean_value(name: bytes, value: bytes, *, strict: bool) -> bytes:
    """The value without OWS and control characters."""
    if b"\x00" in value:
        raise WireError("nul_in_field")
    value = value.strip(b" \t")
    cleaned = value.translate(CONTROLS_TO_SPACE).strip(b" ")
    if cleaned != value and (strict or SPECIAL_FIELDS.match(b"\n" + name + b":") is not None):
        raise WireError("control_in_field")
    return cleaned


def _fault(line: bytes) -> str:
    """Why this is no field line: a slug."""
    name, colon, value = line.partition(b":")
    if not colon:
        return "field_without_colon"
    if not name:
        return "empty_field_name"
    if TOKEN_ONLY.fullmatch(name.rstrip(b" \t")) is None:
        return "bad_field_name"
    return "nul_in_field" if b"\x00" in value else "space_before_colon"
