"""A turn that takes too long is told, and not every time."""

from __future__ import annotations

import time

import pytest

from common.model import Global
from common.net.pump import Pump
from common.process.blocked import KEYWORD, watch_turns


def busy(pump: Pump, seconds: float) -> None:
    async def story() -> None:
        await pump.pause()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    pump.spawn(story(), "busy")
    pump.turn()


@pytest.fixture
def pump() -> Pump:
    def crash(_strand: object, error: BaseException) -> None:
        raise error

    return Pump(crash)


def test_who_blocks_is_told_once_a_second(pump: Pump) -> None:
    told: list[tuple[str, str]] = []
    watch_turns(pump, Global(extra={KEYWORD: (("5ms",),)}), lambda level, text: told.append((level, text)))
    busy(pump, 0.0)
    assert told == []
    busy(pump, 0.02)
    busy(pump, 0.02)
    assert len(told) == 1
    assert told[0][0] == "warning"
    assert told[0][1].startswith("traffic was blocked for ") and told[0][1].endswith(" ms (warn-blocked-traffic-after 5ms)")
    pump.epoll.close()


def test_without_the_word_nobody_looks(pump: Pump) -> None:
    watch_turns(pump, Global(), lambda level, text: pytest.fail(text))
    assert pump.on_slow_turn is None
    pump.epoll.close()
