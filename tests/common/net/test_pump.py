from __future__ import annotations

import select
import socket
from math import inf

import pytest
import trio

from common.net import pump as pump_module
from common.net.pump import LATE_PER_TURN, LOOK_AHEAD_S, TICK_S, DeadlinePassed, Ended, Pump, Strand
from common.net.stream import Stream
from tests.common.net.driving import Clock, Driver

# --- starting and ending ---------------------------------------------------------------------------------------------


def test_strand_runs_to_its_first_wait_at_once(driver: Driver) -> None:
    told: list[str] = []

    async def story() -> str:
        told.append("began")
        await driver.pump.pause()
        return "over"

    strand = driver.start("story", story())
    assert told == ["began"] and not strand.done
    driver.settle()
    assert driver.results == {"story": "over"} and strand.done and not driver.pump.strands


def test_strand_spawned_within_another_leaves_that_one_current(driver: Driver) -> None:
    pump = driver.pump
    seen: list[Strand | None] = []

    async def inner() -> None:
        await pump.pause()

    async def outer() -> None:
        before = pump.current
        pump.spawn(inner(), "inner")
        seen.extend([before, pump.current])
        await pump.pause()
        seen.append(pump.current)

    strand = driver.start("outer", outer())
    driver.settle()
    assert seen == [strand, strand, strand]


def test_late_strands_start_after_all_events_a_few_per_turn(driver: Driver) -> None:
    told: list[str] = []
    stream, peer = driver.pair()

    async def established() -> None:
        await stream.recv()
        told.append("established")

    async def newcomer(number: int) -> None:
        told.append(f"new {number}")

    driver.start("established", established())
    for number in range(LATE_PER_TURN + 1):
        driver.start(f"new {number}", newcomer(number), late=True)
    peer.send(b"x")
    driver.pump.turn()
    assert told == ["established", *(f"new {number}" for number in range(LATE_PER_TURN))]
    driver.pump.turn()
    assert told[-1] == f"new {LATE_PER_TURN}"


def test_late_lets_the_established_go_first(driver: Driver) -> None:
    pump = driver.pump
    told: list[str] = []
    streams = [driver.pair() for _ in range(LATE_PER_TURN + 2)]

    async def handshake(stream: Stream) -> None:
        await stream.readable(inf)
        await pump.late()
        told.append("handshake")

    async def established(stream: Stream) -> None:
        await stream.recv()
        told.append("established")

    for stream, _ in streams[:-1]:
        driver.start("handshake", handshake(stream))
    driver.start("established", established(streams[-1][0]))
    for _, peer in streams:
        peer.send(b"x")
    pump.turn()
    assert told == ["established"] + ["handshake"] * LATE_PER_TURN
    pump.turn()
    assert told[-1] == "handshake" and len(told) == LATE_PER_TURN + 2


@pytest.mark.parametrize("waits_in", ["park", "pause", "late", "readable", "writable", "wait_any"])
def test_ended_strand_cleans_up_wherever_it_waits(driver: Driver, waits_in: str) -> None:
    pump = driver.pump
    stream, peer = driver.pair()
    while True:
        try:
            stream.sock.send(b"x" * 65536)
        except BlockingIOError:
            break
    waits = {
        "park": lambda: pump.park(),
        "pause": lambda: pump.pause(),
        "late": lambda: pump.late(),
        "readable": lambda: stream.readable(inf),
        "writable": lambda: stream.writable(inf),
        "wait_any": lambda: pump.wait_any((stream,), (stream,), inf),
    }
    stream.drained = True
    told: list[str] = []

    async def story() -> None:
        try:
            await waits[waits_in]()
        except Ended:
            told.append("ended")
            raise
        finally:
            told.append("cleaned up")

    strand = driver.start("story", story())
    pump.end(strand)
    assert told == ["ended", "cleaned up"] and strand.done
    assert stream.reader is None and stream.writer is None
    peer.send(b"x")
    driver.settle()  # nothing is left that would resume it
    pump.end(strand)  # harmless


def test_strand_ended_before_its_late_start_still_cleans_up(driver: Driver) -> None:
    told: list[str] = []

    async def story() -> None:
        try:
            told.append("began")
            await driver.pump.park()
        finally:
            told.append("cleaned up")

    strand = driver.start("story", story(), late=True)
    driver.pump.end(strand)
    driver.settle()
    assert told == ["began", "cleaned up"]


def test_strand_that_goes_on_after_ended_is_resumed_only_by_what_it_waits_for(driver: Driver) -> None:
    """It may say good-bye: wait again after `Ended`, without the entry of its earlier wait resuming it."""
    pump = driver.pump
    told: list[str] = []
    stream, peer = driver.pair()

    async def story() -> None:
        try:
            await pump.pause()
        except Ended:
            told.append((await stream.recv()).decode())

    strand = driver.start("story", story())
    pump.end(strand)
    driver.settle()
    assert not told
    peer.send(b"good-bye")
    driver.settle()
    assert told == ["good-bye"] and strand.done


def test_strand_cannot_end_itself(driver: Driver) -> None:
    async def story() -> None:
        assert driver.pump.current is not None
        driver.pump.end(driver.pump.current)

    driver.start("story", story())
    assert isinstance(driver.results["story"], AssertionError)
    driver.crashes.clear()


def test_crash_is_told_once_and_costs_only_its_strand(driver: Driver) -> None:
    pump = driver.pump
    streams = [driver.pair() for _ in range(3)]

    async def story(stream: Stream, number: int) -> int:
        await stream.recv()
        if number == 1:
            raise ZeroDivisionError
        return number

    for number, (stream, _) in enumerate(streams):
        driver.start(f"story {number}", story(stream, number))
    for _, peer in streams:
        peer.send(b"x")
    pump.turn()
    assert [name for name, _ in driver.crashes] == ["story 1"]
    assert driver.results["story 0"] == 0 and driver.results["story 2"] == 2
    driver.crashes.clear()


@pytest.mark.parametrize("raises", [DeadlinePassed, Ended])
def test_deadline_or_end_that_nobody_catches_is_no_crash(driver: Driver, raises: type[Exception]) -> None:
    async def story() -> None:
        raise raises

    driver.start("story", story())
    driver.check()


def test_strand_that_awaits_trio_is_told_so(driver: Driver) -> None:
    async def story() -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()

    driver.start("story", story())
    [(name, error)] = driver.crashes
    assert name == "story" and "awaited trio" in str(error)
    driver.crashes.clear()


def test_strand_that_awaits_trio_after_an_event_is_told_so(driver: Driver) -> None:
    stream, peer = driver.pair()

    async def story() -> None:
        await stream.recv()
        await trio.lowlevel.cancel_shielded_checkpoint()

    driver.start("story", story())
    peer.send(b"x")
    driver.settle()
    assert "awaited trio" in str(driver.crashes.pop()[1])


# --- waking ----------------------------------------------------------------------------------------------------------


def test_wake_resumes_a_parked_strand_once(driver: Driver) -> None:
    pump = driver.pump
    resumed: list[int] = []

    async def story() -> None:
        for number in range(3):
            await pump.park()
            resumed.append(number)

    strand = driver.start("story", story())
    pump.wake(strand)
    pump.wake(strand)
    driver.settle()
    assert resumed == [0]


def test_wake_does_not_resume_who_waits_for_a_stream(driver: Driver) -> None:
    stream, peer = driver.pair()
    resumed: list[bool] = []

    async def story() -> None:
        await stream.readable(inf)
        resumed.append(True)

    strand = driver.start("story", story())
    driver.pump.wake(strand)
    driver.settle()
    assert not resumed
    peer.send(b"x")
    driver.settle()
    assert resumed


def test_wake_before_the_deadline_wins_over_it_in_the_same_turn(clock: Clock, driver: Driver) -> None:
    """Who was given something in time must not be told that it waited for too long."""
    pump = driver.pump

    async def story() -> str:
        try:
            await pump.park(clock.now + 1)
        except DeadlinePassed:
            return "late"
        return "in time"

    strand = driver.start("story", story())
    pump.wake(strand)
    clock.now += 5
    driver.settle()
    assert driver.results == {"story": "in time"}


def test_stale_entry_does_not_resume_a_strand_that_waits_for_something_new(clock: Clock, driver: Driver) -> None:
    """Woken, and ended by somebody else in the same turn; then it waits for a stream: only that may resume it."""
    pump = driver.pump
    stream, peer = driver.pair()
    resumed: list[str] = []

    async def story() -> None:
        try:
            await pump.park()
        except Ended:
            pass
        await stream.readable(inf)
        resumed.append("readable")

    strand = driver.start("story", story())
    pump.wake(strand)
    pump.end(strand)
    driver.settle()
    assert not resumed
    peer.send(b"x")
    driver.settle()
    assert resumed == ["readable"]


def test_rouse_resumes_wherever_it_waits_but_not_who_runs(driver: Driver) -> None:
    pump = driver.pump
    stream, _peer = driver.pair()
    resumed: list[str] = []

    async def waits() -> None:
        await stream.readable(inf)
        resumed.append("reader")
        await pump.park()
        resumed.append("parked")

    async def rouses_itself() -> None:
        assert pump.current is not None
        pump.rouse(pump.current)
        await pump.park()
        resumed.append("never")

    strand = driver.start("waits", waits())
    driver.start("rouses itself", rouses_itself())
    pump.rouse(strand)
    driver.settle()
    pump.rouse(strand)
    driver.settle()
    assert resumed == ["reader", "parked"]


# --- events ----------------------------------------------------------------------------------------------------------


def fill(sock: socket.socket) -> None:
    while True:
        try:
            sock.send(b"x" * 65536)
        except BlockingIOError:
            return


def test_one_event_resumes_the_reader_and_the_writer(driver: Driver) -> None:
    stream, peer = driver.pair()
    fill(stream.sock)

    async def read() -> bytes:
        return await stream.recv()

    async def write() -> str:
        await stream.writable(inf)
        return "written"

    driver.start("read", read())
    driver.start("write", write())
    driver.settle()
    assert not driver.results
    while True:
        try:
            peer.recv(1 << 20)
        except BlockingIOError:
            break
    peer.send(b"y")
    [(_, mask)] = driver.pump.epoll.poll(0)
    assert mask & select.EPOLLIN and mask & select.EPOLLOUT, "not the case that this test is about"
    driver.pump.epoll.modify(stream.fd, stream.mask)  # polling took the edge away: arm it anew
    driver.settle()
    assert driver.results == {"read": b"y", "write": "written"}


def test_events_for_a_closed_descriptor_do_not_reach_the_next_owner_of_its_number(driver: Driver) -> None:
    pump = driver.pump
    first, first_peer = driver.pair()
    victim, victim_peer = driver.pair()
    new: list[Stream] = []

    async def closer() -> None:
        await first.recv()
        number = victim.fd
        victim.close()
        while True:
            stream, _ = driver.pair()
            if stream.fd == number:
                break
        new.append(stream)
        stream.drained = True
        await stream.readable(inf)

    async def bystander() -> None:
        await victim.readable(inf)

    driver.start("closer", closer())
    driver.start("bystander", bystander())
    pump.turn()
    first_peer.send(b"x")
    victim_peer.send(b"y")
    victim_peer.close()
    pump.turn()
    [stream] = new
    assert stream.drained and not stream.ended, "the event of the closed one was taken for this one's"


def test_closed_numbers_are_forgotten_with_the_next_poll(driver: Driver) -> None:
    stream, _ = driver.pair()
    stream.watch()
    number = stream.fd
    stream.close()
    assert driver.pump.closed_fds == {number}
    driver.pump.turn()
    assert not driver.pump.closed_fds


def test_event_while_nobody_waits_is_kept_in_the_stream(driver: Driver) -> None:
    stream, peer = driver.pair()
    stream.watch()
    stream.drained = True
    peer.send(b"x")
    driver.settle()
    assert not stream.drained and not stream.ended
    peer.close()
    driver.settle()
    assert stream.ended


# --- waiting for several ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ready", ["first", "second", "writer"])
def test_wait_any_is_resumed_by_whichever_is_ready(driver: Driver, ready: str) -> None:
    pump = driver.pump
    first, first_peer = driver.pair()
    second, second_peer = driver.pair()
    third, third_peer = driver.pair()
    first.drained = second.drained = True
    fill(third.sock)

    async def story() -> str:
        await pump.wait_any((first, second), (third,), inf)
        return "resumed"

    driver.start("story", story())
    driver.settle()
    assert not driver.results
    if ready == "first":
        first_peer.send(b"x")
    elif ready == "second":
        second_peer.send(b"x")
    else:
        while third_peer.recv(65536) and not driver.results:
            driver.pump.turn()
    driver.settle()
    assert driver.results == {"story": "resumed"}
    assert not any((first.reader, second.reader, third.writer))


def test_wait_any_passes_its_deadline(clock: Clock, driver: Driver) -> None:
    stream, _ = driver.pair()
    stream.drained = True

    async def story() -> None:
        await driver.pump.wait_any((stream,), (), clock.now + 1)

    driver.start("story", story())
    clock.now += 2
    driver.settle()
    assert isinstance(driver.results["story"], DeadlinePassed)
    assert stream.reader is None


def test_who_always_finds_something_does_not_starve_the_others(driver: Driver) -> None:
    """A stream that is never drained must not keep the pump within one strand."""
    pump = driver.pump
    busy, _busy_peer = driver.pair()
    turns: list[int] = []

    async def greedy() -> None:
        for number in range(100):
            turns.append(number)
            await pump.wait_any((busy,), (), inf)

    async def modest() -> int:
        await pump.pause()
        return len(turns)

    driver.start("greedy", greedy())
    driver.start("modest", modest())
    driver.settle()
    seen = driver.results["modest"]
    assert isinstance(seen, int) and seen <= 3 and len(turns) == 100


# --- deadlines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patience_s", [TICK_S / 2, 0.1, LOOK_AHEAD_S - TICK_S, LOOK_AHEAD_S, LOOK_AHEAD_S + 1, 60, 3600])
def test_deadline_passes_at_most_a_tick_late_and_never_early(clock: Clock, driver: Driver, patience_s: float) -> None:
    start = clock.now

    async def story() -> None:
        await driver.pump.park(start + patience_s)

    driver.start("story", story())
    while clock.now < start + patience_s - TICK_S:
        clock.now = min(clock.now + 1, start + patience_s - TICK_S / 4)
        driver.settle()
        assert not driver.results
    clock.now = start + patience_s + TICK_S
    driver.settle()
    assert isinstance(driver.results["story"], DeadlinePassed)


def test_deadline_moves_later_and_earlier(clock: Clock, driver: Driver) -> None:
    pump = driver.pump

    async def story() -> None:
        await pump.park(clock.now + 10)

    strand = driver.start("story", story())
    pump.set_deadline(strand, clock.now + 20)
    clock.now += 11
    driver.settle()
    assert not driver.results
    pump.set_deadline(strand, clock.now + 2)
    clock.now += 2 + TICK_S
    driver.settle()
    assert isinstance(driver.results["story"], DeadlinePassed)


def test_each_wait_has_its_own_deadline(clock: Clock, driver: Driver) -> None:
    """A short wait that was resumed in time leaves nothing behind that would end the next, longer one."""
    stream, peer = driver.pair()

    async def story() -> str:
        await stream.recv(deadline=clock.now + 1)
        await stream.recv(deadline=clock.now + 30)
        return "both came"

    driver.start("story", story())
    peer.send(b"1")
    driver.settle()
    clock.now += 5
    driver.settle()
    assert not driver.results
    peer.send(b"2")
    driver.settle()
    assert driver.results == {"story": "both came"}


def test_wait_until_a_time_in_the_past_ends_with_the_next_tick_and_not_in_a_loop(clock: Clock, driver: Driver) -> None:
    told: list[float] = []

    async def story() -> None:
        for _ in range(3):
            try:
                await driver.pump.park(clock.now - 5)
            except DeadlinePassed:
                told.append(clock.now)

    driver.start("story", story())
    for _ in range(5):
        clock.now += TICK_S
        driver.pump.turn()
    assert told == [1000.0 + TICK_S * number for number in (1, 2, 3)]


def test_strands_that_end_long_before_their_deadline_are_forgotten(clock: Clock, driver: Driver) -> None:
    """With `timeout tunnel 24h`, thousands of short connections must not be remembered for a day."""
    pump = driver.pump

    async def story() -> None:
        await pump.park(clock.now + 86400)

    for _ in range(50):
        for strand in [driver.start("story", story()) for _ in range(20)]:
            pump.wake(strand)
        clock.now += 1
        pump.turn()
    held = sum(map(len, pump._buckets.values()))
    assert held <= 20 * (LOOK_AHEAD_S + 2)
    assert len(pump._buckets) == len(pump._heap) <= LOOK_AHEAD_S / TICK_S + 2


def test_moving_a_deadline_later_costs_no_insertion(clock: Clock, driver: Driver) -> None:
    stream, peer = driver.pair()

    async def story() -> None:
        while await stream.recv(deadline=clock.now + 50):
            pass

    strand = driver.start("story", story())
    bucket = strand.bucket
    for _ in range(10):
        clock.now += TICK_S
        peer.send(b"x")
        driver.settle()
    assert strand.bucket == bucket and sum(map(len, driver.pump._buckets.values())) == 1


# --- within trio -----------------------------------------------------------------------------------------------------


async def test_sleeping_pump_hears_of_work_from_outside() -> None:
    """Late strands, wake-ups, earlier deadlines and stop, all from another trio task, while nothing moves on any socket."""
    pump = Pump(lambda _strand, error: pytest.fail(str(error)))
    woken, started, late_enough = trio.Event(), trio.Event(), trio.Event()

    async def parked() -> None:
        await pump.park()
        woken.set()

    async def late() -> None:
        started.set()

    async def deadline() -> None:
        try:
            await pump.park(pump.now + 0.01)
        except DeadlinePassed:
            late_enough.set()

    async def until(event: trio.Event) -> None:
        with trio.fail_after(5):
            await event.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump.run)
        await trio.testing.wait_all_tasks_blocked()
        strand = pump.spawn(parked(), "parked")
        await trio.testing.wait_all_tasks_blocked()
        pump.wake(strand)
        await until(woken)
        await trio.testing.wait_all_tasks_blocked()
        pump.spawn(late(), "late", late=True)
        await until(started)
        await trio.testing.wait_all_tasks_blocked()
        pump.spawn(deadline(), "deadline")
        await until(late_enough)
        await trio.testing.wait_all_tasks_blocked()
        pump.stop()
    pump.epoll.close()


async def test_busy_pump_lets_trio_have_its_turn_and_publishes() -> None:
    paused: list[bool] = []
    pump = Pump(lambda _strand, error: pytest.fail(str(error)), lambda: paused.append(True))

    async def busy() -> None:
        while True:
            await pump.pause()

    async with trio.open_nursery() as nursery:
        pump.spawn(busy(), "busy")
        nursery.start_soon(pump.run)
        with trio.fail_after(5):
            for _ in range(3):
                await trio.sleep(0.001)
        pump.stop()
    for strand in list(pump.strands):
        pump.end(strand)
    pump.epoll.close()
    assert len(paused) >= 2


async def test_end_from_another_task_counts_deadlines_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pump may have slept for long: whoever is ended from outside must not measure its last wait from then."""
    clock = Clock()
    monkeypatch.setattr(pump_module, "time", clock)
    pump = Pump(lambda _strand, error: pytest.fail(str(error)))
    seen: list[float] = []

    async def story() -> None:
        try:
            await pump.park()
        finally:
            seen.append(pump.now)

    strand = pump.spawn(story(), "story")
    clock.now += 100
    pump.end(strand)
    pump.epoll.close()
    assert seen == [clock.now]
