from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from worker.http.fields import Fields, field_lines, read_fields, section_end

SECTIONS = [  # received, fields
    (b"X: y\r\n\r\n", [(b"X", b"y")]),
    (b"X:y\n\n", [(b"X", b"y")]),
    (b"X: \ty \r\nY:\r\n\r\n", [(b"X", b"y"), (b"Y", b"")]),
    (b"X: y\r\n z\r\n\t\tw \r\n\r\n", [(b"X", b"y z w")]),
    (b"X:\r\n y\r\n\r\n", [(b"X", b"y")]),
    (b"X: y\r\n \r\nZ: w\r\n\r\n", [(b"X", b"y"), (b"Z", b"w")]),
    (b"X: a\x01b\x7f\r\n\r\n", [(b"X", b"a b")]),
    (b"X: caf\xe9\r\n\r\n", [(b"X", b"caf\xe9")]),
]


@pytest.mark.parametrize(("section", "fields"), SECTIONS)
@pytest.mark.parametrize("trailing", [b"", b"rest\r\n\r\n"])
def test_section_is_read(section: bytes, fields: Fields, trailing: bytes) -> None:
    assert section_end(section + trailing) == len(section)
    assert read_fields(section, strict=False) == fields


@pytest.mark.parametrize("section", [section for section, _ in SECTIONS])
def test_section_has_no_end_before_its_end(section: bytes) -> None:
    for cut in range(len(section)):
        assert section_end(section[:cut]) is None


@pytest.mark.parametrize(
    ("section", "slug"),
    [
        (b"X: y\n\r\n", "bare_lf"),
        (b"X: y\r\n\n", "bare_lf"),
        (b"X: y\r\n z\r\n\r\n", "folded_field"),
        (b"X: a\x01\r\n\r\n", "control_in_field"),
    ],
)
def test_strict_reader_repairs_nothing(section: bytes, slug: str) -> None:
    assert read_fields(section, strict=False)
    with pytest.raises(WireError, match=slug):
        read_fields(section, strict=True)


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_else_and_what_is_read_is_clean(data: bytes) -> None:
    section = data + b"\r\n\r\n"
    end = section_end(section)
    assert end is not None
    try:
        fields = read_fields(section[:end], strict=False)
    except WireError as error:
        assert error.status == 400
        return
    assert read_fields(field_lines(fields), strict=True) == fields
