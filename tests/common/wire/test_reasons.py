"""The table of refusals and the code agree: every slug raised has a row, every row is raised, and a test shows how."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import common.wire.reasons as reasons
from common.wire.reasons import REASONS, refuse
from tests.common.wire import test_client_hello, test_handover, test_proxy_v1, test_proxy_v2

SLUG = re.compile(r'"((?:proxy|tls|handover)_[a-z0-9_]+)"')


def test_every_slug_in_the_code_has_a_row_and_every_row_is_in_the_code() -> None:
    table = Path(reasons.__file__)
    used = {slug for path in table.parent.glob("*.py") if path != table for slug in SLUG.findall(path.read_text())}
    assert used == set(REASONS)


def test_every_row_is_reached_by_a_case_of_refusal() -> None:
    reached = {
        *test_proxy_v1.REFUSED.values(),
        *(slug for _, slug in test_proxy_v2.REFUSED.values()),
        *(slug for _, slug in test_client_hello.REFUSED.values()),
        *(slug for _, slug in test_handover.REFUSED_GIVES.values()),
        *(slug for _, slug in test_handover.REFUSED_REPORTS.values()),
    }
    assert reached == set(REASONS)


@pytest.mark.parametrize("slug", REASONS)
def test_a_row_is_a_slug_and_one_line(slug: str) -> None:
    assert re.fullmatch("[a-z0-9_]+", slug)
    assert "\n" not in REASONS[slug]
    assert not REASONS[slug].endswith(".")
    assert (refuse(slug).slug, refuse(slug).status) == (slug, 400)
