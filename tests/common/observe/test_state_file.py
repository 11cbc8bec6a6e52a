"""State files read again: believed as far as they fit, and without effect where they do not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe import states as s
from common.observe.show import servers_state
from common.observe.state_file import apply_states, read_states
from tests.common.control.fake_master import plane
from tests.common.observe.configurations import farm


def test_what_is_shown_is_read_again() -> None:
    made = plane()
    now = time.monotonic()
    place = made.changes.find("be/s1")
    assert place is not None
    made.changes.maintain(place, now)
    made.changes.set_weight(place, "3", now)
    text = servers_state(made.config, made.counters, now)
    again = plane()
    apply_states(again.counters, again.config, read_states(text), now)
    for name in ("be/s1", "be/s2"):
        one, other = made.changes.find(name), again.changes.find(name)
        assert one is not None and other is not None
        before, after = made.changes.block(one), again.changes.block(other)
        for word in (s.S_OPERATIONAL, s.S_ADMIN, s.S_USER_WEIGHT, s.S_PORT, s.S_CHECK_HEALTH):
            assert after[word] == before[word], (name, word)


ROW = "3 be 1 s1 192.0.2.1 2 0 5 1 100 6 3 4 6 0 0 0 - 8001 - 0 0 - - 0"


@pytest.mark.parametrize(
    "text",
    ["", "0\n" + ROW, ROW, "1\n# " + ROW, "1\n" + ROW[:40], "1\n" + ROW.replace(" 5 1 ", " x 1 "), "1\n" + ROW.replace(" 2 0 5", " 7 0 5")],
)
def test_what_does_not_fit_is_not_read(text: str) -> None:
    assert read_states(text) == {}


def test_a_line_is_read() -> None:
    saved = read_states(f"1\n# be_id be_name\n{ROW}\n")["be/s1"]
    assert (saved.address, saved.operational, saved.user_weight, saved.initial_weight, saved.changed_s) == ("192.0.2.1", 2, 5, 1, 100)
    assert (saved.check_status, saved.check_result, saved.check_health, saved.fqdn, saved.port) == (6, 3, 4, "", 8001)


def test_a_server_that_is_down_stays_down_until_it_is_checked() -> None:
    made = plane(farm())
    down = read_states("1\n" + ROW.replace("s1 192.0.2.1 2 0", "s1 192.0.2.1 0 0").replace(" 3 4 6", " 2 0 6"))
    apply_states(made.counters, made.config, down, 1.0)
    place = made.changes.find("be/s1")
    assert place is not None
    block = made.changes.block(place)
    checked = bool(block[s.S_CHECK_STATE] & s.CHECK_ENABLED)
    assert block[s.S_OPERATIONAL] == (s.OP_STOPPED if checked else s.OP_RUNNING)
    assert block[s.S_CHECK_HEALTH] < block[s.S_CHECK_RISE] or not checked


@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    read_states(text)
    read_states("1\n" + text)
