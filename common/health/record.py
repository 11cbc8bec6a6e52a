"""What the result of a check makes of a server: its score, its shown state, its log lines. Sans-io.

The score stands in the shared states, so that it outlives a reload and operators can set it; each result is laid on top of
what stands there. A server is up if its checks and its agent both let it be.

Source: HAProxy configuration manual 5.2 "rise", "fall", "agent-check", 4.2 "option log-health-checks"; lines observed from 2.6.
"""

from __future__ import annotations

from typing import Final

from common.health.agent import read_report
from common.health.outcome import Outcome, Result, check_line
from common.health.score import Health, OnError, State
from common.model import Proxy
from common.observe.log_line import LEVELS
from common.observe.server_changes import ServerChanges
from common.observe.server_notices import Notice, Place
from common.observe.states import (
    CHECK_ENABLED,
    DRAIN,
    FORCED_DRAIN,
    FORCED_MAINT,
    LAST_AGENT,
    LAST_CHECK,
    MAINT,
    OP_RUNNING,
    OP_STARTING,
    OP_STOPPED,
    OP_STOPPING,
    S_ADMIN,
    S_AGENT_CODE,
    S_AGENT_DURATION_MS,
    S_AGENT_HEALTH,
    S_AGENT_RESULT,
    S_AGENT_STATE,
    S_AGENT_STATUS,
    S_CHECK_CODE,
    S_CHECK_DURATION_MS,
    S_CHECK_FALL,
    S_CHECK_HEALTH,
    S_CHECK_RESULT,
    S_CHECK_RISE,
    S_CHECK_STATE,
    S_CHECK_STATUS,
    S_CHECKED_AT_MS,
    S_CHKFAIL,
    S_HANAFAIL,
    S_MAXCONN,
    S_OBSERVED,
    S_OPERATIONAL,
    S_WEIGHT,
    write_text,
)

ERROR_LIMIT: Final = 10
_NOTICE: Final = LEVELS["notice"]


def health_of(block: memoryview[int], on_error: OnError = OnError.FAIL_CHECK) -> Health:
    """The score as it stands in the shared states."""
    health = Health(block[S_CHECK_RISE], block[S_CHECK_FALL], on_error=on_error)
    health.restore(block[S_CHECK_HEALTH], stopping=block[S_OPERATIONAL] == OP_STOPPING)
    return health


def record_check(changes: ServerChanges, proxy: Proxy, place: Place, outcome: Outcome, duration_ms: int, now: float) -> list[Notice]:
    """A health check ended. Returns what is to be logged."""
    block = changes.block(place)
    if block[S_ADMIN] & MAINT:
        return []  # it went into maintenance meanwhile
    health = health_of(block)
    before = (block[S_CHECK_STATUS], health.score)
    if outcome.result is Result.PASSED:
        health.passed(now)
    elif outcome.result is Result.CONDITIONAL:
        health.asked_to_stop(now)
    else:
        block[S_CHKFAIL] += health.state is not State.DOWN
        health.failed(now)
    block[S_CHECK_HEALTH] = health.score
    block[S_CHECK_STATUS], block[S_CHECK_RESULT] = outcome.status.number, outcome.result.number
    block[S_CHECK_CODE], block[S_CHECK_DURATION_MS], block[S_CHECKED_AT_MS] = outcome.code, duration_ms, int(now * 1000)
    write_text(block, LAST_CHECK, outcome.info)
    logged = "log-health-checks" in proxy.options
    notices = []
    if logged and before != (block[S_CHECK_STATUS], health.score):
        steps = _drained(health.steps(), block)
        notices.append(Notice(place.proxy, _NOTICE, check_line("Health", _name(proxy, place), outcome, duration_ms, steps)))
    why = "" if logged else outcome.reason(duration_ms)
    return notices + _follow(changes, place, health.state, why, now)


def record_observed(
    changes: ServerChanges, proxy: Proxy, place: Place, errors: int, last: str, now: float, *, good: bool
) -> tuple[list[Notice], bool]:
    """Traffic was watched (`observe`): so many errors in a row, after a success if good.

    Returns what is to be logged, and whether the next check is to come soon.
    """
    block, server = changes.block(place), changes.server(place)
    counted = errors if good else block[S_OBSERVED] + errors
    limit = int(server.options.get("error-limit", (str(ERROR_LIMIT),))[0])
    if counted < limit or block[S_ADMIN] & MAINT or not block[S_CHECK_STATE] & CHECK_ENABLED:
        block[S_OBSERVED] = min(counted, limit)
        return [], False
    block[S_OBSERVED] = 0
    health = health_of(block, OnError(server.options.get("on-error", (OnError.FAIL_CHECK.value,))[0]))
    if health.on_error is OnError.FASTINTER or health.state is State.DOWN:
        return [], True
    health.errors_reached(now)
    block[S_HANAFAIL] += 1
    block[S_CHECK_HEALTH] = health.score
    outcome = Outcome("HANA", 0, f"Detected {counted} consecutive errors, last one was: {last}")
    block[S_CHECK_STATUS], block[S_CHECK_RESULT] = outcome.status.number, outcome.result.number
    write_text(block, LAST_CHECK, outcome.info)
    logged = "log-health-checks" in proxy.options
    notices = []
    if logged:
        steps = _drained(health.steps(), block)
        notices.append(Notice(place.proxy, _NOTICE, check_line("Health", _name(proxy, place), outcome, -1, steps)))
    notices += _follow(changes, place, health.state, "" if logged else outcome.reason(-1), now)
    return notices, True


def _follow(changes: ServerChanges, place: Place, wanted: State, why: str, now: float) -> list[Notice]:
    """Bring the server to what its checks say, as far as its agent agrees."""
    block = changes.block(place)
    current = block[S_OPERATIONAL]
    if wanted is State.DOWN:
        return changes.goes_down(place, why, now) if current != OP_STOPPED else []
    if _agent_says_down(block):
        return []
    if wanted is State.STOPPING:
        return changes.stops(place, why, now) if current != OP_STOPPING else []
    return changes.goes_up(place, why, now) if current not in (OP_RUNNING, OP_STARTING) else []


def record_agent(changes: ServerChanges, proxy: Proxy, place: Place, outcome: Outcome, duration_ms: int, now: float) -> list[Notice]:
    """An agent was asked. outcome: passed with its line as info, or why it could not be asked, which changes nothing."""
    block = changes.block(place)
    notices: list[Notice] = []
    heard = outcome.result is Result.PASSED
    before = (block[S_AGENT_STATUS], block[S_AGENT_HEALTH])
    if heard:
        report = read_report(outcome.info)
        outcome = report.outcome
        notices += _administer(changes, place, report.administrative, now)
        if report.weight:
            changes.set_weight(place, report.weight, now)
            notices += changes.told()
        if report.maxconn is not None:
            block[S_MAXCONN] = report.maxconn
    if outcome.result is Result.NEUTRAL:
        return notices
    up = outcome.result is Result.PASSED if heard else bool(block[S_AGENT_HEALTH])
    block[S_AGENT_HEALTH] = int(up)
    block[S_AGENT_STATUS], block[S_AGENT_RESULT] = outcome.status.number, outcome.result.number
    block[S_AGENT_CODE], block[S_AGENT_DURATION_MS] = outcome.code, duration_ms
    write_text(block, LAST_AGENT, outcome.info)
    logged = "log-health-checks" in proxy.options
    if logged and before != (block[S_AGENT_STATUS], block[S_AGENT_HEALTH]):
        steps = _drained("1/1 UP", block) if up else "0/1 DOWN"
        notices.append(Notice(place.proxy, _NOTICE, check_line("Agent", _name(proxy, place), outcome, duration_ms, steps)))
    if heard:
        checks_agree = not block[S_CHECK_STATE] & CHECK_ENABLED or block[S_CHECK_HEALTH] >= block[S_CHECK_RISE]
        if not up or (checks_agree and block[S_OPERATIONAL] == OP_STOPPED):
            notices += changes.agent_says(place, up=up, why="" if logged else outcome.reason(duration_ms), now=now)
    return notices


def _administer(changes: ServerChanges, place: Place, order: str, now: float) -> list[Notice]:
    """ready, drain or maint, where it is not so already."""
    admin = changes.block(place)[S_ADMIN] & (FORCED_MAINT | FORCED_DRAIN)
    if order == "maint" and not admin & FORCED_MAINT:
        return changes.maintain(place, now)
    if order == "drain" and admin != FORCED_DRAIN:
        return changes.drain(place, now)
    if order == "ready" and admin:
        return changes.ready(place, now)
    return []


def _agent_says_down(block: memoryview[int]) -> bool:
    return bool(block[S_AGENT_STATE] & CHECK_ENABLED) and not block[S_AGENT_HEALTH]


def _drained(steps: str, block: memoryview[int]) -> str:
    """A server that is up and gets nothing is shown as draining."""
    return steps.replace("UP", "DRAIN") if block[S_ADMIN] & DRAIN or not block[S_WEIGHT] else steps


def _name(proxy: Proxy, place: Place) -> str:
    return f"{proxy.name}/{proxy.servers[place.server].name}"
