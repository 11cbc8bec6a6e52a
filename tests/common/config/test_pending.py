"""Words without a function yet: each exists, is said once per use, and is no fault."""

from __future__ import annotations

import pytest

from common.config.build import load
from common.config.diagnostics import Diagnostic, Severity
from common.config.docs import document
from common.config.keywords import Section, Status
from common.config.options import LoadOptions
from common.config.pending import PENDING, REMARK, SLUG
from common.config.table import EVERY_ROW

CASES = [(sections, name) for sections, names in PENDING.items() for name in sorted(names)]
TIMES = "defaults\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n"


@pytest.mark.parametrize(("sections", "name"), CASES, ids=[f"{sections.title}-{name}" for sections, name in CASES])
def test_listed_keyword_exists(sections: Section, name: str) -> None:
    assert [row for row in EVERY_ROW if row.name == name and row.sections & sections and row.status is Status.SUPPORTED]


def findings(text: str) -> list[Diagnostic]:
    return load([("t.cfg", (TIMES + text).encode())], {}, options=LoadOptions()).diagnostics


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("global\n tune.max-rules-at-once 5\n", ["'tune.max-rules-at-once'"]),
        (
            "listen a\n bind :1 guid-prefix x\n",
            ["'bind :1' in section 'listen' : 'guid-prefix'"],
        ),
        ("listen a\n bind :1\n no option nolinger\n", []),
    ],
)
def test_each_use_is_said_and_no_fault(text: str, said: list[str]) -> None:
    found = [one for one in findings(text) if one.slug == SLUG]
    assert [one.message for one in found] == [f"{name} {REMARK}" for name in said]
    assert {one.severity for one in found} <= {Severity.NOTICE}
    assert not any(one.severity is Severity.ALERT for one in findings(text))


def test_page_marks_them() -> None:
    assert document().count("*checked, not yet in effect*") >= len(CASES)
