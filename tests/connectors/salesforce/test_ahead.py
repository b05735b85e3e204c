"""Two stages side by side: order, faults and endings are those of one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from crmsync.connectors.salesforce.ahead import ahead


def test_items_come_in_order_and_the_thread_ends() -> None:
    before = threading.active_count()
    assert list(ahead(lambda: iter(range(1_000)), 2)) == list(range(1_000))
    assert threading.active_count() == before


def test_a_fault_comes_after_the_items_before_it() -> None:
    def make() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    items = ahead(make, 1)
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)


def test_closing_ends_the_maker_even_when_it_waits_to_hand_over() -> None:
    ended = threading.Event()

    def make() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            ended.set()

    items = ahead(make, 1)
    assert next(items) == 0
    items.close()
    assert ended.is_set()


def test_a_maker_that_cannot_begin_is_told_too() -> None:
    def make() -> Iterator[int]:
        raise ValueError("no session")

    with pytest.raises(ValueError, match="no session"):
        next(ahead(make, 1))
