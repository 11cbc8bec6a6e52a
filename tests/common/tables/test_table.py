"""Stick tables in memory: found, made, expired, evicted, counted; and mended after an update that was never finished."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.acl.types import SampleType, Typed
from common.tables.definition import read_definition
from common.tables.keys import key_of_text, text_of_key
from common.tables.layout import DATA, LISTED, NEWER, NEXT, OLDER, STRUCTURE, Header, Layout
from common.tables.samples import SampleTable
from common.tables.table import Table


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


class FakeGuard:
    def __init__(self) -> None:
        self.held = False
        self.busy = False

    def lock(self) -> None:
        assert not self.held
        if self.busy:
            raise BlockingIOError
        self.held = True

    def wait(self) -> bool:
        return False

    def unlock(self) -> None:
        assert self.held
        self.held = False


def make(words: str, clock: Clock | None = None, guard: FakeGuard | None = None, column: int = 0, *, servers: bool = False) -> Table:
    definition = read_definition("t", words.split(), keeps_servers=servers)
    layout = Layout.of(definition, 4)
    table = Table(definition, layout, memoryview(bytearray(layout.bytes)), guard or FakeGuard(), clock or Clock(), column)
    table.words[Header.FACTOR] = 0x1234567890ABCDF
    return table


def check_invariants(table: Table) -> set[bytes]:
    """Chains, list and count tell of the same entries; returns their keys."""
    words, layout = table.words, table.layout
    chained = set()
    for bucket in range(16, 16 + layout.buckets):
        place, steps = words[bucket], 0
        while place:
            base = layout.entries + (place - 1) * layout.entry_words
            assert words[base] & 1 and table.bucket_of(table.key_at(base)) == bucket
            chained.add(place)
            place, steps = words[base + NEXT], steps + 1
            assert steps <= layout.size
    listed = []
    place, before, touched = words[Header.OLDEST], 0, 0
    while place:
        base = layout.entries + (place - 1) * layout.entry_words
        assert words[base + OLDER] == before and words[base + LISTED] >= touched
        touched, before = words[base + LISTED], place
        listed.append(place)
        place = words[base + NEWER]
        assert len(listed) <= layout.size
    assert words[Header.NEWEST] == before and set(listed) == chained and len(listed) == words[Header.USED] <= layout.size
    return {table.key_at(layout.entries + (place - 1) * layout.entry_words) for place in listed}


def ip(number: int) -> bytes:
    return number.to_bytes(4, "big")


def test_an_entry_is_made_once_and_found_again() -> None:
    table = make("type ip size 10 store gpc0")
    entry = table.enter(ip(1))
    assert entry is not None and table.lookup(ip(2)) is None and (table.used, table.available) == (1, 9)
    entry.increase("gpc0", by=5)
    again = table.enter(ip(1))
    assert again is not None and (again.get("gpc0"), table.used) == (5, 1)
    assert (again.key, again.trackers) == (Typed(SampleType.IPV4, ip(1)), 0)
    assert again.get("gpt0") is again.increase("gpc1") is again.clear("gpc", 3) is None


def test_entries_expire_after_their_last_use() -> None:
    clock = Clock()
    table = make("type ip size 10 expire 10s store gpc0", clock)
    first = table.enter(ip(1))
    assert first is not None
    clock.now += 6000
    table.enter(ip(2))
    first.increase("gpc0")  # refreshes it
    clock.now += 6000
    assert table.lookup(ip(1)) is not None and (first.expires_in, first.idle) == (4.0, 6.0)
    clock.now += 4000
    assert table.lookup(ip(1)) is None and table.lookup(ip(2)) is None
    assert first.get("gpc0") == 0 and first.increase("gpc0") == 0 and table.used == 0
    for number in range(5):
        table.enter(ip(number))
    clock.now += 10000
    assert table.purge() is False and table.used == 0
    check_invariants(table)


def test_a_full_table_lets_the_oldest_go() -> None:
    clock = Clock()
    table = make("type ip size 3", clock)
    for number in (1, 2, 3):
        clock.now += 1
        table.enter(ip(number))
    clock.now += 1
    table.enter(ip(1))
    clock.now += 1
    assert table.enter(ip(4)) is not None
    assert check_invariants(table) == {ip(1), ip(3), ip(4)}


def test_a_large_full_table_lets_some_go_at_once() -> None:
    clock = Clock()
    table = make("type integer size 1k", clock)
    for number in range(1024):
        clock.now += 1
        table.enter(number.to_bytes(4, "little"))
    table.enter((5000).to_bytes(4, "little"))
    assert table.used == 1024 - (1024 // 256 + 1) + 1


def test_nopurge_refuses_and_tracked_entries_stay() -> None:
    table = make("type ip size 2 nopurge")
    assert table.enter(ip(1)) and table.enter(ip(2)) and table.enter(ip(3)) is None
    table = make("type ip size 2 expire 1s store conn_cur")
    entries = [table.track(ip(number), ()) for number in (1, 2)]
    assert table.enter(ip(3)) is None and all(entries)
    assert entries[0] is not None
    entries[0].let_go()
    assert table.enter(ip(3)) is not None and check_invariants(table) == {ip(2), ip(3)}


def test_tracking_counts_and_is_given_back_for_the_dead() -> None:
    clock = Clock()
    table = make("type ip size 10 expire 10s store conn_cur,conn_cnt,conn_rate(10s),http_req_cnt", clock, column=2)
    entry = table.track(ip(1), table.plans.asked)
    assert entry is not None and table.track(ip(1), table.plans.connection) is not None
    assert [entry.get(data) for data in ("conn_cur", "conn_cnt", "conn_rate", "http_req_cnt")] == [2, 2, 2, 1]
    assert entry.trackers == 2 and table.drop(entry) is False
    clock.now += 60000
    assert table.lookup(ip(1)) is not None  # in use, however old
    assert table.give_back(1) == 0 and table.give_back(2) == 1
    assert (entry.trackers, entry.get("conn_cur"), entry.get("conn_cnt")) == (0, 0, 2)
    entry.let_go()
    assert entry.get("conn_cur") == 0


def test_rates_slide_over_two_periods() -> None:
    clock = Clock()
    table = make("type ip size 10 store gpc0,gpc0_rate(10s)", clock)
    entry = table.enter(ip(1))
    assert entry is not None
    for _ in range(10):
        entry.increase("gpc0")
    assert entry.get("gpc0_rate") == 10
    clock.now += 15000
    assert entry.get("gpc0_rate") == 5
    entry.increase("gpc0")
    assert entry.get("gpc0_rate") == 6
    clock.now += 10000
    assert entry.get("gpc0_rate") == 0  # one event of the period before does not count
    clock.now += 20000
    assert (entry.get("gpc0_rate"), entry.get("gpc0")) == (0, 11)
    assert entry.clear("gpc0") == 11 and entry.get("gpc0") == 0


def test_arrays_hold_what_the_old_names_mean() -> None:
    table = make("type ip size 10 store gpc(3),gpc_rate(3,10s),gpt(2)")
    entry = table.enter(ip(1))
    assert entry is not None
    entry.increase("gpc", 2, 7)
    entry.increase("gpc1")
    entry.set("gpt", 9, 1)
    entry.set("gpt0", 1 << 32 | 5)
    assert [entry.get("gpc", index) for index in range(4)] == [0, 1, 7, None]
    assert (entry.get("gpc_rate", 2), entry.get("gpc1_rate"), entry.get("gpt", 1), entry.get("gpt0")) == (7, 1, 9, 5)


def test_servers_are_remembered_by_number_and_name() -> None:
    table = make("type ip size 10", servers=True)
    entry, other = table.enter(ip(1)), table.enter(ip(2))
    assert entry is not None and other is not None
    entry.set_server(3, "s3")
    other.set_server(4, "s4")
    assert (entry.get("server_id"), entry.text("server_key"), other.text("server_key")) == (3, b"s3", b"s4")


@pytest.mark.parametrize(
    ("words", "sample", "text"),
    [
        ("type ip", Typed(SampleType.IPV4, b"\x7f\0\0\1"), "127.0.0.1"),
        ("type ip", Typed(SampleType.IPV6, b"\0" * 10 + b"\xff\xff\x7f\0\0\1"), "127.0.0.1"),
        ("type ip", Typed(SampleType.IPV6, b"\x20\1" + b"\0" * 14), None),
        ("type ip", Typed(SampleType.STR, b"10.0.0.300"), None),
        ("type ipv6", Typed(SampleType.IPV4, b"\x7f\0\0\1"), "::ffff:127.0.0.1"),
        ("type integer", Typed(SampleType.STR, b"42"), "42"),
        ("type integer", Typed(SampleType.INT, -1), "4294967295"),
        ("type integer", Typed(SampleType.INT, 1 << 40 | 7), "7"),
        ("type string", Typed(SampleType.STR, b"x" * 50), "x" * 32),
        ("type string len 5", Typed(SampleType.STR, b"a b\\\n"), "a\\ b\\\\\\n"),
        ("type string len 65536", Typed(SampleType.BIN, b"\xff" * 70000), "\\xff" * 65536),
        ("type string", Typed(SampleType.STR, b""), None),
        ("type binary len 4", Typed(SampleType.BIN, b"ab"), "61620000"),
        ("type binary len 4", Typed(SampleType.STR, b"abcdef"), "61626364"),
        ("type binary", Typed(SampleType.BIN, b""), None),
    ],
)
def test_keys_of_every_type(words: str, sample: Typed, text: str | None) -> None:
    table = make(f"{words} size 4")
    samples = SampleTable(table)
    entry = samples.enter(sample)
    if text is None:
        assert entry is None and table.used == 0
        return
    assert entry is not None and samples.lookup(sample) is not None and table.used == 1
    shown = text_of_key(table.definition, entry.key_bytes)
    assert shown in (text, text.replace("::ffff:127.0.0.1", "::ffff:7f00:1"))
    if "string" not in words:
        assert key_of_text(table.definition, shown) == entry.key_bytes
    again = samples.lookup(entry.key)
    assert again is not None and again.base == entry.base


@pytest.mark.parametrize("words", ["type ip", "type ipv6", "type integer", "type binary len 4"])
def test_what_operators_write_may_be_no_key(words: str) -> None:
    assert key_of_text(make(f"{words} size 1").definition, "zz") is None


def test_a_table_that_somebody_holds_is_done_without() -> None:
    guard = FakeGuard()
    table = make("type ip size 10 store gpc0", guard=guard)
    entry = table.enter(ip(1))
    assert entry is not None
    guard.busy = True
    assert table.enter(ip(1)) is table.lookup(ip(1)) is table.track(ip(2), ()) is None
    assert entry.increase("gpc0") == 0
    entry.set("gpc0", 3)
    entry.let_go()
    guard.busy = False
    assert (entry.get("gpc0"), table.used) == (0, 1)


def test_an_unfinished_update_costs_its_entry() -> None:
    table = make("type ip size 10 store gpc0")
    entry, other = table.enter(ip(1)), table.enter(ip(2))
    assert entry is not None and other is not None
    other.increase("gpc0")
    table.words[Header.BUSY] = (entry.base - table.layout.entries) // table.layout.entry_words + 1
    assert table.lookup(ip(1)) is None
    assert other.get("gpc0") == 1 and check_invariants(table) == {ip(2)} and table.words[Header.REPAIRED] == 1


class _Killed(Exception):
    pass


class _DyingWords:
    """Words of which only so many can be written; then the process is dead."""

    def __init__(self, words: memoryview[int], writes: int) -> None:
        self._words = words
        self.writes = writes

    def __getitem__(self, index: int) -> int:
        return self._words[index]

    def __setitem__(self, index: int, value: int) -> None:
        if not self.writes:
            raise _Killed
        self.writes -= 1
        self._words[index] = value


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_whatever_write_is_the_last_one_the_table_is_sound_afterwards(seed: int, writes: int) -> None:
    """A process dies between any two writes of any operation; whoever comes next finds chains, list and counts right."""
    rng = random.Random(seed)
    clock, guard = Clock(), FakeGuard()
    table = make("type ip size 6 expire 10s store gpc0,conn_cur", clock, guard)
    for _ in range(rng.randrange(12)):
        clock.now += rng.randrange(4000)
        table.enter(ip(rng.randrange(9)))
    before = check_invariants(table)
    healthy = table.words
    table.words = _DyingWords(healthy, writes)  # type: ignore[assignment]
    try:
        clock.now += rng.randrange(4000)
        entry = table.track(ip(rng.randrange(9)), table.plans.connection)
        if entry is not None:
            entry.increase("gpc0")
    except _Killed:
        pass
    table.words = healthy
    guard.held = False
    survivor = Table(table.definition, table.layout, table._memory, guard, clock, 1)
    survivor.enter(ip(100))
    assert ip(100) in check_invariants(survivor)
    assert healthy[Header.BUSY] == 0
    assert len(check_invariants(survivor) - before) <= 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("eldtcp"), st.integers(0, 8), st.integers(0, 3000)), max_size=60))
def test_against_a_model(steps: list[tuple[str, int, int]]) -> None:
    """A dictionary in order of last use does the same."""
    clock = Clock()
    table = make("type ip size 5 expire 10s store gpc0", clock)
    model: dict[bytes, tuple[int, int]] = {}  # key -> last use, gpc0; in order of use
    for what, number, wait in steps:
        clock.now += wait + 1
        key = ip(number)
        model = {one: state for one, state in model.items() if clock.now - state[0] < 10000}
        if what == "l":
            assert (table.lookup(key) is not None) == (key in model)
        elif what == "d":
            found = table.lookup(key)
            if found is not None:
                assert table.drop(found)
            model.pop(key, None)
        elif what == "p":
            table.purge()
            assert table.used == len(model)
        else:
            if key not in model and len(model) == 5:
                model.pop(next(iter(model)))
            state = model.pop(key, (0, 0))
            entry = table.enter(key)
            assert entry is not None
            model[key] = (clock.now, state[1] + (what == "c"))
            if what == "c":
                entry.increase("gpc0")
            assert entry.get("gpc0") == model[key][1]
        check_invariants(table)


def test_nothing_of_an_old_entry_shows_in_the_next_one_at_its_place() -> None:
    table = make("type string size 1 store gpc0,conn_cur")
    entry = table.track(b"a-long-key-of-someone", table.plans.connection)
    assert entry is not None
    entry.increase("gpc0", by=77)
    entry.let_go()
    new = table.enter(b"b")
    assert new is not None and new.base == entry.base and (new.get("gpc0"), new.get("conn_cur")) == (0, 0)
    entry.increase("gpc0")
    entry.let_go()
    assert (new.get("gpc0"), new.trackers, entry.trackers) == (0, 0, 0)
    assert table.words[new.base + DATA] == 0 and STRUCTURE < 0
