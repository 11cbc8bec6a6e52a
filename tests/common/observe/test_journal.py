"""Changes of operators, kept for processes that are started later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe import journal
from common.observe.journal import Journal, JournalFull


def test_commands_are_given_in_their_order() -> None:
    book = Journal()
    for command in ("add map m a 1", "del map m a", "add map m a 2"):
        book.record(command)
    assert book.since() == ("add map m a 1", "del map m a", "add map m a 2")


def test_what_overwrites_takes_the_place_of_what_it_overwrote() -> None:
    book = Journal()
    book.record("set map m a 1", ("set", "map", "m", "a"))
    book.record("set map m b 1", ("set", "map", "m", "b"))
    book.record("set map m a 2", ("set", "map", "m", "a"))
    assert book.since() == ("set map m b 1", "set map m a 2")


def test_a_process_is_told_what_came_after_its_start() -> None:
    book = Journal()
    book.record("one")
    started = book.number
    book.record("two")
    assert book.since(started) == ("two",)
    assert book.since(book.number) == ()


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "BYTES_MAX", 10)
    book = Journal()
    book.record("12345", ("a",))
    book.record("12345")
    with pytest.raises(JournalFull):
        book.record("1")
    book.check_invariants()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_the_last_writer_of_each_target_is_always_there(writes: list[tuple[str, bool]]) -> None:
    book = Journal()
    last: dict[str, str] = {}
    adds = []
    for place, (target, overwrites) in enumerate(writes):
        command = f"{target} {place}"
        book.record(command, (target,) if overwrites else None)
        if overwrites:
            last[target] = command
        else:
            adds.append(command)
        book.check_invariants()
    kept = book.since()
    assert set(kept) == {*last.values(), *adds}
    assert list(kept) == sorted(kept, key=lambda command: int(command.split()[1]))
