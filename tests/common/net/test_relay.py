from __future__ import annotations

import fcntl
import os
import random
import socket
from dataclasses import dataclass
from math import inf
from typing import Any

import pytest

from common.model import Global
from common.net import relay as relay_module
from common.net.pump import TICK_S, DeadlinePassed, Ended
from common.net.relay import PIPES_KEPT_MAX, Flow, Idle, give_pipe, relay, take_pipe
from common.net.stream import Stream
from tests.common.net.driving import Clock, Driver, open_descriptors, receive_all, reset

SPLICE = pytest.mark.parametrize("splice", [False, True], ids=["copy", "splice"])
BULK = 2_000_000


@dataclass
class Ends:
    """A relay and both peers. client, server: the streams; client_peer, server_peer: who is at the other end."""

    client: Stream
    client_peer: socket.socket
    server: Stream
    server_peer: socket.socket
    up: Flow
    down: Flow


def ends(driver: Driver, *, splice: bool = False, tcp: bool = False, first_up: bytes = b"", first_down: bytes = b"") -> Ends:
    client, client_peer = driver.pair(tcp=tcp)
    server, server_peer = driver.pair(tcp=tcp)
    up = Flow(client, server, held=first_up, splice=splice)
    down = Flow(server, client, held=first_down, splice=splice)
    return Ends(client, client_peer, server, server_peer, up, down)


def start(driver: Driver, at: Ends, idle: Idle | None = None) -> None:
    async def story() -> str:
        try:
            await relay(driver.pump, at.client, at.server, at.up, at.down, idle or Idle())
        finally:
            at.client.close()
            at.server.close()
        return "over"

    driver.start("relay", story())


def result(driver: Driver) -> object:
    driver.until(lambda: "relay" in driver.results)
    driver.settle()
    found = driver.results["relay"]
    driver.crashes = [crash for crash in driver.crashes if crash[1] is not found]
    return found


# --- both directions -------------------------------------------------------------------------------------------------


@SPLICE
def test_messages_go_both_ways_and_each_end_is_passed_on_by_itself(driver: Driver, splice: bool) -> None:
    at = ends(driver, splice=splice, first_up=b"first up ", first_down=b"first down ")
    start(driver, at)
    at.client_peer.send(b"question")
    driver.settle()
    assert receive_all(at.server_peer) == b"first up question"
    at.client_peer.shutdown(socket.SHUT_WR)
    driver.settle()
    assert at.server_peer.recv(1) == b"", "the half-close is passed on"
    at.server_peer.send(b"answer")
    driver.settle()
    assert receive_all(at.client_peer) == b"first down answer"
    at.server_peer.close()
    driver.settle()
    assert at.client_peer.recv(1) == b""
    assert result(driver) == "over"
    assert (at.up.moved, at.down.moved) == (17, 17)


@SPLICE
def test_server_may_end_first(driver: Driver, splice: bool) -> None:
    at = ends(driver, splice=splice)
    start(driver, at)
    at.server_peer.send(b"banner")
    at.server_peer.shutdown(socket.SHUT_WR)
    driver.settle()
    assert receive_all(at.client_peer) == b"banner"
    at.client_peer.send(b"still talking")
    driver.settle()
    assert receive_all(at.server_peer) == b"still talking"
    at.client_peer.close()
    assert result(driver) == "over"


@SPLICE
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_bulk_both_ways_at_once_to_slow_readers_arrives_whole(driver: Driver, splice: bool, tcp: bool) -> None:
    """Both directions are blocked and unblocked all the time; an event may be about both."""
    at = ends(driver, splice=splice, tcp=tcp)
    chance = random.Random(7)
    sent = {at.client_peer: os.urandom(BULK), at.server_peer: os.urandom(BULK)}
    left = {peer: memoryview(data) for peer, data in sent.items()}
    found: dict[socket.socket, list[bytes]] = {peer: [] for peer in sent}
    start(driver, at)
    received = dict.fromkeys(sent, 0)
    while any(received[peer] < BULK for peer in sent):
        for peer in sent:
            if left[peer]:
                try:
                    left[peer] = left[peer][peer.send(left[peer][: chance.choice([1, 500, 100_000])]) :]
                except BlockingIOError:
                    pass
            if chance.random() < 0.5:
                try:
                    data = peer.recv(chance.choice([1, 3000, 200_000]))
                except BlockingIOError:
                    data = b""
                received[peer] += len(data)
                found[peer].append(data)
        driver.pump.turn()
    at.client_peer.close()
    at.server_peer.close()
    assert result(driver) == "over"
    assert b"".join(found[at.server_peer]) == sent[at.client_peer]
    assert b"".join(found[at.client_peer]) == sent[at.server_peer]
    assert bool(at.up.spliced) is splice and at.up.moved == BULK


def test_idle_relay_holds_neither_pipe_nor_bytes(driver: Driver) -> None:
    at = ends(driver, splice=True)
    start(driver, at)
    before = open_descriptors()
    rest = memoryview(os.urandom(BULK))
    while rest:
        try:
            rest = rest[at.client_peer.send(rest) :]
        except BlockingIOError:
            pass
        driver.pump.turn()
        receive_all(at.server_peer)
    driver.settle()
    assert at.up.spliced and at.up.pipe is None and not at.up.held
    assert open_descriptors() - before <= 2 * len(relay_module._pipes)
    at.client_peer.close()
    at.server_peer.close()
    assert result(driver) == "over"


# --- when a side fails -----------------------------------------------------------------------------------------------


@SPLICE
@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("during", ["silence", "a blocked write to it", "a blocked write to the other one"])
def test_reset_of_a_side_ends_the_relay_and_tells_whose(driver: Driver, who: str, during: str, splice: bool) -> None:
    at = ends(driver, splice=splice, tcp=True)
    victim, other = (at.client_peer, at.server_peer) if who == "client" else (at.server_peer, at.client_peer)
    stream = at.client if who == "client" else at.server
    start(driver, at)
    speaker = {"silence": None, "a blocked write to it": other, "a blocked write to the other one": victim}[during]
    if speaker is not None:
        toward = at.up if speaker is at.client_peer else at.down
        while not toward.waiting:
            try:
                speaker.send(b"x" * 100_000)
            except BlockingIOError:
                pass
            driver.pump.turn()
    reset(victim)
    assert isinstance(result(driver), OSError)
    assert stream in (at.up.failed, at.down.failed)
    assert not driver.crashes, "each strand ends quietly"
    assert not driver.pump.strands


@pytest.mark.parametrize("who", ["client", "server"])
def test_side_that_fails_before_anything_moved_ends_the_relay(driver: Driver, who: str) -> None:
    """The strand beside fails within its first step, before the main one waits for anything."""
    at = ends(driver, tcp=True, first_up=b"x", first_down=b"y")
    (at.client if who == "client" else at.server).abort()
    start(driver, at)
    assert isinstance(result(driver), OSError)
    assert not driver.crashes and not driver.pump.strands


def test_relay_that_is_ended_ends_both_strands_and_frees_its_pipes(driver: Driver) -> None:
    at = ends(driver, splice=True)
    start(driver, at)
    [main] = [strand for strand in driver.pump.strands if strand.name == "relay" and strand.coro.__name__ == "_tell"]
    while not at.up.pipe_bytes:
        try:
            at.client_peer.send(b"x" * 100_000)
        except BlockingIOError:
            pass
        driver.pump.turn()
    pipe = at.up.pipe
    assert pipe is not None
    driver.pump.end(main)
    driver.settle()
    assert isinstance(driver.results["relay"], Ended)
    assert not driver.pump.strands
    for end in pipe:
        with pytest.raises(OSError):
            os.fstat(end)  # with bytes in it the pipe may not serve anybody else


# --- patience --------------------------------------------------------------------------------------------------------


@SPLICE
def test_silence_ends_the_relay_but_talk_in_one_direction_is_enough(clock: Clock, driver: Driver, splice: bool) -> None:
    at = ends(driver, splice=splice)
    start(driver, at, Idle(10))
    for _ in range(6):
        clock.now += 4
        at.client_peer.send(b"x")
        driver.settle()
    clock.now += 9
    driver.settle()
    assert not driver.results
    clock.now += 1 + 2 * TICK_S
    driver.settle()
    assert isinstance(driver.results["relay"], DeadlinePassed)
    assert not driver.pump.strands


@pytest.mark.parametrize(("speaks", "patience_s"), [("client", 7), ("server", 5)])
def test_independent_directions_have_a_patience_each(clock: Clock, driver: Driver, speaks: str, patience_s: int) -> None:
    """`option independent-streams`: what goes to a side is no sign of life from it."""
    at = ends(driver)
    start(driver, at, Idle(5, client=5, server=7, independent=True))
    peer = at.client_peer if speaks == "client" else at.server_peer
    for _ in range(patience_s - 1):
        clock.now += 1
        peer.send(b"x")
        driver.settle()
        assert not driver.results
    clock.now += 1 + 2 * TICK_S
    peer.send(b"x")
    driver.settle()
    assert isinstance(driver.results["relay"], DeadlinePassed)
    assert not driver.pump.strands


@pytest.mark.parametrize(
    ("settings", "processes", "pipes", "bytes_each"),
    [
        ({}, 1, 3, 262144),
        ({"maxpipes": (("2",),)}, 1, 2, 262144),
        ({"maxpipes": (("2",),)}, 2, 1, 262144),
        ({"nosplice": ((),)}, 1, 0, 262144),
        ({"tune.pipesize": ("8k",)}, 1, 3, 8192),
    ],
)
def test_pipes_are_as_many_and_as_large_as_said(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], processes: int, pipes: int, bytes_each: int
) -> None:
    monkeypatch.setattr(relay_module, "_limits", relay_module._PipeLimits())
    monkeypatch.setattr(relay_module, "_pipes", [])
    tune = {name: words for name, words in settings.items() if name.startswith("tune.")}
    relay_module.limit_pipes(Global(tune=tune, extra={name: lines for name, lines in settings.items() if name not in tune}), processes)
    taken = [ends for ends in (relay_module.take_pipe() for _ in range(3)) if ends is not None]
    sizes = {fcntl.fcntl(pipe[1], 1032) for pipe in taken}  # F_GETPIPE_SZ
    for pipe in taken:
        relay_module.give_pipe(pipe, empty=False)
    assert (len(taken), sizes or {bytes_each}) == (pipes, {bytes_each})
    if pipes:
        again = relay_module.take_pipe()
        assert again is not None, "those that are closed count no more"
        relay_module.give_pipe(again, empty=False)


@pytest.mark.parametrize(
    ("who_ends", "idle", "patience_s"),
    [
        ("client", Idle(10, client_fin=1), 10),
        ("client", Idle(10, server_fin=2), 2),
        ("client", Idle(10, client_fin=1, server_fin=2, client=3, server=4), 2),
        ("client", Idle(3, client=3, server=40), 40),
        ("server", Idle(10, client_fin=1), 1),
        ("server", Idle(10, server_fin=2), 10),
        ("server", Idle(10, client_fin=1, server_fin=2, client=3, server=4), 1),
        ("server", Idle(3, client=30, server=3), 30),
    ],
)
def test_once_one_side_has_ended_the_other_ones_patience_counts(
    clock: Clock, driver: Driver, who_ends: str, idle: Idle, patience_s: float
) -> None:
    """As HAProxy 2.6 does: `client-fin` is for the client after the server's end, and the other way round."""
    at = ends(driver)
    start(driver, at, idle)
    clock.now += 0.5
    (at.client_peer if who_ends == "client" else at.server_peer).shutdown(socket.SHUT_WR)
    driver.settle()
    ended_at = clock.now
    for share in (0.5, 0.9):
        clock.now = ended_at + patience_s * share
        driver.settle()
        assert not driver.results
    clock.now = ended_at + patience_s + 2 * TICK_S
    driver.settle()
    assert isinstance(driver.results["relay"], DeadlinePassed)


def test_target_that_does_not_read_is_given_the_idle_time_and_no_more(clock: Clock, driver: Driver) -> None:
    at = ends(driver)
    start(driver, at, Idle(10))
    while not at.up.waiting:
        try:
            at.client_peer.send(b"x" * 100_000)
        except BlockingIOError:
            pass
        driver.settle()
    clock.now += 10 + 2 * TICK_S
    driver.settle()
    assert isinstance(driver.results["relay"], DeadlinePassed)


# --- one flow --------------------------------------------------------------------------------------------------------


@SPLICE
@pytest.mark.parametrize("limit", [0, 1, 4095, 4096, 32768, 262144, 1_000_003])
@pytest.mark.parametrize("beyond", [0, 1, 500_000])
def test_flow_reads_nothing_beyond_its_limit(driver: Driver, splice: bool, limit: int, beyond: int) -> None:
    """What follows a body on the same connection is the next message's."""
    source, source_peer = driver.pair()
    target, target_peer = driver.pair()
    sent = os.urandom(limit + beyond)
    flow = Flow(source, target, limit=limit, splice=splice)
    source.watch()
    rest = memoryview(sent)
    found = behind = b""
    while not flow.done or len(behind) < beyond:
        if rest:
            try:
                rest = rest[source_peer.send(rest) :]
            except BlockingIOError:
                pass
        driver.pump.turn()
        if not flow.done:
            flow.step()
            found += receive_all(target_peer)
        else:
            source.drained = False
            behind += source.recv_now() or b""
    assert found + receive_all(target_peer) == sent[:limit]
    assert behind == sent[limit:]
    assert flow.moved == flow.taken_from_source == limit
    flow.close()


def test_flow_stays_with_its_turn(driver: Driver) -> None:
    """One step moves a bounded number of bytes, however much there is."""
    source, source_peer = driver.pair()
    target, target_peer = driver.pair()
    source.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    for sock in (source_peer, target.sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    while True:
        try:
            source_peer.send(b"x" * 100_000)
        except BlockingIOError:
            break
    flow = Flow(source, target)
    flow.step()
    assert 0 < flow.moved <= relay_module.TURN_BYTES_MAX + relay_module.SCRATCH_BYTES
    receive_all(target_peer)


@pytest.mark.parametrize("held", [b"held", memoryview(b"held"), memoryview(bytearray(b"held"))])
def test_what_the_target_did_not_take_stays_even_when_the_scratch_buffer_is_used_by_others(driver: Driver, held: bytes) -> None:
    source, _ = driver.pair()
    target, target_peer = driver.pair()
    sent = 0
    while True:
        try:
            sent += target.sock.send(b"f" * 1000)
        except BlockingIOError:
            break
    flow = Flow(source, target, held=held)
    assert not flow.step() and flow.waiting
    relay_module._scratch[:] = b"!" * len(relay_module._scratch)
    received = receive_all(target_peer)
    assert flow.step() and flow.done is False
    assert received + receive_all(target_peer) == b"f" * sent + b"held"


def test_scratch_bytes_that_wait_are_a_copy(driver: Driver) -> None:
    source, source_peer = driver.pair()
    target, target_peer = driver.pair(buffer_bytes=4096)
    data = os.urandom(100_000)
    flow = Flow(source, target)
    source_peer.send(data)
    flow.step()
    assert flow.waiting
    relay_module._scratch[:] = b"!" * len(relay_module._scratch)
    found = receive_all(target_peer)
    while len(found) < len(data):
        source.drained = False
        flow.step()
        found += receive_all(target_peer)
    assert found == data


def test_splice_turns_to_copying_when_there_are_no_descriptors_for_a_pipe(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "take_pipe", lambda: None)
    source, source_peer = driver.pair()
    target, target_peer = driver.pair()
    flow = Flow(source, target, splice=True)
    flow.bulk = True
    source_peer.send(b"x" * 1000)
    flow.step()
    assert receive_all(target_peer) == b"x" * 1000 and not flow.splice


def test_small_messages_are_not_spliced(driver: Driver) -> None:
    source, source_peer = driver.pair()
    target, target_peer = driver.pair()
    flow = Flow(source, target, splice=True)
    for _ in range(3):
        source_peer.send(b"x" * 1000)
        source.drained = False
        flow.step()
    assert flow.copied == 3000 and flow.pipe is None
    receive_all(target_peer)


def test_pipes_are_kept_for_others_only_when_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_pipes", [])
    before = open_descriptors()
    taken = [take_pipe() for _ in range(PIPES_KEPT_MAX + 3)]
    assert all(taken)
    for pipe in taken:
        assert pipe is not None
        give_pipe(pipe, empty=True)
    assert len(relay_module._pipes) == PIPES_KEPT_MAX
    assert open_descriptors() - before == 2 * PIPES_KEPT_MAX
    again = take_pipe()
    assert again is not None
    give_pipe(again, empty=False)
    with pytest.raises(OSError):
        os.fstat(again[0])
    for pipe in relay_module._pipes:
        os.close(pipe[0])
        os.close(pipe[1])


def test_no_descriptors_no_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_pipes", [])

    def refuse(_flags: int) -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe2", refuse)
    assert take_pipe() is None


def test_patience_without_a_word_of_its_own_stays_as_it_was() -> None:
    assert (Idle(7).for_client, Idle(7).for_server) == (7, 7)
    assert Idle().for_client == inf
