from __future__ import annotations

from dispatcher.policy.board import Board


def boards(count: int = 3, binds: int = 2, workers: int = 2) -> list[Board]:
    page = bytearray(Board.page_bytes(count, binds, workers))
    return [Board(page, number, count, binds, workers) for number in range(count)]


def test_each_sees_the_sum_of_the_others() -> None:
    first, second, third = boards()
    for board, number in ((first, 1), (second, 10), (third, 100)):
        board.reserve(number)
        board.holds(1, number)
        board.counts(1)[0] = number
        board.counts(1)[1] = number * 2
    assert (first.reserved_elsewhere, second.reserved_elsewhere, third.reserved_elsewhere) == (110, 101, 11)
    assert first.held_elsewhere(1) == 110 and first.held_elsewhere(0) == 0
    assert first.given_elsewhere(1, 0) == 110 and first.given_elsewhere(1, 1) == 220 and first.given_elsewhere(1, -1) == 330
    assert first.given_elsewhere(0, -1) == 0


def test_news_are_told_once() -> None:
    first, second, third = boards()
    second.came(0)
    third.came(0)
    third.came(1)
    assert first.news(0) == 2 and first.news(0) == 0 and first.news(1) == 1
    assert second.news(0) == 1


def test_who_begins_again_begins_empty_and_does_not_count_the_past_twice() -> None:
    page = bytearray(Board.page_bytes(2, 1, 1))
    first, second = Board(page, 0, 2, 1, 1), Board(page, 1, 2, 1, 1)
    for _ in range(5):
        second.came(0)
    first.news(0)
    first.came(0)
    second.reserve(5)
    again = Board(page, 1, 2, 1, 1)
    assert first.reserved_elsewhere == 0 and first.news(0) == 0
    again.came(0)
    assert first.news(0) == 1
    assert again.news(0) == 0, "what came before it began is nothing new"
