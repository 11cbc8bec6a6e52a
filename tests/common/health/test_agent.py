"""What agents say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.health.agent import NEUTRAL, AgentReport, read_report
from common.health.outcome import Outcome
from common.health.protocols import agent_script
from tests.common.health.conversations import Conversation

UP = Outcome("L7OK", 0, "via agent : up")


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("", AgentReport()),
        ("what is this", AgentReport()),
        ("75%", AgentReport(weight="75%")),
        ("up ready 75% maxconn:20", AgentReport("ready", "75%", 20, UP)),
        ("drain,50%\tUP", AgentReport("drain", "50%", None, Outcome("L7OK", 0, "via agent : UP"))),
        ("maint", AgentReport("maint")),
        ("stopped", AgentReport(outcome=Outcome("L7STS", 0, "via agent : stopped"))),
        ("down #because it is", AgentReport(outcome=Outcome("L7STS", 0, "via agent : down (because it is)"))),
        ("down#because", AgentReport(outcome=Outcome("L7STS", 0, "via agent : down (because)"))),
        ("10% fail boo", AgentReport(weight="10%", outcome=Outcome("L7STS", 0, "via agent : fail (boo)"))),
        ("-5% maxconn:x maxconn: downtime", AgentReport()),
    ],
)
def test_words_are_understood(line: str, report: AgentReport) -> None:
    assert read_report(line) == report


@given(st.text())
def test_no_line_raises(line: str) -> None:
    assert read_report(line).outcome.name in ("L7OK", "L7STS")


def test_silence_about_up_and_down_is_neutral() -> None:
    assert read_report("drain").outcome is NEUTRAL


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_line_ends_at_cr_or_lf(end: bytes) -> None:
    talk = Conversation(agent_script(b"hello\n"))
    assert talk.run([b"up 5", b"0%" + end + b"rest"], ends=False) == Outcome("L7OK", 0, "up 50%")
    assert talk.sent == [b"hello\n"]


def test_half_a_line_is_none() -> None:
    assert Conversation(agent_script(b"")).run([b"down"]) == Outcome("L7RSP", 0, "line without an end")
